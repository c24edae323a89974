# SPDX-License-Identifier: GPL-3.0-or-later
"""Rekeying: old backups become readable with new keys, whatever happens on the way."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.integration.crypto.test_signatures import credential, forged, key, manifest
from tests.integration.rescue.host import PHRASE, Host
from tests.unit.filters.test_gpg import pair_of

KILL = """
import os, signal
import lifeboat.destinations.local as local
left = [{left}]
def counted(method):
    def call(self, *given, **named):
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left[0] -= 1
        done = method(self, *given, **named)
        return done
    return call
for name in ("store", "put"):
    setattr(local.Local, name, counted(getattr(local.Local, name)))
"""


def age_key(folder: Path, name: str) -> str:
    """Makes a key in a file; its recipient."""
    path = folder / name
    subprocess.run(["age-keygen", "-o", str(path)], check=True, capture_output=True)
    argv = ["age-keygen", "-y", str(path)]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def host(tmp_path: Path) -> Host:
    made = Host(tmp_path)
    made.fill(1000)
    return made


def turn_to(host: Host, *recipients: str) -> None:
    host.configuration["encryption"] = {"age_recipients": list(recipients)}
    host.configure()


def listed(host: Host) -> list[dict[str, object]]:
    done = host.lifeboat("list", "--json")
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout))


def rekey(host: Host, *words: str, before: str = "") -> subprocess.CompletedProcess[str]:
    return host.lifeboat("rekey", "shop", "--identity", str(host.key), *words, before=before)


def restored_with(host: Host, id_: str, key: Path) -> subprocess.CompletedProcess[str]:
    gate = ("--confirm", PHRASE, "--target-host", host.name)
    return host.lifeboat("restore", "shop", id_, "--identity", str(key), *gate)


def contents(host: Host) -> dict[str, bytes]:
    return {name: (host.disk / name).read_bytes() for name in host.stored()}


def test_an_old_backup_opens_with_the_new_key_alone(host: Host, tmp_path: Path) -> None:
    old = host.run("--tag", "v1", "--pin")
    turn_to(host, age_key(tmp_path, "new.key"))
    assert rekey(host, "--dry-run").stdout.split() == [old]
    done = rekey(host, "--json")
    assert done.returncode == 0, done.stderr
    [told] = json.loads(done.stdout)
    new = told["new_id"]
    assert (told["id"], told["destinations"]) == (old, {"disk": "intact"})
    assert new[:-4] == old[:-4]  # the same instant and type
    rows = {one["id"]: one for one in listed(host)}
    assert rows[new]["good"]
    assert rows[new]["tags"] == ["v1"]
    assert (rows[old]["good"], rows[old]["why_not_good"]) == (False, "replaced")
    host.fill(3)
    assert restored_with(host, "latest", tmp_path / "new.key").returncode in (0, 6)
    done = restored_with(host, new, tmp_path / "new.key")
    assert done.returncode == 0, done.stderr
    assert host.rows() == 1000
    assert restored_with(host, new, host.key).returncode == 2
    assert restored_with(host, old, host.key).returncode == 0  # still there, still readable
    assert rekey(host).stdout.strip() == "nothing to rekey"


@pytest.mark.parametrize("signers", [False, True], ids=["own key", "signers"])
@pytest.mark.parametrize("how", ["unsigned", "forged"])
def test_what_nobody_signed_is_not_signed_by_the_way(
    host: Host, tmp_path: Path, how: str, signers: bool
) -> None:
    public = key(tmp_path, "signing")
    credential(host, "signing", tmp_path / "signing")
    host.configuration["signing"] = {"key": {"credential": "signing"}}
    host.configuration["signers"] = [public] if signers else []
    host.configure()
    bad = host.run()
    if how == "forged":
        forged(host, bad)
    else:
        Path(f"{manifest(host, bad)}.sig").unlink()
    good = host.run()
    before = contents(host)
    turn_to(host, age_key(tmp_path, "new.key"))
    done = rekey(host, "--json")
    assert done.returncode == 3, done.stderr
    told = {one["id"]: one for one in json.loads(done.stdout)}
    assert told[good]["done"]
    assert (told[bad]["new_id"], told[bad]["done"]) == ("", False)
    assert "not signed" in told[bad]["problem"]
    assert "--allow-unsigned" in told[bad]["problem"]
    assert not list(host.disk.glob(f"catalog/*/*/{bad}.replaced-*"))
    new = told[good]["new_id"]
    assert {name for name in contents(host) if name not in before and new not in name} == {
        str(one.relative_to(host.disk)) for one in host.disk.glob(f"catalog/*/*/{good}.replaced-*")
    }
    host.configuration["signers"] = [public]
    host.configure()
    done = rekey(host, "--allow-unsigned", "--json")
    assert done.returncode == 0, done.stderr
    [told] = json.loads(done.stdout)
    assert (told["id"], told["done"]) == (bad, True)


def test_nothing_that_was_there_is_lost_wherever_it_is_killed(host: Host, tmp_path: Path) -> None:
    old = host.run()
    before = contents(host)
    turn_to(host, age_key(tmp_path, "new.key"))
    kills = 0
    for left in range(12):
        done = rekey(host, before=KILL.format(left=left))
        now = contents(host)
        assert {name: now[name] for name in before} == before
        spool = host.root / "state" / "spool"
        for path in spool.rglob("*.age"):
            assert path.read_bytes()[:22] in (b"", b"age-encryption.org/v1\n")
        assert [one for one in spool.rglob("*") if one.is_file() and one.suffix != ".age"] == []
        if done.returncode == 0:
            break
        assert done.returncode == -9
        kills += 1
    assert kills >= 5
    rows = {one["id"]: one for one in listed(host)}
    [new] = [id_ for id_, one in rows.items() if one["good"]]
    assert rows[old]["why_not_good"] == "replaced"
    host.fill(3)
    done = restored_with(host, new, tmp_path / "new.key")
    assert done.returncode == 0, done.stderr
    assert host.rows() == 1000


def test_a_destination_that_was_down_is_made_up_for(host: Host, tmp_path: Path) -> None:
    second = tmp_path / "second"
    second.mkdir()
    host.configuration["destinations"]["second"] = {"type": "local", "path": str(second)}
    host.job["destinations"] = ["disk", "second"]
    host.configure()
    old = host.run()
    turn_to(host, age_key(tmp_path, "new.key"))
    down = (
        "import lifeboat.destinations.local as local\n"
        "from lifeboat.errors import DestinationError\n"
        "whole = local.Local.store\n"
        "def store(self, *given):\n"
        "    if self.name == 'second': raise DestinationError('down', permanent=True)\n"
        "    return whole(self, *given)\n"
        "local.Local.store = store\n"
    )
    done = rekey(host, before=down)
    assert done.returncode == 1, done.stderr
    copies = {one["id"]: one["copies"] for one in listed(host)}
    assert copies[old] == {"disk": "replaced", "second": "intact"}
    done = rekey(host, "--json")
    assert done.returncode == 0, done.stderr
    [told] = json.loads(done.stdout)
    copies = {one["id"]: one["copies"] for one in listed(host)}
    assert copies[told["new_id"]] == {"disk": "intact", "second": "intact"}
    assert copies[old] == {"disk": "replaced", "second": "replaced"}


def test_a_key_that_does_not_open_is_told_and_changes_nothing(host: Host, tmp_path: Path) -> None:
    host.run()
    before = contents(host)
    turn_to(host, age_key(tmp_path, "new.key"))
    done = host.lifeboat("rekey", "shop", "--identity", str(tmp_path / "new.key"))
    assert done.returncode == 1
    assert "does not open" in done.stdout
    done = host.lifeboat("rekey", "shop")
    assert done.returncode == 1
    assert "needs the private key" in done.stdout
    assert contents(host) == before


def test_what_is_corrupt_is_not_written_again(host: Host, tmp_path: Path) -> None:
    host.run()
    turn_to(host, age_key(tmp_path, "new.key"))
    archive = host.archive()
    archive.chmod(0o600)
    archive.write_bytes(archive.read_bytes()[:-1])
    before = contents(host)
    done = rekey(host)
    assert (done.returncode, "corrupt" in done.stdout) == (1, True)
    assert contents(host) == before


CUT = """
import hashlib
from dataclasses import replace
from pathlib import Path
from lifeboat.manifest import decode, encode
disk = Path({disk!r})
[path] = disk.glob("catalog/*/*/*.json")
made = decode(path.read_bytes(), "x")
changed = []
for one in made.archives:
    stored = next(disk.glob("archives/*/*/*/" + one.name))
    content = stored.read_bytes()
    content = content if one.part != "database" else content[:-20]
    stored.chmod(0o600)
    stored.write_bytes(content)
    told = hashlib.sha256(content).hexdigest()
    changed.append(replace(one, size_bytes=len(content), sha256=told))
