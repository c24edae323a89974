# SPDX-License-Identifier: GPL-3.0-or-later
"""s3_push: what is in the bucket afterwards is the same backup, proved; and it is sent once."""

from __future__ import annotations

import importlib
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import boto3
import pytest
from ansible.module_utils.testing import patch_module_args
from moto.server import ThreadedMotoServer

KEYS = {"access_key_id": "test-id", "secret_access_key": "test-secret-key"}


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(endpoint: str, tmp_path: Path) -> Any:
    client = boto3.resource(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="owner",
        aws_secret_access_key="owner",
    )
    return client.create_bucket(Bucket="b-" + tmp_path.name.replace("_", "-").lower()[:50])


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Callable[..., dict[str, Any]]:
    def run(name: str, *, check: bool = False, **options: Any) -> dict[str, Any]:
        package = "ansible_collections.lifeboat.backup.plugins.modules."
        module = importlib.import_module(package + name)
        capsys.readouterr()
        with (
            patch_module_args(dict(options, _ansible_check_mode=check)),
            pytest.raises(SystemExit),
        ):
            module.main()
        told = capsys.readouterr().out
        assert KEYS["secret_access_key"] not in told
        return dict({"failed": False, "changed": False}, **json.loads(told))

    return run


@pytest.fixture
def push(
    call: Any, bucket: Any, endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., dict[str, Any]]:
    """push(...) after a dump of one database into tmp_path/disk."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("XDG_STATE_HOME", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    with closing(sqlite3.connect(tmp_path / "app.db")) as connection, connection:
        connection.execute("CREATE TABLE t (x INTEGER)")
        connection.execute("INSERT INTO t VALUES (1)")
    (tmp_path / "disk").mkdir()
    dumped = call(
        "db_dump",
        job="shop",
        host="db1",
        sources={"db": {"type": "sqlite", "path": str(tmp_path / "app.db")}},
        path=str(tmp_path / "disk"),
        encryption={"none": True},
    )
    assert not dumped["failed"], dumped

    def run(**options: Any) -> dict[str, Any]:
        place = {"bucket": bucket.name, "endpoint": endpoint, "region": "us-east-1"}
        given = dict({"destination": dict(place, credential="acme")}, **options)
        return call(
            "s3_push",
            job="shop",
            host="db1",
            path=str(tmp_path / "disk"),
            credentials={"acme": KEYS},
            **given,
        )

    return run


def archives(bucket: Any) -> dict[str, bytes]:
    return {
        one.key: one.get()["Body"].read() for one in bucket.objects.all() if "archives" in one.key
    }


def test_a_pushed_backup_is_the_same_and_proved(push: Any, bucket: Any, tmp_path: Path) -> None:
    result = push()
    assert result["changed"]
    assert result["state"] == "intact"
    disk = tmp_path / "disk"
    assert archives(bucket) == {
        str(one.relative_to(disk)): one.read_bytes()
        for one in (disk / "archives").rglob("*")
        if one.is_file()
    }
    manifest = next(one for one in bucket.objects.all() if one.key.endswith(".json"))
    assert manifest.key == f"catalog/db1/shop/{result['id']}.json"


def test_the_second_time_nothing_is_sent(push: Any, bucket: Any) -> None:
    push()
    before = {one.key: one.last_modified for one in bucket.objects.all()}
    again = push()
    assert not again["changed"]
    assert again["state"] == "intact"
    assert {one.key: one.last_modified for one in bucket.objects.all()} == before


def test_check_mode_says_what_would_be_sent_and_sends_nothing(push: Any, bucket: Any) -> None:
    planned = push(check=True)
    assert planned["changed"]
    assert planned["state"] == "missing"
    assert list(bucket.objects.all()) == []
    assert push()["id"] == planned["id"]


def test_a_corrupt_archive_is_never_pushed(push: Any, bucket: Any, tmp_path: Path) -> None:
    damaged = next((tmp_path / "disk").rglob("db.database.*"))
    damaged.chmod(0o600)
    damaged.write_bytes(b"x" + damaged.read_bytes()[1:])
    result = push()
    assert result["failed"]
    assert damaged.name in result["msg"]
    assert [one.key for one in bucket.objects.all() if one.key.endswith(".json")] == []


def test_an_unknown_id_is_told(push: Any) -> None:
    result = push(backup="20260101T000000Z-daily-0000")
    assert result["failed"]
    assert result["exit_code"] == 2


def test_it_pushes_to_s3_only(push: Any) -> None:
    assert push(destination={"type": "local", "path": "/x"})["failed"]


def test_a_bucket_that_is_not_there_is_told_by_name(push: Any, endpoint: str) -> None:
    place = {"bucket": "nowhere-at-all", "endpoint": endpoint, "region": "us-east-1"}
    result = push(destination=dict(place, credential="acme"))
    assert result["failed"]
    assert "nowhere-at-all" in result["msg"]


def test_a_copy_that_proved_corrupt_there_is_made_whole(push: Any, bucket: Any) -> None:
    id_ = push()["id"]
    stored = next(one for one in bucket.objects.all() if "db.database." in one.key)
    bucket.put_object(Key=stored.key, Body=b"x")
    bucket.put_object(Key=f"catalog/db1/shop/{id_}.bad-{datetime.now(timezone.utc):%Y%m%dT%H%M%SZ}")
    assert push(check=True)["state"] == "corrupt"
    assert push()["state"] == "intact"
    assert push()["changed"] is False
