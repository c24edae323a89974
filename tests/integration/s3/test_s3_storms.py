"""A run whose bucket fails under it: storms, a key that is revoked, a server that dies, a clock that is wrong."""

from __future__ import annotations

import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import botocore.auth
import pytest
from lifeboat.errors import DestinationError

from tests.integration.rescue.host import Host
from tests.integration.s3.conftest import Bucket, make_bucket, s3_at
from tests.lab import s3 as lab
from tests.unit.contracts.destination_contract import MANIFEST

SOON = "from lifeboat.operations.backup import lanes\nlanes._PAUSE_S = 0.1\n"  # between attempts
SLOW_DOWN = (
    b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
)
# A program that writes for a minute, and says who it is.
LONG_DUMP = """
import os, sys, time
open(sys.argv[1], "w").write(str(os.getpid()))
for _ in range(600):
    sys.stdout.buffer.write(os.urandom(1 << 20))
    sys.stdout.flush()
    time.sleep(0.1)
"""


@contextmanager
def storm(endpoint: str, lasts: Callable[[], bool]) -> Iterator[str]:
    """A proxy that answers 503 SlowDown for as long as it is told; no server here can be made to."""
    listener = socket.create_server(("127.0.0.1", 0))
    target = int(endpoint.rsplit(":", 1)[1])

    def serve(client: socket.socket) -> None:
        with client:
            if lasts():
                client.recv(1 << 16)
                head = f"HTTP/1.1 503 Slow Down\r\nContent-Length: {len(SLOW_DOWN)}\r\n"
                client.sendall(head.encode() + b"Connection: close\r\n\r\n" + SLOW_DOWN)
                client.shutdown(socket.SHUT_WR)
                while client.recv(1 << 16):  # else its end is a reset, and the answer lost
                    pass
                return
            with socket.create_connection(("127.0.0.1", target)) as server:
                back = threading.Thread(target=carry, args=(server, client), daemon=True)
                back.start()
                carry(client, server)
                back.join()

    def carry(one: socket.socket, other: socket.socket) -> None:
        try:
            while block := one.recv(1 << 16):
                other.sendall(block)
            other.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def accept() -> None:
        while True:
            try:
                client, _address = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(client,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.close()


def a_host(tmp_path: Path, bucket: Bucket, endpoint: str = "", **options: Any) -> Host:
    host = Host(tmp_path)
    host.fill(50)
    host.configuration["destinations"]["offsite"] = {
        "type": "s3",
        "bucket": bucket.name,
        "endpoint": endpoint or bucket.endpoint,
        "credential": "s3",
        **options,
    }
    host.job["destinations"] = ["disk", "offsite"]
    host.configure()
    credentials = host.root / "config" / "credentials"
    credentials.mkdir(mode=0o700, exist_ok=True)
    (credentials / "s3").touch(mode=0o600)
    keys = {
        "access_key_id": bucket.host["access_key"],
        "secret_access_key": bucket.host["secret_key"],
    }
    (credentials / "s3").write_text(json.dumps(keys))
    return host


def dumping_for_a_minute(host: Host) -> Path:
    """The file in which the program says who it is."""
    note = host.base / "pid"
    dump = ["/usr/bin/python3", "-c", LONG_DUMP, str(note)]
    host.job["sources"] = {"app": {"type": "command", "dump": dump, "extension": "bin"}}
    host.configure()
    return note


def when(condition: Callable[[], Any], action: Callable[[], None]) -> threading.Thread:
    def wait() -> None:
        deadline = time.monotonic() + 30
        while not condition() and time.monotonic() < deadline:
            time.sleep(0.05)
        action()

    watching = threading.Thread(target=wait, daemon=True)
    watching.start()
    return watching


def test_a_storm_that_passes_costs_time_only(bucket: Bucket, tmp_path: Path) -> None:
    left = iter(range(4))
    with storm(bucket.endpoint, lambda: next(left, None) is not None) as endpoint:
        host = a_host(tmp_path, bucket, endpoint)
        done = host.lifeboat("run", "shop", before=SOON)
    assert done.returncode == 0, done.stderr
    assert bucket.open_uploads() == []


def test_a_storm_that_lasts_loses_this_copy_only(bucket: Bucket, tmp_path: Path) -> None:
    with storm(bucket.endpoint, lambda: True) as endpoint:
        host = a_host(tmp_path, bucket, endpoint)
        done = host.lifeboat("run", "shop", before=SOON)
    assert done.returncode == 3
    assert "SlowDown" in done.stderr
    assert bucket.owner.list_objects_v2(Bucket=bucket.name)["KeyCount"] == 0
    pushed = a_push_later(host, bucket)
    assert pushed == 0


def a_push_later(host: Host, bucket: Bucket) -> int:
    host.configuration["destinations"]["offsite"]["endpoint"] = bucket.endpoint
    host.configure()
    return host.lifeboat("push").returncode


def test_a_key_that_is_revoked_in_the_middle_is_told(gateway: lab.Server, tmp_path: Path) -> None:
    bucket = make_bucket(gateway, host={"read": [""], "write": [""], "delete": [""]})
    host = a_host(tmp_path, bucket)
    dumping_for_a_minute(host)
    host.job["destinations"] = ["offsite"]
    host.configure()
    key = bucket.host["access_key"]
    revoking = when(
        bucket.open_uploads,
        lambda: lab.remove_user(gateway.endpoint, gateway.root, key),
    )
    begun = time.monotonic()
    done = host.lifeboat("run", "shop", before=SOON)
    revoking.join()
    assert done.returncode == 1
    assert "the access key or its secret is refused" in done.stderr
    assert time.monotonic() - begun < 45
    assert bucket.host["secret_key"] not in done.stderr
    lab.provision(
        gateway.endpoint,
        gateway.root,
        {
            "bucket": bucket.name,
            "users": {"host": {**bucket.host, "read": [""], "write": [""], "delete": [""]}},
        },
    )
    host.job["sources"] = {"db": {"type": "sqlite", "path": str(host.database)}}
    host.configure()
    host.run()  # the next run sweeps what could not be taken back
    assert bucket.open_uploads() == []


def test_when_the_last_destination_is_lost_the_dump_ends_and_its_spool_goes(
    tmp_path: Path,
) -> None:
    with lab.Server(tmp_path / "server") as server:
        name = "b-" + secrets.token_hex(6)
        owner = lab.client(server.endpoint, server.root)
        owner.create_bucket(Bucket=name)
        bucket = Bucket(server.endpoint, name, server.root, owner)
        host = a_host(tmp_path, bucket, connect_timeout="1s", read_timeout="2s")
        note = dumping_for_a_minute(host)
        host.job["destinations"] = ["offsite"]
        host.configure()
        killing = when(bucket.open_uploads, server.stop)
        begun = time.monotonic()
        done = host.lifeboat("run", "shop", before=SOON)
        killing.join()
    assert done.returncode == 1
    assert "every destination is lost" in done.stderr
    assert time.monotonic() - begun < 50
    with pytest.raises(ProcessLookupError):
        os.kill(int(note.read_text()), 0)
    assert list((host.root / "state/spool/shop").iterdir()) == []


def test_a_clock_that_is_wrong_is_told(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    right = botocore.auth.get_current_datetime
    monkeypatch.setattr(
        botocore.auth,
        "get_current_datetime",
        lambda *given, **named: right(*given, **named) + timedelta(hours=3),
    )
    with pytest.raises(DestinationError, match="this host's clock") as caught:
        s3_at(bucket).put(MANIFEST, b"{}")
    assert caught.value.permanent
    assert "timedatectl" in caught.value.hint
