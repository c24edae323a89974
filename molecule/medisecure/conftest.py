"""The hosts of the scenario, the reader of the guide and the state of all stores."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from testinfra.host import Host

from tests.lab import hosts, stored
from tests.lab.guide import Guide

FILES = Path(__file__).resolve().parent / "files"
RESP = FILES.parent.parent / "sources" / "files" / "resp.py"

State = dict[str, list[str]]


@pytest.fixture(scope="session")
def prod() -> Host:
    return hosts.host("med-prod")


@pytest.fixture(scope="session")
def staging() -> Host:
    return hosts.host("med-staging")


@pytest.fixture(scope="session")
def guide() -> Guide:
    return Guide("medisecure")


@pytest.fixture(scope="session")
def key(guide: Guide) -> Callable[[str], str]:
    """The line of a private key, which only the controller has."""

    def line(name: str) -> str:
        vault = str(guide.home / ".medisecure-vault")
        path = str(guide.place / f"secrets/{name}.key")
        ran = hosts.run(["ansible-vault", "view", "--vault-password-file", vault, path])
        assert ran.returncode == 0, ran.stderr
        return ran.stdout.strip().splitlines()[-1]

    return line


@pytest.fixture(scope="session")
def state() -> Callable[[str], State]:
    """What the five stores of a host hold, each asked with its own client."""

    def look(name: str) -> State:
        script = RESP.read_text() + (FILES / "state.py").read_text()
        ran = hosts.on(name, "python3", "-", stdin=script)
        assert ran.returncode == 0, ran.stderr
        found: State = json.loads(ran.stdout)
        place = "documents-" + {"med-prod": "production", "med-staging": "staging"}[name]
        found["documents"] = stored.sums(place)
        return found

    return look
