"""An optional store that was there and is not any more is told, and counts only when somebody says so."""

from __future__ import annotations

from testinfra.host import Host

from tests.lab.hosts import lifeboat, told


def test_an_optional_store_that_vanished_is_told(db: Host) -> None:
    assert {one["state"] for one in told("db", "status", "stores")} == {"good"}
    db.check_output("rm -r /srv/extra")

    ran = lifeboat("db", "run", "stores")

    assert "suspect: extra is not there, and was in earlier backups" in ran.stderr
    newest = told("db", "list", "stores")[0]
    assert not newest["good"]
    assert set(newest["copies"].values()) == {"suspect"}

    assert lifeboat("db", "accept", newest["id"]).returncode == 0
    assert told("db", "list", "stores")[0]["good"]
