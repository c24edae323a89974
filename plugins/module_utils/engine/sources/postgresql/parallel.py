# SPDX-License-Identifier: GPL-3.0-or-later
"""Dump and restore one PostgreSQL database by several connections, where the user asks for it.

The programs want files for that, which lie in the clear in the workspace meanwhile: for as long as
it takes, there must be room for the whole plain dump. In the backup they are one tar stream.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from ...errors import SourceError, VerifyError
from ...files import free_bytes
from ...model import Command
from ...ports import Plain
from ...process import Started

FORMAT = "pgdir.tar"
HERE = "/proc/self/fd/0"
DUMP = HERE + "/dump"
_END = b"\0" * 1024  # of every tar
_MEMBER = re.compile(r"(\./)?[A-Za-z0-9_]+\.(dat|toc)")
_BLOCK = 1 << 20


@contextmanager
def folder(work: Path, user: str) -> Iterator[Path]:
    """A private directory that programs which run as `user` ("" = as we do) may use as their own."""
    with tempfile.TemporaryDirectory(prefix="postgresql-", dir=work) as made:
        if user:
            shutil.chown(made, user)
        yield Path(made)


def run_in(place: Path, command: Command) -> str:
    """Run `command`, to whom HERE is `place`; what it said on standard error. Raises ProcessError.

    Its user may not pass through the directories above, so it gets an open one as its standard input.
    """
    opened = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with Started(command, opened, subprocess.DEVNULL) as started:
            started.process.wait()
            started.raise_unless_accepted()
            return started.said()
    finally:
        os.close(opened)


def require_room(source: str, place: Path, needed: int) -> None:
    """Raise SourceError unless `needed` bytes fit in `place`."""
    if free_bytes(place) < needed:
        raise SourceError(
            f"source {source}: `parallel` needs {needed} bytes for a plain dump in {place.parent}",
            hint="make room there, or set spool_path to a larger disk, or take `parallel` away",
        )


def dump(command: Command, place: Path) -> tuple[Command, str]:
    """Run pg_dump into DUMP: (the command that writes what it made as one stream, what it said)."""
    said = run_in(place, command)
    tar = ("tar", "--create", "--format=posix", "--sort=name", "--owner=0", "--group=0")
    # no padding after the end: a tar that was cut off by a record would look whole
    words = ("--numeric-owner", "--blocking-factor=1", f"--directory={place / 'dump'}", "--file=-")
    return Command((*tar, *words, "."), {"TAR_OPTIONS": ""}), said


def complain(_head: bytes, tail: bytes, size: int) -> str:
    """What is wrong with the stream, as far as its ends show."""
    if size == 0:
        return "pg_dump wrote nothing"
    return "" if tail.endswith(_END) else "the tar of pg_dump's directory is cut off"


def unpack(plain: Plain, place: Path, user: str) -> str:
    """Write the archive into `place` as a file or directory for pg_restore; its name to `run_in`."""
    if plain.format != FORMAT:
        plain.save(place / "archive")
        _give(place / "archive", user)
        return HERE + "/archive"
    (place / "dump").mkdir(mode=0o700)
    plain.read(lambda stream: _extract(stream, place / "dump"))
    for path in (place / "dump", *(place / "dump").iterdir()):
        _give(path, user)
    return DUMP


def _extract(stream: BinaryIO, into: Path) -> None:
    """Only what pg_dump writes: plain files with names of their own."""
    try:
        ending = _Ending(stream)
        with tarfile.open(fileobj=ending, mode="r|") as members:  # type: ignore[call-overload]
            for member in members:
                if member.isdir() and member.name in (".", "./"):
                    continue
                content = members.extractfile(member) if member.isreg() else None
                if content is None or not _MEMBER.fullmatch(member.name):
                    raise VerifyError(
                        f"the archive has a member {member.name!r}, which pg_dump does not write"
                    )
                with open(into / Path(member.name).name, "xb") as file:
                    shutil.copyfileobj(content, file, _BLOCK)
    except (tarfile.TarError, FileExistsError) as exc:
        raise VerifyError(f"the tar of pg_dump's directory cannot be read: {exc}") from exc
    while ending.read(_BLOCK):
        pass
    if ending.size % 512 or ending.tail != _END:
        raise VerifyError("the tar of pg_dump's directory is cut off")
    if not (into / "toc.dat").exists():
        raise VerifyError("the tar of pg_dump's directory has no toc.dat")


class _Ending:
    """A stream, with how it ended."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self.size, self.tail = stream, 0, b""

    def read(self, count: int) -> bytes:
        block = self._stream.read(count)
        self.size += len(block)
        self.tail = (self.tail + block[-len(_END) :])[-len(_END) :]
        return block


def _give(path: Path, user: str) -> None:
    if user:
        shutil.chown(path, user)
    os.chmod(path, 0o700 if path.is_dir() else 0o400)
