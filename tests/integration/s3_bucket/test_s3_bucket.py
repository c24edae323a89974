# SPDX-License-Identifier: GPL-3.0-or-later
"""What can go wrong with a bucket while it is read, verified and written again."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.awsrequest import AWSPreparedRequest
from lifeboat.errors import LifeboatError, SourceAbsent, SourceError, VerifyError
from lifeboat.model import Workspace
from lifeboat.sources.s3_bucket import load as s3_load
from lifeboat.sources.s3_bucket import objects as s3_objects
from lifeboat.sources.s3_bucket import stream as s3_stream
from lifeboat.sources.s3_bucket.objects import Objects
from lifeboat.sources.s3_bucket.records import Gone, Record
from lifeboat.sources.s3_bucket.stream import ObjectStream

from tests.integration.s3_bucket.conftest import HOSTILE_KEYS, ODD_KEYS, Place
from tests.integration.s3_bucket.cutter import Cutter
from tests.lab import s3 as lab
from tests.unit.contracts.source_contract import Taken, differences, planned, staged

MIB = 1 << 20


@pytest.fixture
def work(tmp_path: Path) -> Workspace:
    for name in ("bulk", "secret"):
        (tmp_path / name).mkdir(mode=0o700)
    return Workspace(tmp_path / "bulk", tmp_path / "secret")


def kinds(taken: Taken) -> list[str]:
    return sorted(one["kind"] for one in taken.entries)


# -- reading


def test_a_listing_of_many_pages_is_read_to_its_end(
    on_gateway: Place, work: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(45):
        on_gateway.put("a/%d" % number, b"x" * number)
    real = Objects._pages
    monkeypatch.setattr(Objects, "_pages", lambda self, operation, _page: real(self, operation, 7))

    taken = Taken(on_gateway.source(), work, tmp_path / "store")

    assert taken.record.totals == {"objects": 45, "size_bytes": sum(range(45))}


def test_an_empty_bucket_is_a_whole_archive(
    on_gateway: Place, work: Workspace, tmp_path: Path
) -> None:
    source = on_gateway.source()
    taken = Taken(source, work, tmp_path / "store")
    source.check_content(taken.plains, work)
    on_gateway.put("since", b"x")

    source.swap(staged(source, taken, work))

    assert taken.plains["objects"].path.stat().st_size == 10240
    assert on_gateway.keys() == []


def test_what_vanishes_before_it_is_read_is_a_warning(
    on_gateway: Place, work: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in ("a", "b", "c"):
        on_gateway.put(key, b"x")
    real = Objects.get

    def get(self: Objects, listed: Any) -> Any:
        if listed.key == "b":
            on_gateway.remove("b")
        return real(self, listed)

    monkeypatch.setattr(Objects, "get", get)
    source = on_gateway.source()
    taken = Taken(source, work, tmp_path / "store")

    assert taken.warnings == ["1 objects vanished while the bucket was read"]
    assert [one["name"] for one in taken.entries] == ["a", "c"]
    source.check_content(taken.plains, work)


@pytest.mark.parametrize("versions", ["current", "all"])
def test_what_is_listed_and_cannot_be_read_has_not_vanished(
    on_moto: Place,
    work: Workspace,
    tmp_path: Path,
    versions: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A server that lost an object, and not its name, is no reason for a good backup without it."""
    for key in ("a", "b", "c"):
        on_moto.put(key, b"x")
    real = Objects.get

    def get(self: Objects, listed: Any) -> Any:
        if listed.key == "b":
            raise Gone("there is no b")
        return real(self, listed)

    monkeypatch.setattr(Objects, "get", get)
    with pytest.raises(SourceError, match="'b' is listed, and is not there to be read"):
        Taken(on_moto.source(versions=versions), work, tmp_path / "store")


def test_under_a_constant_writer_each_object_is_of_one_instant(
    on_moto: Place, work: Workspace, tmp_path: Path
) -> None:
    """Content, metadata and tags of an object agree, whatever is replaced meanwhile."""
    ended = threading.Event()

    def write(turn: int) -> None:
        for key in ("a", "b", "c", "d"):
            content = bytes([turn % 256]) * (1000 + turn % 7)
            on_moto.put(key, content, Metadata={"turn": str(turn % 256)})

    def keep_writing() -> None:
        turn = 1
        while not ended.is_set():
            write(turn)
            turn += 1

    write(0)
    writer = threading.Thread(target=keep_writing)
    writer.start()
    try:
        taken = [
            Taken(on_moto.source(), work, tmp_path / ("store%d" % number)) for number in range(8)
        ]
    finally:
        ended.set()
        writer.join()

    turns = set()
    for one in taken:
        with open(one.plains["objects"].path, "rb") as archive:
            for record, _offset, content in s3_load.s3_tar.records(archive):
                held = set(b"".join(content))
                turns |= held
                assert held == {int(record.metadata["turn"])}
    assert len(turns) > 1, "nothing was written meanwhile: this proves nothing"


