# SPDX-License-Identifier: GPL-3.0-or-later
"""Find destinations of a job that are one place: two names of it are one copy, and what one deletes both lose."""

from __future__ import annotations

import os
from collections.abc import Sequence

from ...ports import Destination


def twins(destinations: Sequence[Destination]) -> dict[int, str]:
    """{index: the name that the place has already}, of each that comes a second time.

    Directories by where they really lie, since a link or a mount gives one a second path.
    """
    first: dict[tuple[object, ...], str] = {}
    found = {}
    for index, one in enumerate(destinations):
        address = _address(one)
        if address and address in first:
            found[index] = first[address]
        elif address:
            first[address] = one.name
    return found


def complaint(destinations: Sequence[Destination]) -> str:
    """In words; "" = all are places of their own."""
    told = [
        f"{destinations[index].name} is the same place as {name}"
        for index, name in sorted(twins(destinations).items())
    ]
    return "; ".join(told)


def _address(destination: Destination) -> tuple[object, ...]:
    needs = destination.needs()
    if needs.bucket or needs.server:
        return (needs.bucket, needs.server)
    for path in filter(os.path.isabs, needs.writes):
        try:
            there = os.stat(path)
        except OSError:
            return (os.path.realpath(path),)
        return (there.st_dev, there.st_ino)
    return ()
