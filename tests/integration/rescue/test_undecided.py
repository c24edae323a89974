# SPDX-License-Identifier: GPL-3.0-or-later
"""While a restore is neither confirmed nor undone, no host deletes backups of that job, its pruner neither."""

from __future__ import annotations

import json
import signal
import subprocess

import pytest

from .host import PHRASE, Host

NOT_DECIDED = "is neither confirmed nor undone"


@pytest.fixture
def vault(host: Host) -> Host:
    """The pruner of `host`, which may only append; it keeps one backup of each job."""
    host.configuration["destinations"]["disk"]["mode"] = "append_only"
    host.configure()
    pruner = Host(host.base, "vault", host.disk)
    disk = {"type": "local", "path": str(host.disk)}
    rules = {"destinations": ["disk"], "schedule": "02:00", "keep": {"last": 1}}
    seen = {"destinations": {"disk": disk}, "jobs": {"shop": rules}}
    pruner.configuration["jobs"] = {}
    pruner.configuration["prunes"] = {"at": "daily", "hosts": {host.name: seen}}
    pruner.configure()
    return pruner


def held(vault: Host) -> str:
    """Why the pruner would delete nothing; "" = it would."""
    asked = vault.lifeboat("prune", "--from-host", "h1", "shop", "--json")
    assert asked.returncode == 0, asked.stderr
    return str(json.loads(asked.stdout)[0]["held"])


def manifests(host: Host) -> list[str]:
    return sorted(path.stem for path in host.disk.glob("catalog/h1/shop/*.json"))


@pytest.mark.parametrize("decision", ["confirm", "undo"])
def test_the_pruner_of_another_host_waits_for_the_decision(
    host: Host, vault: Host, decision: str
) -> None:
    older, newer = host.run(), host.run()
    assert held(vault) == ""
    assert host.restore(older).returncode == 0

    assert held(vault) == f"the restore of {older} {NOT_DECIDED}"
    done = vault.lifeboat("prune", "--from-host", "h1", "shop", "--apply")
    assert done.returncode == 0, done.stderr
    assert manifests(host) == [older, newer]

    words = (older, "--confirm", PHRASE, "--target-host", "h1") if decision == "undo" else ()
    decided = host.lifeboat(decision, "shop", *words)
    assert decided.returncode == 0, decided.stderr
    assert held(vault) == ""
    vault.lifeboat("prune", "--from-host", "h1", "shop", "--apply")
    assert manifests(host) == [newer]


def test_no_mark_from_the_future_ends_the_wait(host: Host, vault: Host) -> None:
    older, newer = host.run(), host.run()
    assert host.restore(older).returncode == 0
    (host.disk / f"catalog/h1/shop/{older}.settled-20990101T000000Z").touch()

    done = vault.lifeboat("prune", "--from-host", "h1", "shop", "--apply")

    assert held(vault) == f"the restore of {older} {NOT_DECIDED}"
    assert manifests(host) == [older, newer]
    assert "its mark settled of 2099-01-01T00:00:00Z is dated in the future" in done.stderr


def test_one_of_two_restores_that_is_taken_back_leaves_the_other_undecided(
    host: Host, vault: Host
) -> None:
    older = host.run()
    host.run()
    assert host.restore(older).returncode == 0
    assert host.restore(older, "--into", str(host.data / "beside.db")).returncode == 0
    undone = host.lifeboat("undo", "shop", older, "--confirm", PHRASE, "--target-host", "h1")
    assert undone.returncode == 0, undone.stderr

    assert held(vault) == f"the restore of {older} {NOT_DECIDED}"
    host.lifeboat("confirm", "shop")
    assert held(vault) == ""


def test_a_restore_that_is_taken_back_holds_nobody(host: Host, vault: Host) -> None:
    older = host.run()
    host.run()
    # full at the very swap, when the destinations have been told
    fault = (
        "from lifeboat.sources.sqlite.source import SQLite\n"
        "from lifeboat.errors import RestoreError\n"
        "def swap(self, swap): raise RestoreError('no')\n"
        "SQLite.swap = swap\n"
    )
    failed = host.restore(older, before=fault)

    assert failed.returncode == 1, failed.stderr
    assert [name for name in host.stored() if ".restored-" in name]
    assert held(vault) == ""


KILL = "__import__('os').kill(__import__('os').getpid(), 9)"
KILLED = {
    "right after the mark": f"""
import lifeboat.operations.restore.undecided as undecided
real = undecided._put
def put(*given):
    real(*given)
    {KILL}
undecided._put = put
""",
    "in the swap": f"""
from lifeboat.sources.sqlite.source import SQLite
def swap(self, swap):
    {KILL}
SQLite.swap = swap
""",
}


@pytest.mark.parametrize("when", KILLED)
def test_recovery_of_a_restore_that_it_takes_back_ends_the_wait(
    host: Host, vault: Host, when: str
) -> None:
    older = host.run()
    host.run()
    killed = host.restore(older, before=KILLED[when])
    assert killed.returncode == -signal.SIGKILL
    assert held(vault) == f"the restore of {older} {NOT_DECIDED}"

    recovered = host.lifeboat("recover")

    assert "is taken back" in recovered.stdout, recovered.stderr
    assert held(vault) == ""


def test_a_confirm_that_is_killed_ends_the_wait_once_it_is_complete(
    host: Host, vault: Host
) -> None:
    older = host.run()
    host.run()
    assert host.restore(older).returncode == 0
    fault = f"""
import lifeboat.operations.restore.settle as settle
def forget(directory, journal):
    {KILL}
settle.forget = forget
from lifeboat.sources.sqlite.source import SQLite
"""
    cut = fault + f"def discard(self, swap):\n    {KILL}\nSQLite.discard = discard\n"
    assert host.lifeboat("confirm", "shop", before=cut).returncode == -signal.SIGKILL
    assert held(vault) == f"the restore of {older} {NOT_DECIDED}"
    assert host.lifeboat("recover", before=fault).returncode == -signal.SIGKILL
    assert held(vault) == ""
    assert host.lifeboat("recover").returncode == 0


def test_recovery_goes_on_where_the_destination_takes_no_mark(host: Host, vault: Host) -> None:
    older = host.run()
    assert host.restore(older, before=KILLED["in the swap"]).returncode == -signal.SIGKILL
    away = host.disk.rename(host.base / "away")

    recovered = host.lifeboat("recover")

    assert "is taken back" in recovered.stdout, recovered.stderr
    assert recovered.returncode == 1  # somebody has to know that the pruner waits on
    assert "disk could not be told: " in recovered.stdout
    away.rename(host.disk)
    assert host.rows() == 1000


def test_a_restore_of_a_backup_that_nobody_signed_is_waited_for_too(
    host: Host, vault: Host
) -> None:
    """It takes no place at a pruner that knows signers; what is chosen after it may be any other."""
    older = host.run()
    made = host.base / "signing"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(made)], check=True)
    secrets = host.root / "config" / "credentials"
    secrets.mkdir(mode=0o700)
    (secrets / "signing").write_text(json.dumps(made.read_text()))
    (secrets / "signing").chmod(0o600)
    host.configuration["signing"] = {"key": {"credential": "signing"}}
    host.configure()
    public = made.with_suffix(".pub").read_text().strip()
    vault.configuration["prunes"]["hosts"][host.name]["signers"] = [public]
    vault.configure()
    first, second = host.run(), host.run()
    assert host.restore(older).returncode == 0

    assert held(vault) == f"the restore of {older} {NOT_DECIDED}"
    vault.lifeboat("prune", "--from-host", "h1", "shop", "--apply")
    assert manifests(host) == [older, first, second]
