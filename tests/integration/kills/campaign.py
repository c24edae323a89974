# SPDX-License-Identifier: GPL-3.0-or-later
"""Kill the command, at times with all that it has started, at random moments, and judge what is left."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
import uuid
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from tests.integration.rescue.host import PHRASE, Host

GATE = ("--confirm", PHRASE, "--target-host", "h1")
OURS = "LIFEBOAT_KILLS_OURS"  # in the environment of all that a killed command has started
STEPS = {  # of the journal, to wait for before the moment is chosen
    "run": ("",),
    "restore": ("", "staging", "swapping", "swapping"),
    "undo": ("", "undoing", "undoing"),
    "confirm": ("", "discarding", "discarding"),
}
OPEN = ("staging", "stopping", "swapping", "returning", "undoing", "discarding")
GRACE_S = 15.0  # what was started ends by itself, when who reads or writes it is gone


class Ground(Protocol):
    """What one kind of source protects, on its real server."""

    source: dict[str, Any]  # its configuration
    merge: bool  # whether restores go in one by one

    def new(self) -> None:
        """Make it what the backup will hold."""

    def old(self) -> None:
        """Make it something else, from any state; with `merge`, nothing less than what `new` has."""

    def look(self) -> Any:
        """All of it, as its users see it, comparable."""

    def leftovers(self) -> list[str]:
        """What nobody but a restore could have left."""


class Campaign:
    def __init__(self, host: Host, ground: Ground, seed: int) -> None:
        self.host, self.ground = host, ground
        self.random = random.Random(seed)
        self.mark = uuid.uuid4().hex
        self.counts: Counter[str] = Counter()
        self.lasts: dict[str, float] = {}  # seconds that each operation took
        host.job["sources"] = {"it": ground.source}
        host.configure()

    def run(self, rounds: int) -> Counter[str]:
        """A quarter of the rounds kills backups; the others kill restores, undos and confirms."""
        ground = self.ground
        ground.new()
        self.new = ground.look()
        ground.old()
        self.old = ground.look()
        assert self.new != self.old
        self._well("run", "shop")
        for _round in range(rounds // 4):
            self._kill_a_backup()
        ground.new()
        self.id = self._well("run", "shop").strip()
        ground.old()
        self._well(*self._restore())
        seen = ground.look()
        if ground.merge:  # the old state with the new one in it
            self.new, fresh = seen, self.new
            assert set(fresh) < set(seen)
        assert seen == self.new
        self._well(*self._undo())
        assert self._differs() == []
        self._well("confirm", "shop")
        some = (self._kill_a_restore,) * 3 + (self._kill_an_undo,) * 2 + (self._kill_a_confirm,)
        for number in range(rounds - rounds // 4):
            some[number % len(some)]()
        self._well("audit")
        return self.counts

    # -- one round each

    def _kill_a_backup(self) -> None:
        self._killed("run", "shop")
        self._recover()
        assert self._differs() == [], "a backup changed what it read"
        self._well("run", "shop")
        self._nothing_temporary()
        self._nothing_that_counts_is_broken()
        assert self.ground.leftovers() == []

    def _kill_a_restore(self) -> None:
        ended = self._killed(*self._restore())
        told = self._recover()
        state = self._state(told)
        assert ended != 0 or state == "new", "the command said that it was done"
        if state == "new":
            self._well(*self._undo())
            assert self._differs() == [], "an undo after recovery"
            self._well("confirm", "shop")
        self._nothing_is_left()

    def _kill_an_undo(self) -> None:
        self._well(*self._restore())
        assert self.ground.look() == self.new
        ended = self._killed(*self._undo())
        state = self._state(self._recover())
        assert ended != 0 or state == "old", "the command said that it was done"
        if state == "new":
            self._well(*self._undo())
        assert self._differs() == []
        self._well("confirm", "shop")
        self._nothing_is_left()

    def _kill_a_confirm(self) -> None:
        self._well(*self._restore())
        self._killed("confirm", "shop")
        self._recover()
        assert self.ground.look() == self.new, "a confirm changed what is in place"
        self.host.lifeboat("confirm", "shop")  # there may be nothing left to confirm
        self.ground.old()
        self._nothing_is_left()

    # -- what holds after it

    def _differs(self) -> list[str]:
        """What is not as in the old state, shortened."""
        seen, old = self.ground.look(), self.old
        if seen == old:
            return []
        if not isinstance(seen, list):
            return [repr(seen)[:500], repr(old)[:500]]
        told = ["+ %r" % (one,) for one in seen if one not in old]
        found = told + ["- %r" % (one,) for one in old if one not in seen]
        return found[:20] or ["in another order"]

    def _state(self, told: str) -> str:
        seen = self.ground.look()
        assert seen in (self.old, self.new), f"neither the old nor the new state\n{told}"
        state = "old" if seen == self.old else "new"
        if "nothing to recover" not in told:
            assert f"the {state} state is in place" in told, told
            self.counts[f"{self.operation}: recovered to the {state} state"] += 1
        return state

    def _nothing_temporary(self) -> None:
        until = time.monotonic() + GRACE_S
        while self._orphans() and time.monotonic() < until:
            time.sleep(0.05)
        assert self._orphans() == []
        # what the last operation was about to do is one small file a job, for who watches
        state = self.host.root / "state"
        found = [*state.glob("spool/*/*"), *state.glob("spool/.*/*"), *state.glob("run/*")]
        assert [path for path in found if path.suffix != ".progress"] == []

    def _nothing_is_left(self) -> None:
        assert self._differs() == []
        assert self.ground.leftovers() == []
        kept = self.host.root / "state" / "restores"
        assert [path for path in kept.rglob("*") if path.is_file()] == []
        self._nothing_temporary()

    def _nothing_that_counts_is_broken(self) -> None:
        self._well("verify", "shop")
        # what was never committed is no backup; retention removes it after two days
        counted = {path.stem for path in self.host.disk.glob("catalog/*/*/*.json")}
        assert counted <= {path.name for path in self.host.disk.glob("archives/*/*/*")}
        assert [one for one in self.host.stored() if ".part" in one] == []

    def _orphans(self) -> list[str]:
        return list(self._started().values())

    def _started(self) -> dict[int, str]:
        """{process: its words} of all that killed commands have started and that lives."""
        found = {}
        for path in Path("/proc").glob("[0-9]*/environ"):
            try:
                said = (path.parent / "comm").read_text().strip()
                # a container that was started again runs on, and who holds it
                if said != "conmon" and f"{OURS}={self.mark}".encode() in path.read_bytes():
                    words = (path.parent / "cmdline").read_bytes()
                    found[int(path.parent.name)] = words.decode(errors="replace")
            except OSError:
                pass  # it has ended
        return found

    # -- the command

    def _restore(self) -> tuple[str, ...]:
        key = ("--identity", str(self.host.key))
        return ("restore", "shop", self.id, *key, *GATE, *(["--merge"] * self.ground.merge))

    def _undo(self) -> tuple[str, ...]:
        return ("undo", "shop", self.id, *GATE)

    def _well(self, *words: str) -> str:
        began = time.monotonic()
        done = self.host.lifeboat(*words)
        assert done.returncode == 0, (words[0], done.stdout, done.stderr)
        self.lasts[words[0]] = time.monotonic() - began
        return done.stdout

    def _recover(self) -> str:
        """What is told by who comes next: `recover`, which may be killed too, or the next backup."""
        self._status_tells()
        if self.random.random() < 0.2 and "recover" in self.lasts:
            operation = self.operation
            self._killed("recover")
            self.operation = operation
        next_ = self.random.choice((("recover",), ("recover",), ("run", "shop")))
        began = time.monotonic()
        done = self.host.lifeboat(*next_)
        assert done.returncode == 0, (next_, done.stdout, done.stderr)
        if next_ == ("recover",):
            self.lasts["recover"] = time.monotonic() - began
        elif "in place" not in done.stderr:
            return "nothing to recover"
        return done.stdout + done.stderr

    def _status_tells(self) -> None:
        """What the journal says, and what to type."""
        steps = [
            json.loads(path.read_bytes())["step"]
            for path in (self.host.root / "state" / "restores").glob("shop.*.json")
        ]
        if not steps and self.random.random() < 0.8:
            return
        done = self.host.lifeboat("status", "shop", "--json")
        told = [(one["state"], one["next"]) for one in json.loads(done.stdout) if one["next"]]
        expected = dict.fromkeys(steps, ("warning", "lifeboat confirm shop"))
        expected.update(
            (step, ("critical", "lifeboat recover shop")) for step in steps if step in OPEN
        )
        if "undone" in expected:
            expected["undone"] = ("good", "lifeboat confirm shop")
        assert sorted(told) == sorted(expected[step] for step in steps), (steps, done.stdout)
        if any(step in OPEN for step in steps):
            assert done.returncode == 2

    def _killed(self, *words: str) -> int:
        """Start it, kill it at some moment; its status (0: it was faster).

        It alone, as when memory is short: what it has started is in sessions of its own. Or at once all
        of that too, as systemd does, or a power cut.
        """
        self.operation = words[0]
        lasts = self.lasts.get(words[0]) or self.lasts["run"]
        child = subprocess.Popen(
            self.host.argv(*words),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env={**os.environ, OURS: self.mark},
        )
        wait = self.random.uniform(lasts * 0.2, lasts)
        if self.random.random() < 0.8 and self._begins(child, lasts * 3):
            wait = self.random.uniform(0.0, lasts * 0.6)  # until then it has only loaded itself
        step = self.random.choice(STEPS.get(words[0], ("",)))
        if step and self._until(child, step, lasts * 3):
            wait = self.random.choice((0.0, self.random.uniform(0.0, 0.05), wait / 3))
        try:
            child.wait(wait)
        except subprocess.TimeoutExpired:
            child.kill()
            if self.random.random() < 0.3 and self.ground.source["type"] != "volume":
                for pid in self._started():
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
        status = child.wait()
        self.counts[f"{self.operation}: " + ("killed" if status else "was faster")] += 1
        assert status in (0, -signal.SIGKILL), "the operation itself failed"
        return status

    def _begins(self, child: subprocess.Popen[bytes], longest_s: float) -> bool:
        """Wait until it holds a lock; False when it did not."""
        until, folder = time.monotonic() + longest_s, self.host.root / "state" / "locks"
        while child.poll() is None and time.monotonic() < until:
            if any(one.read_text().endswith(f" {child.pid}\n") for one in folder.glob("*.lock")):
                return True
            time.sleep(0.002)
        return False

    def _until(self, child: subprocess.Popen[bytes], step: str, longest_s: float) -> bool:
        """Wait until the journal says this step; False when it did not."""
        until = time.monotonic() + longest_s
        folder = self.host.root / "state" / "restores"
        while child.poll() is None and time.monotonic() < until:
            for path in folder.glob("shop.*.json"):
                try:
                    if json.loads(path.read_bytes())["step"] == step:
                        return True
                except (OSError, ValueError):
                    pass  # it is being replaced
            time.sleep(0.0005)
        return False
