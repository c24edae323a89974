# SPDX-License-Identifier: GPL-3.0-or-later
"""What a bare host needs for a restore is told by the package manager of the host that was backed up."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from lifeboat.manifest import decode
from lifeboat.operations.copies.restore_note import restore_note
from lifeboat.packages import loopback, missing, named, owning
from lifeboat.registry import SOURCES
from lifeboat.sources.postgresql.source import PostgreSQL

pytestmark = pytest.mark.skipif(shutil.which("dpkg-query") is None, reason="no dpkg here")


def test_the_package_of_a_program_is_told_with_its_version(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.write_text("")
    found = owning(["/usr/bin/dpkg-quer[y]", str(mine), "/no/such/*"])
    asked = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Version}", "dpkg"], capture_output=True, text=True, check=True
    )
    assert found == {"dpkg": asked.stdout}


def test_a_link_may_be_of_another_package_than_what_it_leads_to() -> None:
    """As on Debian, where the server's program is a link into the package of the tools."""
    server = Path("/usr/bin/redis-server")
    assert server.is_symlink()
    assert {"redis-server", "redis-tools"} <= set(owning([str(server)]))


def test_what_no_package_brought_is_nothing(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("")
    assert owning([str(tmp_path / "mine")]) == {}
    assert owning([]) == {}


def test_without_dpkg_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert owning(["/usr/bin/env"]) == {}


def test_what_is_not_installed_is_missing() -> None:
    assert missing(["dpkg", "lifeboat-no-such-package", "-x", "a b"]) == [
        "lifeboat-no-such-package",
        "-x",
        "a b",
    ]
    assert missing([]) == []


@pytest.mark.parametrize(
    ("host", "ours"),
    [
        ("", True),
        ("/run/postgresql", True),
        ("127.0.1.1", True),
        ("localhost", True),
        ("db", False),
    ],
)
def test_a_server_of_this_host_is_known_by_its_address(host: str, ours: bool) -> None:
    assert loopback(host) is ours


def test_a_server_elsewhere_needs_the_client_alone() -> None:
    known = {"server_number": 150018, "extensions": {"plpgsql": "1.0"}}
    assert PostgreSQL("db", database="x", host="db.example").belongings(known) == [
        "/usr/lib/postgresql/15/bin/pg_dump"
    ]
    here = PostgreSQL("db", database="x").belongings(known)
    assert "/usr/lib/postgresql/15/bin/postgres" in here
    assert "/usr/share/postgresql/15/extension/plpgsql.control" in here


def test_the_note_beside_a_backup_names_them() -> None:
    manifest = decode((Path(__file__).parent / "golden" / "manifest-v1.json").read_bytes(), "it")
    first, *others = manifest.sources
    facts = {**first.facts, "packages": {"postgresql-15": "15.20", "age": "1.1"}}
    told = restore_note(replace(manifest, sources=(replace(first, facts=facts), *others)))
    assert b"- packages there: age 1.1, postgresql-15 15.20\n" in told


@pytest.mark.parametrize(
    ("kind", "needed"),
    [
        ("postgresql", "postgresql-15 postgresql-client-15 postgresql-15-postgis-3-scripts"),
        ("postgresql", "postgresql-contrib postgresql-plpython3-15"),
        ("mariadb", "mariadb-client mariadb-server-core mariadb-client-core-10.6"),
        ("mysql", "mysql-client-8.0 mysql-server-core-8.0 mysql-community-server-core"),
        ("redis", "redis-server redis-tools"),
        ("valkey", "valkey-server valkey-tools"),
        ("mongodb", "mongodb-org-server mongodb-database-tools"),
        ("volume", "docker.io docker-ce-cli podman"),
    ],
)
def test_what_a_kind_needs_is_installed_and_nothing_else(kind: str, needed: str) -> None:
    told = dict.fromkeys(needed.split(), "1")
    hostile = dict.fromkeys(
        [
            "openssh-server",
            "nis",
            "postgresql-15=1",
            "postgresql-15-",
            "x-postgresql-15",
            "redis-evil",
            "--force",
        ],
        "1",
    )
    assert named({**told, **hostile}, SOURCES[kind].packages) == told


def test_a_kind_that_needs_no_package_has_none_installed() -> None:
    for kind in ("files", "sqlite", "command", "s3_bucket"):
        assert named({"dpkg": "1"}, getattr(SOURCES[kind], "packages", ())) == {}