def large(place: Place, size: int = 20 * MIB) -> str:
    """An object of random bytes, and its SHA-256."""
    content = os.urandom(size)
    place.put("large", content)
    return hashlib.sha256(content).hexdigest()


def test_a_connection_that_breaks_is_made_again_where_it_broke(
    on_gateway: Place, work: Workspace, tmp_path: Path
) -> None:
    expected = large(on_gateway)
    port = int(on_gateway.endpoint.rsplit(":", 1)[1])
    with Cutter(port, [5 * MIB, 3 * MIB]) as cutter:
        source = on_gateway.source(endpoint=cutter.endpoint)
        taken = Taken(source, work, tmp_path / "store")

    assert cutter.made_cuts == 2
    assert [one["sha256"] for one in taken.entries] == [expected]


def test_an_upload_that_may_be_ending_is_not_aborted(tmp_path: Path) -> None:
    """Ceph does both at once: the object is there, and hours later its parts go."""
    content = os.urandom(17 * MIB)
    with lab.Server(tmp_path / "own") as server:
        owner = lab.client(server.endpoint, server.root)
        place = Place(server.endpoint, server.root, owner, "").another()
        short = {"connect_timeout": timedelta(seconds=1), "read_timeout": timedelta(seconds=1)}
        objects = place.source(**short)._objects(place.bucket)
        going_on = threading.Timer(1.5, server.resume)  # an abort would be on its way by then
        asked: list[str] = []

        def asks(request: AWSPreparedRequest, **_event: Any) -> None:
            server.pause()
            asked.append(request.url)
            if len(asked) == 4:  # and is not asked again
                going_on.start()

        events = objects.client.meta.events
        events.register("before-send.s3.CompleteMultipartUpload", asks)
        with pytest.raises(LifeboatError, match="cannot be reached"):
            objects.put(Record("large", len(content), 0), io.BytesIO(content))
        going_on.join()
        deadline = time.monotonic() + 30
        while not place.keys() and time.monotonic() < deadline:
            time.sleep(0.1)
        server.collect()
        assert place.one("large")[0] == content


def test_an_object_that_was_replaced_when_the_connection_broke_fails_the_dump(
    on_gateway: Place, work: Workspace, tmp_path: Path
) -> None:
    """Its first half is in the archive already: no half of another is put behind it."""
    large(on_gateway)
    port = int(on_gateway.endpoint.rsplit(":", 1)[1])
    with Cutter(port, [5 * MIB], lambda: on_gateway.put("large", b"x" * 20 * MIB)) as cutter:
        source = on_gateway.source(endpoint=cutter.endpoint)
        with pytest.raises(SourceError, match="'large' was replaced while it was read"):
            Taken(source, work, tmp_path / "store")
    assert list(work.bulk.iterdir()) == []


def test_a_connection_that_keeps_breaking_fails_the_dump(
    on_gateway: Place, work: Workspace, tmp_path: Path
) -> None:
    large(on_gateway)
    port = int(on_gateway.endpoint.rsplit(":", 1)[1])
    with Cutter(port, [2 * MIB] * 50) as cutter:
        source = on_gateway.source(endpoint=cutter.endpoint)
        with pytest.raises(SourceError, match="source docs: cannot read"):
            Taken(source, work, tmp_path / "store")


def test_a_server_that_is_down_is_named(work: Workspace, on_gateway: Place) -> None:
    source = on_gateway.source(endpoint="http://127.0.0.1:9")
    with pytest.raises(SourceError) as failed:
        source.check()
    assert str(failed.value).startswith("source docs: cannot list bucket ")
    assert "http://127.0.0.1:9 cannot be reached" in str(failed.value)


def test_a_bucket_that_is_not_there_is_absent(on_gateway: Place, work: Workspace) -> None:
    source = on_gateway.source(bucket="b-gone")
    with pytest.raises(SourceAbsent, match="there is no bucket b-gone"):
        source.check()
    with pytest.raises(SourceAbsent, match="there is no bucket b-gone"), source.open(work):
        pass


def test_a_wrong_key_is_named_and_not_shown(on_gateway: Place) -> None:
    wrong = {"access_key": on_gateway.key["access_key"], "secret_key": "s3cret-and-wrong"}
    with pytest.raises(SourceError, match="SignatureDoesNotMatch") as failed:
        on_gateway.source(wrong).check()
    assert "s3cret" not in "\n".join(failed.value.lines())


