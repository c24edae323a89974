# SPDX-License-Identifier: GPL-3.0-or-later
"""Names on an SFTP server: which path a key has, what lies below a directory, directories made and removed."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from typing import Any, Callable

from ...errors import DestinationError
from .connect import library
from .errors import is_missing
from .session import Session

_DIRECTORY_MODE = 0o750
_DEEPEST = 16  # a key has five parts; what lies deeper is none of ours
_LISTING = 10  # times the patience of one answer: a directory may take a thousand


class Tree:
    """The directory of one destination. Paths are bytes, for a server's names need not be UTF-8."""

    def __init__(self, session: Session, root: str) -> None:
        self._session = session
        self._root = root.rstrip("/")
        self._told = session.place.told

    def split(self, key: str) -> tuple[tuple[str, ...], str]:
        """(directories, file name) of a key; raises DestinationError for one that could mislead."""
        parts = tuple(key.split("/"))
        if any(not part or part.startswith(".") or "\0" in part for part in parts):
            raise DestinationError(
                f"{self._told('use', repr(key))}: this is not a key", permanent=True
            )
        return parts[:-1], parts[-1]

    def path(self, *parts: str) -> bytes:
        text = "/".join((self._root, *parts)) or "/"
        return text.encode("utf-8", "surrogateescape")

    def exists(self, path: bytes) -> bool:
        try:
            self._session.again(lambda sftp: sftp.lstat(path))
        except self._asyncssh.SFTPError as exc:
            if is_missing(exc):
                return False
            raise
        return True

    def remove(self, path: bytes) -> None:
        """Remove a file; one that is gone is removed."""
        try:
            self._session.again(lambda sftp: sftp.remove(path))
        except self._asyncssh.SFTPError as exc:
            if not is_missing(exc):
                raise

    def make(self, parts: tuple[str, ...]) -> None:
        """Have the directory; of the destination's own path only the last part is made."""
        try:
            self._make_one(parts)
        except self._asyncssh.SFTPError as exc:
            if not is_missing(exc):
                raise
            if not parts:
                raise self._no_root() from exc
            self.make(parts[:-1])
            self._make_one(parts)

    def remove_empty(self, parts: tuple[str, ...]) -> None:
        """Remove the directory if nothing is left in it, and the server lets us."""
        if parts:
            try:
                self._session.run(lambda sftp: sftp.rmdir(self.path(*parts)))
            except (DestinationError, self._asyncssh.SFTPError):
                pass  # it is not empty, most likely; an empty one does no harm

    def walk(self, prefix: str) -> Iterator[tuple[str, Any]]:
        """(key, attributes) of every regular file whose directory can begin with `prefix`, in order."""
        parts = tuple(prefix.split("/")[:-1])
        if any(part in ("", ".", "..") for part in parts):
            why = f"{self._told('list', repr(prefix))}: this is not a prefix"
            raise DestinationError(why, permanent=True)
        yield from self._walk(parts, prefix)

    def _walk(self, parts: tuple[str, ...], prefix: str) -> Iterator[tuple[str, Any]]:
        if len(parts) > _DEEPEST:
            return
        found = self._entries(parts)
        found.sort(key=lambda one: one[0] + "/" if _is(one[1], stat.S_ISDIR) else one[0])
        for name, attributes in found:
            key = "/".join((*parts, name))
            if _is(attributes, stat.S_ISDIR):
                if (key + "/").startswith(prefix) or prefix.startswith(key + "/"):
                    yield from self._walk((*parts, name), prefix)
            elif _is(attributes, stat.S_ISREG):
                yield key, attributes

    def _entries(self, parts: tuple[str, ...]) -> list[tuple[str, Any]]:
        """What lies in one directory; nothing if it is not there."""
        path = self.path(*parts)
        try:
            found = self._session.again(lambda sftp: _scan(sftp, path), _LISTING)
        except self._asyncssh.SFTPError as exc:
            if not is_missing(exc):
                raise
            if not self._is_directory(self.path()) and not self._is_directory(self._above()):
                raise self._no_root() from exc
            return []  # not there yet; storing makes it
        return list(found)

    def _make_one(self, parts: tuple[str, ...]) -> None:
        path, mode = self.path(*parts), self._asyncssh.SFTPAttrs(permissions=_DIRECTORY_MODE)
        try:
            self._session.again(lambda sftp: sftp.mkdir(path, mode))
        except self._asyncssh.SFTPError:
            if not self._is_directory(path):  # one that is there is just "failure" to some servers
                raise

    def _is_directory(self, path: bytes) -> bool:
        try:
            return _is(self._session.again(lambda sftp: sftp.stat(path)), stat.S_ISDIR)
        except self._asyncssh.SFTPError:
            return False

    def _above(self) -> bytes:
        """The directory that the destination's own is in."""
        parent, _slash, _leaf = self._root.rpartition("/")
        return (parent or ("/" if self._root.startswith("/") else ".")).encode()

    def _no_root(self) -> DestinationError:
        return DestinationError(
            f"{self._told('use', self._root)}: it does not exist",
            hint="create it on the server, or correct path",
            permanent=True,
        )

    @property
    def _asyncssh(self) -> Any:
        return library(self._session.place.destination)


async def _scan(sftp: Any, path: bytes) -> list[tuple[str, Any]]:
    found = []
    async for entry in sftp.scandir(path):
        if entry.filename not in (b".", b".."):
            attributes = entry.attrs
            if attributes.permissions is None:  # a server that lists names only
                attributes = await sftp.lstat(path + b"/" + entry.filename)
            found.append((entry.filename.decode("utf-8", "surrogateescape"), attributes))
    return found


def _is(attributes: Any, kind: Callable[[int], bool]) -> bool:
    return kind(attributes.permissions or 0)
