# SPDX-License-Identifier: GPL-3.0-or-later
"""A backup that is encrypted with gpg: made, proved, restored, and refused where it has to be."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.integration.rescue.host import PHRASE, Host
from tests.unit.filters.test_gpg import expired, make_pair, pair_of


@pytest.fixture
def host(tmp_path: Path) -> Host:
    made = Host(tmp_path)
    made.configuration["encryption"] = encryption(pair_of(1), pair_of(2))
    made.configure()
    made.fill(1000)
    return made


def encryption(*keys: tuple[bytes, str, str]) -> dict[str, list[str]]:
    return {"gpg_recipients": [one[2] for one in keys], "gpg_keys": [one[1] for one in keys]}


def restored(host: Host, id_: str, key: bytes) -> subprocess.CompletedProcess[str]:
    gate = ("--confirm", PHRASE, "--target-host", host.name)
    return host.lifeboat("restore", "shop", id_, "--identity", "-", *gate, stdin=key)


def test_what_was_encrypted_with_gpg_comes_back_with_either_key(host: Host) -> None:
    id_ = host.run()
    assert host.archive().name.endswith(".zst.gpg")
    for number in (1, 2):
        host.fill(3)
        done = restored(host, id_, pair_of(number)[0])
        assert done.returncode == 0, done.stderr
        assert host.rows() == 1000
    content = ("--level", "content", "--identity", "-")
    done = host.lifeboat("verify", "shop", *content, stdin=pair_of(1)[0])
    assert (done.returncode, "readable" in done.stdout) == (0, True), done.stderr
    assert [one for one in host.left_over() if ".zst" in one] == []


def test_a_key_that_does_not_fit_is_told_before_anything_is_fetched(host: Host) -> None:
    id_ = host.run()
    for one in host.disk.glob("archives/*/*/*/db.*"):
        one.unlink()  # a fetch would fail otherwise
    done = restored(host, id_, pair_of(3)[0])
    assert done.returncode == 2
    assert "does not open" in done.stderr
    assert pair_of(1)[2] in done.stderr


def test_a_public_key_is_told_as_one_with_the_program_that_shows_it(host: Host) -> None:
    id_ = host.run()
    done = restored(host, id_, pair_of(1)[1].encode())
    assert done.returncode == 2
    assert "a public key was given" in done.stderr
    assert "gpg --show-keys" in done.stderr
    assert "age-keygen" not in done.stderr


def test_the_wrong_passphrase_is_told_with_how_to_give_it(host: Host) -> None:
    protected = make_pair("protected", passphrase="right")
    host.configuration["encryption"] = encryption(protected, pair_of(1))
    host.configure()
    id_ = host.run()
    host.fill(3)
    done = restored(host, id_, b"passphrase: wrong\n" + protected[0])
    assert done.returncode == 1
    assert "passphrase: ..." in done.stderr
    assert host.rows() == 3


def test_the_wrong_passphrase_says_nothing_of_a_copy(host: Host, tmp_path: Path) -> None:
    protected = make_pair("protected", passphrase="right")
    host.configuration["encryption"] = encryption(protected, pair_of(1))
    host.job["sources"]["etc"] = {"type": "files", "paths": [str(tmp_path / "note")]}
    (tmp_path / "note").write_text("n")
    host.configure()
    host.run()
    wrong = b"passphrase: wrong\n" + protected[0]
    drilled = host.lifeboat("drill", "shop", "--json", "--identity", "-", stdin=wrong)
    (told,) = json.loads(drilled.stdout)
    assert (drilled.returncode, told["mark"]) == (1, "")
    for source in told["sources"].values():
        assert "gpg stopped with status 2" in source["problem"]
    content = ("--level", "content", "--identity", "-", "--json")
    verified = host.lifeboat("verify", "shop", *content, stdin=wrong)
    assert json.loads(verified.stdout)[0]["state"] == "unknown"
    assert list(host.disk.glob("catalog/*/*/*.bad-*")) == []


def test_a_restore_by_hand_needs_gpg_alone(host: Host, tmp_path: Path) -> None:
    host.run()
    note = next(host.disk.glob("archives/*/*/*/RESTORE.md"))
    assert "gpg --quiet --decrypt" in note.read_text()
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    script = (
        f"set -eo pipefail; export GNUPGHOME={home}; gpg --batch --quiet --import;"
        f"gpg --quiet --decrypt {host.archive()} | zstd -d -q -c; gpgconf --kill all"
    )
    done = subprocess.run(["bash", "-c", script], input=pair_of(1)[0], capture_output=True)
    assert done.stdout.startswith(b"SQLite format 3"), done.stderr


def test_an_expired_key_stops_a_run_before_the_dump(host: Host) -> None:
    host.configuration["encryption"] = encryption(pair_of(1), expired())
    host.configure()
    done = host.lifeboat("run", "shop")
    assert done.returncode == 2
    assert "has expired" in done.stderr
    assert host.stored() == []
    assert host.lifeboat("config", "check").returncode == 2


def test_one_key_alone_is_warned_of_once_and_two_are_not(host: Host) -> None:
    assert "warning" not in host.lifeboat("config", "check").stderr
    host.configuration["encryption"] = encryption(pair_of(1))
    host.configure()
    for words in (("config", "check"), ("run", "shop")):
        done = host.lifeboat(*words)
        assert done.returncode == 0, done.stderr
        assert done.stderr.count("with one gpg key alone") == 1
    assert "alone" not in host.lifeboat("list").stderr
    assert "alone" not in host.lifeboat("status").stderr


def test_a_key_that_ends_soon_is_warned_of(host: Host) -> None:
    host.configuration["encryption"] = encryption(pair_of(1), make_pair("soon", expire="20d"))
    host.configure()
    done = host.lifeboat("config", "check")
    assert done.returncode == 0
    assert "ends in 19d" in done.stderr or "ends in 20d" in done.stderr, done.stderr


@pytest.mark.parametrize("both", [{"age_recipients": ["age1x"]}, {"none": True}])
def test_two_ways_to_encrypt_are_refused(host: Host, both: dict[str, object]) -> None:
    host.configuration["encryption"].update(both)
    host.configure()
    done = host.lifeboat("config", "check", "--json")
    assert done.returncode == 2
    assert "gpg_recipients" in json.loads(done.stdout)["error"]


def test_archives_of_two_backups_that_were_exchanged_are_refused(host: Host) -> None:
    first = host.run()
    one = host.archive()
    host.fill(7)
    second = host.run()
    other = next(host.disk.glob(f"archives/*/*/{second}/db.database*"))
    held, taken = one.read_bytes(), other.read_bytes()
    one.chmod(0o600), other.chmod(0o600)
    one.write_bytes(taken), other.write_bytes(held)
    for id_ in (first, second):
        done = restored(host, id_, pair_of(1)[0])
        assert done.returncode == 1
        assert "corrupt" in done.stderr
    assert host.rows() == 7