@contextmanager
def reader(
    place: Place,
    gateway: lab.Server,
    *actions: str,
    below: Mapping[str, tuple[str, ...]] | None = None,
) -> Iterator[dict[str, str]]:
    """An identity that may only do these things, in the bucket or only `below` some prefixes."""
    lab.provision(
        place.endpoint,
        gateway.root,
        {"bucket": place.bucket, "users": {"r": {"access_key": "r", "secret_key": "r" * 20}}},
    )
    bucket = f"arn:aws:s3:::{place.bucket}"
    allow = [
        {
            "Effect": "Allow",
            "Principal": {"AWS": [lab.principal(place.endpoint, "r")]},
            "Action": list(allowed),
            "Resource": [f"{bucket}/{prefix}*", *([] if prefix else [bucket])],
        }
        for prefix, allowed in (below or {"": actions}).items()
    ]
    document = json.dumps({"Version": "2012-10-17", "Statement": allow})
    place.owner.put_bucket_policy(Bucket=place.bucket, Policy=document)
    yield {"access_key": "r", "secret_key": "r" * 20}


def test_rights_that_are_missing_are_named(
    on_gateway: Place, gateway: lab.Server, work: Workspace, tmp_path: Path
) -> None:
    on_gateway.put("a", b"x")
    with reader(on_gateway, gateway, "s3:GetObject") as key:
        with pytest.raises(SourceError, match="ListObjectsV2 is denied") as failed:
            on_gateway.source(key).check()
        assert "s3:ListBucket" in failed.value.hint
    with reader(on_gateway, gateway, "s3:ListBucket") as key:
        with pytest.raises(SourceError, match="GetObject is denied"):
            on_gateway.source(key).check()
        with pytest.raises(SourceError, match="GetObject is denied"):
            Taken(on_gateway.source(key), work, tmp_path / "store")
    with reader(on_gateway, gateway, "s3:ListBucket", "s3:GetObject") as key:
        with pytest.raises(SourceError, match="GetObjectTagging is denied") as failed:
            on_gateway.source(key).check()
        assert "or set tags: false" in failed.value.hint
        assert Taken(on_gateway.source(key, tags=False), work, tmp_path / "store").entries


@pytest.mark.parametrize("lost", ["b/1", "a/y"], ids=["another folder", "the same folder"])
def test_tags_that_may_be_read_of_some_objects_alone_fail_the_dump(
    lost: str, on_gateway: Place, gateway: lab.Server, work: Workspace, tmp_path: Path
) -> None:
    """Amazon's server tells no number of them with an object to who may not read them, as if it had none.
    This one tells it to all, so here the object has none indeed: the answer is the same.
    """
    for key in ("a/x1", "a/x2"):
        on_gateway.put(key, b"x", Tagging="kind=invoice")
    on_gateway.put(lost, b"x")
    rights = {"": ("s3:ListBucket", "s3:GetObject"), "a/x": ("s3:GetObjectTagging",)}
    with reader(on_gateway, gateway, below=rights) as key:
        source = on_gateway.source(key)
        assert source.check()["tags"] == "with each object"  # of the first one it may
        with pytest.raises(
            SourceError, match=f"cannot read the tags of '{lost}': GetObjectTagging is denied"
        ) as failed:
            Taken(source, work, tmp_path / "store")
        assert "or set tags: false" in failed.value.hint
        declared = Taken(on_gateway.source(key, tags=False), work, tmp_path / "declared")
    assert declared.record.facts["tags"] == "left out"


def test_what_may_only_read_cannot_restore_and_leaves_the_old_state(
    on_gateway: Place, gateway: lab.Server, work: Workspace, tmp_path: Path
) -> None:
    on_gateway.put("a", b"old")
    rights = ("s3:ListBucket", "s3:GetObject", "s3:GetObjectTagging")
    with reader(on_gateway, gateway, *rights) as key:
        source = on_gateway.source(key)
        taken = Taken(source, work, tmp_path / "store")
        on_gateway.put("a", b"new")
        swap = staged(source, taken, work)
        with pytest.raises(SourceError, match="PutObject is denied"):
            source.swap(swap)
        assert not source.swapped(swap)
    assert on_gateway.one("a")[0] == b"new"


