"""One whole round by the command: run, lose, restore, undo; no secret is seen, and a kill is recovered."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.rescue.host import PHRASE, Host

from .conftest import ADMIN, Server
from .test_redis_contract import content, fill

DUMPER = "dump-s3cret"
_KILL_AFTER_LOAD = """
import os, lifeboat.sources.redis.wait as waiting
real = waiting.for_aof
def wait(server, master=None):
    real(server, master)
    os.kill(os.getpid(), 9)
waiting.for_aof = wait
"""


class Watch:
    """Every argument list that is seen while it is open."""

    def __enter__(self) -> Watch:
        self.seen: set[bytes] = set()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.003):
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    self.seen.add(path.read_bytes())
                except OSError:
                    pass


@pytest.fixture
def server(make_server: Callable[..., Server]) -> Iterator[Server]:
    password = json.dumps(ADMIN, ensure_ascii=False)
    server = make_server("redis", f"requirepass {password}", "appendonly yes")
    fill(server)
    server.cli(
        "ACL", "SETUSER", "lifeboat", "on", f">{DUMPER}", "-@all",
        "+ping", "+info", "+sync", "+psync", "+replconf",
    )  # fmt: skip
    yield server
    server.stop()


@pytest.fixture
def host(tmp_path: Path, server: Server) -> Host:
    host = Host(tmp_path)
    host.job["sources"] = {
        "cache": {
            "type": "redis",
            "socket": server.socket,
            "user": "lifeboat",
            "password": {"credential": "dumper"},
            "restore_user": "default",
            "restore_password": {"credential": "admin"},
        },
        "other": {"type": "redis", "socket": "/nowhere/redis.sock", "optional": True},
    }
    host.configure()
    store = host.root / "config" / "credentials"
    store.mkdir()
    for name, value in (("dumper", DUMPER), ("admin", ADMIN)):
        (store / name).write_text(json.dumps(value))
        (store / name).chmod(0o600)
    return host


def test_a_round_brings_all_back_and_undo_the_other(host: Host, server: Server) -> None:
    before = content(server)
    with Watch() as watch:
        id_ = host.run()
        server.cli("FLUSHALL")
        server.pour(("SET", "since", "then"))
        lost = content(server)
        done = host.restore(id_)
        assert done.returncode == 0, done.stderr
        assert content(server) == before
        server.restart()
        assert content(server) == before
        gate = ("--confirm", PHRASE, "--target-host", "h1")
        undone = host.lifeboat("undo", "shop", id_, *gate)
        assert undone.returncode == 0, undone.stderr
    assert content(server) == lost
    assert host.lifeboat("confirm", "shop").returncode == 0
    assert content(server) == lost
    assert host.left_over() == []
    assert list((host.root / "state").rglob("*.rdb*")) == []
    manifest = json.loads(next(host.disk.glob("catalog/*/*/*.json")).read_text())
    states = {one["name"]: one["status"] for one in manifest["sources"]}
    assert states == {"cache": "good", "other": "absent"}
    programs = [words for words in watch.seen if b"redis-cli" in words]
    assert programs, "the watch saw nothing: it proves nothing"
    told = b"\n".join(watch.seen) + (done.stdout + done.stderr).encode()
    for secret in (ADMIN, DUMPER, json.dumps(ADMIN)[1:-1]):
        assert secret.encode() not in told
        logged = [path for path in host.root.rglob("*.json*") if path.parent.name != "credentials"]
        assert not [path for path in logged if secret.encode() in path.read_bytes()]


def test_a_restore_killed_after_the_load_is_recovered(host: Host, server: Server) -> None:
    before = content(server)
    id_ = host.run()
    server.pour(("SET", "since", "then"))
    done = host.restore(id_, before=_KILL_AFTER_LOAD)
    assert done.returncode == -9, done.stderr
    recovered = host.lifeboat("recover")
    assert recovered.returncode == 0, recovered.stderr
    assert "new state is in place" in recovered.stdout + recovered.stderr
    assert content(server) == before
    server.pour(("SET", "writable", "again"))


def test_a_server_that_is_gone_says_so_at_restore(host: Host, server: Server) -> None:
    id_ = host.run()
    server.stop()
    done = host.restore(id_)
    assert done.returncode == 1
    assert "is not there" in done.stderr
    server.start()


def test_restore_md_brings_it_back_by_hand(host: Host, server: Server, tmp_path: Path) -> None:
    """The command is run as it is written, with plain programs alone."""
    before = content(server)
    host.run()
    folder = next(host.disk.glob("archives/*/*/*"))
    shutil.copy(host.key, folder / "identity.txt")
    note = (folder / "RESTORE.md").read_text()
    block = next(
        one for one in re.findall(r"```bash\n(.*?)```", note, re.DOTALL) if "cache.database" in one
    )
    done = subprocess.run(["bash", "-c", block], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "RDB looks OK" in done.stdout
    other = Server("redis")
    shutil.copy(folder / "NEW_DIRECTORY" / "dump.rdb", other.data)
    other.start()
    assert content(other) == before
    other.stop()
    shutil.rmtree(other.folder)
