# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever is wrong: one clear error, the documented exit code, nothing counted, nothing left over."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from .host import PHRASE, Host


def no_traceback(text: str) -> bool:
    return "Traceback" not in text


@pytest.mark.parametrize("name", ["nope", "../shop", 'a"b', "a b", "a\nb", "", "é"])
def test_a_job_that_is_not_there_is_named(host: Host, name: str) -> None:
    done = host.lifeboat("run", name)

    assert done.returncode == 2
    assert no_traceback(done.stderr)
    assert "job" in done.stderr


@pytest.mark.parametrize(
    "id_", ["20260101T000000Z-daily-0000", "../../etc/passwd", "x'; drop", "a\nb", "latest2"]
)
def test_a_backup_that_is_not_there_is_named(host: Host, id_: str) -> None:
    host.run()

    done = host.restore(id_)

    assert done.returncode in (1, 2)
    assert no_traceback(done.stderr)
    assert host.rows() == 1000


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda c: c.update(jbos={}), "jbos: unknown key; did you mean jobs?"),
        (lambda c: c["jobs"]["shop"].update(shedule="x"), "jobs.shop.shedule: unknown key"),
        (lambda c: c["jobs"]["shop"].update(sources=[]), "jobs.shop.sources: write a mapping"),
        (lambda c: c["jobs"]["shop"].update(destinations=["dsik"]), "did you mean disk?"),
        (lambda c: c["jobs"]["shop"].update(keep={"lsat": 3}), "jobs.shop.keep.lsat"),
        (lambda c: c["jobs"]["shop"].update(keep={"last": "3"}), "write a number, not a text"),
        (lambda c: c["jobs"]["shop"].update(keep={"last": 0}), "shop.keep would keep nothing"),
        (lambda c: c["destinations"]["disk"].update(keep={"daily": -1}), "disk.keep.daily is -1"),
        (lambda c: c["jobs"]["shop"]["sources"]["db"].update(type="sqlit"), "did you mean sqlite"),
        (lambda c: c["jobs"]["shop"]["sources"]["db"].pop("path"), "sources.db.path: missing"),
        (lambda c: c["jobs"].update({"../x": c["jobs"]["shop"]}), "job name '../x'"),
        (lambda c: c.update(encryption={}), "age_recipients"),
        (lambda c: c.pop("encryption"), "encryption: not configured"),
        (lambda c: c.update(environment="prod"), "did you mean production?"),
        (lambda c: c.update(version=99), "version 1, not 99"),
        (lambda c: c["destinations"]["disk"].update(mode="x"), "destinations.disk.mode"),
    ],
)
def test_a_wrong_configuration_is_told_with_its_key(host: Host, change, told: str) -> None:  # type: ignore[no-untyped-def]
    change(host.configuration)
    host.configure()

    done = host.lifeboat("config", "check")

    assert done.returncode == 2
    assert told in done.stderr
    assert no_traceback(done.stderr)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"version": 1, "jobs": {"shop": {}, "shop": {}}}', "shop: this key is there twice"),
        ("[" * 200_000, "is not JSON"),
    ],
)
def test_a_configuration_that_says_a_thing_twice_is_refused(
    host: Host, text: str, told: str
) -> None:
    (host.root / "config" / "config.json").write_text(text)
    done = host.lifeboat("list")
    assert done.returncode == 2
    assert no_traceback(done.stderr)
    assert told in done.stderr


def test_a_private_key_as_recipient_is_refused_and_not_shown(host: Host) -> None:
    secret = next(
        line for line in host.key.read_text().splitlines() if line.startswith("AGE-SECRET")
    )
    host.configuration["encryption"] = {"age_recipients": [secret]}
    host.configure()

    done = host.lifeboat("run", "shop")

    assert done.returncode == 2
    assert secret not in done.stdout + done.stderr


def test_a_source_that_is_not_there_fails_the_run(host: Host) -> None:
    host.database.unlink()

    done = host.lifeboat("run", "shop")

    assert done.returncode == 1
    assert str(host.database) in done.stderr
    assert host.stored() == []
    assert host.left_over() == []


def test_an_optional_source_that_is_not_there_is_no_failure(host: Host) -> None:
    missing = {"type": "sqlite", "path": str(host.data / "none.db"), "optional": True}
    host.job["sources"]["extra"] = missing
    host.configure()

    assert host.lifeboat("run", "shop").returncode == 0
    assert host.lifeboat("status").returncode == 0  # it holds all there is


