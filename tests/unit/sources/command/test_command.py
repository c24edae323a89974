# SPDX-License-Identifier: GPL-3.0-or-later
"""Promises of the command source, with a small store whose programs are a shell script."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from lifeboat.errors import (
    ConfigError,
    LifeboatError,
    ProcessError,
    SourceAbsent,
    SourceError,
    VerifyError,
)
from lifeboat.model import Secret
from lifeboat.pipeline import Pipeline
from lifeboat.placement import Placement
from lifeboat.sources.command.source import CommandSource

from tests.unit.contracts.source_contract import FileSwapContract, Taken, planned, staged

ROOT = os.geteuid() == 0
# A store of one file. What `restore` is told to do besides lies in `fault`.
SCRIPT = """#!/bin/sh
store=$0.data
case $1 in
dump) exec cat "$store" ;;
restore) [ -e "$0.fault" ] && . "$0.fault"; exec cat >"$store" ;;
clear) rm -f "$store" ;;
check) echo asked >>"$0.checked"; test -e "$store" ;;
count)
  size=$(stat -c %s "$store") || exit 1
  sum=$(cksum <"$store") || exit 1
  echo "{\\"kind\\": \\"file\\", \\"name\\": \\"content\\", \\"size_bytes\\": $size, \\"sum\\": \\"$sum\\"}" ;;
