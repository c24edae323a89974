# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules of the bucket source that need no server: options, names, and the tar form of objects."""

from __future__ import annotations

import io
import sys
import tarfile
from datetime import datetime, timedelta, timezone
from email.header import decode_header, make_header
from typing import Any

import pytest
from lifeboat import config
from lifeboat.errors import ConfigError, MissingDependency, VerifyError
from lifeboat.model import Secret
from lifeboat.placement import Placement
from lifeboat.sources.s3_bucket import tar as s3_tar
from lifeboat.sources.s3_bucket.records import Listed, Record, headers_of, metadata_of, oldest_first
from lifeboat.sources.s3_bucket.source import S3Bucket

RECORD = Record(
    "a/“b”\n",
    700,
    1_800_000_000,
    "etag",
    headers={"ContentType": "text/plain"},
    metadata={"a": "b"},
    tags={"c": ""},
)


def archive(*records: Record) -> bytes:
    parts = []
    for number, record in enumerate(records):
        content = b"x" * record.size_bytes
        parts += [s3_tar.header(record, number), content, s3_tar.padding(len(content))]
    body = b"".join(parts)
    return body + s3_tar.end(len(body))


def read(content: bytes) -> list[tuple[Record, int, bytes]]:
    found = []
    for record, offset, blocks in s3_tar.records(io.BytesIO(content)):
        found.append((record, offset, b"".join(blocks)))
    return found


def test_a_record_comes_back_as_it_went() -> None:
    content = archive(RECORD, Record("plain", 0, 5, headers={}, metadata={}, tags={}))

    (first, offset, body), (second, _offset, empty) = read(content)

    assert first == RECORD
    assert content[offset : offset + 700] == body == b"x" * 700
    assert (second.key, second.modified_at, empty) == ("plain", 5, b"")
    assert len(content) % 10240 == 0


def test_a_bucket_without_the_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    source = S3Bucket(name="media", bucket="b")
    with pytest.raises(MissingDependency, match="media needs the Python library boto3") as told:
        source.check()
    assert "boto3>=1.36" in told.value.hint


def test_python_and_gnu_tar_read_it_too() -> None:
    with tarfile.open(fileobj=io.BytesIO(archive(RECORD))) as opened:
        assert opened.getnames() == [".lifeboat-keys/00000000"]


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("plain", "plain"),
        ("a b/ü.txt", "a b/ü.txt"),
        ("...", "..."),
        ("", ".lifeboat-keys/00000007"),
        ("/etc/passwd", ".lifeboat-keys/00000007"),
        ("a//b", ".lifeboat-keys/00000007"),
        ("a/../b", ".lifeboat-keys/00000007"),
        ("./a", ".lifeboat-keys/00000007"),
        ("folder/", ".lifeboat-keys/00000007"),
        ("a\nb", ".lifeboat-keys/00000007"),
        (".lifeboat-keys/00000001", ".lifeboat-keys/00000007"),
        ("é" * 128, ".lifeboat-keys/00000007"),
        ("é" * 127, "é" * 127),
    ],
)
def test_a_member_is_named_by_its_key_only_where_that_is_a_safe_path(key: str, name: str) -> None:
    assert s3_tar.member_name(key, 7) == name


@pytest.mark.parametrize("count", [1, 512, 1024, 9000, 10240])
def test_an_archive_that_was_cut_is_never_read_as_whole(count: int) -> None:
    content = archive(RECORD, RECORD)
    with pytest.raises(VerifyError):
        read(content[:-count])


def test_an_object_over_8_gib_has_a_header() -> None:
    big = Record("big", 9 << 30, 1)
    with tarfile.open(fileobj=io.BytesIO(s3_tar.header(big, 0) + bytes(1024))) as opened:
        assert opened.next().size == 9 << 30  # type: ignore[union-attr]


