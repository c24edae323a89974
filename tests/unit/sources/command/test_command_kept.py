# SPDX-License-Identifier: GPL-3.0-or-later
"""What the command source keeps while it restores: whole, compared when it is put back, or not at all."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from lifeboat.errors import SourceError, VerifyError
from lifeboat.job import Job
from lifeboat.model import Swap, Workspace
from lifeboat.operations.restore import settle as settle_module
from lifeboat.operations.restore.journal import (
    SWAPPED,
    SWAPPING,
    UNDOING,
    UNDONE,
    Journal,
    advance,
    begin,
    journals,
)
from lifeboat.operations.restore.settle import recover, settle, undo
from lifeboat.sources.command.source import CommandSource

from tests.unit.contracts.source_contract import Taken, staged

BEGUN = datetime(2026, 11, 21, tzinfo=timezone.utc)

# A store of several files, a line each in its stream. Its `restore` adds, and does not replace. A file
# beside it makes one program fail: `cut` the dump, without a word; `broken` the dump; `half` the restore.
SCRIPT = """#!/bin/sh
cd "$0.d" || exit 1
case $1 in
dump)
  [ -e "$0.broken" ] && exit 1
  for file in *; do [ -e "$file" ] && echo "$file $(cat "$file")"; done
  [ -e "$0.cut" ] || echo end ;;
restore)
  while read -r file content; do
    [ "$file" = end ] || echo "$content" >"$file"
    [ -e "$0.half" ] && exit 1
  done
  exit 0 ;;
clear) rm -f ./* ;;
count)
  for file in *; do
    [ -e "$file" ] && echo "{\\"kind\\": \\"file\\", \\"name\\": \\"$file\\"}"
  done ;;
esac
"""


class Application:
    """The store, the source that protects it, and one backup."""

    def __init__(self, base: Path, *words: str, **options: Any) -> None:
        self.program = base / "app"
        self.program.write_text(SCRIPT)
        self.program.chmod(0o755)
        self.files = base / "app.d"
        self.files.mkdir()
        for name in ("bulk", "secret"):
            (base / name).mkdir(mode=0o700)
        self.work = Workspace(base / "bulk", base / "secret")
        self.source = self.configured(*words, **options)
        self.write("a", "backed up")
        self.taken = Taken(self.source, self.work, base / "store")

    def configured(self, *words: str, **options: Any) -> CommandSource:
        """With `dump`, `restore` and these programs, and options."""
        named = {word: [str(self.program), word] for word in ("dump", "restore", *words)}
        return CommandSource(name="app", trailer="end", **named, **options)

    def write(self, name: str, content: str) -> None:
        (self.files / name).write_text(content + "\n")

    def fault(self, word: str, there: bool = True) -> None:
        path = self.program.with_name("app." + word)
        path.touch() if there else path.unlink()

    def staged(self) -> Swap:
        return staged(self.source, self.taken, self.work)

    def job(self) -> Job:
        return Job("shop", "h1", "dev", (self.source,), (), ())

    def held(self) -> dict[str, str]:
        return {path.name: path.read_text().strip() for path in sorted(self.files.iterdir())}


def test_a_copy_that_was_cut_off_is_never_what_undo_relies_on(tmp_path: Path) -> None:
    """Its program ends well: only the trailer tells."""
    app = Application(tmp_path)
    app.write("a", "newer")
    swap = app.staged()
    app.fault("cut")

    with pytest.raises(SourceError, match="is not whole: it does not end with its `trailer`"):
        app.source.swap(swap)

    assert app.held() == {"a": "newer"}
    assert not Path(swap.kept).exists()
    app.source.back(swap)
    app.source.discard(swap)
    assert app.held() == {"a": "newer"}


def test_what_is_put_back_is_counted_and_its_copy_stays_until_it_is_right(tmp_path: Path) -> None:
    """A `restore` that only adds, with no `clear`: forth and back leave a mix, and neither is passed over."""
    app = Application(tmp_path, "count")
    app.write("since", "new")
    (app.files / "a").unlink()
    swap = app.staged()

    with pytest.raises(VerifyError) as forth:
        app.source.swap(swap)
    with pytest.raises(
        VerifyError, match=r"put back into app is not what was there: .*/old"
    ) as back:
        app.source.back(swap)
    with pytest.raises(SourceError, match="half loaded"):
        app.source.discard(swap)

    assert forth.value.detail == "file since is there, and was not in the backup"
    assert back.value.detail == "file a is there, and was not in the backup"
    assert "give a `clear`" in back.value.hint
    assert Path(swap.kept).read_text() == "since new\nend\n"
    app.source = app.configured("count", "clear")  # as the hint says
    app.source.back(swap)
    app.source.discard(swap)
    assert app.held() == {"since": "new"}


@pytest.mark.parametrize("moment", ["before it is planned", "before it is swapped"])
def test_nothing_is_overwritten_that_could_not_be_kept(tmp_path: Path, moment: str) -> None:
    app = Application(tmp_path, "clear", "count")
    app.write("precious", "x")
    if moment == "before it is planned":
        app.fault("broken")
        refusals = app.source.target(app.taken.record, None).refusals
        app.fault("broken", there=False)
        assert len(refusals) == 1
        assert (
            "its `dump` failed: app stopped with status 1; mend that, or set restore_wit"
            in refusals[0]
        )
    swap = app.staged()
    app.fault("broken")

    with pytest.raises(SourceError, match="its `dump` failed"):
        app.source.swap(swap)

    assert app.held() == {"a": "backed up", "precious": "x"}


