# SPDX-License-Identifier: GPL-3.0-or-later
"""Every name comes back as it was made, and no hostile name gets through."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lifeboat import naming
from lifeboat.errors import FormatError, UsageError
from lifeboat.listed import copies
from lifeboat.stored import Mark, Stored
from lifeboat.units import parse_instant

AT = parse_instant("2026-11-21 02:00")
ID = "20261121T020000Z-daily-7f3a"
HOSTILE = [
    "", ".", "..", "../etc", "a/b", "/a", "a\n", "\na", "a b", "a'b", 'a"b', "a;b", "a$b", "a\0b",
    "ä", "A\u202e", "-a", "a" * 300, "a\\b", "２", None, 7, ["a"], b"a",
]  # fmt: skip
NAMES = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,62}", fullmatch=True)
HOSTS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,60}", fullmatch=True)
INSTANTS = st.integers(0, 253402300799).map(  # until the end of the year 9999
    lambda seconds: datetime.fromtimestamp(seconds, timezone.utc)
)
SUFFIXES = st.from_regex(r"[0-9a-f]{4}", fullmatch=True)
TAGS = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=10)


def stored(*keys: str) -> list[Stored]:
    return [Stored(key, 0, AT) for key in keys]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_are_refused_with_the_letters_that_may_be_used(text: object) -> None:
    with pytest.raises(UsageError) as caught:
        naming.check_name("job", text)
    assert "a-z" in caught.value.hint
    with pytest.raises(UsageError):
        naming.check_host(text)
    with pytest.raises(FormatError):
        naming.check_archive_name(text)
    with pytest.raises(FormatError):
        naming.parse_id(text)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", HOSTILE[:-4])
def test_no_key_is_built_from_a_hostile_name(text: str) -> None:
    for build in (
        lambda: naming.catalog_prefix(text, "shop"),
        lambda: naming.catalog_prefix("db1", text),
        lambda: naming.manifest_key("db1", "shop", text),
        lambda: naming.archive_key("db1", "shop", ID, text),
        lambda: naming.archive_key("db1", "shop", text, "a"),
        lambda: naming.archive_name(text, "database", "sql", []),
        lambda: naming.backup_id(AT, text, "7f3a"),
        lambda: naming.backup_id(AT, "daily", text),
    ):
        with pytest.raises((UsageError, FormatError)):
            build()


@given(INSTANTS, NAMES, SUFFIXES)
def test_ids_come_back_as_they_were(at: datetime, type_: str, suffix: str) -> None:
    assert naming.parse_id(naming.backup_id(at, type_, suffix)) == (at, type_)


@given(st.text())
def test_any_text_is_an_id_or_a_format_error(text: str) -> None:
    try:
        at, type_ = naming.parse_id(text)
    except FormatError:
        return
    assert naming.backup_id(at, type_, text[-4:]) == text


@pytest.mark.parametrize(
    "text",
    [ID + "\n", "\n" + ID, ID.upper(), ID[:-1], ID + "0", "20260230T000000Z-daily-7f3a",
     "20261121T020000Z-daily-7F3A", "20261121T020000Z--7f3a", "２０261121T020000Z-daily-7f3a"],
)  # fmt: skip
def test_what_only_resembles_an_id_is_none(text: str) -> None:
    with pytest.raises(FormatError):
        naming.parse_id(text)


def test_ids_sort_by_time() -> None:
    later = naming.backup_id(AT + timedelta(seconds=1), "a", "0000")
    assert naming.backup_id(AT, "z", "ffff") < later


def test_keys_are_those_of_the_format() -> None:
    assert naming.manifest_key("db1", "shop", ID) == f"catalog/db1/shop/{ID}.json"
    name = naming.archive_name("db", "database", "pgdump", [".zst", ".age"])
    assert name == "db.database.pgdump.zst.age"
    assert naming.archive_key("db1", "shop", ID, name) == f"archives/db1/shop/{ID}/{name}"
    mark = Mark("tag", AT, "v1.2 ü")
    assert naming.mark_key("db1", "shop", ID, mark) == (
        f"catalog/db1/shop/{ID}.tag-v1=2E2=20=C3=BC-20261121T020000Z"
    )
    assert naming.mark_key("db1", "shop", ID, Mark("intact", AT)) == (
        f"catalog/db1/shop/{ID}.intact-20261121T020000Z"
    )


@given(HOSTS, NAMES, INSTANTS, TAGS)
def test_tags_of_any_unicode_come_back_as_they_were(
    host: str, job: str, at: datetime, tag: str
) -> None:
    key = naming.mark_key(host, job, ID, Mark("tag", at, tag))
    assert key.isascii()
    assert key.count("/") == 3
    assert len(key.rsplit("/", 1)[1]) <= 230
    (copy,) = copies(stored(key))
    assert copy.marks == (Mark("tag", at, tag),)
    assert not copy.committed


@pytest.mark.parametrize("tag", ["", "x" * 121, "ü" * 21, "\udc80", None, 5])
def test_a_tag_that_makes_no_name_is_refused(tag: str) -> None:
    with pytest.raises(UsageError, match="tag"):
        naming.mark_key("db1", "shop", ID, Mark("tag", AT, tag))


@given(st.lists(st.text(max_size=60)))
def test_a_listing_of_anything_is_read_without_an_error(names: list[str]) -> None:
    prefixes = ["catalog/db1/shop/", f"catalog/db1/shop/{ID}.", f"catalog/db1/shop/{ID}.tag-"]
    keys = [prefix + name for prefix in prefixes for name in names]
    assert {copy.id for copy in copies(stored(*keys))} <= {ID}


@pytest.mark.parametrize(
    "key",
    [
        "catalog/db1/shop/notes.txt",
        f"catalog/db1/shop/{ID}",
        f"catalog/db1/shop/{ID}\n.json",
        f"catalog/db1/shop/{ID}.json\n",
        f"catalog/db1/shop/{ID}.json.sig",
        f"catalog/db1/shop/{ID}.json.tmp",
        f"catalog/db1/shop/old/{ID}.json",
        f"catalog/db1/{ID}.json",
        f"archives/db1/shop/{ID}.json",
        f"catalog/db1/shop/{ID}.intact",
        f"catalog/db1/shop/{ID}.intact-20261321T020000Z",
        f"catalog/db1/shop/{ID}.intact-20261121T020000Z\n",
        "catalog/db1/shop/20261321T020000Z-daily-7f3a.json",
        f"{ID}.json",
    ],
)
def test_names_that_are_not_ours_are_passed_over(key: str) -> None:
    assert list(copies(stored(key))) == []


def test_a_listing_tells_each_copys_state() -> None:
    older = "20261120T020000Z-weekly-0001"
    keys = [
        f"catalog/db1/shop/{older}.pruned-20261121T020000Z",
        f"catalog/db1/shop/{ID}.intact-20261121T020102Z",
        f"catalog/db1/shop/{ID}.pin-20261121T030000Z",
        f"catalog/db1/shop/{ID}.unpin-20261121T040000Z",
        f"catalog/db1/shop/{ID}.json",
    ]
    newest, gone = copies(stored(*keys))
    assert (newest.id, newest.taken_at, newest.type) == (ID, AT, "daily")
    assert (newest.committed, newest.good, newest.state) == (True, True, "intact")
    assert not newest.pinned
    assert (gone.id, gone.committed, gone.state, gone.good) == (older, False, "pruned", False)


@pytest.mark.parametrize(
    ("marks", "state", "good"),
    [
        ([], "stored", False),
        (["intact"], "intact", True),
        (["intact", "bad"], "corrupt", False),
        (["bad", "intact"], "intact", True),
        (["intact", "drilled"], "restorable", True),
        (["drilled", "bad"], "corrupt", False),
        (["bad-content", "intact"], "corrupt", False),
        (["bad-content", "mended", "intact"], "corrupt", False),
        (["bad-content", "intact", "readable"], "intact", True),
        (["intact", "readable", "bad-content", "intact"], "corrupt", False),
        (["partial", "intact"], "partial", False),
        (["intact", "suspect"], "suspect", False),
        (["intact", "suspect", "accepted"], "intact", True),
        (["intact", "accepted", "suspect"], "suspect", False),
    ],
)
def test_the_latest_mark_of_a_kind_wins(marks: list[str], state: str, good: bool) -> None:
    keys = [f"catalog/db1/shop/{ID}.json"]
    keys += [f"catalog/db1/shop/{ID}.{mark}-2026112{n}T000000Z" for n, mark in enumerate(marks)]
    (copy,) = copies(stored(*reversed(keys)))
    assert (copy.state, copy.good) == (state, good)


def test_a_hundred_thousand_backups_are_read_in_seconds() -> None:
    objects = []
    for hour in range(100_000):
        prefix = "catalog/db1/shop/" + naming.backup_id(
            AT - timedelta(hours=hour), "hourly", "0000"
        )
        objects += stored(prefix + ".json", prefix + ".intact-20261121T020102Z")
    began = time.process_time()
    assert len(copies(objects)) == 100_000
    assert time.process_time() - began < 10  # about 1 s; strptime alone would take 3


def test_what_was_replaced_counts_again_when_the_new_one_is_not_good() -> None:
    def listed(*names: str) -> dict[str, str]:
        stored = [
            Stored(
                f"catalog/db1/shop/20261121T020000Z-daily-{name}",
                0,
                parse_instant("2026-11-21 12:00"),
            )
            for name in names
        ]
        return {copy.id[-4:]: copy.state for copy in copies(stored)}

    old = ("0001.json", "0001.intact-20261121T020100Z", "0001.replaced-20261122T020100Z")
    new = ("0002.json", "0002.intact-20261122T020000Z")
    assert listed(*old, *new) == {"0001": "replaced", "0002": "intact"}
    assert listed(*old, *new, "0002.bad-20261123T020000Z") == {"0001": "intact", "0002": "corrupt"}
    assert listed(*old) == {"0001": "intact"}
