# SPDX-License-Identifier: GPL-3.0-or-later
"""Names below one directory, found and moved without following any link in it."""

from __future__ import annotations

import errno
import os
import stat

from ...errors import SourceError

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Beneath:
    """A directory, open; names are relative to it, with /. Of the parents, the last is kept open."""

    def __init__(self, path: str, anchored: bool = False) -> None:
        self._path = path
        # only a name of anchor.py's is a link that may be followed
        self.top = os.open(path, _OPEN & ~os.O_NOFOLLOW if anchored else _OPEN)
        self._folder, self._opened = "", os.dup(self.top)

    def __enter__(self) -> Beneath:
        return self

    def __exit__(self, *exc: object) -> None:
        os.close(self._opened)
        os.close(self.top)

    def shown(self, name: str) -> str:
        return os.path.join(self._path, name) if name else self._path

    def find(self, name: str) -> os.stat_result | None:
        """What lies there, links not followed; None = nothing."""
        try:
            folder, leaf = self._parent(name)
            return os.stat(leaf, dir_fd=folder, follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def entries(self, name: str) -> list[tuple[str, bool]]:
        """(name, whether it is a directory) of all that lies in a directory, sorted."""
        with os.scandir(self._directory(name)) as found:
            return sorted((one.name, one.is_dir(follow_symlinks=False)) for one in found)

    def device(self, name: str) -> int:
        return os.fstat(self._directory(name)).st_dev

    def unlink(self, name: str) -> None:
        folder, leaf = self._parent(name)
        os.unlink(leaf, dir_fd=folder)

    def keep(self, name: str, other: Beneath, over: bool) -> None:
        """Give an entry the same name in `other`. With `over` it may stay here too, for a rename
        over it: nobody who reads ever finds it missing."""
        place, _leaf = other._parent(name, like=self)
        folder, leaf = self._parent(name)
        if over and not stat.S_ISDIR(os.lstat(leaf, dir_fd=folder).st_mode):
            try:
                os.link(leaf, leaf, src_dir_fd=folder, dst_dir_fd=place, follow_symlinks=False)
                return
            except FileExistsError:
                raise
            except OSError:  # no hard links here, or none of this file for us
                pass
        os.rename(leaf, leaf, src_dir_fd=folder, dst_dir_fd=place)

    def move(self, name: str, other: Beneath) -> None:
        """Move an entry to the same name in `other`; a file there is replaced in one step.

        Directories that are missing on the way are made as they are here.
        """
        place, leaf = other._parent(name, like=self)
        folder, leaf = self._parent(name)
        os.rename(leaf, leaf, src_dir_fd=folder, dst_dir_fd=place)

    def _parent(self, name: str, like: Beneath | None = None) -> tuple[int, str]:
        folder, _slash, leaf = name.rpartition("/")
        return self._directory(folder, like), leaf

    def _directory(self, name: str, like: Beneath | None = None) -> int:
        if name == self._folder:
            return self._opened
        here, so_far = os.dup(self.top), ""
        try:
            for part in name.split("/") if name else ():
                so_far = so_far + "/" + part if so_far else part
                try:
                    below = os.open(part, _OPEN, dir_fd=here)
                except FileNotFoundError:
                    if like is None:
                        raise
                    below = _make(here, part, os.fstat(like._directory(so_far)))
                except OSError as exc:
                    if exc.errno == errno.ELOOP:
                        raise NotADirectoryError(errno.ENOTDIR, "a link", part) from None
                    raise
                os.close(here)
                here = below
        except BaseException:
            os.close(here)
            raise
        os.close(self._opened)
        self._folder, self._opened = name, here
        return here


def _make(folder: int, name: str, model: os.stat_result) -> int:
    os.mkdir(name, 0o700, dir_fd=folder)
    made = os.open(name, _OPEN, dir_fd=folder)
    try:
        found = os.fstat(made)
        # the owner of `folder` may have put another directory of ours there, to be given it
        if found.st_uid != os.geteuid() or found.st_mode & 0o077 or os.listdir(made):
            raise SourceError("another process has put a directory at %s meanwhile" % name)
        if os.geteuid() == 0:
            os.fchown(made, model.st_uid, model.st_gid)
        os.fchmod(made, stat.S_IMODE(model.st_mode))
    except BaseException:
        os.close(made)
        raise
    return made