@pytest.mark.parametrize("lose", [False, True])
def test_what_could_be_read_when_it_was_looked_at_is_always_kept(
    tmp_path: Path, lose: bool
) -> None:
    app = Application(tmp_path, "clear", restore_without_copy=lose)
    swap = app.staged()
    app.fault("broken")

    with pytest.raises(SourceError, match="its `dump` failed"):
        app.source.swap(swap)

    app.fault("broken", there=False)
    app.source.swap(swap)
    assert Path(swap.kept).read_text() == "a backed up\nend\n"
    Path(swap.kept).unlink()
    with pytest.raises(SourceError, match="is gone: it cannot be put back"):
        app.source.back(swap)
    assert app.held() == {"a": "backed up"}


def test_who_says_so_may_restore_over_what_cannot_be_read(tmp_path: Path) -> None:
    """As on the night when the application is too broken for its own dump."""
    app = Application(tmp_path, "clear", restore_without_copy=True)
    app.write("a", "unreadable")
    app.fault("broken")

    target = app.source.target(app.taken.record, None)
    swap = app.staged()
    app.source.swap(swap)

    assert (target.exists, target.refusals) == (False, ())
    assert "cannot be kept, for it cannot be read" in target.label
    assert app.held() == {"a": "backed up"}
    assert not Path(swap.kept).exists()
    app.source.discard(swap)


def test_taking_back_what_was_not_kept_says_that_it_is_empty(tmp_path: Path) -> None:
    app = Application(tmp_path, "clear", restore_without_copy=True)
    app.fault("broken")
    app.fault("half")
    swap = app.staged()
    with pytest.raises(SourceError, match="its `restore` failed"):
        app.source.swap(swap)
    journal = Journal("shop", "t0k3n", "the-backup", SWAPPING, BEGUN, (swap,))
    job = Job("shop", "h1", "dev", (app.source,), (), ())
    app.source.back(swap)  # cut off before it was noted: it is asked again, and says the same

    told = settle(job, journal, tmp_path, BEGUN)

    assert told.endswith(
        "is taken back; the old state is in place, but nothing of app was kept: it is empty now"
    )
    assert app.held() == {}
    assert not Path(swap.side).parent.exists()


def test_what_was_half_loaded_stays_open_until_something_can_clear_it(tmp_path: Path) -> None:
    app = Application(tmp_path, "clear", restore_without_copy=True)
    app.fault("broken")
    app.fault("half")
    swap = app.staged()
    with pytest.raises(SourceError, match="its `restore` failed"):
        app.source.swap(swap)
    cleared, app.source = app.source, app.configured()

    with pytest.raises(SourceError, match="what was loaded stays") as failed:
        app.source.back(swap)
    with pytest.raises(SourceError, match="half loaded"):
        app.source.discard(swap)

    assert failed.value.hint == "give it a `clear` that empties it, then run `lifeboat recover`"
    cleared.back(swap)
    assert app.held() == {}


def undoable(app: Application, directory: Path) -> Job:
    """A job whose restore is done; since then what it brought cannot be dumped any more."""
    app.write("a", "newer")
    swap = app.staged()
    app.source.swap(swap)
    app.fault("broken")
    journal = begin(directory, "shop", "t0k3n", "the-backup", BEGUN, [])
    advance(directory, journal, SWAPPED, [swap])
    return app.job()


def test_an_undo_that_cannot_keep_what_is_there_now_says_so_and_how_to_go_on(
    tmp_path: Path,
) -> None:
    app = Application(tmp_path, "clear")
    directory = tmp_path / "journals"
    job = undoable(app, directory)

    with pytest.raises(SourceError) as told:
        undo(job, directory, BEGUN)

    assert str(told.value) == (
        "source app: what is there now cannot be kept, for it cannot be read: source app: its `dump` "
        "failed: app stopped with status 1; nothing of it was touched"
    )
    assert told.value.hint == (
        "mend that and type the same again; or, if what is there now may be lost, give source app"
        " `restore_without_copy: true` in the configuration, for this night only, and type the same again"
    )
    assert [one.step for one in journals(directory, "shop")] == [
        SWAPPED
    ]  # and no service stands still
    assert app.held() == {"a": "backed up"}
    app.source = app.configured("clear", restore_without_copy=True)  # as the hint says
    assert undo(app.job(), directory, BEGUN).step == UNDONE
    assert app.held() == {"a": "newer"}


def test_an_undo_that_fails_to_keep_in_its_middle_says_the_same_and_goes_on_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the dump needs what the undo has stopped."""
    app = Application(tmp_path)
    directory = tmp_path / "journals"
    job = undoable(app, directory)
    app.fault("broken", there=False)
    monkeypatch.setattr(settle_module.around, "stop", lambda *_: app.fault("broken"))

    with pytest.raises(SourceError, match="cannot be kept") as told:
        undo(job, directory, BEGUN)

    assert "`restore_without_copy: true` and a `clear` in the configuration" in told.value.hint
    assert [one.step for one in journals(directory, "shop")] == [UNDOING]
    monkeypatch.undo()
    app.fault("broken", there=False)
    assert [one.well for one in recover(job, directory, BEGUN)] == [True]
    assert app.held() == {"a": "newer"}