def test_small_objects_are_read_a_block_at_a_time(on_gateway: Place) -> None:
    """Who reads a feed waits for more after each small piece: it takes it for all there is now."""
    for number in range(5):
        on_gateway.put(f"{number}", b"x")
    source = on_gateway.source()
    with ObjectStream(source._objects(source._place), False, 2, lambda *_seen: None) as stream:
        assert len(stream.read(MIB)) == 20480
        assert stream.read(MIB) == b""


# -- versions


@pytest.mark.parametrize("server", ["on_gateway", "on_moto"])
def test_earlier_versions_and_deletions_come_back_in_their_order(
    server: str, work: Workspace, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    place: Place = request.getfixturevalue(server)
    other = place.another()
    for one in (place, other):
        one.owner.put_bucket_versioning(
            Bucket=one.bucket, VersioningConfiguration={"Status": "Enabled"}
        )
    for content in (b"1", b"22", b"333"):
        place.put("kept", content, Metadata={"turn": content.decode()})
    place.put("deleted", b"1")
    place.remove("deleted")
    place.put("again", b"1")
    place.remove("again")
    place.put("again", b"2")
    source = place.source(versions="all")
    taken = Taken(source, work, tmp_path / "store")
    source.check_content(taken.plains, work)

    swap = staged(source, taken, work, into=other.bucket)
    assert differences(source, taken, swap, work) == []
    source.swap(swap)

    assert kinds(taken) == ["deletion", "deletion", "object", "object"] + ["version"] * 4
    assert sorted(other.keys()) == ["again", "kept"]
    assert other.one("kept") == place.one("kept")
    listed = other.owner.list_object_versions(Bucket=other.bucket, Prefix="kept")["Versions"]
    assert [one["Size"] for one in listed] == [3, 2, 1]
    markers = other.owner.list_object_versions(Bucket=other.bucket)["DeleteMarkers"]
    assert sorted(one["Key"] for one in markers) == ["again", "deleted"]


# -- restoring


def test_a_large_object_goes_and_comes_back_in_parts(
    on_gateway: Place, work: Workspace, tmp_path: Path
) -> None:
    said = {
        "ContentType": "video/mp4",
        "Metadata": {"author": "somebody"},
        "Tagging": "class=secret%20%2B",
    }
    on_gateway.put("large", os.urandom(40 * MIB), **said)
    expected = on_gateway.one("large")
    source = on_gateway.source()
    taken = Taken(source, work, tmp_path / "store")
    on_gateway.put("large", b"small now")

    source.swap(staged(source, taken, work))

    assert on_gateway.one("large") == expected


def test_only_what_lies_below_the_prefix_is_taken_and_replaced(
    on_gateway: Place, work: Workspace, tmp_path: Path
) -> None:
    for key in ("docs/a", "docs/sub/b", "docs2/c", "other"):
        on_gateway.put(key, b"old")
    source = on_gateway.source(prefix="docs")
    taken = Taken(source, work, tmp_path / "store")
    for key in ("docs/a", "docs/new", "docs2/c"):
        on_gateway.put(key, b"new")

    source.swap(staged(source, taken, work))

    assert sorted(one["name"] for one in taken.entries) == ["a", "sub/b"]
    told = {key: one[0] for key, one in on_gateway.look().items()}
    assert told == {"docs/a": b"old", "docs/sub/b": b"old", "docs2/c": b"new", "other": b"old"}


def test_into_another_bucket_leaves_this_one_alone(
    on_moto: Place, work: Workspace, tmp_path: Path
) -> None:
    for key in ODD_KEYS + HOSTILE_KEYS:
        on_moto.put(key, key.encode())
    other = on_moto.another()
    other.put("below/kept", b"x")
    other.put("beside", b"x")
    before = on_moto.look()
    source = on_moto.source()
    taken = Taken(source, work, tmp_path / "store")

    swap = staged(source, taken, work, into=other.bucket + "/below")
    source.swap(swap)
    there = {key: one for key, one in other.look().items() if key != "beside"}
    source.back(swap)

    assert {key[len("below/") :]: one for key, one in there.items()} == before
    assert on_moto.look() == before
    assert sorted(other.keys()) == ["below/kept", "beside"]


def test_a_target_bucket_that_is_not_there_is_refused_before_the_gate(
    on_gateway: Place, work: Workspace, tmp_path: Path
) -> None:
    on_gateway.put("a", b"x")
    source = on_gateway.source()
    taken = Taken(source, work, tmp_path / "store")

    target = source.target(taken.record, "b-gone")

    assert [reason.split(": ", 1)[1] for reason in target.refusals] == [
        "cannot list bucket b-gone: there is no bucket b-gone: create it, or restore into another"
    ]


def test_what_differs_after_the_restore_is_an_error_and_taken_back(
    on_gateway: Place, work: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_gateway.put("a", b"old")
    source = on_gateway.source()
    taken = Taken(source, work, tmp_path / "store")
    on_gateway.put("a", b"new")
    swap = staged(source, taken, work)
    real = s3_load.load

    def load_and_somebody_writes(*words: Any) -> None:
        real(*words)
        on_gateway.put("b", b"of somebody")

    monkeypatch.setattr(s3_load, "load", load_and_somebody_writes)
    with pytest.raises(VerifyError, match="is not what was backed up") as failed:
        source.swap(swap)
    with pytest.raises(VerifyError, match=r"is not what was there: .*/old still holds it") as mixed:
        source.back(swap)
    with pytest.raises(SourceError, match="half loaded"):
        source.discard(swap)
    monkeypatch.setattr(s3_load, "load", real)
    source.back(swap)

    assert (
        failed.value.detail == mixed.value.detail == "object b is there, and was not in the backup"
    )
    assert {key: one[0] for key, one in on_gateway.look().items()} == {"a": b"new"}


# -- archives


@pytest.mark.parametrize("percent", [1, 50, 99])
def test_an_archive_that_ends_early_is_never_staged(
    on_gateway: Place, work: Workspace, tmp_path: Path, percent: int
) -> None:
    for number in range(9):
        on_gateway.put("a%d" % number, bytes(5000))
    source = on_gateway.source()
    taken = Taken(source, work, tmp_path / "store")
    path = taken.plains["objects"].path
    os.truncate(path, path.stat().st_size * percent // 100)

    with pytest.raises(VerifyError):
        source.check_content(taken.plains, work)
    with pytest.raises(VerifyError):
        source.stage(planned(source, taken), taken.record, taken.plains, work)
    assert list((tmp_path / "kept").glob("*")) == []


@pytest.mark.parametrize("what", ["a tree", "text", "a record with a wrong type", "two sizes"])
def test_an_archive_of_another_kind_is_refused(
    on_gateway: Place, work: Workspace, tmp_path: Path, what: str
) -> None:
    on_gateway.put("a", bytes(1000))
    source = on_gateway.source()
    taken = Taken(source, work, tmp_path / "store")
    path = taken.plains["objects"].path
    content = path.read_bytes()
    (tmp_path / "file").write_text("x")
    if what == "a tree":
        words = ["tar", "-cf", str(path), "--format=posix", "-C", str(tmp_path), "file"]
        subprocess.run(words, check=True)
    elif what == "text":
        path.write_bytes(b"some text\n" * 2000)
    elif what == "a record with a wrong type":
        path.write_bytes(content.replace(b'"key": "a"', b'"key": 345'))
    else:
        path.write_bytes(content.replace(b'"size_bytes": 1000', b'"size_bytes": 1001'))

    with pytest.raises(VerifyError):
        source.check_content(taken.plains, work)


def test_hostile_keys_stay_below_the_directory_when_extracted_by_hand(
    on_moto: Place, work: Workspace, tmp_path: Path
) -> None:
    keys = [key for key in ODD_KEYS + HOSTILE_KEYS if key != "x/y"]  # no tree has both x and x/y
    for key in keys:
        on_moto.put(key, key.encode())
    taken = Taken(on_moto.source(), work, tmp_path / "store")
    folder = tmp_path / "by-hand"
    folder.mkdir()
    command = s3_load.s3_tar.BY_HAND.splitlines()[1].replace("NEW_DIRECTORY", "by-hand")

    with open(taken.plains["objects"].path, "rb") as archive:
        done = subprocess.run(
            command.split(), stdin=archive, cwd=tmp_path, check=True, capture_output=True
        )

    files = [path for path in folder.rglob("*") if path.is_file()]
    assert done.stderr == b""
    assert sorted(path.read_bytes() for path in files) == sorted(key.encode() for key in keys)
    assert (folder / "plain.txt").read_bytes() == b"plain.txt"
    outside = {"store", "by-hand", "bulk", "secret"}
    assert {path.name for path in tmp_path.iterdir()} == outside


def test_memory_does_not_grow_with_what_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """At most so many objects are read ahead, and none that is large."""
    assert s3_stream._AHEAD * s3_stream._SMALL <= 32 * MIB
    assert s3_load._AHEAD * s3_load._SMALL <= 32 * MIB
    assert s3_objects._IN_PARTS <= 16 * MIB


def test_errors_are_of_the_family_that_ports_promise(on_gateway: Place) -> None:
    with pytest.raises(LifeboatError, match="is not an S3 key"):
        on_gateway.source({"access_key": "", "secret_key": ""}).check()
