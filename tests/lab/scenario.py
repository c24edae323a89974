"""What the tests of every scenario are given: its hosts and the keys that no host holds."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from testinfra.host import Host

from tests.lab import hosts


@pytest.fixture(scope="session")
def db() -> Host:
    return hosts.host("db")


@pytest.fixture(scope="session")
def fresh() -> Host:
    return hosts.host("fresh")


@pytest.fixture(scope="session")
def keys() -> Path:
    """The folder of private keys, on the controller alone: operator.key, escrow.key."""
    return Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "keys"
