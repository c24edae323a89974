# SPDX-License-Identifier: GPL-3.0-or-later
"""Read backups off the names below a catalog, and hold 100,000 of them in little memory. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import overload

from .errors import FormatError
from .naming import CATALOG, parse_id, parse_mark
from .stored import Copy, Mark, Stored

_MANIFEST, _SIGNATURE = "json", "json.sig"  # what follows the id in their names
_BETWEEN = "\n"  # no name of ours holds it, and it comes before all that an id is written with


class Copies(Sequence[Copy]):
    """The backups at one destination, newest first, each held as the names that tell of it.

    That is a quarter of what a Copy takes. One is made whenever one is asked for: who goes through them
    more than once, and has the room, makes a list.
    """

    def __init__(self, told: Iterable[str]) -> None:
        self.told = list(told)  # of each its id, then what follows the id in each name

    def __len__(self) -> int:
        return len(self.told)

    def __iter__(self) -> Iterator[Copy]:
        return map(copy_of, self.told)

    @overload
    def __getitem__(self, index: int) -> Copy: ...

    @overload
    def __getitem__(self, index: slice) -> Copies: ...

    def __getitem__(self, index: int | slice) -> Copy | Copies:
        if isinstance(index, slice):
            return Copies(self.told[index])
        return copy_of(self.told[index])


def copies(objects: Iterable[Stored]) -> Copies:
    """The backups that the names below one catalog prefix tell of, newest first.

    Names that are not ours are passed over: a destination may hold other people's files.
    """
    told: dict[str, str] = {}
    for id_, rest in _names(objects):
        before = told.get(id_)
        if rest in (_MANIFEST, _SIGNATURE) or parse_mark(rest) is not None:
            told[id_] = (before or id_) + _BETWEEN + rest
    found = [one for id_, one in told.items() if one != id_ + _BETWEEN + _SIGNATURE]
    told.clear()
    found.sort(reverse=True)
    return Copies(_believed(found))


def marks(objects: Iterable[Stored], kinds: Collection[str]) -> Iterator[tuple[str, Mark]]:
    """(id, mark) for each mark of these kinds below one catalog prefix, in the order of the listing."""
    for id_, rest in _names(objects):
        if rest.partition("-")[0] in kinds:
            mark = parse_mark(rest)
            if mark is not None:
                yield id_, mark


def id_in(told: str) -> str:
    return told.partition(_BETWEEN)[0]


def is_committed(told: str) -> bool:
    return _MANIFEST in told.split(_BETWEEN)


def copy_of(told: str) -> Copy:
    """What one text of Copies.told says."""
    id_, *names = told.split(_BETWEEN)
    said = [parse_mark(name) for name in names if name not in (_MANIFEST, _SIGNATURE)]
    ordered = tuple(mark for mark in said if mark is not None)
    if len(ordered) > 1:
        ordered = tuple(sorted(ordered, key=lambda mark: (mark.at, mark.kind)))
    return Copy(id_, *parse_id(id_), _MANIFEST in names, ordered, _SIGNATURE in names)


def _names(objects: Iterable[Stored]) -> Iterator[tuple[str, str]]:
    """(id, what follows it) of each name that may be ours."""
    last = ""
    for stored in objects:
        parts = stored.key.split("/")
        id_, _dot, rest = parts[-1].partition(".")
        if len(parts) != 4 or parts[0] != CATALOG:
            continue
        if id_ != last:  # names of one backup follow each other
            try:
                parse_id(id_)
            except FormatError:
                continue
            last = id_
        yield last, rest


def _believed(found: Iterable[str]) -> Iterator[str]:
    """Believe `replaced` only while what took the place is here and good: of the same instant and type."""
    found = list(found)
    doubted = {_twins(one) for one in found if _BETWEEN + "replaced-" in one}
    good = {_twins(one) for one in found if _twins(one) in doubted and copy_of(one).good}
    for one in found:
        if doubted and _twins(one) in doubted - good:
            names = one.split(_BETWEEN)
            one = _BETWEEN.join(name for name in names if not name.startswith("replaced-"))
        yield one


def _twins(told: str) -> str:
    """The instant and type of a backup, as its id has them."""
    return id_in(told).rpartition("-")[0]
