# SPDX-License-Identifier: GPL-3.0-or-later
"""Say, as GNU tar would, whether exclude patterns leave a path out, or a directory that it lies in. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase


def left_out(path: str, patterns: Sequence[str]) -> bool:
    """`path` is absolute. A pattern that begins with / holds from the root, any other at any depth."""
    words = path.strip("/").split("/")
    for pattern in patterns:
        wanted = pattern.strip("/")
        names = _from_the_root(words) if pattern.startswith("/") else _at_any_depth(words)
        if any(fnmatchcase(name, wanted) for name in names):
            return True
    return False


def _from_the_root(words: Sequence[str]) -> Iterator[str]:
    for end in range(1, len(words) + 1):
        yield "/".join(words[:end])


def _at_any_depth(words: Sequence[str]) -> Iterator[str]:
    for begin in range(len(words)):
        yield from _from_the_root(words[begin:])
