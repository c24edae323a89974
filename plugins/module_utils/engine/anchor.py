# SPDX-License-Identifier: GPL-3.0-or-later
"""Reach a directory without being led astray by whoever owns a directory on the way to it.

Root restores below directories of other users. Such a user may put a link in the place of a
directory at any moment, and everything root then did by name would be done elsewhere. So the way is
walked once, link by link, and what is done at its end goes by a name that stays with the directory.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from .errors import LifeboatError

_LOOK = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_MOST_LINKS = 40  # as the kernel
_MODE = 0o755


class Astray(LifeboatError):
    """A link on the way may be another user's."""


@contextmanager
def anchored(folder: str, create: bool = False) -> Iterator[str]:
    """A name of the directory `folder` that no rename and no link can turn elsewhere.

    It holds in this process until the block ends, and as the `cwd` of a program that is started
    in it. What a LifeboatError says of it is told with the directory's own name. Raises
    LifeboatError.
    """
    opened = open_directory(folder, create)
    name = "/proc/self/fd/%d" % opened
    try:
        yield name
    except LifeboatError as exc:
        own = folder.rstrip("/") + "/"
        exc.message, exc.detail, exc.hint = (
            text.replace(name + "/", own) for text in (exc.message, exc.detail, exc.hint)
        )
        raise
    finally:
        os.close(opened)


def open_directory(path: str, create: bool = False) -> int:
    """A descriptor (O_PATH) of the directory; with `create`, what is missing is made.

    As root, a link is followed only if nobody else can have put it there. Raises LifeboatError.
    """
    here = os.open("/", _LOOK)
    left = _parts(path)
    links = 0
    try:
        while left:
            part = left.pop(0)
            below = _open(here, part, path, create)
            if stat.S_ISLNK(os.fstat(below).st_mode):
                links += 1
                try:
                    if links > _MOST_LINKS:
                        raise LifeboatError("there are too many links on the way to %s" % path)
                    _require_own(here, below, part, path)
                    leads = os.readlink("", dir_fd=below)
                finally:
                    os.close(below)
                left = _parts(leads) + left
                if leads.startswith("/"):
                    os.close(here)
                    here = os.open("/", _LOOK)
                continue
            os.close(here)
            here = below
        if not stat.S_ISDIR(os.fstat(here).st_mode):
            raise _not_there(path, "is not a directory")
        return here
    except BaseException:
        os.close(here)
        raise


def forbidding(path: str) -> str:
    """Why root would not go to this directory now; "" = it may, or it is not there."""
    try:
        os.close(open_directory(path))
    except Astray as exc:
        return "%s: %s" % (exc, exc.hint)
    except LifeboatError:
        pass
    return ""


def private(folder: str) -> bool:
    """Whether nobody but us and root can put anything into a directory."""
    found = os.stat(folder)
    others = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return found.st_uid in (0, os.geteuid()) and not others


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".")]


def _open(here: int, part: str, path: str, create: bool) -> int:
    try:
        return os.open(part, _LOOK, dir_fd=here)
    except FileNotFoundError:
        if not create:
            raise _not_there(path, "does not exist") from None
    except NotADirectoryError:
        raise _not_there(path, "is not a directory") from None
    except OSError as exc:
        raise LifeboatError("%s cannot be reached: %s" % (path, exc.strerror)) from exc
    try:
        os.mkdir(part, _MODE, dir_fd=here)
    except FileExistsError:
        pass
    except OSError as exc:
        raise LifeboatError("%s cannot be made: %s" % (path, exc.strerror)) from exc
    return _open(here, part, path, False)


def _require_own(here: int, link: int, part: str, path: str) -> None:
    if os.geteuid() != 0:
        return  # whoever leads us there gains nothing by our rights
    folder, found = os.fstat(here), os.fstat(link)
    others = folder.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not folder.st_mode & stat.S_ISVTX
    if folder.st_uid != 0 or found.st_uid != 0 or others:
        raise Astray(
            "root does not follow the link %s on the way to %s: a user may have put it there"
            % (part, path),
            hint="name the directory that it leads to (%s), or give the link and its directory "
            "to root" % os.path.realpath(path),
        )


def _not_there(path: str, why: str) -> LifeboatError:
    return LifeboatError("the directory %s %s" % (path, why), hint="make it, or use --into")