def test_properties_are_part_of_what_is_compared() -> None:
    lines = [
        s3_tar.entry(Record("a", 1, 1, headers=headers, metadata=metadata, tags=tags), "00")
        for headers, metadata, tags in (({}, {}, {}), ({}, {"a": "b"}, {}), ({}, {}, {"a": "b"}))
    ]
    assert len({line["properties"] for line in lines}) == 3
    assert s3_tar.entry(Record("a", 1, 9), "00") == lines[0]  # whenever it was written


def test_versions_and_deletions_are_put_in_the_order_of_time() -> None:
    begun = datetime(2026, 11, 21, tzinfo=timezone.utc)

    def listed(version: str, second: int, latest: bool = False, deleted: bool = False) -> Listed:
        return Listed("a", 0, begun + timedelta(seconds=second), version, latest, deleted)

    versions = [listed("4", 3, latest=True), listed("2", 2), listed("1", 2)]
    markers = [listed("3", 2, deleted=True)]
    assert [one.version for one in oldest_first(versions, markers)] == ["1", "2", "3", "4"]


def test_the_coding_of_a_transfer_is_no_property() -> None:
    assert headers_of({"ContentEncoding": "aws-chunked"}) == {}
    assert headers_of({"ContentEncoding": "gzip,aws-chunked"}) == {"ContentEncoding": "gzip"}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"bucket": ""}, "bucket: ''"),
        ({"bucket": "a/b"}, "bucket: 'a/b'"),
        ({"endpoint": "minio:9000"}, "endpoint: 'minio:9000'"),
        ({"endpoint": "https://joe:hunter2@minio"}, "endpoint: holds a user or a password"),
        ({"max_concurrency": 0}, "max_concurrency"),
        ({"placement": Placement("docker", "minio")}, "placement"),
    ],
)
def test_options_that_make_no_sense_are_refused(given: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told) as caught:
        S3Bucket(name="docs", **{"bucket": "b", **given})
    assert "hunter2" not in "\n".join(caught.value.lines())


def job(source: dict[str, str], destination: dict[str, str]) -> dict[str, Any]:
    return {
        "version": 1,
        "host": "h1",
        "encryption": {"none": True},
        "destinations": {"offsite": {"type": "s3", **destination}},
        "jobs": {
            "docs": {
                "sources": {"docs": {"type": "s3_bucket", **source}},
                "destinations": ["offsite"],
            }
        },
    }


@pytest.mark.parametrize(
    ("source", "destination"),
    [
        ({"bucket": "b"}, {"bucket": "b"}),
        ({"bucket": "b"}, {"bucket": "b", "prefix": "backups"}),
        ({"bucket": "b", "prefix": "a"}, {"bucket": "b", "prefix": "/a/b/"}),
        ({"bucket": "b", "endpoint": "https://h/"}, {"bucket": "b", "endpoint": "https://h"}),
    ],
)
def test_a_source_that_holds_its_own_backups_is_refused(
    source: dict[str, str], destination: dict[str, str]
) -> None:
    with pytest.raises(ConfigError, match="holds the destination offsite"):
        config.parse(job(source, destination), lambda name: Secret.of(name))


@pytest.mark.parametrize(
    ("source", "destination"),
    [
        ({"bucket": "b"}, {"bucket": "b2"}),
        ({"bucket": "b", "prefix": "a"}, {"bucket": "b", "prefix": "ab"}),
        ({"bucket": "b", "endpoint": "https://h"}, {"bucket": "b"}),
    ],
)
def test_a_source_beside_its_backups_is_fine(
    source: dict[str, str], destination: dict[str, str]
) -> None:
    assert config.parse(job(source, destination), lambda name: Secret.of(name)).jobs


def test_metadata_can_be_written_back_whatever_the_server_gave() -> None:
    raw = "Größe 🚀".encode().decode("latin-1")  # as a header's bytes are read
    first = metadata_of({"Metadata": {"a": "plain", "b": raw, "c": "\xe9"}})
    assert all(value.isascii() for value in first.values())
    assert str(make_header(decode_header(first["b"]))) == "Größe 🚀"
    assert str(make_header(decode_header(first["c"]))) == "\xe9"
    assert metadata_of({"Metadata": first}) == first
