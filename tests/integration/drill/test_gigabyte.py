# SPDX-License-Identifier: GPL-3.0-or-later
"""All five stores are lost, a gigabyte of PostgreSQL among them, and back within five minutes. Nightly."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.rescue.host import PHRASE

from .conftest import DrillHost

GIB = 1 << 30
LIMIT_S = 300.0  # MS8
# Text that halves under compression, as records of people do, and an index to build.
PATIENTS = """
CREATE TABLE patient (id int, note text);
INSERT INTO patient SELECT n, md5(n::text) || repeat(md5((n * 7)::text), 5) FROM generate_series(1, 4300000) n;
ALTER TABLE patient ADD PRIMARY KEY (id);
"""
LOOK = "SELECT count(*), sum(hashtext(note)::bigint) FROM patient"
LINES = """
CREATE TABLE line (id int PRIMARY KEY, word text);
INSERT INTO line SELECT seq, CONCAT(MD5(seq), REPEAT(MD5(seq * 7), 3)) FROM seq_1_to_1000000;
"""


@pytest.mark.nightly
def test_a_gigabyte_is_back_within_five_minutes(
    tmp_path: Path,
    make_postgresql: Callable[[], Any],
    make_mariadb: Callable[..., Any],
    mongodb_source: dict[str, Any],
    redis_source: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
) -> None:
    postgresql, mariadb = make_postgresql(), make_mariadb()
    postgresql.sql("CREATE DATABASE shop")
    postgresql.sql(PATIENTS, "shop")
    assert int(postgresql.sql("SELECT pg_database_size('shop')")) > GIB
    before = postgresql.sql(LOOK, "shop")
    mariadb.sql("CREATE DATABASE shop")
    mariadb.sql(LINES, "shop")
    documents = tmp_path / "documents"
    documents.mkdir()
    for number in range(100):
        (documents / f"{number}.pdf").write_bytes(number.to_bytes(1, "big") * (2 << 20))
    host = DrillHost(tmp_path)
    host.job["sources"] = {
        "records": {
            "type": "postgresql",
            "database": "shop",
            "host": str(postgresql.folder),
            "port": postgresql.port,
        },
        "lines": {"type": "mariadb", "database": "shop", "socket": mariadb.socket},
        "events": mongodb_source,
        "sessions": redis_source,
        "documents": {"type": "files", "paths": [str(documents)]},
    }
    host.job["objectives"] = {"rto": "5m"}
    host.configure()
    id_ = do(host, "run", "shop").strip()
    postgresql.sql("DROP TABLE patient", "shop")
    mariadb.sql("DROP TABLE line", "shop")
    (documents / "7.pdf").unlink()

    begun = time.monotonic()
    gate = ("--confirm", PHRASE, "--target-host", host.name)
    do(host, "restore", "shop", id_, "--identity", str(host.key), *gate)
    took = time.monotonic() - begun

    with capsys.disabled():
        print(f"\n1 GiB of PostgreSQL and four other stores back in {took:.1f} s")
    assert postgresql.sql(LOOK, "shop") == before
    assert mariadb.sql("SELECT COUNT(*) FROM line", "shop") == "1000000"
    assert (documents / "7.pdf").stat().st_size == 2 << 20
    assert took < LIMIT_S


def do(host: DrillHost, *words: str) -> str:
    """A command that may take minutes, and has to go well; what it prints."""
    done = subprocess.run(host.argv(*words), capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stderr
    return done.stdout