path.chmod(0o600)
path.write_bytes(encode(replace(made, archives=tuple(changed))))
raise SystemExit(0)
"""


def test_what_decrypts_to_its_middle_only_is_not_written_again(host: Host, tmp_path: Path) -> None:
    """The stored bytes are those of the manifest, and yet age fails, after it gave out plain ones."""
    host.fill(40_000)
    host.run()
    assert host.lifeboat("list", before=CUT.format(disk=str(host.disk))).returncode == 0
    turn_to(host, age_key(tmp_path, "new.key"))
    before = contents(host)
    done = rekey(host)
    assert (done.returncode, "cannot be decoded" in done.stdout) == (1, True), done.stdout
    assert contents(host) == before


def test_from_age_to_gpg(host: Host) -> None:
    host.run()
    one = pair_of(1)
    host.configuration["encryption"] = {"gpg_recipients": [one[2]], "gpg_keys": [one[1]]}
    host.configure()
    done = rekey(host, "--json")
    assert done.returncode == 0, done.stderr
    [told] = json.loads(done.stdout)
    host.fill(3)
    gate = ("--confirm", PHRASE, "--target-host", host.name, "--identity", "-")
    done = host.lifeboat("restore", "shop", told["new_id"], *gate, stdin=one[0])
    assert done.returncode == 0, done.stderr
    assert host.rows() == 1000


def test_rekeying_never_decrypts(host: Host) -> None:
    host.run()
    host.configuration["encryption"] = {"none": True}
    host.configure()
    done = rekey(host)
    assert (done.returncode, "never decrypts" in done.stderr) == (2, True)


def test_what_is_no_backup_keeps_no_other_from_its_new_key(host: Host, tmp_path: Path) -> None:
    old = host.run()
    turn_to(host, age_key(tmp_path, "new.key"))
    junk = "20261101T020000Z-daily-0000"
    (host.disk / f"catalog/{host.name}/shop/{junk}.json").write_text("junk")
    planned = rekey(host, "--dry-run")
    assert planned.returncode == 0, planned.stderr
    assert (planned.stdout.split(), junk in planned.stderr) == ([old], True)
    done = rekey(host, "--json")
    assert done.returncode == 3, done.stderr
    told = {one["id"]: one for one in json.loads(done.stdout)}
    assert told[old]["done"]
    assert "is not JSON" in told[junk]["problem"]
    assert rekey(host).returncode == 3