def test_one_lost_source_of_two_is_kept_but_never_counted(host: Host) -> None:
    host.job["sources"]["extra"] = {"type": "sqlite", "path": str(host.data / "none.db")}
    host.configure()

    done = host.lifeboat("run", "shop", "--json")
    listed = json.loads(host.lifeboat("list", "shop", "--json").stdout)

    assert done.returncode == 3
    assert "partial: without extra: it does not count as good" in done.stderr
    assert listed[0]["copies"] == {"disk": "partial"}
    assert listed[0]["good"] is False
    assert host.lifeboat("status").returncode == 2


def test_one_lost_destination_does_not_lose_the_other(host: Host) -> None:
    host.configuration["destinations"]["gone"] = {
        "type": "local",
        "path": "/proc/nowhere/at/all",
    }
    host.job["destinations"] = ["gone", "disk"]
    host.configure()

    done = host.lifeboat("run", "shop", "--json")
    told = {one["name"]: one["state"] for one in json.loads(done.stdout)["destinations"]}

    assert done.returncode == 3
    assert told == {"gone": "lost", "disk": "intact"}
    assert host.left_over() == []


@pytest.mark.parametrize("damage", ["flip", "truncate", "remove", "grow", "pipe"])
def test_a_damaged_archive_is_found_and_never_restored(host: Host, damage: str) -> None:
    id_ = host.run()
    archive = host.archive()
    content = bytearray(archive.read_bytes())
    if damage == "flip":
        content[len(content) // 2] ^= 1
    elif damage == "truncate":
        del content[-10:]
    elif damage == "grow":
        content += b"x"
    archive.write_bytes(content)
    if damage in ("remove", "pipe"):
        archive.unlink()
    if damage == "pipe":
        os.mkfifo(archive)
    host.fill(7)

    restored = host.restore(id_)
    verified = host.lifeboat("verify", id_)

    assert restored.returncode == 1
    assert no_traceback(restored.stderr)
    assert verified.returncode == 1
    assert "corrupt" in verified.stdout
    assert host.rows() == 7
    assert host.left_over() == []


def test_a_manifest_edited_by_hand_is_refused(host: Host) -> None:
    id_ = host.run()
    manifest = host.disk / f"catalog/h1/shop/{id_}.json"
    manifest.write_text(manifest.read_text().replace('"production"', '"dev"'))

    done = host.restore(id_)

    assert done.returncode == 1
    assert "changed after it was written" in done.stderr
    assert host.lifeboat("verify", id_).returncode == 1


def test_the_wrong_key_is_told_before_anything_is_fetched(host: Host) -> None:
    id_ = host.run()
    host.fill(7)
    other = host.base / "other.key"
    subprocess.run(["age-keygen", "-o", str(other)], check=True, capture_output=True)

    done = host.restore(id_, "--identity", str(other))

    assert done.returncode == 2
    assert "the private key that was given does not open backup " + id_ in done.stderr
    assert host.configuration["encryption"]["age_recipients"][0] in done.stderr
    assert "fetch" not in done.stderr
    assert host.rows() == 7
    assert host.left_over() == []


def test_a_source_that_gives_no_byte_for_as_long_as_was_chosen_fails(host: Host) -> None:
    dump = ["sh", "-c", "echo begun; exec sleep 100"]
    host.job["sources"] = {"app": {"type": "command", "dump": dump}}
    host.job["stall_timeout"] = "1s"
    host.configure()
    begun = time.monotonic()

    done = host.lifeboat("run", "shop")

    assert done.returncode == 1
    assert "gave no data for 1" in done.stderr
    assert time.monotonic() - begun < 30
    assert host.left_over() == []


def test_verify_tells_that_the_key_is_the_wrong_one_and_marks_no_copy(host: Host) -> None:
    id_ = host.run()
    other = host.base / "other.key"
    subprocess.run(["age-keygen", "-o", str(other)], check=True, capture_output=True)

    done = host.lifeboat("verify", id_, "--level", "content", "--identity", str(other))

    assert done.returncode == 1
    assert "the private key that was given does not open backup " + id_ in done.stdout
    assert "give a private one that belongs to: age1" in done.stderr
    assert not [name for name in host.stored() if ".bad-" in name]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("$ANSIBLE_VAULT;1.1;AES256\n6162\n", "ansible-vault view"),
        ("age1qq\n", "that is the public key"),
        ("# created: today\n", "it is empty"),
        ("hello\n", "that is no private key"),
        ("CUT", "has 74 characters, this one 60"),
        (None, "give the path of its file here, or paste the key: --identity -"),
    ],
)
def test_what_is_no_key_is_told_before_anything_is_fetched(
    host: Host, content: str | None, expected: str
) -> None:
    id_ = host.run()
    given = host.base / "given.key"
    if content is not None:
        cut = host.key.read_text().splitlines()[-1][:60] + "\n"
        given.write_text(cut if content == "CUT" else content)

    done = host.restore(id_, "--identity", str(given))

    assert done.returncode == 2
    assert expected in done.stderr
    assert "fetch" not in done.stderr
    assert host.left_over() == []


