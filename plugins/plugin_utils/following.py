# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Tell on the controller's screen how far a task on a host is, for as long as it runs.

The operation leaves its newest step in a small file (engine/cli/watch.py); this reads it every few seconds
over the task's own way to the host. The task itself runs as ever: whatever goes wrong here shows nothing,
and costs nothing else. docs/adr/0023-progress-is-read-beside-the-task.md has the reasons.
"""

from __future__ import annotations

import copy
import json
import shlex
import threading
import time
from datetime import timedelta
from typing import Any

from ansible.plugins.action.normal import ActionModule as Normal
from ansible.utils.display import Display

from ..module_utils.engine.cli.watch import event_of, percent, sentence
from ..module_utils.engine.errors import UsageError
from ..module_utils.engine.paths import paths
from ..module_utils.engine.progress import Event
from ..module_utils.engine.units import human_duration

LOOK_S = 3.0  # between two looks
AGAIN_S = 60.0  # a step that goes on is told again
# When it was written, too: a step may be the same as in the operation before. And it may be a pipe that
# somebody planted.
_READ = '; [ -f "$f" ] && stat -c %y -- "$f" && timeout 5 head -c 4096 -- "$f" 2>/dev/null'
_OF_USER = (  # as engine/paths.py has it, of the environment that is there
    'd=${XDG_RUNTIME_DIR:-/nowhere}; if [ -w "$d" ]; then d=$d/lifeboat; '
    'else d=${XDG_STATE_HOME:-$HOME/.local/state}/lifeboat/run; fi; f="$d"/'
)


class Following(Normal):
    """An action that runs its module, and meanwhile tells how far the job is. drills: of its drills."""

    drills = False

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """What the module returns."""
        job = str(self._task.args.get("job") or "")
        host = str((task_vars or {}).get("inventory_hostname"))
        if not job or self._task.check_mode or self._task.async_val:
            return super().run(tmp, task_vars)
        try:
            command = self._command(job)
            # First, and alone: a new host asks once whether it is trusted; one that is down fails here.
            steps = Steps(str(self._low_level_execute_command(command)["stdout"]))
        except UsageError:  # the module says it better
            return super().run(tmp, task_vars)
        ended = threading.Event()
        told = (steps, command, f"[{host}] {job}: ", ended)
        follower = threading.Thread(target=self._follow, args=told, daemon=True)
        follower.start()
        try:
            return super().run(tmp, task_vars)
        finally:
            ended.set()
            follower.join(LOOK_S)

    def _follow(self, steps: Steps, command: str, head: str, ended: threading.Event) -> None:
        try:
            looking = copy.copy(self)  # over a connection of its own: the task's is in use
            looking._connection = copy.copy(self._connection)
            if looking._connection.become is not None:
                looking._connection.set_become_plugin(copy.copy(self._connection.become))
            while not ended.wait(LOOK_S):
                content = str(looking._low_level_execute_command(command)["stdout"])
                line = steps.told(content, time.monotonic())
                if line:
                    Display().display(head + line)
        except (
            Exception
        ) as exc:  # of any connection plugin: the task goes on without being followed
            Display().vvv(f"{head}its progress cannot be shown: {exc}")

    def _command(self, job: str) -> str:
        """Prints the file, on the host."""
        name = job + ".drill" if self.drills else job
        scope, root = str(self._task.args.get("scope") or "system"), self._task.args.get("root")
        if scope == "user" and not root:
            return _OF_USER + shlex.quote(name + ".progress") + _READ
        path = paths(scope, str(root) if root else None).progress(name)
        return "f=" + shlex.quote(str(path)) + _READ


class Steps:
    """What is worth a line: a step that is new, or one that goes on for long. `before`: what is of no interest."""

    def __init__(self, before: str) -> None:
        self._before = before
        self._step = ("", "")
        self._since = self._told_at = 0.0

    def told(self, content: str, moment: float) -> str:
        """The line for when the file was written, and what it holds, at `moment` (seconds); "" for none."""
        event = _event(content.partition("\n")[2]) if content != self._before else None
        if event is None:
            return ""
        step = (event.phase, event.what)
        if step != self._step:
            self._step, self._since = step, moment
        elif moment - self._told_at < AGAIN_S:
            return ""
        self._told_at, lasted = moment, timedelta(seconds=moment - self._since)
        return (
            sentence(event) + percent(event) + (f", for {human_duration(lasted)}" if lasted else "")
        )


def _event(content: str) -> Event | None:
    try:
        return event_of(json.loads(content))
    except (ValueError, TypeError, LookupError, ArithmeticError, RecursionError):
        return None  # half written, or nothing of ours
