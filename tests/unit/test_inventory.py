# SPDX-License-Identifier: GPL-3.0-or-later
"""Two counts of the same things agree in any order, and a difference is told in words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lifeboat.errors import FormatError
from lifeboat.inventory import Entry, InventoryWriter, differences, read
from lifeboat.model import Inventory

ENTRIES = st.dictionaries(
    st.tuples(st.sampled_from(["table", "file"]), st.text(max_size=8)),
    st.integers(0, 2**70),
    max_size=8,
)


def written(path: Path, entries: list[tuple[str, str, int]]) -> Inventory:
    writer = InventoryWriter(path)
    for kind, name, rows in entries:
        writer.add(kind, name, rows=rows)
    return writer.close()


def table(name: str, **measures: object) -> Entry:
    return dict(measures, kind="table", name=name)


@given(found=ENTRIES, dice=st.randoms())
def test_the_digest_does_not_depend_on_the_order(
    tmp_path_factory: pytest.TempPathFactory, found: dict[tuple[str, str], int], dice
) -> None:  # type: ignore[no-untyped-def]
    folder = tmp_path_factory.mktemp("inventory")
    entries = [(kind, name, rows) for (kind, name), rows in found.items()]
    mixed = list(entries)
    dice.shuffle(mixed)
    one, other = written(folder / "one", entries), written(folder / "other", mixed)
    assert (one.digest, one.totals) == (other.digest, other.totals)
    with open(one.path, "rb") as lines, open(other.path, "rb") as others:
        assert differences(read(lines), read(others)) == []


@pytest.mark.parametrize(
    "other",
    [
        [("table", "a", 1)],
        [("table", "a", 1), ("table", "b", 3)],
        [("table", "a", 1), ("table", "c", 2)],
        [("table", "a", 1), ("file", "b", 2)],
        [("table", "a", 2), ("table", "b", 1)],
        [("table", "a", 1), ("table", "b", 2), ("table", "b", 2)],
    ],
)
def test_the_digest_differs_when_anything_does(
    tmp_path: Path, other: list[tuple[str, str, int]]
) -> None:
    one = written(tmp_path / "one", [("table", "a", 1), ("table", "b", 2)])
    assert one.digest != written(tmp_path / "other", other).digest


def test_totals_count_objects_rows_bytes_and_what_was_not_counted(tmp_path: Path) -> None:
    writer = InventoryWriter(tmp_path / "lines")
    writer.add("table", "public.book", rows=12)
    writer.add("table", "public.huge", rows=10**9, uncounted=True)
    writer.add("file", "a\udcff\n'\"../ü", size_bytes=5, sha256="ab")
    writer.add("directory", "a")
    made = writer.close()
    assert made.totals == {
        "tables": 2, "rows": 10**9 + 12, "uncounted": 1, "files": 1, "size_bytes": 5,
        "directories": 1,
    }  # fmt: skip
    with open(made.path, "rb") as lines:
        assert [entry["name"] for entry in read(lines)][2] == "a\udcff\n'\"../ü"
    assert len(made.path.read_bytes().splitlines()) == 4


def test_differences_are_told_in_words() -> None:
    expected = [table("a", rows=1), table("b", rows=2), table("c", rows=3)]
    found = [table("a", rows=1), table("b", rows=5), table("d", rows=3)]
    assert differences(expected, found) == [
        "table b: rows is 5, the backup recorded 2",
        "table d is there, and was not in the backup",
        "table c is missing",
    ]


def test_what_was_not_counted_is_only_looked_for() -> None:
    assert differences([table("a", rows=9, uncounted=True)], [table("a", rows=1)]) == []
    assert differences([table("a", rows=9)], [table("a", rows=1, uncounted=True)]) == []
    assert differences([table("a", rows=9, uncounted=True)], []) == ["table a is missing"]


def test_measures_that_one_side_did_not_take_are_not_compared() -> None:
    assert differences([table("a", rows=1, sha256="ab")], [table("a", rows=1)]) == []


def test_many_differences_are_cut_and_counted() -> None:
    told = differences([table("%03d" % number) for number in range(50)], [], most=3)
    assert told == ["table 000 is missing", "table 001 is missing", "table 002 is missing",
                    "and 47 more"]  # fmt: skip


@pytest.mark.parametrize(
    "line",
    [b"", b"\n", b"[]", b'"kind"', b"5", b"null", b"{}", b'{"kind": "table"}', b"\xff", b"{",
     b'{"kind": ["a"], "name": "x"}', b'{"kind": "a", "name": null}', b"[" * 100_000],
)  # fmt: skip
def test_a_line_that_is_no_entry_is_a_format_error(line: bytes) -> None:
    good = json.dumps(table("a")).encode()
    with pytest.raises(FormatError):
        list(read([good, line]))
