# SPDX-License-Identifier: GPL-3.0-or-later
"""Signed manifests: made by the host's key, and nothing else is restored where signers are named."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from tests.integration.rescue.host import PHRASE, Host


def key(folder: Path, name: str) -> str:
    """Makes a pair; the public line."""
    argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
    subprocess.run(argv, check=True)
    return (folder / f"{name}.pub").read_text().strip()


def credential(host: Host, name: str, path: Path) -> None:
    folder = host.root / "config" / "credentials"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(path.read_text()))
    (folder / name).chmod(0o600)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A host that signs, and that restores only what it signed."""
    made = Host(tmp_path)
    public = key(tmp_path, "signing")
    credential(made, "signing", tmp_path / "signing")
    made.configuration["signing"] = {"key": {"credential": "signing"}}
    made.configuration["signers"] = [public]
    made.configure()
    made.fill(1000)
    return made


def manifest(host: Host, id_: str) -> Path:
    return next(host.disk.glob(f"catalog/*/*/{id_}.json"))


def rewrite(path: Path, content: bytes) -> None:
    path.chmod(0o600)
    path.write_bytes(content)


def forged(host: Host, id_: str) -> None:
    """A manifest of its own, sound in itself, in the place of the signed one."""
    path = manifest(host, id_)
    code = (
        "import sys; from pathlib import Path; from dataclasses import replace\n"
        "from lifeboat.manifest import decode, encode\n"
        f"path = Path({str(path)!r}); made = decode(path.read_bytes(), 'x'); path.chmod(0o600)\n"
        "path.write_bytes(encode(replace(made, tool='evil 1.0')))\n"
        "raise SystemExit(0)"
    )
    done = host.lifeboat("list", before=code)
    assert done.returncode == 0, done.stderr


def test_a_signed_backup_is_restored_and_anybody_can_check_it(host: Host, tmp_path: Path) -> None:
    id_ = host.run()
    host.fill(3)
    done = host.restore(id_)
    assert done.returncode == 0, done.stderr
    assert host.rows() == 1000
    (tmp_path / "signers").write_text("lifeboat " + host.configuration["signers"][0] + "\n")
    path = manifest(host, id_)
    argv = ["ssh-keygen", "-Y", "verify", "-f", str(tmp_path / "signers"), "-I", "lifeboat"]
    argv += ["-n", "lifeboat", "-s", f"{path}.sig"]
    assert subprocess.run(argv, input=path.read_bytes(), capture_output=True).returncode == 0


@pytest.mark.parametrize("how", ["forged", "gone", "of another", "by another", "garbage"])
def test_nothing_is_fetched_of_a_backup_that_nobody_signed(
    host: Host, tmp_path: Path, how: str
) -> None:
    id_ = host.run()
    path = manifest(host, id_)
    signature = Path(f"{path}.sig")
    if how == "forged":
        forged(host, id_)
    elif how == "gone":
        signature.unlink()
    elif how == "of another":
        other = manifest(host, host.run())
        rewrite(signature, Path(f"{other}.sig").read_bytes())
    elif how == "by another":
        key(tmp_path, "evil")
        argv = ["ssh-keygen", "-Y", "sign", "-q", "-n", "lifeboat", "-f", str(tmp_path / "evil")]
        done = subprocess.run(argv, input=path.read_bytes(), check=True, capture_output=True)
        rewrite(signature, done.stdout)
    else:
        rewrite(signature, os.urandom(100))
    for archive in host.disk.glob(f"archives/*/*/{id_}/db.*"):
        archive.unlink()  # a fetch would say that it is missing
    done = host.restore(id_)
    assert done.returncode == 6, done.stderr
    assert "not signed" in done.stderr
    assert "--allow-unsigned" in done.stderr
    told = host.lifeboat("verify", id_, "--json")
    assert told.returncode == 1
    assert [one["state"] for one in json.loads(told.stdout)] == ["unsigned"]
    assert not list(host.disk.glob(f"catalog/*/*/{id_}.bad-*"))  # not being signed is not being bad


def test_an_unsigned_backup_takes_a_flag_and_other_words(host: Host) -> None:
    id_ = host.run()
    Path(f"{manifest(host, id_)}.sig").unlink()
    host.fill(3)
    assert "unsigned:disk" in host.lifeboat("list").stdout
    assert json.loads(host.lifeboat("list", "--json").stdout)[0]["signed"] == {"disk": False}
    words = ("--identity", str(host.key), "--target-host", "h1", "--allow-unsigned")
    done = host.lifeboat("restore", "shop", id_, *words, "--confirm", PHRASE)
    assert done.returncode == 6
    assert f"{PHRASE} UNSIGNED" in done.stderr
    assert host.rows() == 3
    done = host.lifeboat("restore", "shop", id_, *words, "--confirm", f"{PHRASE} UNSIGNED")
    assert done.returncode == 0, done.stderr
    assert "NOT SIGNED" in done.stderr
    assert host.rows() == 1000