def test_a_wrong_key_that_only_age_can_judge_leaves_the_old_state(host: Host) -> None:
    id_ = host.run()
    host.fill(7)
    other = host.base / "other.key"
    other.write_text("AGE-PLUGIN-NOSUCH-1QQQQ\n")

    done = host.restore(id_, "--identity", str(other))

    assert done.returncode == 1
    assert "the old state is in place" in done.stderr
    assert host.rows() == 7
    assert host.left_over() == []


def test_a_restore_without_a_key_says_that_it_needs_one(host: Host) -> None:
    id_ = host.run()
    host.fill(7)

    done = host.lifeboat("restore", "shop", id_, "--confirm", PHRASE, "--target-host", "h1")

    assert done.returncode in (1, 2)
    assert "private key" in done.stderr
    assert host.rows() == 7
    assert host.left_over() == []


@pytest.mark.parametrize(
    "gate",
    [
        (),
        ("--confirm", "restore production", "--target-host", "h1"),
        ("--confirm", PHRASE),
        ("--confirm", PHRASE, "--target-host", "h2"),
    ],
)
def test_the_gate_refuses_without_every_answer(host: Host, gate: tuple[str, ...]) -> None:
    id_ = host.run()
    host.fill(7)

    done = host.lifeboat("restore", "shop", id_, "--identity", str(host.key), *gate)

    assert done.returncode == 6
    assert host.rows() == 7
    assert host.left_over() == []


def test_the_gate_refuses_latest_without_a_terminal(host: Host) -> None:
    host.run()

    assert host.restore("latest").returncode == 6


def test_a_second_operation_is_refused_and_names_the_first(host: Host) -> None:
    host.run()
    lock = host.root / "state/locks/shop.lock"
    holder = subprocess.Popen(
        ["flock", "--exclusive", "--no-fork", str(lock), "sleep", "60"], stdin=subprocess.DEVNULL
    )
    try:
        for _attempt in range(50):
            done = host.lifeboat("run", "shop")
            if done.returncode == 5:
                break
    finally:
        holder.kill()
        holder.wait()

    assert done.returncode == 5
    assert host.lifeboat("run", "shop").returncode == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip("may not mount a small file system")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def _incompressible(host: Host) -> None:
    import sqlite3

    with sqlite3.connect(host.database) as connection:
        connection.execute("create table noise (bytes)")
        connection.execute("insert into noise values (?)", (os.urandom(3 << 20),))
    connection.close()


def test_a_full_spool_is_told_and_saves_nothing(host: Host, small_disk: Path) -> None:
    _incompressible(host)
    host.configuration["spool_path"] = str(small_disk)
    host.configure()

    done = host.lifeboat("run", "shop")

    assert done.returncode == 1
    assert no_traceback(done.stderr)
    assert "full" in done.stderr or "space" in done.stderr
    assert host.stored() == []


def test_a_restore_to_where_there_is_no_room_is_refused_before_anything_is_fetched(
    host: Host, small_disk: Path
) -> None:
    _incompressible(host)
    tree = host.data / "notes"
    tree.mkdir()
    (tree / "one").write_bytes(os.urandom(2 << 20))
    host.job["sources"]["notes"] = {"type": "files", "paths": [str(tree)]}
    host.configure()
    id_ = host.run()
    into = {"db": str(small_disk / "app.db"), "notes": str(small_disk / "below")}

    for source, place in into.items():
        done = host.restore(id_, "--only", source, "--into", place)
        assert done.returncode == 6, done.stderr
        assert f"there is no room in {small_disk}" in done.stderr
        assert "1.0 MiB are free" in done.stderr
    assert list(small_disk.iterdir()) == []
    assert host.left_over() == [str(tree / "one")]


