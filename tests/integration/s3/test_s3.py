"""The S3 destination against servers that refuse, fail, lie and die: one clear error, nothing left."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from lifeboat import naming
from lifeboat.destinations.s3.destination import S3
from lifeboat.errors import ConfigError, DestinationError
from lifeboat.model import Secret
from lifeboat.spool import Spool

from tests.integration.s3.conftest import MIB, Bucket, make_bucket, s3_at
from tests.lab import s3 as lab
from tests.unit.contracts.destination_contract import (
    ARCHIVE,
    BLOCK,
    MANIFEST,
    Writer,
    content_of,
    finished,
    keys,
)

NOW = datetime.now(timezone.utc)
DAY = timedelta(days=1)
IN_PARTS = {"part_size": 5 * MIB}
QUICK = {"connect_timeout": timedelta(seconds=1), "read_timeout": timedelta(seconds=2)}


@pytest.fixture
def place(bucket: Bucket) -> S3:
    return s3_at(bucket)


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[lab.Server]:
    """One that a test may kill."""
    with lab.Server(tmp_path / "server") as server:
        yield server


def told(exc: DestinationError) -> str:
    return "\n".join(exc.lines())


def refused(action: Callable[[], Any], match: str) -> DestinationError:
    with pytest.raises(DestinationError, match=match) as caught:
        action()
    return caught.value


# -- rights


def test_an_append_only_identity_stores_and_checks_but_cannot_delete(
    gateway: lab.Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bucket = make_bucket(gateway, host={"read": [""], "write": [""]})
    place = s3_at(bucket)
    with caplog.at_level("INFO"):
        place.check()
    assert "append-only" in caplog.text
    place.store(ARCHIVE, finished(tmp_path, BLOCK))
    error = refused(lambda: place.delete(ARCHIVE), "DeleteObject is denied")
    assert error.permanent
    assert "s3:DeleteObject" in error.hint
    assert ARCHIVE in str(error)
    assert keys(place) == [ARCHIVE]


@pytest.mark.parametrize("blocks", [1, 24], ids=["one object", "in parts"])
def test_a_policy_that_denies_put_is_named(
    gateway: lab.Server, tmp_path: Path, blocks: int
) -> None:
    bucket = make_bucket(gateway, host={"read": [""]})
    place = s3_at(bucket, **IN_PARTS)
    error = refused(lambda: place.store(ARCHIVE, finished(tmp_path, BLOCK * blocks)), "is denied")
    assert error.permanent
    assert "s3:PutObject" in error.hint
    assert refused(lambda: place.put(MANIFEST, b"{}"), "is denied").permanent
    assert refused(place.check, "is denied").permanent
    assert keys(place) == bucket.open_uploads() == []


def test_another_hosts_prefix_is_denied(gateway: lab.Server, tmp_path: Path) -> None:
    own = {"catalog/db1.example.org/", "archives/db1.example.org/"}
    bucket = make_bucket(gateway, host={"read": [*own], "write": [*own]})
    place = s3_at(bucket)
    place.check(naming.catalog_prefix("db1.example.org", "shop"))
    place.put(MANIFEST, b"{}")
    theirs = naming.manifest_key("db2", "shop", "20261121T020000Z-daily-7f3a")
    bucket.owner.put_object(Bucket=bucket.name, Key=theirs, Body=b"private")
    assert refused(lambda: place.put(theirs + "2", b"{}"), "is denied").permanent
    assert refused(lambda: content_of(place, theirs), "is denied").permanent


def test_a_denied_store_ends_before_a_long_dump_does(gateway: lab.Server, tmp_path: Path) -> None:
    bucket = make_bucket(gateway, host={"read": [""]})
    spool = Spool(tmp_path / "spool")
    writer = Writer(spool, 80, pause_s=0.05)
    place = s3_at(bucket, **IN_PARTS)
    assert refused(lambda: place.store(ARCHIVE, spool), "is denied").permanent
    assert writer.is_alive()
    writer.join()


# -- what is configured wrongly


def test_a_wrong_secret_is_named_and_never_shown(bucket: Bucket) -> None:
    wrong = {**bucket.host, "secret_key": "wrong-and-secret"}
    error = refused(s3_at(bucket, wrong).check, "secret is refused")
    assert error.permanent
    assert "wrong-and-secret" not in told(error)
    assert bucket.host["secret_key"] not in told(error)


def test_an_unknown_key_is_named(bucket: Bucket) -> None:
    unknown = {"access_key": "nobody", "secret_key": "secret-of-nobody"}
    error = refused(s3_at(bucket, unknown).check, "refused|denied")
    assert error.permanent
    assert "secret-of-nobody" not in told(error)


def test_a_missing_bucket_is_named(bucket: Bucket, gateway: lab.Server) -> None:
    place = s3_at(dataclasses.replace(bucket, name="no-such-bucket"), gateway.root)
    assert refused(place.check, "there is no bucket no-such-bucket").permanent
    assert refused(lambda: keys(place), "there is no bucket no-such-bucket").permanent


def test_an_endpoint_that_nobody_answers_is_named(bucket: Bucket) -> None:
    place = s3_at(bucket, endpoint="http://127.0.0.1:9", **QUICK)
    error = refused(place.check, "http://127.0.0.1:9 cannot be reached")
    assert not error.permanent


def test_a_server_that_speaks_no_tls_is_named(bucket: Bucket) -> None:
    place = s3_at(bucket, endpoint=bucket.endpoint.replace("http:", "https:"), **QUICK)
    assert refused(place.check, "TLS").permanent


def test_without_any_credential_it_says_so(bucket: Bucket) -> None:
    error = refused(s3_at(bucket, credential=None).check, "no usable credential")
    assert error.permanent
    assert error.hint


@pytest.mark.parametrize(
    "value", ["text", {}, {"access_key_id": "a"}, {"access_key": "a", "secret_key": "hidden"}]
)
def test_a_credential_of_another_form_is_refused_unseen(bucket: Bucket, value: Any) -> None:
    place = s3_at(bucket, credential=Secret(lambda: value, "acme"))
    with pytest.raises(ConfigError, match="'acme'") as caught:
        place.check()
    assert "hidden" not in "\n".join(caught.value.lines())


# -- parts


def test_an_archive_that_outgrows_its_parts_is_sent_again(bucket: Bucket, tmp_path: Path) -> None:
    place = s3_at(bucket, max_parts=3, **IN_PARTS)  # two parts, a tenth kept back: 10 MiB
    spool = Spool(tmp_path / "spool")
    Writer(spool, 50, pause_s=0.001)
    place.store(ARCHIVE, spool)
    head = bucket.owner.head_object(Bucket=bucket.name, Key=ARCHIVE)
    assert head["ContentLength"] == 50 * len(BLOCK)
    assert head["ETag"].endswith('-2"')
    assert hashlib.sha256(content_of(place, ARCHIVE)).hexdigest() == spool.sha256
    assert bucket.open_uploads() == []


def test_an_archive_expected_to_be_too_large_is_sent_when_it_is_there(
    bucket: Bucket, tmp_path: Path
) -> None:
    place = s3_at(bucket, max_parts=3, **IN_PARTS)
    spool = Spool(tmp_path / "spool", size_hint=1 << 40)
    Writer(spool, 4)
    place.store(ARCHIVE, spool)
    assert hashlib.sha256(content_of(place, ARCHIVE)).hexdigest() == spool.sha256


def test_memory_does_not_grow_with_the_archive(bucket: Bucket, tmp_path: Path) -> None:
    program = Path(__file__).with_name("store_in_parts.py")
    environ = {**os.environ, "KEY": bucket.host["access_key"], "WORD": bucket.host["secret_key"]}
    size_hint = 200 << 30  # the largest parts that are used while an archive grows
    words = [bucket.endpoint, bucket.name, str(tmp_path / "spool"), "300", str(size_hint)]
    done = subprocess.run(
        [sys.executable, str(program), *words],
        env=environ,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    assert int(done.stdout) < 150_000_000


# -- servers that die, hang and lie


def test_a_server_that_dies_in_the_middle_is_an_error_soon_and_nothing_counts(
    own_server: lab.Server, tmp_path: Path
) -> None:
    bucket = make_bucket(own_server, host={"read": [""], "write": [""], "delete": [""]})
    place = s3_at(bucket, **IN_PARTS, **QUICK)
    spool = Spool(tmp_path / "spool")
    threading.Timer(0.5, own_server.kill).start()
    Writer(spool, 200, pause_s=0.02)
    started = time.monotonic()
    error = refused(lambda: place.store(ARCHIVE, spool), "offsite")
    assert time.monotonic() - started < 40
    assert not error.permanent
    own_server.start()
    assert keys(place) == []
    swept = place.sweep("archives/", NOW + DAY)  # its abort could not reach the server
    assert list(swept) in ([], [ARCHIVE])
    assert bucket.open_uploads() == []


def test_a_server_that_hangs_is_an_error_soon(own_server: lab.Server, tmp_path: Path) -> None:
    bucket = make_bucket(own_server, host={"read": [""], "write": [""]})
    place = s3_at(bucket, **QUICK)
    place.put(MANIFEST, b"{}")
    own_server.pause()
    try:
        started = time.monotonic()
        error = refused(
            lambda: place.store(ARCHIVE, finished(tmp_path, BLOCK)), "cannot be reached"
        )
        assert time.monotonic() - started < 40
        assert not error.permanent
    finally:
        own_server.resume()


@pytest.mark.parametrize("outgrown", [False, True], ids=["growing", "finished"])
def test_an_upload_that_may_be_ending_is_not_aborted(
    own_server: lab.Server, tmp_path: Path, outgrown: bool
) -> None:
    """Ceph does both at once: the object was there, was read back whole, and hours later its parts went."""
    bucket = make_bucket(own_server, host={"read": [""], "write": [""], "delete": [""]})
    short = {"connect_timeout": timedelta(seconds=1), "read_timeout": timedelta(seconds=1)}
    place = s3_at(bucket, **IN_PARTS, **short, max_parts=3 if outgrown else None)
    going_on = threading.Timer(1.5, own_server.resume)  # an abort would be on its way by then
    asked: list[str] = []

    def asks(request: Any, **_event: Any) -> None:
        own_server.pause()
        asked.append(request.url)
        if len(asked) == 4:  # and is not asked again
            going_on.start()

    place._bucket.client.meta.events.register("before-send.s3.CompleteMultipartUpload", asks)
    content = os.urandom(12 * MIB)
    assert not refused(
        lambda: place.store(ARCHIVE, finished(tmp_path, content)), "cannot be reached"
    ).permanent
    going_on.join()

    again = s3_at(bucket, **IN_PARTS)  # the next attempt
    again.store(ARCHIVE, finished(tmp_path, content, "again"))
    own_server.collect()
    assert content_of(again, ARCHIVE) == content


def test_a_server_that_dies_while_it_is_read_is_the_destinations_fault(
    own_server: lab.Server, tmp_path: Path
) -> None:
    bucket = make_bucket(own_server, host={"read": [""], "write": [""]})
    place = s3_at(bucket, **QUICK)
    place.store(ARCHIVE, finished(tmp_path, BLOCK * 160))
    with place.open(ARCHIVE) as stored:
        stored.read(10)
        own_server.kill()
        error = refused(lambda: stored.read(), f"cannot read {ARCHIVE}")
    assert not error.permanent
    assert not error.missing


def test_a_flipped_bit_on_the_servers_disk_shows_in_the_hash(
    bucket: Bucket, place: S3, tmp_path: Path
) -> None:
    spool = finished(tmp_path, BLOCK * 4)
    place.store(ARCHIVE, spool)
    assert hashlib.sha256(content_of(place, ARCHIVE)).hexdigest() == spool.sha256
    bucket.flip(ARCHIVE, len(BLOCK))
    assert hashlib.sha256(content_of(place, ARCHIVE)).hexdigest() != spool.sha256


@pytest.mark.parametrize("blocks", [1, 24], ids=["one object", "in parts"])
def test_a_server_without_conditional_writes_is_looked_at_first(
    bucket: Bucket, tmp_path: Path, blocks: int
) -> None:
    place = s3_at(bucket, **IN_PARTS)
    on_write(place, lambda request: answer(501, "NotImplemented") if conditional(request) else None)
    place.store(ARCHIVE, finished(tmp_path, BLOCK * blocks))
    assert content_of(place, ARCHIVE) == BLOCK * blocks
    place.put(MANIFEST, b"one")
    refused(lambda: place.put(MANIFEST, b"two"), "there already")
    refused(lambda: place.store(ARCHIVE, finished(tmp_path, b"two", "other")), "there already")
    assert content_of(place, MANIFEST) == b"one"
    assert bucket.open_uploads() == []


def test_an_answer_that_was_lost_is_not_taken_for_somebody_elses_object(
    bucket: Bucket, place: S3, tmp_path: Path
) -> None:
    lost: list[str] = []

    def lose_the_first(request: Any) -> AWSResponse | None:
        if lost:
            return None
        lost.append(request.url)
        bucket.owner.put_object(Bucket=bucket.name, Key=ARCHIVE, Body=BLOCK)
        return answer(503, "SlowDown")

    on_write(place, lose_the_first)
    place.store(ARCHIVE, finished(tmp_path, BLOCK))
    assert content_of(place, ARCHIVE) == BLOCK
    assert lost


def test_a_stored_size_that_differs_is_an_error_and_the_object_goes(
    bucket: Bucket, place: S3, tmp_path: Path
) -> None:
    def add_framing(parsed: dict[str, Any], **_event: Any) -> None:
        if "ContentLength" in parsed:
            parsed["ContentLength"] += 9

    place._bucket.client.meta.events.register("after-call.s3.HeadObject", add_framing)
    error = refused(lambda: place.store(ARCHIVE, finished(tmp_path, BLOCK)), "bytes were sent")
    assert "checksums" in error.hint
    assert keys(place) == []


# -- housekeeping


def test_sweep_aborts_old_uploads_below_the_prefix_only(bucket: Bucket) -> None:
    place = s3_at(bucket, prefix="hosts")
    other = "archives/db2/shop/x"
    for key in ("hosts/" + ARCHIVE, "hosts/" + other):
        bucket.owner.create_multipart_upload(Bucket=bucket.name, Key=key)
    below = naming.archive_prefix("db1.example.org", "shop-1_a", "20261121T020000Z-daily-7f3a")
    assert list(place.sweep(below, NOW - DAY)) == []
    assert list(place.sweep(below, NOW + DAY)) == [ARCHIVE]
    assert bucket.open_uploads() == ["hosts/" + other]


def test_sweep_removes_the_probes_that_an_append_only_host_left(
    gateway: lab.Server,
) -> None:
    bucket = make_bucket(
        gateway,
        host={"read": [""], "write": [""]},
        pruner={"read": [""], "write": [""], "delete": [""]},
    )
    place, pruner = s3_at(bucket), s3_at(bucket, bucket.others["pruner"])
    place.check()
    assert keys(place) == []
    assert list(pruner.sweep("catalog/", NOW - DAY)) == []
    (probe,) = pruner.sweep("catalog/", NOW + DAY)
    assert probe.startswith("catalog/.probe-")
    assert bucket.owner.list_objects_v2(Bucket=bucket.name)["KeyCount"] == 0


def test_a_listing_of_several_pages_is_whole(bucket: Bucket, place: S3) -> None:
    names = [f"catalog/h/j/{number:05}.json" for number in range(2100)]
    bucket.fill(names)
    assert keys(place, "catalog/h/j/") == names


# -- what only some servers have


def test_the_storage_class_is_for_archives_and_the_catalog_stays_warm(
    moto_bucket: Bucket, tmp_path: Path
) -> None:
    place = s3_at(moto_bucket, storage_class="GLACIER", server_side_encryption="AES256")
    place.store(ARCHIVE, finished(tmp_path, BLOCK))
    place.put(MANIFEST, b"{}")
    heads = [
        moto_bucket.owner.head_object(Bucket=moto_bucket.name, Key=key)
        for key in (ARCHIVE, MANIFEST)
    ]
    assert [head.get("StorageClass") for head in heads] == ["GLACIER", None]
    assert [head["ServerSideEncryption"] for head in heads] == ["AES256", "AES256"]
    error = refused(lambda: content_of(place, ARCHIVE), "cold storage")
    assert error.permanent
    assert error.hint


# -- tools


def on_write(place: S3, meddle: Callable[[Any], AWSResponse | None]) -> None:
    """Answer instead of the server, where `meddle` does: no server here can be made to do this."""
    for operation in ("PutObject", "CompleteMultipartUpload"):
        place._bucket.client.meta.events.register(
            f"before-send.s3.{operation}", lambda request, **_event: meddle(request)
        )


def conditional(request: Any) -> bool:
    return "If-None-Match" in request.headers


def answer(status: int, code: str) -> AWSResponse:
    raw = io.BytesIO(f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode())
    raw.stream = lambda **_options: iter([raw.getvalue()])  # type: ignore[attr-defined]
    return AWSResponse("http://127.0.0.1", status, {}, raw)
