"""The wiki, its host, and the reader of the guide, for the story and for the tests after it."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from testinfra.host import Host

from tests.lab import hosts, users
from tests.lab.guide import Guide

SERVER = "podman exec bookstack-db mariadb --no-defaults -uroot --socket=/run/mysqld/mysqld.sock -N"
LOOK = (Path(__file__).resolve().parent / "files" / "state.py").read_text()

State = dict[str, list[str]]


@pytest.fixture(scope="session")
def wiki1() -> Host:
    return hosts.host("wiki1")


@pytest.fixture(scope="session")
def guide() -> Guide:
    return Guide("bookstack")


@pytest.fixture(scope="session")
def key(guide: Guide) -> str:
    """The operator's private key."""
    return (guide.place / "keys/operator.key").read_text().splitlines()[-1]


@pytest.fixture(scope="session")
def sql() -> Callable[[str], str]:
    """Ask the server of wiki1, as its root."""

    def ask(text: str) -> str:
        ran = users.on("wiki1", "wiki", f"{SERVER} -e {shlex.quote(text)}")
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    return ask


@pytest.fixture(scope="session")
def state() -> Callable[[str], State]:
    """Everything of a wiki that a restore has to bring back; see files/state.py."""
    databases = {"wiki1": "bookstack", "wiki2": "wiki_prod"}

    def look(host: str) -> State:
        found: State = users.told(host, "wiki", f"python3 - {databases[host]} <<'END'\n{LOOK}\nEND")
        return found

    return look
