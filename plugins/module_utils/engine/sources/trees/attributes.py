# SPDX-License-Identifier: GPL-3.0-or-later
"""Find what nobody may rename or remove, root neither: files and directories with `chattr +i` or `+a`.

As far as the file system and the C library tell. Asked by name, without opening anything: what lies
there may be a pipe, or a device.
"""

from __future__ import annotations

import ctypes
import os
import shlex
import struct
from collections.abc import Iterator
from itertools import islice

from ...errors import SourceError

_HERE = -100  # see statx(2)
_AS_IT_IS = 0x100 | 0x800  # no link is followed, and nothing mounted for it
_FIXED, _FIXED_AT = 0x10 | 0x20, 8  # immutable, append only
_SHOWN = 3
_LIBC = ctypes.CDLL(None)


def fixed(path: str) -> bool:
    """Whether it is so itself; False if it cannot be told."""
    found = ctypes.create_string_buffer(256)
    name = os.fsencode(path)
    if not hasattr(_LIBC, "statx") or _LIBC.statx(_HERE, name, _AS_IT_IS, 0, found) != 0:
        return False
    return bool(struct.unpack_from("=Q", found, _FIXED_AT)[0] & _FIXED)


def told(path: str, alone: bool = False) -> str:
    """Why a tree, or a file, cannot be moved away and removed, and what to do; "" = it can."""
    return ": ".join(filter(None, _words(path, alone)))


def refuse(path: str, alone: bool = False) -> None:
    """Raise SourceError if anything of a tree cannot be removed; if `alone`, the directory itself."""
    problem, hint = _words(path, alone)
    if problem:
        raise SourceError(problem, hint=hint)


def _words(path: str, alone: bool = False) -> tuple[str, str]:
    every = filter(fixed, [path] if alone else _all(path))
    found = list(islice(every, _SHOWN + 1))
    if not found:
        return "", ""
    more = " and others" if len(found) > _SHOWN else ""
    words = "-i -a" if len(found) == 1 else "-R -i -a"
    return (
        "not even root can move or remove %s%s, by the attribute i or a"
        % (", ".join(found[:_SHOWN]), more),
        "chattr %s %s" % (words, shlex.quote(os.path.commonpath(found))),
    )


def _all(path: str) -> Iterator[str]:
    yield path
    if os.path.isdir(path) and not os.path.islink(path):
        for folder, folders, names in os.walk(path):
            yield from (os.path.join(folder, name) for name in (*folders, *names))