def test_dev_asks_for_words_too_where_a_backup_is_unsigned(host: Host) -> None:
    host.configuration["environment"] = "dev"
    host.configure()
    id_ = host.run()
    Path(f"{manifest(host, id_)}.sig").unlink()
    words = ("--identity", str(host.key), "--allow-unsigned")
    assert host.lifeboat("restore", "shop", id_, *words).returncode == 6
    done = host.lifeboat("restore", "shop", id_, *words, "--confirm", "RESTORE UNSIGNED")
    assert done.returncode == 0, done.stderr


def test_a_signed_copy_elsewhere_is_taken(host: Host) -> None:
    other = host.base / "second"
    other.mkdir()
    host.configuration["destinations"]["second"] = {"type": "local", "path": str(other)}
    host.job["destinations"] = ["disk", "second"]
    host.configure()
    id_ = host.run()
    forged(host, id_)
    host.fill(3)
    done = host.restore(id_)
    assert done.returncode == 0, done.stderr
    assert "at second" in done.stderr
    assert host.rows() == 1000


def test_a_push_carries_the_signature(host: Host) -> None:
    id_ = host.run()
    other = host.base / "second"
    other.mkdir()
    host.configuration["destinations"]["second"] = {"type": "local", "path": str(other)}
    host.job["destinations"] = ["disk", "second"]
    host.configure()
    assert host.lifeboat("push", "shop").returncode == 0
    shutil.rmtree(host.disk / "catalog")
    assert host.lifeboat("verify", id_, "--at", "second").returncode == 0


def test_a_key_that_is_no_signer_or_that_asks_stops_a_run_before_the_dump(
    host: Host, tmp_path: Path
) -> None:
    host.configuration["signers"] = [key(tmp_path, "other")]
    host.configure()
    done = host.lifeboat("run", "shop")
    assert (done.returncode, "none of signers" in done.stderr) == (2, True)
    argv = ["ssh-keygen", "-q", "-p", "-N", "secret", "-f", str(tmp_path / "signing")]
    subprocess.run(argv, check=True)
    credential(host, "signing", tmp_path / "signing")
    done = host.lifeboat("run", "shop")
    assert (done.returncode, "does not sign" in done.stderr) == (2, True)
    assert host.stored() == []


@pytest.mark.parametrize(
    "line",
    ["* ssh-ed25519 AAAA", "ssh-ed25519 AAAA\nlifeboat ssh-ed25519 BBBB", "", "cert-authority"],
)
def test_only_a_public_key_is_a_signer(host: Host, line: str) -> None:
    host.configuration["signers"] = [line]
    host.configure()
    done = host.lifeboat("config", "check")
    assert (done.returncode, "signers, entry 1" in done.stderr) == (2, True)


def test_a_pruned_backup_takes_its_signature_with_it(host: Host) -> None:
    host.job["keep"] = {"last": 1}
    host.configure()
    first = host.run()
    host.run()
    done = host.lifeboat("prune", "shop", "--apply")
    assert done.returncode == 0, done.stderr
    assert not list(host.disk.glob(f"catalog/*/*/{first}.json*"))


def test_a_signature_without_its_manifest_keeps_nothing(host: Host) -> None:
    """A run that was killed between the two: its archives are swept like those of any other."""
    cut = (
        "import os, signal\n"
        "import lifeboat.destinations.local as local\n"
        "whole = local.Local.put\n"
        "def put(self, key, content):\n"
        "    if key.endswith('.json'): os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return whole(self, key, content)\n"
        "local.Local.put = put\n"
    )
    assert host.lifeboat("run", "shop", before=cut).returncode == -9
    [signature] = host.disk.glob("catalog/*/*/*.json.sig")
    orphan = signature.name.partition(".")[0]
    id_ = host.run()
    assert [one["id"] for one in json.loads(host.lifeboat("list", "--json").stdout)] == [id_]
    later = (
        "import lifeboat.sweeping as sweeping; from datetime import timedelta\n"
        "sweeping.ORPHAN_AFTER = timedelta(0)\n"
    )
    done = host.lifeboat("prune", "shop", "--apply", before=later)
    assert done.returncode == 0, done.stderr
    assert not list(host.disk.glob(f"archives/*/*/{orphan}/*"))


