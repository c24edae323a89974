# SPDX-License-Identifier: GPL-3.0-or-later
"""credential_install: stored so that only the right one reads it, and never shown."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.lifeboat.backup.plugins.module_utils import credential_store
from lifeboat.credentials import Credentials
from lifeboat.paths import Paths, paths

SECRET = "hunter2-very-secret"


def install(door: Any, root: Path, credentials: Any, **options: Any) -> dict[str, Any]:
    result: dict[str, Any] = door(
        "credential_install", scope="user", root=str(root), credentials=credentials, **options
    )
    assert SECRET not in json.dumps(
        {key: one for key, one in result.items() if key != "invocation"}
    )
    return result


@pytest.mark.parametrize("value", [SECRET, {"id": "a-key", "key": SECRET}, 'quotes " and \n ends'])
def test_the_engine_reads_what_was_installed(door: Any, tmp_path: Path, value: Any) -> None:
    assert install(door, tmp_path, {"shop": value})["changed"]
    store = tmp_path / "config" / "credentials"
    assert Credentials(store).secret("shop").reveal() == value
    assert (store / "shop").stat().st_mode & 0o777 == 0o600
    assert store.stat().st_mode & 0o777 == 0o700


def test_the_same_value_is_not_written_again(door: Any, tmp_path: Path) -> None:
    install(door, tmp_path, {"shop": SECRET})
    path = tmp_path / "config" / "credentials" / "shop"
    before = path.stat().st_mtime_ns
    assert not install(door, tmp_path, {"shop": SECRET})["changed"]
    assert path.stat().st_mtime_ns == before


def test_another_value_is_written_and_named_only(door: Any, tmp_path: Path) -> None:
    install(door, tmp_path, {"shop": "old-value"})
    result = install(door, tmp_path, {"shop": SECRET})
    assert result["written"] == ["shop"]
    assert "shop (new content)" in result["diff"]["after"]


def test_check_mode_says_the_same_and_touches_nothing(door: Any, tmp_path: Path) -> None:
    planned = install(door, tmp_path, {"shop": SECRET}, check=True)
    assert planned["changed"]
    assert list(tmp_path.iterdir()) == []
    assert install(door, tmp_path, {"shop": SECRET})["diff"] == planned["diff"]


def test_purge_removes_those_not_named_and_nothing_else(door: Any, tmp_path: Path) -> None:
    install(door, tmp_path, {"shop": SECRET, "blog": SECRET})
    foreign = tmp_path / "config" / "credentials" / "README.txt"
    foreign.write_text("not a credential")
    assert install(door, tmp_path, {"shop": SECRET})["removed"] == []
    assert install(door, tmp_path, {"shop": SECRET}, purge=True)["removed"] == ["blog"]
    assert sorted(one.name for one in foreign.parent.iterdir()) == ["README.txt", "shop"]


def test_what_somebody_else_looks_after_is_not_purged(door: Any, tmp_path: Path) -> None:
    install(door, tmp_path, {"shop": SECRET, "bucket": SECRET, "blog": SECRET})
    kept = install(door, tmp_path, {"shop": SECRET}, purge=True, keep=["bucket", "not-there"])
    assert kept["removed"] == ["blog"]


def test_the_public_half_of_a_key_is_told_and_nothing_else(door: Any, tmp_path: Path) -> None:
    key = {"access_key_id": "AKIA1", "secret_access_key": SECRET}
    install(door, tmp_path, {"bucket": key, "shop": SECRET})
    told = install(door, tmp_path, {}, key_ids_of=["bucket", "shop", "not-there"])
    assert (told["changed"], told["key_ids"]) == (False, {"bucket": "AKIA1"})


def test_a_file_that_others_can_read_is_put_right(door: Any, tmp_path: Path) -> None:
    install(door, tmp_path, {"shop": SECRET})
    path = tmp_path / "config" / "credentials" / "shop"
    path.chmod(0o644)
    assert install(door, tmp_path, {"shop": SECRET})["changed"]
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", ["../shop", "Shop", "a b", "x.cred"])
def test_a_name_that_cannot_be_used_is_refused(door: Any, tmp_path: Path, name: str) -> None:
    assert install(door, tmp_path, {name: SECRET})["failed"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", ["", 5, ["x"], {}, {"a": ""}, {"a": {"b": "c"}}])
def test_what_is_no_credential_is_refused(door: Any, tmp_path: Path, value: Any) -> None:
    result = install(door, tmp_path, {"shop": value})
    assert result["failed"]
    assert "shop" in result["msg"]


class Encrypting:
    """A system scope below a temporary directory, with a systemd-creds that turns bytes around."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        program = tmp_path / "bin" / "systemd-creds"
        program.parent.mkdir()
        program.write_text('#!/bin/sh\nfor last; do :; done\ncat "$3" | rev\n')
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
        monkeypatch.setattr(credential_store, "_can_encrypt", lambda _paths, _dry_run: True)
        where = paths("user", str(tmp_path))
        self.paths = Paths(**{**vars(where), "scope": "system"})

    def install(self, credentials: Any) -> credential_store.Plan:
        planned = credential_store.plan(self.paths, credentials, False, False)
        credential_store.apply(planned)
        return planned


def test_an_encrypted_credential_replaces_the_plain_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, door: Any
) -> None:
    install(door, tmp_path, {"shop": SECRET})
    host = Encrypting(monkeypatch, tmp_path)
    assert host.install({"shop": SECRET}).changed
    assert [one.name for one in host.paths.credentials.iterdir()] == ["shop.cred"]
    assert SECRET not in (host.paths.credentials / "shop.cred").read_text()
    assert not host.install({"shop": SECRET}).changed
    assert credential_store.stored(host.paths, "shop") == "encrypted"


def test_a_reader_sees_the_old_value_or_the_new_one_and_never_less(
    door: Any, tmp_path: Path
) -> None:
    """Rotation has no window: what starts at any moment gets a whole credential."""
    install(door, tmp_path, {"shop": "a" * 50_000})
    store, seen, done = tmp_path / "config" / "credentials", set(), threading.Event()

    def read() -> None:
        while not done.is_set():
            seen.add(Credentials(store).secret("shop").reveal())

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for letter in "bcdef":
            install(door, tmp_path, {"shop": letter * 50_000})
    finally:
        done.set()
        reader.join()
    assert seen <= {letter * 50_000 for letter in "abcdef"}
    assert len(seen) > 1
    assert [one.name for one in store.iterdir()] == ["shop"]


def test_who_has_opened_a_credential_keeps_the_old_one(door: Any, tmp_path: Path) -> None:
    install(door, tmp_path, {"shop": "old"})
    path = tmp_path / "config" / "credentials" / "shop"
    with path.open() as held:
        install(door, tmp_path, {"shop": "new"})
        assert json.loads(held.read()) == "old"
    assert json.loads(path.read_text()) == "new"


def test_a_write_that_is_cut_off_leaves_the_old_value(
    door: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(door, tmp_path, {"shop": "old"})
    store = tmp_path / "config" / "credentials"

    def cut(*_given: object) -> None:
        raise OSError(28, "no space left")

    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", cut)
        with pytest.raises(OSError, match="no space"):
            credential_store.apply(
                credential_store.plan(paths("user", str(tmp_path)), {"shop": "new"}, False, False)
            )
    assert Credentials(store).secret("shop").reveal() == "old"
    assert [one.name for one in store.iterdir()] == ["shop"]
