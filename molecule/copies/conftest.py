"""The hosts of the scenario, for the chapters of its story and for the tests after it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from testinfra.host import Host

from tests.lab import hosts
from tests.lab.scenario import db, keys

__all__ = ["db", "keys"]

WHERE = "/run/client"


@pytest.fixture(scope="session")
def vault() -> Host:
    return hosts.host("vault")


@pytest.fixture(scope="session")
def taken_over(db: Host, keys: Path) -> Iterator[str]:
    """What whoever has taken db over logs in to the vault with: the options of ssh and sftp."""
    private, known = (keys / "ssh").read_text(), (keys / "vault.pub").read_text()
    script = f"umask 077; mkdir -p {WHERE}; cat > {WHERE}/key; echo 'vault {known.strip()}' > {WHERE}/known"
    assert hosts.on("db", "sh", "-c", script, stdin=private).returncode == 0
    yield f"-i {WHERE}/key -o UserKnownHostsFile={WHERE}/known -o BatchMode=yes"
    db.check_output(f"rm -r {WHERE}")
