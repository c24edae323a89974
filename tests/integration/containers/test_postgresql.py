# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole round with a PostgreSQL in a container, its credentials read from the container's environment."""

from __future__ import annotations

import glob
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from lifeboat.model import Command
from lifeboat.pipeline import Pipeline
from lifeboat.placement import Placement

from tests.integration.rescue.host import PHRASE, Host

from .conftest import Container, Watch, podman, wait_for

PASSWORD = r"c0nt:ai\ner's"
BIN = sorted(glob.glob("/usr/lib/postgresql/*/bin"))[-1]
# As the official image does it: one superuser, named by variables.
SERVER = """
printf %s "$POSTGRES_PASSWORD" >/tmp/pw
initdb --no-sync -D /var/lib/pg/data -U "$POSTGRES_USER" -A scram-sha-256 --pwfile=/tmp/pw >/dev/null
exec postgres -D /var/lib/pg/data -c listen_addresses= -c fsync=off
"""
ENVIRONMENT = {"user": "POSTGRES_USER", "password": "POSTGRES_PASSWORD", "database": "POSTGRES_DB"}


@pytest.fixture(scope="module")
def server(make_container: Callable[..., Container]) -> Container:
    made = make_container(
        "-e", "POSTGRES_USER=shop", "-e", f"POSTGRES_PASSWORD={PASSWORD}", "-e", "POSTGRES_DB=shop",
        "-e", f"PATH={BIN}:/usr/bin", "--user", "postgres",
        command=("sh", "-c", SERVER),
    )  # fmt: skip
    assert wait_for(lambda: ready(made), 20), podman("logs", made.name)
    sql(made, "CREATE DATABASE shop", "postgres")
    return made


def ready(server: Container) -> bool:
    return "accepting" in podman("exec", server.name, "pg_isready", check=False)


def sql(server: Container, text: str, database: str = "shop") -> str:
    return podman(
        "exec", "-i", "-e", f"PGPASSWORD={PASSWORD}", server.name,
        "psql", "-U", "shop", "-XqAt", "-v", "ON_ERROR_STOP=1", database, stdin=text.encode(),
    )  # fmt: skip


@pytest.fixture
def host(tmp_path: Path, server: Container) -> Host:
    sql(
        server, "DROP TABLE IF EXISTS book, other, last; CREATE TABLE book (id integer, title text)"
    )
    sql(server, "INSERT INTO book SELECT g, 'title ' || g FROM generate_series(1, 1000) g")
    made = Host(tmp_path)
    made.job["sources"] = {
        "db": {
            "type": "postgresql",
            "placement": {"podman": server.name},
            "credentials_from_env": ENVIRONMENT,
        }
    }
    made.configure()
    return made


def rows(server: Container) -> int:
    return int(sql(server, "SELECT count(*) FROM book"))


def test_the_round_trip_shows_no_secret_to_anybody(host: Host, server: Container) -> None:
    with Watch() as watch:
        id_ = host.run()
        sql(server, "DELETE FROM book WHERE id > 10")
        restored = host.restore(id_)
        assert (restored.returncode, rows(server)) == (0, 1000), restored.stderr
        gate = ("--confirm", PHRASE, "--target-host", "h1")
        undone = host.lifeboat("undo", "shop", id_, *gate)
        assert (undone.returncode, rows(server)) == (0, 10), undone.stderr

    assert any(b"pg_dump" in line and b"PGPASSWORD" in line for line in watch.seen)
    ours = [line for line in watch.seen if b"psql\0-U\0shop" not in line]  # not the test's own
    assert not [line for line in ours if PASSWORD.encode() in line]
    kept = [*host.root.rglob("*"), *host.disk.rglob("*")]
    assert not [one for one in kept if one.is_file() and PASSWORD.encode() in one.read_bytes()]
    manifest = json.loads(next(host.disk.glob("catalog/*/*/*.json")).read_text())
    made_from = manifest["sources"][0]["facts"]["container"]
    assert made_from["image"].startswith("localhost/lb-test")
    assert made_from["image_digest"].startswith("sha256:")


