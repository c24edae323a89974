# SPDX-License-Identifier: GPL-3.0-or-later
"""MongoDB's tools in a real container: however we end, no password stays there, nor does a program."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pymongo
import pytest

from tests.integration.mongodb.conftest import MONGOD, PASSWORD, lab, tools
from tests.integration.rescue.host import PHRASE, Host

from .conftest import Container, Watch, podman, wait_for

DOCUMENTS = 20_000
# As the tools are given it, and as it is.
WRITTEN = PASSWORD.replace("\\", "\\\\").replace('"', '\\"').encode("ascii", "backslashreplace")
pytestmark = pytest.mark.skipif(bool(MONGOD), reason="a mongod without users takes no password")


@pytest.fixture(scope="module")
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def server(make_container: Callable[..., Container], port: int) -> Iterator[Container]:
    """FerretDB, which takes any password by PLAIN; what counts is that one is handed over."""
    made = make_container(
        "-v", f"{lab('ferretdb')}:/srv/ferretdb:ro", "-v", f"{tools()}:/srv/tools:ro",
        network="host",
        command=("sh", "-c", f"mkdir /tmp/db && exec /srv/ferretdb 127.0.0.1:{port} /tmp/db"),
    )  # fmt: skip
    with client(port) as there:
        there.shop.book.insert_many([{"_id": n, "x": "x" * 200} for n in range(DOCUMENTS)])
    yield made
    podman("rm", "-f", "-t", "0", made.name)


def client(port: int) -> Any:
    return pymongo.MongoClient("127.0.0.1", port, directConnection=True)


@pytest.fixture
def host(tmp_path: Path, server: Container, port: int) -> Host:
    made = Host(tmp_path)
    made.job["sources"] = {
        "docs": {
            "type": "mongodb",
            "databases": ["shop"],
            "port": port,
            "user": "bob",
            "password": {"credential": "mongo"},
            "auth_mechanism": "PLAIN",
            "auth_source": "$external",
            "programs_path": "/srv/tools",
            "placement": {"podman": server.name},
        }
    }
    made.configure()
    store = made.root / "config/credentials"
    store.mkdir(mode=0o700)
    (store / "mongo").write_text(json.dumps(PASSWORD))
    (store / "mongo").chmod(0o600)
    return made


def ours(server: Container) -> list[str]:
    """What runs inside beside the server."""
    return server.processes("/srv/tools/", "secret")


def kept(server: Container) -> list[str]:
    """Files inside, and of podman's own beside it, that hold the password in either form."""
    inside = podman("container", "inspect", "-f", "{{.GraphDriver.Data.UpperDir}}", server.name)
    beside = podman("info", "-f", "{{.Store.GraphRoot}} {{.Store.RunRoot}}").split()
    shown = subprocess.run(  # what is looked for is in no argument list either: they are watched
        ["grep", "-rlaF", "--exclude-dir=overlay", "-f", "-", inside, *beside, "/dev/shm"],
        input=PASSWORD.encode() + b"\n" + WRITTEN + b"\n",
        capture_output=True,
        check=False,
    )
    also = server.run("sh", "-c", "grep -rlaF 'se:cr' /tmp /var/tmp /run /dev/shm /root || true")
    return shown.stdout.decode().splitlines() + also.splitlines()


def killed(host: Host, server: Container, tool: str, *words: str) -> None:
    """Kill the command, in earnest, while this tool runs inside."""
    running = subprocess.Popen(
        host.argv(*words), start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    try:
        until = time.monotonic() + 30
        while not tool_runs(tool) and time.monotonic() < until:
            assert running.poll() is None, running.communicate()[1].decode()
            time.sleep(0.005)
        assert tool_runs(tool)
    finally:
        running.kill()
        running.communicate()
    assert running.returncode == -signal.SIGKILL


def tool_runs(tool: str) -> bool:
    """Whether the tool itself does: not podman, nor the shell before it."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if words[0] == f"/srv/tools/{tool}".encode() and b"--archive" in words:
            return True
    return False


def test_a_kill_leaves_no_password_and_no_program_in_the_container(
    host: Host, server: Container, port: int
) -> None:
    with Watch() as watch:
        killed(host, server, "mongodump", "run", "shop")
        assert wait_for(lambda: not ours(server)), ours(server)
        assert kept(server) == []
        backup = host.run()
        gate = ("--confirm", PHRASE, "--target-host", host.name, "--identity", str(host.key))
        killed(host, server, "mongorestore", "restore", "shop", backup, *gate)
        assert wait_for(lambda: not ours(server)), ours(server)
        assert kept(server) == []
    assert any(b"--config=/dev/fd/" in one for one in watch.seen)
    assert not [one for one in watch.seen if PASSWORD.encode() in one or WRITTEN in one]
    recovered = host.lifeboat("recover")
    assert recovered.returncode == 0, recovered.stderr
    done = host.restore(backup)
    assert done.returncode == 0, done.stderr
    assert host.lifeboat("confirm", "shop").returncode == 0
    with client(port) as there:
        assert there.shop.list_collection_names() == ["book"]
        assert there.shop.book.count_documents({}) == DOCUMENTS