def newer(host: Host, id_: str) -> str:
    """A backup that nobody signed, later than a real one and sound in itself; its id."""
    made = f"{datetime.now(timezone.utc) + timedelta(minutes=2):%Y%m%dT%H%M%SZ}-manual-ffff"
    path = manifest(host, id_)
    code = (
        "from pathlib import Path; from dataclasses import replace\n"
        "from lifeboat.manifest import decode, encode; from lifeboat.naming import parse_id\n"
        f"path = Path({str(path)!r}); made = decode(path.read_bytes(), 'x'); id_ = {made!r}\n"
        "at, type_ = parse_id(id_); forged = replace(made, id=id_, taken_at=at, type=type_)\n"
        "(path.parent / (id_ + '.json')).write_bytes(encode(forged))\n"
        "(path.parent / (id_ + '.intact-' + id_[:16])).touch()\n"
        "raise SystemExit(0)"
    )
    assert host.lifeboat("list", before=code).returncode == 0
    archives = host.disk / "archives/h1/shop"
    shutil.copytree(archives / id_, archives / made)
    return made


def test_status_does_not_count_what_nobody_signed(host: Host) -> None:
    id_ = host.run()
    forged_id = newer(host, id_)
    done = host.lifeboat("status", "shop", "--json")
    assert done.returncode == 2
    (told,) = [one for one in json.loads(done.stdout) if one["destination"] == "disk"]
    assert told["newest_good"] == id_
    assert forged_id in told["reason"]
    assert "not signed" in told["reason"]


def test_what_somebody_else_wrote_at_a_destination_is_alerted_on(host: Host) -> None:
    id_ = host.run()
    told = host.lifeboat("metrics", "--now").stdout
    assert 'lifeboat_unsigned_copies{job_name="shop",destination="disk"} 0' in told
    forged_id = newer(host, id_)
    looked = host.lifeboat("freshness", "shop")
    assert (
        f"nobody signed {forged_id}: somebody else wrote there"
        in (host.root / "state/log/lifeboat.log").read_text() + looked.stdout + looked.stderr
    )
    told = host.lifeboat("metrics").stdout
    assert 'lifeboat_unsigned_copies{job_name="shop",destination="disk"} 1' in told


def test_a_push_carries_nothing_unsigned_and_no_mark_that_weakens(host: Host) -> None:
    id_ = host.run()
    forged_id = newer(host, id_)
    for kind in ("pin", "tag-v1", "accepted", "replaced", "readable", "archived"):
        (manifest(host, id_).parent / f"{id_}.{kind}-20260101T000000Z").touch()
    other = host.base / "second"
    other.mkdir()
    host.configuration["destinations"]["second"] = {"type": "local", "path": str(other)}
    host.job["destinations"] = ["disk", "second"]
    host.configure()
    done = host.lifeboat("push", "shop")
    assert done.returncode == 3
    assert forged_id in done.stdout
    assert "not signed" in done.stdout
    assert not list(other.rglob(f"*{forged_id}*"))
    kinds = {path.name.split(".")[1].split("-")[0] for path in other.glob(f"catalog/*/*/{id_}.*")}
    assert kinds == {"json", "intact", "pin", "tag"}


@pytest.mark.parametrize("believed", [True, False], ids=["signers", "none"])
def test_who_is_offered_a_newer_backup_of_anybodys_is_told_the_newest_that_is_one(
    host: Host, tmp_path: Path, believed: bool
) -> None:
    """An append-only identity can add names. None is taken by itself, and none is led to."""
    if not believed:
        del host.configuration["signers"]
        host.configure()
    id_ = host.run()
    at = (datetime.now(timezone.utc) + timedelta(minutes=1)).strftime("%Y%m%dT%H%M%SZ")
    fake = manifest(host, id_).with_name(f"{at}-daily-ffff.json")
    fake.write_bytes(b"{}")
    fake.with_name(f"{at}-daily-ffff.intact-{at}").touch()
    for words in (
        ("restore", "shop", "--identity", str(host.key), "--dry-run"),
        ("fetch", "shop", str(tmp_path / "fetched")),
        ("bundle", "shop", str(tmp_path / "x.tar")),
    ):
        done = host.lifeboat(*words)
        assert done.returncode == (6 if believed else 1), done.stderr
        assert f"hint: the newest backup that can be used is {id_}" in done.stderr
    assert host.restore(id_).returncode == 0