def test_a_password_in_a_file_of_the_container_is_read(
    host: Host, server: Container, make_container: Callable[..., Container], tmp_path: Path
) -> None:
    host.job["sources"]["db"]["credentials_from_env"] = {**ENVIRONMENT, "password": "HIDDEN"}
    host.configure()
    lost = host.lifeboat("run", "shop")
    assert lost.returncode == 1
    assert f"container {server.name} has no variable HIDDEN" in lost.stderr
    assert PASSWORD not in lost.stderr

    (host.data / "pw").write_text(PASSWORD + "\n")
    copied = podman("commit", "-q", server.name)
    other = make_container(
        "-v", f"{host.data}:/secrets:ro", "-e", "HIDDEN_FILE=/secrets/pw", "--user", "postgres",
        image=copied, command=("postgres", "-D", "/var/lib/pg/data", "-c", "listen_addresses="),
    )  # fmt: skip
    assert wait_for(lambda: ready(other), 20), podman("logs", other.name)
    host.job["sources"]["db"]["placement"] = {"docker": other.name}
    host.configure()
    host.run()


def test_a_wrong_password_and_a_stopped_container_are_told_clearly(
    host: Host, server: Container
) -> None:
    host.job["sources"]["db"]["credentials_from_env"] = {**ENVIRONMENT, "password": "POSTGRES_DB"}
    host.configure()
    refused = host.lifeboat("run", "shop")
    assert refused.returncode == 1
    assert "password authentication failed" in refused.stderr

    host.job["sources"]["db"]["placement"] = {"podman": "lb-none"}
    host.configure()
    absent = host.lifeboat("run", "shop")
    assert "source db: there is no container lb-none" in absent.stderr
    assert host.stored() == []


def test_a_dump_that_is_given_up_is_no_crash_for_the_server(server: Container) -> None:
    """The server is the container's first process: it inherits orphans, and minds how they ended."""
    words = ("psql", "-XqAt", "-c", "SELECT pg_sleep(300)")
    asked = {
        "PGUSER": "shop",
        "PGPASSWORD": PASSWORD,
        "PGDATABASE": "shop",
        "PGAPPNAME": "given up",
    }
    running = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'given up'"
    with Pipeline(Placement("podman", server.name).wrap(Command(words, asked)), []):
        assert wait_for(lambda: sql(server, running) == "1")
    assert wait_for(lambda: not server.processes("pg_sleep(300)"))
    assert "crash" not in podman("logs", server.name)
    assert "terminated by signal" not in podman("logs", server.name)


def test_the_rows_of_some_tables_alone_come_beside(host: Host, server: Container) -> None:
    sql(server, "CREATE TABLE other AS SELECT * FROM book; CREATE TABLE last AS SELECT * FROM book")
    id_ = host.run()

    done = host.restore(id_, "--into", "some", "--path", "book", "--path", "last")

    assert done.returncode == 0, done.stderr
    asked = "SELECT (SELECT count(*) FROM {}) || ' ' || (SELECT sum(id) FROM {})"
    for table in ("book", "last"):
        there = sql(server, asked.format(table, table), "some")
        assert there == sql(server, asked.format(table, table)) != "0 "
    assert sql(server, "SELECT count(*) FROM other", "some") == "0"


def test_a_drill_needs_no_container(host: Host) -> None:
    """In a disaster there is none, and so none of the options that its environment holds."""
    host.run()
    host.job["sources"]["db"]["placement"] = {"podman": "gone"}
    host.configure()

    done = host.lifeboat("drill", "shop", "--json", "--identity", str(host.key))

    assert done.returncode == 0, done.stdout + done.stderr
    (told,) = json.loads(done.stdout)
    assert told["restorable"]
    assert told["sources"]["db"]["totals"]["rows"] == 1000
