# SPDX-License-Identifier: GPL-3.0-or-later
"""Manifests are read for ever, written always the same, and never trusted."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from lifeboat.errors import FormatError
from lifeboat.manifest import decode, encode, sha256sums
from lifeboat.model import Archive, Manifest, SourceRecord
from lifeboat.units import parse_instant

GOLDEN = Path(__file__).parent / "golden" / "manifest-v1.json"

MANIFEST = Manifest(
    id="20261121T020000Z-daily-7f3a",
    host="db1.example.org",
    job="shop",
    type="daily",
    environment="production",
    taken_at=parse_instant("2026-11-21 02:00:00"),
    finished_at=parse_instant("2026-11-21 02:03:04"),
    tool="lifeboat 0.1.0",
    complete=False,
    sources=(
        SourceRecord(
            name="db",
            kind="postgresql",
            status="good",
            taken_at=parse_instant("2026-11-21 02:00:01"),
            facts={"server": "15.4", "owner": 'o"brien', "settings": ["work_mem=4MB"], "size": 1.5},
            totals={"tables": 3, "rows": 40},
            inventory_digest="00" * 32,
        ),
        SourceRecord(
            name="uploads",
            kind="files",
            status="failed",
            error="/srv/größe\nis not there",
        ),
    ),
    archives=(
        Archive(
            name="db.database.pgdump.zst.age",
            source="db",
            part="database",
            format="pgdump",
            filters=({"kind": "zstd", "level": 3}, {"kind": "age", "recipients": ["age1x"]}),
            size_bytes=1234,
            plain_bytes=98765,
            sha256="ab" * 32,
            by_hand="pg_restore --exit-on-error -d NEW_DATABASE",
        ),
        Archive(
            name="db.globals.sql.zst.age",
            source="db",
            part="globals",
            format="sql",
            filters=({"kind": "zstd"}, {"kind": "age"}),
            size_bytes=0,
            plain_bytes=0,
            sha256="cd" * 32,
            warnings=("a role has no password",),
        ),
    ),
    tags=("v1.2.3", "größe"),
)  # fmt: skip


def sealed(body: dict[str, Any]) -> bytes:
    """A document with a true digest, as an attacker or a later version would write it."""
    body = {key: value for key, value in body.items() if key != "digest"}
    text = json.dumps(body, sort_keys=True, indent=1, ensure_ascii=False) + "\n"
    digest = "sha256:" + hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()
    return json.dumps(dict(body, digest=digest)).encode()


def document() -> dict[str, Any]:
    return dict(json.loads(GOLDEN.read_bytes()))


# -- for ever


def test_the_golden_manifest_is_read_for_ever() -> None:
    assert decode(GOLDEN.read_bytes(), "golden") == MANIFEST


def test_the_same_manifest_gives_the_same_bytes() -> None:
    assert encode(MANIFEST) == GOLDEN.read_bytes()


def test_keys_that_a_later_version_adds_are_passed_over() -> None:
    body = document()
    body["colour"] = body["archives"][0]["colour"] = body["sources"][0]["colour"] = {"x": [1]}
    body["totals"]["colours"] = 3
    assert decode(sealed(body), "here") == MANIFEST


def test_a_newer_version_is_refused_with_what_to_do() -> None:
    with pytest.raises(FormatError, match="version 2, this lifeboat reads up to 1") as caught:
        decode(sealed(dict(document(), version=2)), "here")
    assert "at least as new" in caught.value.hint


@pytest.mark.parametrize("text", ["\udcff\udc80", "\ud800", '"\\\n\t\0', "\u2028", "🚣", "=", ""])
def test_any_text_comes_back_also_names_that_are_not_utf8(text: str) -> None:
    source = dataclasses.replace(MANIFEST.sources[0], facts={text: [text, {"deep": text}]})
    made = dataclasses.replace(MANIFEST, sources=(source, MANIFEST.sources[1]))
    assert decode(encode(made), "here") == made
    json.loads(encode(made).decode("utf-8"))


def test_facts_whose_keys_are_numbers_do_not_break_the_digest() -> None:
    source = dataclasses.replace(MANIFEST.sources[0], facts={10: "a", 9: ("b", "c")})  # type: ignore[dict-item]
    made = decode(encode(dataclasses.replace(MANIFEST, sources=(source, MANIFEST.sources[1]))), "x")
    assert made.sources[0].facts == {"10": "a", "9": ["b", "c"]}


def test_sums_are_what_sha256sum_reads(tmp_path: Path) -> None:
    archives = []
    for archive, content in zip(MANIFEST.archives, (b"one", b"two")):
        (tmp_path / archive.name).write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        archives.append(dataclasses.replace(archive, sha256=digest))
    sums = sha256sums(dataclasses.replace(MANIFEST, archives=tuple(archives)))
    (tmp_path / "SHA256SUMS").write_bytes(sums)
    command = ["sha256sum", "--strict", "-c", "SHA256SUMS"]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode == 0
    (tmp_path / archives[1].name).write_bytes(b"twO")
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode == 1


# -- never trusted


def test_a_manifest_changed_by_hand_is_refused() -> None:
    edited = GOLDEN.read_bytes().replace(b'"complete": false', b'"complete": true')
    with pytest.raises(FormatError, match="changed after it was written") as caught:
        decode(edited, "catalog/x.json")
    assert "catalog/x.json" in caught.value.message
    assert "another copy" in caught.value.hint


@settings(max_examples=500)
@given(st.integers(0, len(GOLDEN.read_bytes()) - 1), st.integers(1, 255))
def test_no_flipped_byte_is_taken_for_another_manifest(at: int, flip: int) -> None:
    content = bytearray(GOLDEN.read_bytes())
    content[at] ^= flip
    try:
        assert decode(bytes(content), "here") == MANIFEST  # white space between tokens says nothing
    except FormatError:
        pass


@given(st.integers(0, len(GOLDEN.read_bytes()) - 2))
def test_a_cut_manifest_is_refused(size: int) -> None:
    with pytest.raises(FormatError):
        decode(GOLDEN.read_bytes()[:size], "here")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"version": true}',
        b'{"version": 0}',
        b'{"version": "1"}',
        b'{"version": 1, "x": NaN}',
        b'{"version": 1, "x": "\\ud800"}',
        b'{"version": 1' + b"0" * 5000 + b"}",
        b"[" * 200_000,
        b'{"version": 1, "x": ' + b"[" * 900 + b"]" * 900 + b"}",
    ],
)
def test_what_is_no_manifest_is_a_format_error(content: bytes) -> None:
    with pytest.raises(FormatError):
        decode(content, "here")


def spots(body: Any) -> Iterator[tuple[Any, Any]]:
    """Every (container, key) below `body`, but what is free: facts and the filters' own options."""
    for key in list(body) if isinstance(body, dict) else range(len(body)):
        yield body, key
        if isinstance(body[key], (dict, list)) and key not in ("facts", "filters"):
            yield from spots(body[key])


