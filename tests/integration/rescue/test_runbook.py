# SPDX-License-Identifier: GPL-3.0-or-later
"""Every block of commands in a host's runbook does what is written above it, typed at a terminal."""

from __future__ import annotations

import os
import re
import shlex
import time
from pathlib import Path

import pytest

from tests import typed as terminal
from tests.typed import blocks

from .host import Host

CONTROLLER = "ansible-playbook"


@pytest.fixture
def shop(host: Host, tmp_path: Path) -> Host:
    """A production host with a database and a directory, two backups, and `lifeboat` to type."""
    uploads = host.data / "uploads"
    uploads.mkdir()
    (uploads / "invoice.txt").write_text("paid")
    os.utime(uploads / "invoice.txt", (1e9, 1e9))  # not in the second in which it is backed up
    host.job["sources"]["uploads"] = {"type": "files", "paths": [str(uploads)]}
    host.configuration["runbook"] = {"contacts": {"on call": "0123"}, "notes": "## Our own\n\nHi."}
    host.configure()
    program = tmp_path / "bin" / "lifeboat"
    program.parent.mkdir()
    argv = shlex.join(host.argv())
    program.write_text(f'#!/bin/sh\nexec {argv} "$@"\n')
    program.chmod(0o755)
    host.run()
    return host


def page(host: Host) -> str:
    done = host.lifeboat("runbook")
    assert done.returncode == 0, done.stderr
    return done.stdout


def block(text: str, title: str, number: int = 0) -> str:
    return blocks(text, title)[number]


def typed(host: Host, commands: str) -> tuple[int, str]:
    """Run the block in a terminal, where the key is pasted and the phrase is typed when asked."""
    answers = {
        "paste the private key": host.key.read_text().splitlines()[-1],
        "type RESTORE PRODUCTION": "RESTORE PRODUCTION",
    }
    path = f"{host.base / 'bin'}:{os.environ['PATH']}"
    code, said = terminal.typed(["bash", "-e", "-c", commands], answers, {"PATH": path})
    assert answers["paste the private key"] not in said  # however fast it came
    return code, said


def test_nothing_in_it_is_left_to_fill_in_but_what_people_choose(shop: Host) -> None:
    text = page(shop)
    assert "{" not in text.replace("{}", "")
    assert "h1" in text
    assert "`db` (sqlite)" in text
    assert "on call: 0123" in text
    assert "## Our own" in text
    assert "never drilled" in text
    recipients = shop.configuration["encryption"]["age_recipients"]
    assert all(one in text for one in recipients)


def test_one_source_comes_back(shop: Host) -> None:
    text = page(shop)
    shop.database.unlink()
    title = "### db back to the last good backup"

    assert typed(shop, block(text, title, 0))[0] == 0
    assert not shop.database.exists()
    code, said = typed(shop, block(text, title, 1))

    assert code == 0, said
    assert shop.rows() == 1000


def test_a_deleted_file_comes_back_beside_what_came_since(shop: Host) -> None:
    text = page(shop)
    uploads = shop.data / "uploads"
    (uploads / "invoice.txt").unlink()
    (uploads / "new.txt").write_text("since")
    commands = block(text, "### A file or directory of uploads was deleted")
    commands = re.sub(r"^WHAT=.*$", f"WHAT={uploads}/invoice.txt", commands, flags=re.MULTILINE)

    code, said = typed(shop, commands)

    assert code == 0, said
    assert (uploads / "invoice.txt").read_text() == "paid"
    assert (uploads / "new.txt").read_text() == "since"


def test_everything_comes_back_and_goes_and_is_let_go_of(shop: Host) -> None:
    text = page(shop)
    shop.fill(7)
    after = "### It was the wrong one; or it was right"

    code, said = typed(shop, block(text, "### Everything of shop"))
    assert code == 0, said
    assert "would be lost" not in said  # 7 rows are fewer than 1000
    assert shop.rows() == 1000
    code, said = typed(shop, block(text, after, 0))
    assert code == 0, said
    assert shop.rows() == 7
    code, said = typed(shop, block(text, after, 1))
    assert code == 0, said