# A disk that is full when one source needs it, and has room again for the next.
_NO_ROOM = """
import errno
import lifeboat.sources.sqlite.source as sqlite
real = sqlite.SQLite.open
def open_(self, work):
    if self.name == "db":
        raise OSError(errno.ENOSPC, "No space left on device")
    return real(self, work)
sqlite.SQLite.open = open_
"""


def test_what_the_system_refuses_one_source_ends_that_one_alone(host: Host) -> None:
    host.job["sources"]["again"] = host.job["sources"]["db"]
    host.configure()

    done = host.lifeboat("run", "shop", before=_NO_ROOM)

    assert done.returncode == 3, done.stderr
    assert "source db: No space left on device" in done.stderr
    assert "make room" in done.stderr
    manifest = json.loads(next(host.disk.glob("catalog/*/*/*.json")).read_text())
    states = {one["name"]: one["status"] for one in manifest["sources"]}
    assert states == {"db": "failed", "again": "good"}


def test_a_full_destination_is_told_and_keeps_nothing(host: Host, small_disk: Path) -> None:
    _incompressible(host)
    host.configuration["destinations"]["disk"]["path"] = str(small_disk / "backups")
    host.configure()

    done = host.lifeboat("run", "shop", "--json")

    assert done.returncode == 1, done.stderr
    assert json.loads(done.stdout)["destinations"][0]["state"] == "lost", done.stdout
    assert [path for path in small_disk.rglob("*") if path.is_file()] == []
    assert host.left_over() == []


def test_the_spool_cap_holds(host: Host) -> None:
    _incompressible(host)
    host.configuration["spool_cap"] = "1 MiB"
    host.configure()

    done = host.lifeboat("run", "shop")

    assert done.returncode == 1
    assert "cap" in done.stderr
    assert host.stored() == []


def test_a_missing_program_is_named(host: Host, tmp_path: Path) -> None:
    done = host.lifeboat("run", "shop", env={"PATH": str(tmp_path)})

    assert done.returncode in (1, 2)
    assert no_traceback(done.stderr)
    assert "zstd is not on this machine" in done.stderr
    assert host.stored() == []


def test_a_read_that_fails_halfway_saves_nothing(host: Host) -> None:
    # A fake, since a program that lies about its own end cannot be staged with the real one.
    before = """
import lifeboat.filters.zstd as z
from lifeboat.model import Command
z.Zstd.encode = lambda self: Command(("sh", "-c", "head -c 1000; exit 7"))
"""
    done = host.lifeboat("run", "shop", before=before)

    assert done.returncode == 1
    assert "status 7" in done.stderr
    assert host.stored() == []
    assert host.left_over() == []


def test_a_copy_that_reads_back_wrong_is_marked_and_told(host: Host) -> None:
    # A fake: a disk that changes what it was given.
    before = """
import lifeboat.destinations.local as local
real = local.Local.store
def store(self, key, growing):
    real(self, key, growing)
    path = __import__("pathlib").Path(%r) / key
    content = bytearray(path.read_bytes()); content[50] ^= 1
    path.unlink(); path.write_bytes(content)
local.Local.store = store
""" % str(host.disk)
    done = host.lifeboat("run", "shop", before=before)
    listed = json.loads(host.lifeboat("list", "shop", "--json").stdout)

    assert done.returncode == 4
    assert listed[0]["good"] is False
    assert listed[0]["copies"] == {"disk": "corrupt"}


@pytest.mark.parametrize(
    "recipient", ["age1nonsense", "", "ssh-ed25519 AAAA", "age1\nage2", "-r", "--help"]
)
def test_a_recipient_that_is_none_is_found_before_any_backup(host: Host, recipient: str) -> None:
    host.configuration["encryption"] = {"age_recipients": [recipient]}
    host.configure()

    checked = host.lifeboat("config", "check")
    ran = host.lifeboat("run", "shop")

    assert checked.returncode == 2, checked.stderr
    assert "age_recipients" in checked.stderr
    assert no_traceback(checked.stderr + ran.stderr)
    assert ran.returncode in (1, 2)
    assert host.stored() == []


@pytest.mark.parametrize("tag", ["", "x" * 500])
def test_a_tag_that_no_name_can_hold_is_refused_first(host: Host, tag: str) -> None:
    done = host.lifeboat("run", "shop", "--tag", tag)

    assert done.returncode == 2
    assert host.stored() == []


def test_a_command_that_is_not_there_names_the_one_that_is_like_it(host: Host) -> None:
    done = host.lifeboat("restor", "shop")
    assert done.returncode == 2
    assert "did you mean restore?" in done.stderr
    assert len(done.stderr.splitlines()) < 5
