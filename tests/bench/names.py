# SPDX-License-Identifier: GPL-3.0-or-later
"""Many backups of one job, put behind the back of a directory or of a server that keeps names in order."""

from __future__ import annotations

import hashlib
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import islice
from pathlib import Path

from lifeboat.manifest import decode, encode
from lifeboat.naming import archive_key, backup_id, manifest_key, mark_key
from lifeboat.stored import Mark

from tests.lab.s3 import LAB, _free_port, _wait_until_open

BUCKET = "vault"
_BYTE = b"x"
_AT_ONCE = 200  # requests that are sent before their answers are read


def objects(manifest: bytes, backups: int) -> Iterator[tuple[str, bytes]]:
    """(key, content): a backup of each hour before that of `manifest`, with a mark and an archive each."""
    first = decode(manifest, "of the first")
    digest = hashlib.sha256(_BYTE).hexdigest()
    only = replace(first.archives[0], size_bytes=len(_BYTE), sha256=digest)
    for back in range(1, backups + 1):
        at = first.taken_at - timedelta(hours=back)
        id_ = backup_id(at, "hourly", "%04x" % (back % 65536))
        made = replace(first, id=id_, type="hourly", taken_at=at, finished_at=at, archives=(only,))
        where = (made.host, made.job, id_)
        yield manifest_key(*where), encode(made)
        yield mark_key(*where, Mark("intact", at)), b""
        yield archive_key(*where, only.name), _BYTE


def fill_directory(root: Path, manifest: bytes, backups: int) -> None:
    for key, content in objects(manifest, backups):
        path = root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


class Ordered:
    """gofakes3 on a free loopback port, with a bucket; ends when the block does. It asks for no rights."""

    def __init__(self, folder: Path) -> None:
        self._log = folder / "server.log"
        self.port = _free_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.root = {"access_key": "root", "secret_key": "any"}

    def __enter__(self) -> Ordered:
        binary = subprocess.run(
            [str(LAB / "gofakes3")], check=True, stdout=subprocess.PIPE, text=True
        )
        words = ["-backend=memory", f"-host=127.0.0.1:{self.port}", f"-initialbucket={BUCKET}"]
        with self._log.open("wb") as log:
            argv = [binary.stdout.strip(), "-quiet", *words]
            self._process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        _wait_until_open(self.port, self._process)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(timeout=10)

    def fill(self, manifest: bytes, backups: int, bucket: str = BUCKET) -> None:
        """Each is a real request; many are on the way at once, or it would take half an hour."""
        left = objects(manifest, backups)
        with (
            socket.create_connection(("127.0.0.1", self.port)) as wire,
            wire.makefile("rb") as answers,
        ):
            while True:
                batch = list(islice(left, _AT_ONCE))
                if not batch:
                    break
                wire.sendall(b"".join(_put(bucket, key, content) for key, content in batch))
                for key, _content in batch:
                    _stored(key, answers)


def _put(bucket: str, key: str, content: bytes) -> bytes:
    head = (
        f"PUT /{bucket}/{key} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


def _stored(key: str, answers) -> None:  # type: ignore[no-untyped-def]
    """Read one answer to its end; raises RuntimeError unless it says that the object is stored."""
    status = answers.readline()
    length = 0
    line = answers.readline()
    while line not in (b"\r\n", b""):
        name, _colon, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
        line = answers.readline()
    told = answers.read(length)
    if b" 200 " not in status:
        raise RuntimeError(f"{key}: {status!r} {told!r}")
