# SPDX-License-Identifier: GPL-3.0-or-later
"""A server in a container: its port is found on this host, its tools run inside, its password is nowhere.

The engine is a stand-in that tells of a container and runs its programs here: MongoDB's image cannot be had.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lifeboat import config
from lifeboat.errors import SourceAbsent, SourceError
from lifeboat.model import Secret
from lifeboat.placement import Placement
from lifeboat.sources.mongodb.source import MongoDB

from tests.unit.contracts.source_contract import Taken, differences, staged

from .conftest import PASSWORD, Server, tools
from .test_mongodb_contract import leftovers, look

ENGINE = """#!/bin/sh
echo "$*" >>{folder}/argv
case "$1 $2" in
  "container inspect") [ "$3" = mongo ] && exec cat {folder}/inspect.json
    echo "Error: no such container $3" >&2; exit 125 ;;
esac
shift 2
while [ "$1" != mongo ]; do shift; done
shift
exec "$@"
"""


@pytest.fixture
def inspected(tmp_path: Path, monkeypatch: Any) -> Callable[..., Path]:
    """Put a `podman` on PATH that knows one container, `mongo`."""
    folder = tmp_path / "engine"
    folder.mkdir()
    (folder / "podman").write_text(ENGINE.format(folder=folder))
    (folder / "podman").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{tools()}:/usr/bin:/bin")

    def tell(**about: Any) -> Path:
        state = {"Status": "running", "Running": True}
        (folder / "inspect.json").write_text(json.dumps([{"State": state, **about}]))
        return folder / "argv"

    return tell


def placed(server: Server, **options: Any) -> MongoDB:
    placement = Placement("podman", "mongo", source="docs")
    return MongoDB(
        name="docs", databases=("shop",), port=server.port, placement=placement, **options
    )


@pytest.mark.parametrize("address", ["127.0.0.1", "", "0.0.0.0"])
def test_a_round_with_the_tools_of_the_container(server, work, tmp_path, inspected, address):
    if server.real:
        pytest.skip("a mongod without users takes no password")
    published = {f"{server.port}/tcp": [{"HostIp": address, "HostPort": str(server.port)}]}
    argv = inspected(NetworkSettings={"Ports": published})
    with server.client() as client:
        client.shop.book.insert_many([{"_id": one} for one in range(50)])
    before = look(server, "shop")
    source = placed(
        server,
        user="bob",
        password=Secret.of(PASSWORD),
        auth_mechanism="PLAIN",
        auth_source="$external",
    )
    assert source.check()["server"]
    taken = Taken(source, work, tmp_path / "store")
    with server.client() as client:
        client.drop_database("shop")
    swap = staged(source, taken, work)
    assert differences(source, taken, swap, work) == []
    source.swap(swap)
    assert look(server, "shop") == before
    source.discard(swap)
    assert leftovers(server, "shop") == []
    lines = argv.read_text()
    assert "mongodump --host=127.0.0.1" in lines
    assert "mongorestore --host=127.0.0.1" in lines
    assert lines.count("--config=/dev/fd/") == 2
    assert PASSWORD not in lines
    assert PASSWORD.encode("ascii", "backslashreplace").decode() not in lines
    with server.client() as client:
        client.drop_database("shop")


def test_user_and_password_come_from_the_environment_of_the_container(server, inspected):
    if server.real:
        pytest.skip("a mongod without users takes no password")
    published = {f"{server.port}/tcp": [{"HostIp": "", "HostPort": str(server.port)}]}
    env = ["MONGO_INITDB_ROOT_USERNAME=root", f"MONGO_INITDB_ROOT_PASSWORD={PASSWORD}"]
    inspected(NetworkSettings={"Ports": published}, Config={"Env": env})
    docs = {
        "type": "mongodb",
        "port": server.port,
        "placement": {"podman": "mongo"},
        "auth_mechanism": "PLAIN",
        "auth_source": "$external",
        "credentials_from_env": {
            "user": "MONGO_INITDB_ROOT_USERNAME",
            "password": "MONGO_INITDB_ROOT_PASSWORD",
        },
    }
    job = {"sources": {"docs": docs}, "destinations": ["disk"]}
    told = {
        "version": 1,
        "host": "h1",
        "encryption": {"none": True},
        "destinations": {"disk": {"type": "local", "path": "/nowhere"}},
        "jobs": {"shop": job},
    }
    source = config.parse(told, lambda name: Secret.of(name)).job("shop").source("docs")
    assert source.check()["server"]


def test_its_own_address_serves_where_nothing_is_published(server, inspected):
    inspected(NetworkSettings={"Ports": {}, "Networks": {"podman": {"IPAddress": "127.0.0.1"}}})
    with server.client() as client:
        client.shop.book.insert_one({})
    assert placed(server).check()["server"]
    with server.client() as client:
        client.drop_database("shop")


def test_a_port_that_is_not_published_says_so(server, inspected):
    inspected(NetworkSettings={"Ports": {}})
    with pytest.raises(SourceError, match="cannot be reached from this host") as told:
        placed(server).check()
    assert "publish" in told.value.hint


def test_a_container_that_is_not_there_is_absent(server, inspected):
    inspected()
    placement = Placement("podman", "other", source="docs")
    with pytest.raises(SourceAbsent, match="other"):
        MongoDB(name="docs", port=server.port, placement=placement).check()