def test_what_was_right_comes_back_though_newer_backups_hold_the_damage(shop: Host) -> None:
    text = page(shop)
    time.sleep(1.1)
    moment = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
    time.sleep(1.1)
    shop.fill(900)
    damaged = shop.run()
    title = "### The data of shop is wrong, and has been for a while"
    parts = [block(text, title, number) for number in range(3)]
    commands = re.sub(r"^WHEN=.*$", f'WHEN="{moment}"', "".join(parts), flags=re.MULTILINE)

    code, said = typed(shop, commands)

    assert code == 0, said
    assert shop.rows() == 1000
    listed = shop.lifeboat("list", "shop").stdout
    assert damaged in listed
    assert "pinned" in listed


def test_the_blocks_that_only_look_touch_nothing(shop: Host) -> None:
    text = page(shop)
    before = shop.stored()
    looks = [
        block(text, "# Runbook: backups of h1", 0),
        block(text, "## Job shop"),
        block(text, "## A drill failed"),
        *(
            line
            for line in block(text, "## A destination is full", 0).splitlines()
            if "prune" in line
        ),
    ]
    for commands in looks:
        code, said = typed(shop, commands)
        assert code == 0, said
    code, _said = typed(shop, "lifeboat status || true; lifeboat doctor || true")
    assert code == 0
    kept = [name for name in shop.stored() if ".intact-" not in name]
    assert kept == [name for name in before if ".intact-" not in name]


def test_what_a_destination_misses_is_carried_over(shop: Host) -> None:
    code, said = typed(shop, block(page(shop), "## A destination is full", 1))
    assert code == 0, said


def test_there_is_no_block_that_no_test_runs(shop: Host) -> None:
    """A new block needs a test here; what is typed on the controller runs in Molecule."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", page(shop), re.MULTILINE | re.DOTALL)
    verbs = {
        " ".join(word for word in line.split()[:2])
        for one in blocks
        for line in one.splitlines()
        if not re.match(r"[A-Z]+=", line)
    }
    assert verbs == {
        *(f"lifeboat {verb}" for verb in ("recover", "status", "doctor", "list", "restore")),
        *(f"lifeboat {verb}" for verb in ("pin", "undo", "confirm", "prune", "push", "verify")),
        f"{CONTROLLER} lifeboat.backup.rebuild",
    }


def test_a_drill_renews_the_installed_page(host: Host) -> None:
    page = host.root / "config" / "RUNBOOK.md"
    assert host.lifeboat("runbook", "--refresh").returncode == 0
    assert not page.exists()
    host.lifeboat("runbook", "--output", str(page))
    assert "never drilled" in page.read_text()
    host.run()
    drilled = host.lifeboat("drill", "shop", "--identity", str(host.key))
    assert drilled.returncode == 0, drilled.stderr
    assert "never drilled" not in page.read_text()


def test_a_file_that_is_so_already_is_left_alone(shop: Host, tmp_path: Path) -> None:
    path = tmp_path / "RUNBOOK.md"
    words = ("runbook", "--output", str(path), "--query", "changed")
    assert [shop.lifeboat(*words).stdout.strip() for _ in range(2)] == ["true", "false"]
    assert path.read_text().startswith("# Runbook")


def test_the_page_says_who_types_and_where_the_copies_are(shop: Host) -> None:
    s3 = {"type": "s3", "bucket": "acme", "prefix": "db1", "endpoint": "https://s3.example.org"}
    shop.configuration["destinations"]["offsite"] = s3
    shop.job["destinations"] = ["disk", "offsite"]
    shop.configure()
    said = page(shop)
    assert f"PATH={shop.root / 'bin'}:$PATH" in said
    assert "- `offsite` (s3): `https://s3.example.org acme/db1/`" in said
