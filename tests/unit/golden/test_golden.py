# SPDX-License-Identifier: GPL-3.0-or-later
"""A backup of every format version is read for ever, and opens with standard programs alone."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from pathlib import Path

import pytest
from lifeboat.listed import copies
from lifeboat.manifest import decode, sha256sums
from lifeboat.model import Manifest
from lifeboat.naming import archive_prefix, manifest_key
from lifeboat.stored import Stored
from lifeboat.units import parse_instant

HERE = Path(__file__).resolve().parent
ROOT = HERE / "backup-v1"
ID = "20261121T020000Z-manual-901d"
FOLDER = ROOT / archive_prefix("golden", "shop", ID)
# bash, for it fails when any program of the chain does
CHAIN = 'set -o pipefail; age -d -i "$1" "$2" | zstd -d -q -c'


def manifest() -> Manifest:
    key = manifest_key("golden", "shop", ID)
    return decode((ROOT / key).read_bytes(), key)


def opened(name: str) -> bytes:
    """The plain data of an archive, by age and zstd."""
    command = ["bash", "-c", CHAIN, "open", str(HERE / "test-identity.txt"), str(FOLDER / name)]
    return subprocess.run(command, check=True, capture_output=True).stdout


def test_the_names_tell_the_copys_state() -> None:
    at = parse_instant("2026-11-21")
    names = [path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*") if path.is_file()]
    (copy,) = copies([Stored(name, 0, at) for name in names])
    assert (copy.id, copy.type, copy.state, copy.good) == (ID, "manual", "intact", True)
    assert (copy.pinned, copy.tags) == (True, ("größe 1.0",))


def test_the_manifest_is_read_for_ever() -> None:
    read = manifest()
    assert (read.id, read.host, read.job, read.complete) == (ID, "golden", "shop", True)
    assert [source.name for source in read.sources] == ["notes", "uploads"]
    assert (FOLDER / "SHA256SUMS").read_bytes() == sha256sums(read)


def test_sha256sum_proves_the_archives() -> None:
    command = ["sha256sum", "--strict", "--check", "SHA256SUMS"]
    said = subprocess.run(command, cwd=FOLDER, check=True, capture_output=True, text=True).stdout
    assert said.count(": OK") == len(manifest().archives) == 4


@pytest.mark.parametrize("archive", manifest().archives, ids=lambda archive: archive.name)
def test_every_archive_opens_with_age_and_zstd(archive) -> None:  # type: ignore[no-untyped-def]
    assert len(opened(archive.name)) == archive.plain_bytes


def test_the_database_opens_with_sqlite3(tmp_path: Path) -> None:
    path = tmp_path / "notes.sqlite"
    path.write_bytes(opened("notes.database.sqlite.zst.age"))
    query = "PRAGMA integrity_check; SELECT group_concat(id || '=' || text) FROM note"
    done = subprocess.run(
        ["sqlite3", "-batch", str(path), query], check=True, capture_output=True, text=True
    )
    assert done.stdout.splitlines() == ["ok", "1=first,2=größe, 'quoted',3="]


def test_the_tree_opens_with_tar(tmp_path: Path) -> None:
    command = ["tar", "--extract", "--directory", str(tmp_path), "--no-same-owner"]
    plain = opened("uploads.tree.tar.zst.age")
    subprocess.run(command, input=plain, check=True, capture_output=True)
    (uploads,) = tmp_path.rglob("uploads")
    assert (uploads / "plain.txt").read_text(encoding="utf-8") == "hello\n"
    assert (uploads / "größe 'quoted'\n.bin").read_bytes() == bytes(range(256)) * 8
    assert (uploads / "link").readlink() == Path("plain.txt")
    assert list((uploads / "empty").iterdir()) == []


@pytest.mark.parametrize("source", manifest().sources, ids=lambda source: source.name)
def test_the_inventory_is_the_one_that_the_manifest_names(source) -> None:  # type: ignore[no-untyped-def]
    lines = opened(f"{source.name}.inventory.jsonl.zst.age").splitlines(keepends=True)
    digests = (int(hashlib.sha256(line).hexdigest(), 16) for line in lines)
    assert f"{sum(digests) % 2**256:064x}" == source.inventory_digest
    assert sum(json.loads(line).get("rows", 0) for line in lines) == source.totals.get("rows", 0)


def test_the_note_restores_the_database_by_its_own_command(tmp_path: Path) -> None:
    note = (FOLDER / "RESTORE.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^cat notes\.database.*$", note, re.MULTILINE)
    for path in FOLDER.iterdir():
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / "identity.txt").symlink_to(HERE / "test-identity.txt")
    subprocess.run(["bash", "-o", "pipefail", "-c", command], cwd=tmp_path, check=True)
    assert (tmp_path / "notes.database.sqlite").read_bytes().startswith(b"SQLite format 3\0")
