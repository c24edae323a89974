# SPDX-License-Identifier: GPL-3.0-or-later
"""One whole round by the command: back up, lose, restore, undo; and a run that was killed in a swap."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.rescue.host import PHRASE, Host

from .conftest import Server, tools
from .test_mongodb_contract import leftovers, look

KILLED_IN_A_SWAP = """
import os, signal
from lifeboat.sources.mongodb import session as mongodb_session
ask = mongodb_session.Session.ask
def asked(self, database, command):
    if "renameCollection" in command and ".lifeboat-" in command["renameCollection"]:
        os.kill(os.getpid(), signal.SIGKILL)
    return ask(self, database, command)
mongodb_session.Session.ask = asked
"""


@pytest.fixture
def host(tmp_path: Path, server: Server) -> Iterator[Host]:
    host = Host(tmp_path)
    host.job["sources"] = {
        "docs": {
            "type": "mongodb",
            "databases": ["shop"],
            "port": server.port,
            "programs_path": tools(),
        }
    }
    host.configure()
    with server.client() as client:
        client.shop.book.insert_many([{"_id": one, "title": f"t {one}"} for one in range(200)])
        client.shop.book.create_index("title")
        client.shop.create_collection("empty")
    yield host
    with server.client() as client:
        client.drop_database("shop")


def test_a_lost_database_comes_back_and_can_be_undone(host, server):
    before = look(server, "shop")
    backup = host.run()
    verified = host.lifeboat("verify", "--level", "content", "--identity", str(host.key), backup)
    assert verified.returncode == 0, verified.stderr
    with server.client() as client:
        client.shop.drop_collection("book")
        client.shop.other.insert_one({"_id": 1})
    damaged = look(server, "shop")
    done = host.restore(backup)
    assert done.returncode == 0, done.stderr
    assert look(server, "shop") == before
    # A backup made now holds nothing of what is kept.
    again = host.run()
    assert host.lifeboat("list").stdout.count("intact") >= 2, again
    undone = host.lifeboat("undo", "shop", backup, "--confirm", PHRASE, "--target-host", "h1")
    assert undone.returncode == 0, undone.stderr
    assert look(server, "shop") == damaged
    assert host.lifeboat("confirm", "shop").returncode == 0
    assert leftovers(server, "shop") == []
    assert host.left_over() == []


def test_one_collection_comes_beside(host, server):
    with server.client() as client:
        client.shop.author.insert_many([{"_id": one} for one in range(9)])
        client.shop["book*"].insert_one({"_id": 1})
    backup = host.run()
    before = look(server, "shop")
    words = ("--only", "docs", "--path", "book")
    refused = host.restore(backup, *words)
    assert refused.returncode == 6
    assert "bring them beside with --into NAME" in refused.stderr
    lacking = host.restore(backup, "--only", "docs", "--path", "bok", "--into", "beside")
    assert "has no collection bok" in lacking.stderr
    assert "author, book" in lacking.stderr

    done = host.restore(backup, *words, "--into", "beside")

    assert done.returncode == 0, done.stderr
    assert set(look(server, "beside")) == {"book"}
    with server.client() as client:
        assert client.beside.book.count_documents({}) == 200
        assert "title_1" in client.beside.book.index_information()
    assert look(server, "shop") == before
    undone = host.lifeboat("undo", "shop", backup, "--confirm", PHRASE, "--target-host", "h1")
    assert undone.returncode == 0, undone.stderr
    assert look(server, "beside") == {}


def test_the_command_for_restoring_by_hand_works(host, server):
    with server.client() as client:
        client.shop.book.drop_indexes()  # FerretDB refuses those that mongorestore makes
    backup = host.run()
    told = next(host.disk.glob("archives/*/*/*/RESTORE.md")).read_text()
    line = next(one for one in told.splitlines() if "mongorestore --archive --stopOnError" in one)
    command = line[line.index("mongorestore") :].replace("NEW_DATABASE", "by_hand")
    decode = f"age -d -i {host.key} {host.archive('docs.database')} | zstd -d"
    program = f"{tools()}/mongorestore --port={server.port}"
    subprocess.run(
        ["bash", "-ec", f"set -o pipefail; {decode} | {command.replace('mongorestore', program)}"],
        check=True,
        capture_output=True,
    )
    assert look(server, "by_hand") == look(server, "shop"), backup
    with server.client() as client:
        client.drop_database("by_hand")


def test_a_restore_that_is_killed_in_the_swap_is_taken_back(host, server):
    backup = host.run()
    with server.client() as client:
        client.shop.book.delete_one({"_id": 1})
    changed = look(server, "shop")
    killed = host.restore(backup, before=KILLED_IN_A_SWAP)
    assert killed.returncode == -9
    assert look(server, "shop") != changed
    recovered = host.lifeboat("recover")
    assert recovered.returncode == 0, recovered.stderr
    assert "the old state is in place" in recovered.stdout + recovered.stderr
    assert look(server, "shop") == changed
    assert leftovers(server, "shop") == []
