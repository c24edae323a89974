# Thin names over scripts/. Each sets up what it needs, so every one works in a fresh clone.
.PHONY: help setup demo test lint unit integration judges molecule bench nightly

help: ## what there is
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile | expand -t 22

setup: ## the development tools, in .venv
	@scripts/setup

demo: ## lose a database and get it back, on this machine, in about a minute
	@scripts/demo

test: ## everything this machine can run, and what it could not by name
	@scripts/test

lint: ## style and types
	@scripts/test lint

unit: ## tests without servers
	@scripts/test unit

integration: ## tests on real servers
	@scripts/test integration

judges: ## what Ansible's own tools say about the built tarball
	@scripts/test judges

molecule: ## the stories on real systemd hosts
	@scripts/test molecule

bench: ## speed and memory beside their floor
	@scripts/setup
	@.venv/bin/python tests/bench

nightly: ## everything, on every supported Debian
	@scripts/test --nightly
