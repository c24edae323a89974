"""The server of the scenario, the spare one, and the reader of the guide."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from testinfra.host import Host

from tests.lab import hosts
from tests.lab.guide import Guide

STATE = (Path(__file__).resolve().parent / "files" / "state.sh").read_text()
# through nginx, with the certificate that the system's files hold
ASK = (
    "import ssl, urllib.request as u; "
    "print(u.urlopen('https://127.0.0.1/', context=ssl._create_unverified_context()).read().decode())"
)


@pytest.fixture(scope="session")
def night1() -> Host:
    return hosts.host("night1")


@pytest.fixture(scope="session")
def spare() -> Host:
    """Bare, until it becomes night1."""
    return hosts.host("spare")


@pytest.fixture(scope="session")
def guide() -> Guide:
    return Guide("nightscan")


@pytest.fixture(scope="session")
def key(guide: Guide) -> str:
    """The operator's private key, as the guide shows it."""
    shown = guide.at_controller("Something was deleted", 1)
    plain = re.sub(r"\x1b(\[[\d;?]*[A-Za-z]|[=>])", "", shown)  # what `less` says to the terminal
    return plain[plain.index("-----BEGIN") :].strip()


@pytest.fixture(scope="session")
def state() -> Callable[[str], list[str]]:
    """All that a host holds, line by line, each with the source that it is of."""

    def look(name: str) -> list[str]:
        return sorted(hosts.on(name, "bash", "-s", stdin=STATE).stdout.splitlines())

    return look


@pytest.fixture(scope="session")
def answer() -> Callable[[str], dict[str, int]]:
    """What the application itself says; {} when it does not."""

    def ask(name: str) -> dict[str, int]:
        ran = hosts.on(name, "python3", "-c", ASK)
        found: dict[str, int] = json.loads(ran.stdout) if ran.returncode == 0 else {}
        return found

    return ask
