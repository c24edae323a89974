# SPDX-License-Identifier: GPL-3.0-or-later
"""Promises of the audit log: every change of it shows."""

from __future__ import annotations

import gzip
import hashlib
import json
import multiprocessing
import os
import tempfile
from datetime import datetime, timezone
from pathlib import Path

import pytest
from lifeboat.errors import FormatError
from lifeboat.operations.standing.audit import append, check, entries

AT = datetime(2026, 11, 21, 2, 0, tzinfo=timezone.utc)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log" / "audit.jsonl"
    for number in range(5):
        append(path, "backup", "shop", AT, {"id": f"b{number}"})
    return path


def test_what_was_written_is_whole(log: Path) -> None:
    chain = check(log)
    assert (chain.lines, chain.problems) == (5, ())
    assert chain.first_at == "2026-11-21T02:00:00Z"
    assert [one["facts"]["id"] for one in entries(log)] == ["b0", "b1", "b2", "b3", "b4"]
    assert append(log, "backup", "shop", AT, {}) == check(log).head != chain.head


@pytest.mark.parametrize("place", range(4))
def test_a_changed_line_shows(log: Path, place: int) -> None:
    lines = log.read_text().splitlines()
    lines[place] = lines[place].replace(f"b{place}", "forged")
    log.write_text("\n".join(lines) + "\n")
    assert any("was changed, or is missing" in one for one in check(log).breaks)


@pytest.mark.parametrize("place", range(4))
def test_a_line_left_out_shows(log: Path, place: int) -> None:
    lines = log.read_text().splitlines()
    del lines[place]
    log.write_text("\n".join(lines) + "\n")
    assert check(log).problems


def test_the_last_line_changed_shows_against_the_head(log: Path) -> None:
    """The chain alone cannot tell: that is what the system's log is for."""
    before = check(log).head
    log.write_text(log.read_text().replace("b4", "xx"))
    assert check(log).problems == ()
    assert check(log).head != before


def test_the_chain_goes_on_after_a_rotation(log: Path) -> None:
    log.rename(log.with_name("audit.jsonl.1"))
    append(log, "backup", "shop", AT, {"id": "b5"})
    assert (check(log).lines, check(log).problems) == (6, ())
    older = log.with_name("audit.jsonl.1")
    log.with_name("audit.jsonl.2.gz").write_bytes(gzip.compress(older.read_bytes()))
    older.unlink()
    assert (check(log).lines, check(log).problems) == (6, ())


def test_rotated_files_that_are_gone_are_told(log: Path) -> None:
    log.rename(log.with_name("audit.jsonl.1"))
    append(log, "backup", "shop", AT, {})
    log.with_name("audit.jsonl.1").unlink()
    assert "older files are not here" in check(log).problems[0]


def test_what_logrotate_removed_is_no_change(log: Path) -> None:
    log.rename(log.with_name("audit.jsonl.2"))
    append(log, "backup", "shop", AT, {})
    log.rename(log.with_name("audit.jsonl.1"))
    append(log, "backup", "shop", AT, {})
    log.with_name("audit.jsonl.2").unlink()
    assert (check(log).lines, check(log).problems) == (2, ())


def test_a_line_cut_by_a_power_cut_is_told_and_the_next_one_stands(log: Path) -> None:
    with open(log, "ab") as end:
        end.write(b'{"seq": 6, "pre')
    append(log, "backup", "shop", AT, {"id": "after"})
    chain = check(log)
    assert chain.lines == 6
    assert chain.problems == ("audit.jsonl, line 6: this is no whole entry",)
    assert chain.breaks == ()  # nobody is to be woken for that
    assert list(entries(log))[-1]["facts"]["id"] == "after"


def _write(path: Path) -> None:
    for _number in range(20):
        append(path, "backup", "shop", AT, {})


@pytest.mark.parametrize("rotated", [False, True])
def test_a_log_of_something_else_shows_for_it_takes_no_entry(log: Path, rotated: bool) -> None:
    if rotated:
        log.rename(log.with_name("audit.jsonl.1"))
    log.write_text("x\n")
    assert any("takes none" in one for one in check(log).breaks)
    with pytest.raises(FormatError):
        append(log, "backup", "shop", AT, {})
    log.unlink()
    append(log, "backup", "shop", AT, {})
    assert not check(log).breaks


def test_two_who_write_at_once_make_one_chain(log: Path) -> None:
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_write, args=(log,)) for _one in range(3)]
    for one in writers:
        one.start()
    for one in writers:
        one.join(60)
    assert (check(log).lines, check(log).problems) == (65, ())


def test_an_entry_says_who(log: Path) -> None:
    entry = json.loads(log.read_text().splitlines()[0])
    assert entry["who"]["user"]
    assert entry["prev"] == "0" * 64


def _begin(path: Path) -> None:
    os.umask(0o077)
    if os.geteuid() == 0:
        os.setuid(65534)
    append(path, "backup", "shop", AT, {})


def test_a_job_with_a_user_of_its_own_may_go_on_with_it() -> None:
    """Who is in the group of the directory, whatever the umask of whoever began the log."""
    with tempfile.TemporaryDirectory() as folder:  # pytest's own are for root alone
        os.chmod(folder, 0o777)
        log = Path(folder) / "audit.jsonl"
        writer = multiprocessing.get_context("fork").Process(target=_begin, args=(log,))
        writer.start()
        writer.join(60)
        assert log.stat().st_mode & 0o777 == 0o660


def test_a_line_of_any_length_is_gone_on_from(log: Path) -> None:
    """Such as one that was written before values had a limit."""
    last = json.loads(log.read_text().splitlines()[-1])
    before = hashlib.sha256(log.read_bytes().splitlines()[-1]).hexdigest()
    long = {**last, "seq": 6, "prev": before, "facts": {"outcomes": "x" * (5 << 20)}}
    with log.open("a") as file:
        file.write(json.dumps(long) + "\n")
    for _round in range(2):
        append(log, "backup", "shop", AT, {})
    assert (check(log).lines, check(log).problems) == (8, ())
    with log.open("a") as file:
        file.write("y" * (3 << 20))  # cut off
    append(log, "backup", "shop", AT, {})
    assert check(log).lines == 9
    assert len(check(log).problems) == 1


def test_a_value_of_any_size_makes_a_line_of_bounded_length(log: Path) -> None:
    outcomes = [{"id": number, "error": "refused " * 20} for number in range(6000)]
    append(log, "push", "shop", AT, {"outcomes": outcomes, "id": "b5"})
    line = log.read_bytes().splitlines()[-1]
    assert len(line) < 70_000
    told = json.loads(line)["facts"]
    text = json.dumps(outcomes, sort_keys=True).encode()
    digest = hashlib.sha256(text).hexdigest()
    assert told == {"id": "b5", "outcomes": {"bytes": len(text), "sha256": digest}}
    assert check(log).problems == ()
