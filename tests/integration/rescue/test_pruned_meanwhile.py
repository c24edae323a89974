# SPDX-License-Identifier: GPL-3.0-or-later
"""What is pinned or tagged while a pruner elsewhere is at work either stays, or whoever said so is told."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from .host import Host

# Stops before METHOD of the pruning, until a file is there.
WAIT = """
import lifeboat.operations.upkeep.pruning as pruning, os, time
real = pruning.Pruning.{method}
def slow(self, given):
    open({planned!r}, "w").close()
    until = time.monotonic() + 60
    while not os.path.exists({go!r}) and time.monotonic() < until:
        time.sleep(0.02)
    return real(self, given)
pruning.Pruning.{method} = slow
"""


@pytest.fixture
def vault(host: Host) -> Host:
    """The pruner of `host`, which keeps one backup."""
    made = Host(host.base, "vault", disk=host.disk)
    host.job["keep"] = {"last": 1}
    host.configuration["destinations"]["disk"]["mode"] = "append_only"
    host.configuration["pruner"] = "vault"
    host.configure()
    disk = {"type": "local", "path": str(host.disk)}
    jobs = {"shop": {"destinations": ["disk"], "keep": {"last": 1}}}
    of_host = {"destinations": {"disk": disk}, "jobs": jobs}
    made.configuration["prunes"] = {"at": "04:30", "hosts": {host.name: of_host}}
    made.configuration["jobs"] = {}
    made.configure()
    return made


def _pruned_around(
    vault: Host, host: Host, method: str, *said: tuple[str, ...]
) -> list[subprocess.CompletedProcess[str]]:
    """What `said` gave on `host`, between the plan of a prune and `method`."""
    planned, go = host.base / "planned", host.base / "go"
    before = WAIT.format(method=method, planned=str(planned), go=str(go))
    argv = vault.argv("prune", "--from-host", host.name, "--apply", before=before)
    pruning = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    until = time.monotonic() + 60
    while not planned.exists() and time.monotonic() < until:
        time.sleep(0.02)
    done = [host.lifeboat(*words) for words in said]
    go.touch()
    told = pruning.communicate(timeout=60)[0].decode()
    assert pruning.returncode == 0, told
    return done


VERIFYING = """
import os, subprocess
import lifeboat.operations.upkeep.verify as verify
real, pruned = verify._one, []
def one(*words):
    if not pruned:
        pruned.append(subprocess.run({argv!r}).returncode)
    return real(*words)
verify._one = one
"""


def test_what_a_pruner_lets_go_of_while_it_is_verified_is_not_corrupt(
    host: Host, vault: Host
) -> None:
    first, last = host.run(), host.run()
    argv = vault.argv("prune", "--from-host", host.name, "--apply")
    done = host.lifeboat("verify", "shop", "--all", before=VERIFYING.format(argv=argv))
    assert not _there(host.disk, first)
    assert done.returncode == 0, done.stdout + done.stderr
    assert last in done.stdout
    assert "corrupt" not in done.stdout
    assert not list(host.disk.glob(f"catalog/*/*/{first}.bad-*"))


def _there(disk: Path, id_: str) -> bool:
    return bool(list(disk.glob(f"catalog/*/*/{id_}.json")))


def test_what_is_pinned_after_the_plan_of_a_prune_stays(host: Host, vault: Host) -> None:
    first, second, third, _last = (host.run() for _night in range(4))
    said = (("pin", first), ("tag", second, "v1"))
    assert [one.returncode for one in _pruned_around(vault, host, "prune", *said)] == [0, 0]
    assert _there(host.disk, first)
    assert _there(host.disk, second)
    assert not _there(host.disk, third)


def test_who_pins_what_goes_at_that_moment_is_told(host: Host, vault: Host) -> None:
    first, _last = host.run(), host.run()
    [pinned] = _pruned_around(vault, host, "_delete", ("pin", first))
    assert pinned.returncode == 3
    assert "prunes it just now" in pinned.stderr
    assert not _there(host.disk, first)
