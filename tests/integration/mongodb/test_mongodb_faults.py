# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong is one clear error, counts for nothing and leaves nothing; nothing secret is seen."""

from __future__ import annotations

import glob
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from lifeboat.errors import ConfigError, LifeboatError, MissingDependency, SourceAbsent, SourceError
from lifeboat.model import Command, Secret, Workspace
from lifeboat.pipeline import Pipeline
from lifeboat.sources.mongodb import restore as restoring
from lifeboat.sources.mongodb import server as mongodb
from lifeboat.sources.mongodb.source import MongoDB

from tests.unit.contracts.source_contract import Taken, differences, staged

from .conftest import PASSWORD, Server, tools
from .test_mongodb_contract import leftovers

DOCUMENTS = 100_000


@pytest.fixture(scope="module")
def big(make_server: Callable[..., Server]) -> Server:
    """A server with a collection that takes seconds to dump."""
    server = make_server()
    with server.client() as client:
        client.big.book.insert_many([{"_id": one} for one in range(DOCUMENTS)], ordered=False)
        client.big.small.insert_one({"_id": 1})
    return server


@pytest.fixture
def shop(server: Server) -> Iterator[str]:
    with server.client() as client:
        client.shop.book.insert_many([{"_id": one} for one in range(50)])
    yield "shop"
    with server.client() as client:
        client.drop_database("shop")


def dump(source: MongoDB, work: Workspace, during: Callable[[Any], None]) -> None:
    """A dump whose first block has come when `during` is called with its pipeline."""
    with source.open(work) as held:
        stream = next(iter(held.streams()))
        with Pipeline(stream.feed, [], tap=stream.tap) as flow:
            blocks = flow.blocks()
            next(blocks)
            during(flow)
            for _block in blocks:
                pass
            flow.check()
        complaint = stream.complaint(flow.head, flow.tail, flow.plain_bytes)
        if complaint:
            raise SourceError(complaint)


def nothing_left(work: Workspace) -> bool:
    return list(work.bulk.iterdir()) == [] and list(work.secret.iterdir()) == []


def program(name: str) -> int:
    """The number of our child of this name."""
    told = subprocess.run(["ps", "-eo", "pid=,ppid=,comm="], capture_output=True, text=True).stdout
    rows = [line.split(maxsplit=2) for line in told.splitlines()]  # a name may hold spaces
    return next(
        int(pid) for pid, parent, comm in rows if int(parent) == os.getpid() and comm == name
    )


@pytest.fixture(scope="module")
def taken_big(big: Server, tmp_path_factory: pytest.TempPathFactory) -> Taken:
    """A dump of it, while somebody writes."""
    place = tmp_path_factory.mktemp("big")
    (place / "work").mkdir()
    stop = threading.Event()

    def write() -> None:
        with big.client() as client:
            number = DOCUMENTS
            while not stop.is_set():
                client.big.book.insert_one({"_id": number})
                client.big.small.update_one({"_id": 1}, {"$inc": {"n": 1}})
                number += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        work = Workspace(place / "work", place / "work")
        return Taken(big.source("big"), work, place / "store")
    finally:
        stop.set()
        writer.join()


def test_a_hundred_thousand_documents_come_back_and_writers_do_not_disturb(big, taken_big, work):
    source = big.source("big")
    rows = {one["name"]: one["rows"] for one in taken_big.entries if one["kind"] == "collection"}
    assert rows["big.book"] >= DOCUMENTS
    swap = staged(source, taken_big, work, "big_copy")
    assert differences(source, taken_big, swap, work) == []
    source.swap(swap)
    source.discard(swap)
    with big.client() as client:
        assert client.big_copy.book.estimated_document_count() == rows["big.book"]
        client.drop_database("big_copy")


def test_a_dump_that_is_killed_is_no_backup(big, work):
    source = big.source("big")
    with pytest.raises(LifeboatError, match="mongodump was ended by signal 9"):
        dump(source, work, lambda _flow: os.kill(program("mongodump"), signal.SIGKILL))
    assert nothing_left(work)


class Impatient(mongodb.Server):
    """Its tools look for a server that has gone for a second, and not for half a minute."""

    def tool(self, *asked: str, admin: bool = False) -> Command:
        return super().tool(*asked, "--serverSelectionTimeout=1", admin=admin)


def test_a_server_that_is_killed_in_the_middle_is_no_backup(make_server, work, monkeypatch):
    monkeypatch.setattr("lifeboat.sources.mongodb.session.ANSWER_MS", 500)
    server = make_server()
    with server.client() as client:
        client.big.book.insert_many([{"_id": one, "x": "x" * 200} for one in range(30000)])
    source = server.source("big")
    source._server = Impatient(**vars(source._server))
    with pytest.raises(LifeboatError, match="mongodump stopped with status 1"):
        dump(source, work, lambda _flow: server.kill())
    assert nothing_left(work)
    with pytest.raises(SourceError, match="does not answer") as told:
        source.check()
    assert "host" in told.value.hint