esac
"""
CONTENT = bytes(range(256)) * 100


def store(ground: Path) -> Path:
    return ground / "app.data"


class TestCommand(FileSwapContract):
    counted = True

    def prepare(self, ground: Path) -> None:
        program = ground / "app"
        program.write_text(SCRIPT)
        program.chmod(0o755)
        store(ground).write_bytes(CONTENT)

    def make(self, ground: Path, **given: Any) -> CommandSource:
        program = str(ground / "app")
        named = {word: [program, word] for word in ("dump", "restore", "clear", "check")}
        if self.counted:
            named["count"] = [program, "count"]
        given = {"restore_without_copy": True, **given}  # for what is lost before it is restored
        return CommandSource(name="app", **{**named, **given})

    def change(self, ground: Path) -> None:
        store(ground).write_bytes(b"changed")

    def destroy(self, ground: Path) -> None:
        store(ground).unlink()

    def look(self, ground: Path) -> bytes:
        return store(ground).read_bytes()

    def leftovers(self, ground: Path) -> list[str]:
        return sorted(str(path) for path in ground.parent.glob("kept/*"))

    # -- what else it promises

    def test_the_copy_that_undoes_a_restore_is_private(self, source, taken, work, ground):
        self.change(ground)
        swap = staged(source, taken, work)
        source.swap(swap)

        assert Path(swap.kept).read_bytes() == b"changed"
        assert Path(swap.side).read_bytes() == CONTENT
        assert {path.stat().st_mode & 0o077 for path in Path(swap.side).parent.iterdir()} == {0}
        assert Path(swap.side).parent.stat().st_mode & 0o077 == 0

    def test_undo_keeps_what_was_written_after_the_restore(self, source, taken, work, ground):
        self.change(ground)
        swap = staged(source, taken, work)
        source.swap(swap)
        store(ground).write_bytes(b"written since")

        source.back(swap)

        assert self.look(ground) == b"changed"
        assert Path(swap.side).read_bytes() == b"written since"

    def test_a_restore_that_fails_is_taken_back(self, source, taken, work, ground):
        self.change(ground)
        swap = staged(source, taken, work)
        (ground / "app.fault").write_text('head -c 100 >"$store"; echo out of memory >&2; exit 3')

        with pytest.raises(SourceError) as failed:
            source.swap(swap)
        assert not source.swapped(swap)
        assert self.look(ground) == CONTENT[:100]
        (ground / "app.fault").unlink()
        source.back(swap)

        assert str(failed.value) == "source app: its `restore` failed: app stopped with status 3"
        assert failed.value.detail == "out of memory"
        assert self.look(ground) == b"changed"

    def test_a_load_that_is_asked_again_never_keeps_the_half_of_the_first(
        self, source, taken, work, ground
    ):
        self.change(ground)
        swap = staged(source, taken, work)
        (ground / "app.fault").write_text('head -c 100 >"$store"; exit 3')
        with pytest.raises(SourceError):
            source.swap(swap)
        (ground / "app.fault").unlink()

        source.swap(swap)
        assert self.look(ground) == CONTENT
        source.back(swap)

        assert self.look(ground) == b"changed"

    def test_a_restore_that_does_not_bring_what_was_counted_is_an_error(
        self, source, taken, work, ground
    ):
        if not self.counted:
            return
        swap = staged(source, taken, work)
        (ground / "app.fault").write_text('head -c 100 >"$store"; exit 0')

        with pytest.raises(VerifyError) as failed:
            source.swap(swap)

        assert "size_bytes is 100, the backup recorded 25600" in failed.value.detail
        assert not source.swapped(swap)

    def test_what_is_half_loaded_is_never_let_go_of(self, source, taken, work, ground):
        swap = staged(source, taken, work)
        (ground / "app.fault").write_text("exit 1")
        with pytest.raises(SourceError):
            source.swap(swap)

        with pytest.raises(SourceError, match="is half loaded"):
            source.discard(swap)
        assert Path(swap.kept).read_bytes() == CONTENT

    @pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
    def test_a_program_that_outlived_a_killed_restore_is_waited_for(
        self, source, taken, work, ground
    ):
        """It goes on reading a whole stream: its lock is on the file that is its standard input."""
        self.change(ground)
        swap = staged(source, taken, work)
        (ground / "app.fault").write_text(
            "touch $0.started; sleep 1; cat >$store; touch $0.ended; exit"
        )
        child = os.fork()
        if child == 0:
            source.swap(swap)
            os._exit(0)
        until = time.monotonic() + 20
        while not (ground / "app.started").exists() and time.monotonic() < until:
            time.sleep(0.01)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        (ground / "app.fault").unlink()

        source.back(swap)

        assert self.look(ground) == b"changed"
        assert not source.swapped(swap)
        assert (ground / "app.ended").exists()

    @pytest.mark.skipif(not ROOT, reason="only root may mount a small file system")
    def test_nothing_is_touched_when_what_is_there_cannot_be_kept(
        self, source, taken, work, ground
    ):
        swap = staged(source, taken, work)
        folder = Path(swap.side).parent
        store(ground).write_bytes(b"x" * (2 << 20))
        with mounted(folder):
            (folder / "new").write_bytes(CONTENT)
            with pytest.raises(SourceError, match="No space left") as failed:
                source.swap(swap)
        assert failed.value.hint.endswith("nothing was touched")
        assert store(ground).stat().st_size == 2 << 20

    @pytest.mark.parametrize("percent", [1, 50, 99])
    def test_an_archive_that_ends_early_is_never_staged(self, source, taken, work, ground, percent):
        path = taken.plains["stream"].path
        os.truncate(path, path.stat().st_size * percent // 100)

        with pytest.raises(VerifyError, match="is not what was dumped"):
            source.stage(planned(source, taken), taken.record, taken.plains, work)
        assert self.leftovers(ground) == []
        assert self.look(ground) == CONTENT

    def test_an_archive_of_something_else_is_refused(self, source, taken, work):
        taken.plains["stream"].path.write_bytes(b"PGDMP" + bytes(30000))

        with pytest.raises(VerifyError, match="is not what was dumped"):
            source.check_content(taken.plains, work)

    def test_check_runs_before_a_dump_and_fails_it(self, ground, work, tmp_path):
        source = self.make(ground)
        self.destroy(ground)

        with pytest.raises(SourceError, match="its `check` failed: app stopped with status 1"):
            Taken(source, work, tmp_path / "store")
        assert (ground / "app.checked").exists()

    @pytest.mark.parametrize(
        ("script", "told"),
        [
            ("exit 0", "is empty"),
            ("echo half; exit 4", "stopped with status 4"),
            ("echo half; kill -9 $$", "was ended by signal 9"),
            ("echo 'half]'; echo '['", "trailer"),
        ],
    )
    def test_a_dump_that_is_not_whole_is_an_error(self, ground, work, tmp_path, script, told):
        (ground / "bad").write_text("#!/bin/sh\n" + script)
        (ground / "bad").chmod(0o755)
        source = self.make(ground, dump=[str(ground / "bad")], trailer="]")

        with pytest.raises(LifeboatError, match=told):
            Taken(source, work, tmp_path / "store")
        assert list(work.bulk.iterdir()) == []

    def test_white_space_after_the_trailer_is_fine(self, ground, work, tmp_path):
        store(ground).write_bytes(b"[1]\n\n")
        source = self.make(ground, trailer=" ]\n")

        assert Taken(source, work, tmp_path / "store").plains["stream"].path.exists()

    def test_what_is_not_there_is_absent(self, ground):
        for given in (
            {"dump": [str(ground / "gone"), "dump"]},
            {"dump": ["no-such-program-at-all"]},
            {"cwd": str(ground / "gone")},
        ):
            with pytest.raises(SourceAbsent, match="source app: "):
                self.make(ground, **given).check()

    def test_a_program_may_be_named_from_its_directory(self, ground, work, tmp_path):
        source = self.make(ground, dump=["./app", "dump"], cwd=str(ground))
        taken = Taken(source, work, tmp_path / "store")

        assert taken.plains["stream"].path.read_bytes() == CONTENT
        assert taken.record.facts["directory"] == str(ground)

    def test_variables_reach_the_programs_and_no_argument(self, ground, work, tmp_path):
        (ground / "told").write_text(
            '#!/bin/sh\ntr "\\0" "\\n" </proc/$$/cmdline >&2\necho "$A $KEY"'
        )
        (ground / "told").chmod(0o755)
        env = {"A": "x", "KEY": Secret.of("s3cret")}
        source = self.make(ground, dump=[str(ground / "told")], env=env)
        taken = Taken(source, work, tmp_path / "store")

        assert taken.plains["stream"].path.read_bytes() == b"x s3cret\n"
        assert "s3cret" not in json.dumps(dict(taken.record.facts)) + repr(source.__dict__)

    def test_in_a_container_values_go_by_name(self, ground):
        placement = Placement("docker", "web")
        env = {"A": "x", "KEY": Secret.of("s3cret")}
        source = self.make(ground, placement=placement, env=env, cwd="/srv", user="app")
        argv = source._programs.command(["./manage.py", "dumpdata"]).argv

        assert argv[:3] == ("docker", "exec", "-i")
        assert argv[-3:] == ("web", "./manage.py", "dumpdata")
        assert argv[3:7] == ("--env", "A", "--env", "KEY")
        assert "s3cret" not in argv

    def test_a_secret_of_two_halves_is_no_variable(self, ground):
        source = self.make(ground, env={"KEY": Secret.of({"access_key_id": "x"})})
        with pytest.raises(ConfigError, match=r"env\.KEY: that credential is not a text"):
            source.check()

    def test_what_changes_while_it_is_dumped_is_uncounted(self, ground, work, tmp_path):
        if not self.counted:
            return
        (ground / "slow").write_text(f'#!/bin/sh\ncat "{store(ground)}"; echo >>"{store(ground)}"')
        (ground / "slow").chmod(0o755)
        taken = Taken(self.make(ground, dump=[str(ground / "slow")]), work, tmp_path / "store")
        assert [one.get("uncounted") for one in taken.entries] == [None, True]
        assert taken.record.totals["uncounted"] == 1

        source = self.make(ground)
        swap = staged(source, taken, work)
        source.swap(swap)
        assert self.look(ground) == CONTENT

    @pytest.mark.parametrize(
        ("script", "told"),
        [
            ("echo nothing", "a line that is not an entry"),
            ('echo \'{"kind": "a", "name": "b"}\'; echo \'{"kind": "a", "name": "b"}\'', "twice"),
            ('echo \'{"kind": "stream", "name": "b"}\'', "reserved"),
            ("exit 9", "stopped with status 9"),
            ('echo "{\\"kind\\": \\"a\\", \\"name\\": \\"$(date +%N)\\"}"', "came or went"),
        ],
    )
    def test_a_count_that_cannot_be_used_fails_the_dump(self, ground, work, tmp_path, script, told):
        (ground / "odd").write_text("#!/bin/sh\n" + script)
        (ground / "odd").chmod(0o755)
        with pytest.raises(SourceError, match=told):
            Taken(self.make(ground, count=[str(ground / "odd")]), work, tmp_path / "store")

    def test_a_target_refuses_what_cannot_be_restored(self, ground, taken):
        def refusals(into: str | None = None, **given: Any) -> str:
            return "\n".join(self.make(ground, **given).target(taken.record, into).refusals)

        assert "never into another name" in refusals(into="other")
        assert "has no `restore` command" in refusals(restore=[])
        assert "is not on this machine" in refusals(restore=[str(ground / "gone")])
        assert "there is no user no-such-user" in refusals(user="no-such-user")

    def test_a_target_that_cannot_be_kept_says_so(self, source, taken, ground):
        self.destroy(ground)
        assert "cannot be kept" in source.target(taken.record, None).label

    @pytest.mark.skipif(not ROOT, reason="only root can change to another user")
    def test_programs_run_as_the_user_that_is_named(self, ground, work, tmp_path):
        (tmp_path / "who").write_text('#!/bin/sh\necho "$(id -un) $HOME $USER"')
        (tmp_path / "who").chmod(0o755)
        for folder in (tmp_path, *list(tmp_path.parents)[:-2]):
            folder.chmod(folder.stat().st_mode | 0o055)
        source = self.make(ground, dump=[str(tmp_path / "who")], check=[], count=[], user="nobody")
        taken = Taken(source, work, tmp_path / "store")
        assert taken.plains["stream"].path.read_text().startswith("nobody /")
        assert taken.plains["stream"].path.read_text().endswith(" nobody\n")

    def test_another_user_is_told_which_option_to_set(self, ground, monkeypatch):
        monkeypatch.setattr(os, "geteuid", lambda: 65534)

        with pytest.raises(SourceError, match="set the job's `user: root`"):
            self.make(ground, user="root").check()

    @pytest.mark.parametrize(
        ("given", "told"),
        [
            ({"dump": []}, "dump: write a program"),
            ({"dump": [""]}, "dump: write a program"),
            ({"extension": "a/b"}, "extension: 'a/b'"),
            ({"cwd": "relative"}, "cwd: 'relative'"),
            ({"clear": []}, "restore_without_copy: give a `clear`"),
            ({"trailer": "x" * 3000}, "trailer: write at most 2048 bytes"),
        ],
    )
    def test_options_that_make_no_sense_are_refused(self, ground, given, told):
        with pytest.raises(ConfigError, match=told):
            self.make(ground, **given)

    def test_a_dump_that_is_killed_in_the_middle_is_an_error(self, ground, work):
        (ground / "slow").write_text("#!/bin/sh\necho some; exec sleep 60")
        (ground / "slow").chmod(0o755)
        source = self.make(ground, dump=[str(ground / "slow")])
        with source.open(work) as dump:
            stream = next(iter(dump.streams()))
            with Pipeline(stream.feed, [], tap=stream.tap) as flow:
                next(flow.blocks())
                flow._stages[0].kill()
                with pytest.raises(ProcessError, match="was ended by signal 9"):
                    flow.check()


class TestCommandThatCannotCount(TestCommand):
    """Without `count`, what is there is measured by a dump that is thrown away."""

    counted = False


class mounted:
    """A file system of 1 MiB at a directory."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)

    def __enter__(self) -> None:
        words = ["mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "none", self.folder]
        subprocess.run(words, check=True)

    def __exit__(self, *_: object) -> None:
        subprocess.run(["umount", self.folder], check=True)
