# SPDX-License-Identifier: GPL-3.0-or-later
"""Restore one source beside its target, and compare what came out with the backup's own inventory."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

from ...errors import ProcessError, VerifyError
from ...inventory import Entry, differences, read
from ...model import Inventory, SourceRecord, Swap, Workspace
from ...ports import Plain, Source
from ...units import human_size
from ..copies.plain import explain_decode_failure, of_a_decryptor

_MOST_TOLD = 20  # files by name


def stage(
    source: Source, record: SourceRecord, swap: Swap, parts: Mapping[str, Plain], work: Workspace
) -> None:
    """Restore `record` at the side of `swap`."""
    with decoding(record.name):
        source.stage(swap, whole(record, parts), parts, work)


def whole(record: SourceRecord, parts: Mapping[str, Plain]) -> SourceRecord:
    """The record with the facts that a reader of the manifest may not see."""
    if "facts" not in parts:
        return record
    told = parts["facts"].read(lambda stream: json.loads(stream.read()))
    return replace(record, facts={**record.facts, **told})


def compare(
    source: Source,
    swap: Swap,
    parts: Mapping[str, Plain],
    work: Workspace,
    warn: Callable[[str], None] = lambda _sentence: None,
) -> Inventory | None:
    """What was restored, counted; None without an inventory to compare with. Raises VerifyError
    unless it is what was backed up. `warn` is told of what was not whole in the backup already."""
    if "inventory" not in parts:
        return None
    found = source.count(swap, work)
    alike = getattr(source, "alike", None)  # of ports.Narrowable

    def both(recorded: Callable[..., bytes]) -> list[str]:
        with open(found.path, "rb") as lines:
            pair = read(recorded), read(lines)  # type: ignore[arg-type]
            expected, there = alike(swap, *pair) if alike else pair
            return differences(_telling(expected, source.name, warn), there)

    with decoding(source.name):
        told = parts["inventory"].read(both)  # type: ignore[arg-type]
    if told:
        raise VerifyError(
            f"what was restored of {source.name} is not what was backed up", detail="\n".join(told)
        )
    return found


def _telling(
    recorded: Iterator[Entry], source: str, warn: Callable[[str], None]
) -> Iterator[Entry]:
    """What was recorded, as it is; files that shrank while they were backed up are told by name."""
    count = 0
    for entry in recorded:
        if entry.get("padded_bytes"):
            count += 1
            if count <= _MOST_TOLD:
                zeros = human_size(entry["padded_bytes"])
                warn(
                    f"{source}: {entry['name']} is not whole: it shrank while it was backed up, and"
                    f" zeros stand for the {zeros} that were cut off"
                )
        yield entry
    if count > _MOST_TOLD:
        warn(f"{source}: {count - _MOST_TOLD} more files are not whole")


@contextmanager
def decoding(source: str) -> Iterator[None]:
    """Say of a decoder that failed what it means to a person."""
    try:
        yield
    except ProcessError as exc:
        if exc.hint or not of_a_decryptor(exc):
            raise
        raise explain_decode_failure(exc, source) from exc