SPOTS = len(list(spots(document())))
REQUIRED = [
    (number, key)
    for number, (body, key) in enumerate(spots(document()))
    if isinstance(body, dict) and "rows" not in body and key != "digest"
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@pytest.mark.parametrize(("number", "key"), REQUIRED)
def test_every_missing_key_is_a_format_error(number: int, key: str) -> None:
    body = document()
    container, key = list(spots(body))[number]
    del container[key]
    with pytest.raises(FormatError):
        decode(sealed(body), "here")


@pytest.mark.parametrize(("number", "key"), REQUIRED)
@pytest.mark.parametrize(
    "wrong",
    [
        lambda was: [was],
        lambda was: "x" if isinstance(was, dict) else {"x": was},
        lambda _was: 1.5,
        lambda _was: -1,
    ],
)
def test_every_mistyped_key_is_a_format_error(
    number: int, key: str, wrong: Callable[[Any], Any]
) -> None:
    body = document()
    container, key = list(spots(body))[number]
    container[key] = wrong(container[key])
    with pytest.raises(FormatError):
        decode(sealed(body), "here")


@settings(max_examples=1000)
@given(st.integers(0, SPOTS - 1), JSON)
@example(0, "\ud800")
def test_no_content_gives_another_error(number: int, value: Any) -> None:
    body = document()
    container, key = list(spots(body))[number]
    container[key] = value
    try:
        decode(sealed(body), "here")
    except FormatError:
        pass


@settings(max_examples=300)
@given(st.binary(max_size=200))
def test_no_bytes_give_another_error(content: bytes) -> None:
    with pytest.raises(FormatError):
        decode(content, "here")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"type": "weekly"}, "disagrees with its own id"),
        ({"taken_at": "2026-11-21T02:00:01Z"}, "disagrees with its own id"),
        ({"host": "../db1"}, "host name"),
        ({"job": "a/b"}, "job name"),
        ({"id": "20261121T020000Z-daily-7f3a/../x"}, "not a backup id"),
        ({"totals": {"archives": 2, "size_bytes": 1, "plain_bytes": 98765}}, "totals"),
        ({"taken_at": "9999-12-31T23:59:59-05:00"}, "not a time"),
    ],
)
def test_a_sealed_lie_is_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(FormatError, match=said):
        decode(sealed(dict(document(), **change)), "here")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("name", "../../etc/passwd"),
        ("name", "db.globals.sql.zst.age"),
        ("part", "../database"),
        ("format", "a/b"),
        ("source", "other"),
        ("sha256", "AB" * 32),
        ("size_bytes", -1),
        ("filters", ["zstd"]),
    ],
)
def test_an_archive_that_lies_is_refused(key: str, value: Any) -> None:
    body = copy.deepcopy(document())
    body["archives"][0][key] = value
    with pytest.raises(FormatError):
        decode(sealed(body), "here")


def test_a_source_named_twice_is_refused() -> None:
    body = document()
    body["sources"][1]["name"] = "db"
    with pytest.raises(FormatError, match="names a source twice"):
        decode(sealed(body), "here")


def test_false_is_not_zero() -> None:
    body = document()
    assert body["archives"][1]["size_bytes"] == 0  # so that the totals still agree
    body["archives"][1]["size_bytes"] = False
    with pytest.raises(FormatError, match="size_bytes is not a count"):
        decode(sealed(body), "here")
