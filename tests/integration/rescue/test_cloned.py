# SPDX-License-Identifier: GPL-3.0-or-later
"""Two machines of one name: neither's retention takes the other's backups, until somebody has decided."""

from __future__ import annotations

import json
import shutil
import signal
import time
from pathlib import Path

import pytest

from .host import Host


@pytest.fixture
def host(tmp_path: Path) -> Host:
    made = Host(tmp_path)
    made.job["keep"] = {"last": 1}
    made.configure()
    made.fill(10)
    return made


def clone(host: Host) -> Host:
    """The same machine once more, with all that it remembers; the destination is the one both reach."""
    base = host.base / "clone"
    base.mkdir()
    made = Host(base, host.name, host.disk)
    shutil.rmtree(made.root)
    shutil.copytree(host.root, made.root)
    made.job["keep"] = host.job["keep"]
    made.fill(10)
    made.configure()
    return made


def pruner(host: Host) -> Host:
    """Another host that lets go of what `host` keeps at its disk, as one that receives does."""
    made = Host(host.base, name="vault", disk=host.base / "unused")
    jobs = {"shop": {"schedule": "02:00", "destinations": ["disk"], "keep": {"last": 1}}}
    here = {host.name: {"destinations": {"disk": {"type": "local", "path": str(host.disk)}},
                        "jobs": jobs}}  # fmt: skip
    known = {"version": 1, "host": "vault", "clients": {}, "hosts": here}
    (made.root / "config" / "receiver.json").write_text(json.dumps(known))
    made.configuration["prunes"] = {"at": "daily", "hosts": here}
    made.configure()
    return made


def manifests(host: Host) -> list[str]:
    return sorted(path.stem for path in host.disk.glob("catalog/h1/shop/*.json"))


def test_while_two_hosts_have_one_name_nothing_is_pruned(host: Host) -> None:
    ids = [host.run(), host.run()]
    other, third = clone(host), pruner(host)
    ids.append(other.run())
    time.sleep(1)  # ids of one second are in no order
    told = host.lifeboat("run", "shop")
    ids.append(told.stdout.strip())
    assert f"{ids[2]} was not made here: do two hosts have the name h1?" in told.stderr

    apply = ("prune", "--apply", "--no-limit")
    for one, words in (
        (host, ("shop",)),
        (other, ("shop",)),
        (third, ("--all-hosts",)),
    ):
        done = one.lifeboat(*apply, *words)
        assert done.returncode == 6, done.stderr
        assert "nothing was deleted" in done.stderr
        assert f"two hosts seem to have this name: the other one made {ids[2]}" in done.stderr
        assert f"lifeboat accept {ids[2]}" in done.stderr
    received = third.lifeboat("receiver", "prune", "--apply")
    assert received.returncode == 6, received.stderr
    assert manifests(host) == ids
    standing = json.loads(host.lifeboat("status", "--json").stdout)[0]
    assert standing["state"] == "warning"
    assert "two hosts seem to have this name" in standing["reason"]

    # -- the clone gets a name of its own, and that is said
    other.configuration["host"] = "h2"
    other.configure()
    assert host.lifeboat("accept", ids[2]).returncode == 0
    assert json.loads(host.lifeboat("status", "--json").stdout)[0]["state"] == "good"
    done = host.lifeboat("prune", "shop", "--apply")
    assert done.returncode == 0, done.stderr
    assert manifests(host) == ids[3:]
    again = host.lifeboat("run", "shop")
    assert "do two hosts" not in again.stderr
    assert third.lifeboat("prune", "--all-hosts", "--apply").returncode == 0


def test_a_clone_is_seen_by_who_prunes_before_the_next_run(host: Host) -> None:
    ids = [host.run(), host.run()]
    other = clone(host)
    ids.append(other.run())
    planned = host.lifeboat("prune", "shop")
    assert f"lifeboat accept {ids[2]}" in planned.stdout
    assert host.lifeboat("prune", "shop", "--apply").returncode == 6
    assert manifests(host) == ids


KILLED = """
import os, signal
import lifeboat.operations.backup.lanes as lanes
lanes.Lane._read_back = lambda *_words: os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_run_has_stored_is_no_strangers(host: Host) -> None:
    host.run()
    host.run()
    killed = host.lifeboat("run", "shop", before=KILLED)
    assert killed.returncode == -signal.SIGKILL
    assert len(manifests(host)) == 3
    assert "do two hosts" not in host.lifeboat("run", "shop").stderr
    done = host.lifeboat("prune", "shop", "--apply", "--no-limit")
    assert done.returncode == 0, done.stderr


def test_what_was_encrypted_anew_is_no_strangers(host: Host) -> None:
    host.run()
    host.run()
    old = host.key.read_bytes()
    host.key.unlink()
    fresh = Host(host.base, "h9", host.base / "elsewhere")  # makes a new key
    host.configuration["encryption"] = fresh.configuration["encryption"]
    host.configure()
    (host.base / "old.key").write_bytes(old)
    (host.base / "old.key").chmod(0o600)
    done = host.lifeboat("rekey", "shop", "--identity", str(host.base / "old.key"))
    assert done.returncode == 0, done.stderr
    assert "do two hosts" not in host.lifeboat("run", "shop").stderr
    assert host.lifeboat("prune", "shop", "--apply").returncode == 0


def test_a_name_with_nothing_behind_it_is_no_other_host(host: Host) -> None:
    ids = [host.run(), host.run()]
    junk = host.disk / f"catalog/h1/shop/{ids[1][:-1]}{'0' if ids[1][-1] != '0' else '1'}.json"
    junk.write_bytes(b"{}")
    done = host.lifeboat("prune", "shop", "--apply")
    assert done.returncode == 0, done.stderr
    assert ids[0] not in manifests(host)