def test_a_server_that_is_down_says_so(server, work, monkeypatch):
    monkeypatch.setattr("lifeboat.sources.mongodb.session.ANSWER_MS", 500)
    source = server.source("shop", port=1)
    with pytest.raises(SourceError, match=r"127\.0\.0\.1:1 does not answer"):
        source.check()
    with pytest.raises(SourceError, match="does not answer"), source.open(work):
        pass
    assert nothing_left(work)


def test_a_wrong_password_says_so_and_is_not_shown(server, shop, work):
    source = server.source(shop, user="bob", password=Secret.of(PASSWORD))
    with pytest.raises(SourceError, match="refuses the user or the password") as told:
        source.check()
    assert PASSWORD not in "\n".join(told.value.lines())
    assert "auth_source" in told.value.hint


def test_a_database_that_is_not_there_is_absent(server, work):
    source = server.source("nowhere")
    with pytest.raises(SourceAbsent, match="no database nowhere"):
        source.check()
    with pytest.raises(SourceAbsent), source.open(work):
        pass


def test_missing_tools_say_what_to_install(server, shop, tmp_path):
    with pytest.raises(MissingDependency, match="mongodump is not in") as told:
        server.source(shop, programs_path=str(tmp_path)).check()
    assert "mongodb-database-tools" in told.value.hint


def test_tools_that_are_too_old_are_refused(server, shop, tmp_path):
    fake = tmp_path / "mongodump"
    fake.write_text("#!/bin/sh\necho 'mongodump version: r4.0.28'\n")
    fake.chmod(0o755)
    with pytest.raises(MissingDependency, match=r"4\.0\.28 is too old"):
        server.source(shop, programs_path=str(tmp_path)).check()


def test_a_server_older_than_the_backup_is_refused(server, shop, work, tmp_path):
    source = server.source(shop)
    taken = Taken(source, work, tmp_path / "store")
    taken.record.facts["server_version"] = "99.0.1"
    assert any("older than the 99.0.1" in one for one in source.target(taken.record, None).refusals)


@pytest.mark.parametrize("name", ["a.b", "a/b", "", "admin", "x" * 64, "a$b", "a*"])
def test_names_that_are_none_are_refused(server, name):
    with pytest.raises(ConfigError, match="databases"):
        server.source(name)


def test_a_restore_into_a_servers_own_database_is_refused(server, shop, work, tmp_path):
    source = server.source(shop)
    taken = Taken(source, work, tmp_path / "store")
    assert source.target(taken.record, "admin").refusals == ("'admin' is the server's own",)


def test_a_restore_that_is_killed_leaves_the_old_state_alone(big, taken_big, work, monkeypatch):
    source = big.source("big")
    plain = taken_big.plains["database"]

    def pour(_blocks: Iterable[bytes], command: Command) -> None:
        with open(plain.path, "rb") as content:
            running = subprocess.Popen(command.argv, stdin=content, stderr=subprocess.DEVNULL)
            until = time.monotonic() + 20
            while not leftovers(big, "big") and time.monotonic() < until:
                time.sleep(0.05)
            running.kill()
            running.wait()
        assert leftovers(big, "big")
        raise SourceError("mongorestore was ended by signal 9")

    monkeypatch.setattr(restoring, "pour", pour)
    with big.client() as client:
        before = client.big.book.estimated_document_count()
        with pytest.raises(SourceError, match="signal 9"):
            staged(source, taken_big, work)
        assert leftovers(big, "big") == []
        assert client.big.book.estimated_document_count() == before


def test_the_password_is_in_no_argument_list_and_in_no_file_afterwards(
    server, shop, work, tmp_path
):
    if server.real:
        pytest.skip("a mongod without users takes none")
    seen: set[bytes] = set()
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            for path in glob.glob("/proc/[0-9]*/cmdline"):
                try:
                    seen.add(Path(path).read_bytes())
                except OSError:
                    pass

    with server.client() as client:  # so many that its programs live long enough to be seen
        client.shop.more.insert_many([{"_id": one} for one in range(5000)])
    watcher = threading.Thread(target=watch)
    watcher.start()
    # FerretDB takes any password by PLAIN; what counts is that one was handed over.
    source = server.source(
        shop,
        user="bob",
        password=Secret.of(PASSWORD),
        auth_mechanism="PLAIN",
        auth_source="$external",
    )
    try:
        source.check()
        taken = Taken(source, work, tmp_path / "store")
        swap = staged(source, taken, work)
        source.swap(swap)
        source.back(swap)
        source.discard(swap)
    finally:
        over.set()
        watcher.join()
    assert any(b"mongodump" in one and b"--username=bob" in one for one in seen)
    assert any(b"mongorestore" in one and b"--config=" in one for one in seen)
    assert not any(PASSWORD.encode() in one for one in seen)
    assert list(work.secret.iterdir()) == []


def test_the_library_that_is_missing_is_named(server, shop, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pymongo", None)
    with pytest.raises(MissingDependency, match="pymongo"):
        server.source(shop, programs_path=tools()).check()
