# SPDX-License-Identifier: GPL-3.0-or-later
"""Read one backup out of a portable .tar, as if it were a destination. Nothing is extracted, or trusted."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, BinaryIO

from ..copies import HERE
from ..disks import disk_of
from ..errors import DestinationError, FormatError, UsageError, VerifyError
from ..model import Needs, Option
from ..naming import ARCHIVES, CATALOG, check_archive_name, check_host, check_name, parse_id
from ..ports import Growing
from ..stored import Place, Stored

_MOST_MEMBERS = 20_000
_MOST_HEADER = 1 << 20  # of one member: its names and records
_NAMING = (
    *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE),
    *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
)
_Unreadable = tarfile.ReadError


class Bundle:
    """ports.Destination on a tar that `lifeboat bundle` wrote, or that claims so: read only.

    Raises VerifyError unless it holds one backup and nothing else. `host`, `job` and `id` are its own.
    """

    def __init__(self, path: str) -> None:
        self.kind = "bundle"
        self.options: tuple[Option, ...] = ()
        self.name = Path(path).name
        self._path = path
        self._members: dict[str, tuple[int, int]] = {}  # key -> (offset, size)
        self.host, self.job, self.id = self._index()

    def needs(self) -> Needs:
        return Needs()

    def place(self) -> Place:
        return Place(HERE, disk_of(self._path))

    def check(self, prefix: str = "") -> None:
        raise self._refused()

    def store(self, key: str, growing: Growing) -> None:
        raise self._refused()

    def put(self, key: str, content: bytes) -> None:
        """Marks are not written: who looks at a bundle changes nothing."""
        if content:
            raise self._refused()

    def open(self, key: str) -> Any:
        return self.open_at(key, 0)

    @contextmanager
    def open_at(self, key: str, offset: int) -> Iterator[BinaryIO]:
        if key not in self._members:
            raise DestinationError(f"bundle {self.name}: {key} is not in it", missing=True)
        begin, size = self._members[key]
        with self._opened() as file:
            file.seek(begin + offset)
            yield io.BufferedReader(_Part(file, size - offset), 1 << 20)

    def list(self, prefix: str) -> Iterator[Stored]:
        changed_at = datetime.fromtimestamp(os.stat(self._path).st_mtime, timezone.utc)
        for key, (_offset, size) in sorted(self._members.items()):
            if key.startswith(prefix):
                yield Stored(key, size, changed_at)

    def delete(self, key: str) -> None:
        raise self._refused()

    def sweep(self, prefix: str, before: datetime) -> Sequence[str]:
        return ()

    # -- inside

    def _index(self) -> tuple[str, str, str]:
        """Note where each member lies; (host, job, id) of the one backup there is."""
        found: set[tuple[str, str, str]] = set()
        try:
            with self._opened() as file, tarfile.open(fileobj=file, tarinfo=_Member) as tar:
                for member in tar:
                    if member.isdir():
                        continue  # where people made it anew with tar
                    key = member.name.removeprefix("./")
                    if not member.isreg() or member.issparse() or key in self._members:
                        raise self._bad(f"{key!r} is no plain file, or is there twice")
                    found.add(self._whose(key))
                    self._members[key] = (member.offset_data, member.size)
                    tar.members = []  # type: ignore[attr-defined] # or each header stays in memory
                    if len(self._members) > _MOST_MEMBERS:
                        raise self._bad("it has more members than any backup has")
                size = file.seek(0, os.SEEK_END)
        except tarfile.TarError as exc:
            raise self._bad(f"it cannot be read as tar: {exc}") from exc
        if any(offset + length > size for offset, length in self._members.values()):
            raise self._bad("it was cut short")
        if len(found) != 1:
            raise self._bad("it holds no backup" if not found else "it holds more than one backup")
        host, job, id_ = found.pop()
        if f"{CATALOG}/{host}/{job}/{id_}.json" not in self._members:
            raise self._bad("it has no manifest")
        return host, job, id_

    def _whose(self, key: str) -> tuple[str, str, str]:
        """(host, job, id) of a member's name; raises VerifyError for one that is none of the format's."""
        *middle, last = key.split("/")
        top = middle.pop(0) if middle else ""
        try:
            if top == ARCHIVES and len(middle) == 3:
                check_archive_name(last)
            elif top == CATALOG and len(middle) == 2:
                middle.append(last.partition(".")[0])
            else:
                raise FormatError("it is neither of a catalog nor of archives")
            host, job, id_ = middle
            check_host(host)
            check_name("job", job)
            parse_id(id_)
        except (FormatError, UsageError) as exc:
            raise self._bad(f"{key!r} is none of the format's names: {exc}") from None
        return host, job, id_

    def _opened(self) -> BinaryIO:
        try:
            return open(self._path, "rb")
        except OSError as exc:
            raise UsageError(f"the bundle {self._path} cannot be read: {exc.strerror}") from exc

    def _bad(self, why: str) -> VerifyError:
        return VerifyError(
            f"{self._path} is not a bundle that can be used: {why}",
            hint="take another copy of it, or make it anew with `lifeboat bundle`",
        )

    def _refused(self) -> DestinationError:
        return DestinationError(f"bundle {self.name}: nothing is written to one", permanent=True)


class _Member(tarfile.TarInfo):
    """A header that may not take more memory than names need."""

    def _proc_member(self, tarfile: Any) -> Any:
        if self.type in _NAMING and self.size > _MOST_HEADER:
            raise _Unreadable("a header is larger than any name")
        return super()._proc_member(tarfile)  # type: ignore[misc]


class _Part(io.RawIOBase):
    """So many bytes of a file from where it stands."""

    def __init__(self, file: BinaryIO, left: int) -> None:
        super().__init__()
        self._file, self._left = file, max(0, left)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        block = self._file.read(min(len(buffer), self._left))
        self._left -= len(block)
        buffer[: len(block)] = block
        return len(block)
