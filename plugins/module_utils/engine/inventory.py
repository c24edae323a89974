# SPDX-License-Identifier: GPL-3.0-or-later
"""Count what a source holds, and compare two counts. One JSON line an object.

A line is {"kind": "table", "name": "public.book", "rows": 12}: everything but kind and name is a
measure. `uncounted: true` says that the measures are estimates; such objects are only looked for.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

from .errors import FormatError
from .model import Inventory

Entry = Mapping[str, Any]
_LINE = json.JSONEncoder(sort_keys=True)


class InventoryWriter:
    """Write entries to `path` as they are found; `close()` gives the totals."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines: BinaryIO = open(path, "wb")
        self._totals: dict[str, int] = {}
        self._sum = 0

    def add(self, kind: str, name: str, **measures: Any) -> None:
        """Count one object. Integer measures and the number of objects go into the totals."""
        line = _LINE.encode(dict(measures, kind=kind, name=name)).encode() + b"\n"
        self._lines.write(line)
        # A sum of hashes does not depend on the order, and needs no memory for a million files.
        self._sum = (self._sum + int.from_bytes(hashlib.sha256(line).digest(), "big")) % 2**256
        several = "es" if kind.endswith("x") else "s"
        self._count(kind[:-1] + "ies" if kind.endswith("y") else kind + several, 1)
        for measure in ("rows", "keys", "size_bytes"):
            if isinstance(measures.get(measure), int):
                self._count(measure, measures[measure])
        for measure, told in (("uncounted", "uncounted"), ("padded_bytes", "padded")):
            if measures.get(measure):
                self._count(told, 1)

    def close(self) -> Inventory:
        self._lines.close()
        return Inventory(self._path, dict(self._totals), f"{self._sum:064x}")

    def _count(self, what: str, amount: int) -> None:
        self._totals[what] = self._totals.get(what, 0) + amount


def annotated(counted: Inventory, measure: str, of_files: Mapping[str, int]) -> Inventory:
    """The same, with one measure more of these files: what is known only after they were counted."""
    path = counted.path.with_name(counted.path.name + ".new")
    writer = InventoryWriter(path)
    with open(counted.path, "rb") as lines:
        for entry in read(lines):
            if entry["kind"] == "file" and entry["name"] in of_files:
                entry = {**entry, measure: of_files[entry["name"]]}
            writer.add(**entry)
    made = writer.close()
    os.replace(path, counted.path)
    return replace(made, path=counted.path)


def read(lines: Iterable[bytes]) -> Iterator[Entry]:
    """The entries of an inventory file; raises FormatError."""
    for line in lines:
        try:
            entry = json.loads(line)
            sound = isinstance(entry["kind"], str) and isinstance(entry["name"], str)
        except (ValueError, KeyError, TypeError, RecursionError):
            sound = False
        if not sound:
            raise FormatError("an inventory holds a line that is not an entry")
        yield entry


def differences(expected: Iterable[Entry], found: Iterable[Entry], most: int = 20) -> list[str]:
    """What is not as recorded, in words, at most `most` lines; empty = the same."""
    waiting: dict[tuple[str, str], Entry] = {}
    for entry in expected:
        waiting[(entry["kind"], entry["name"])] = entry
    told: list[str] = []
    for entry in found:
        recorded = waiting.pop((entry["kind"], entry["name"]), None)
        if recorded is None:
            told.append(
                "{} {} is there, and was not in the backup".format(entry["kind"], entry["name"])
            )
        elif not (recorded.get("uncounted") or entry.get("uncounted")):
            told += _measures(recorded, entry)
    told += ["{} {} is missing".format(*key) for key in sorted(waiting)]
    return told[:most] + (["and %d more" % (len(told) - most)] if len(told) > most else [])


def _measures(recorded: Entry, found: Entry) -> list[str]:
    """Measures that both sides took and that differ."""
    return [
        "{} {}: {} is {}, the backup recorded {}".format(
            recorded["kind"], recorded["name"], key, found[key], recorded[key]
        )
        for key in sorted(set(recorded) & set(found) - {"kind", "name"})
        if recorded[key] != found[key]
    ]
