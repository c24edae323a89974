# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a source's programs run: an argv prefix, not a kind of source."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

from .containers import Engine
from .model import Command, Inside

# Run by the container's own sh, a constant: the words come after it and are never parsed. The engine
# leaves a program running when its client is killed, so this one waits for the end of its standard
# input, which is our end too, and then kills the program and all that it started. It waits for each
# child: PostgreSQL as a container's first process inherits the others', and takes one that was killed
# for a crash of its own (PostmasterMain, reaper), so there only the program itself is killed.
_UNFED = """
exec 3<&0
"$@" </dev/null 3<&- &
program=$!
{
  read -r _ <&3
  read -r first </proc/1/comm
  case $first in postgres*) kill -9 $program ;; *) kill -9 -$$ $program ;; esac
} >/dev/null 2>&1 &
watcher=$!
exec 3<&-
wait $program
status=$?
kill $watcher 2>/dev/null
wait $watcher 2>/dev/null
exit $status
"""


@dataclass(frozen=True)
class Placement:
    """On this host, or inside a container of `engine` ("docker", "podman").

    `as_user` is the user that programs run as: of this host, for those who may change it (root), or of
    the container. `owner` is the user of this host whose containers are meant. `source` is for messages.
    """

    engine: str = ""
    container: str = ""
    as_user: str = ""
    owner: str = ""
    source: str = ""

    @property
    def local(self) -> bool:
        return not self.engine

    @property
    def containers(self) -> Engine:
        where = f"source {self.source}: " if self.source else ""
        return Engine(self.engine, self.owner, where)

    def wrap(self, command: Command) -> Command:
        """`command` as it is started from here. Variables go by name, so that no value is in argv.

        In a container: a `secret` cannot be handed over (a descriptor does not cross), so give it by
        variable or standard input; the state of the container is looked at before each start; a program
        that is given no standard input ends when we do, any other when its standard input does.
        """
        user = command.user or self.as_user
        if self.local:
            return replace(command, user=user) if user else command
        if command.secret is not None:
            raise ValueError("a secret's descriptor does not cross into a container")
        engine = self.containers
        outside = engine.command("exec", "-i")
        # -i and never -t: a terminal would change line ends in a binary stream
        prefix = outside.argv
        for name in sorted(command.env):
            prefix += ("--env", name)
        if user:
            prefix += ("--user", user)
        if command.cwd is not None:
            prefix += ("--workdir", command.cwd)
        prefix += (self.container,)
        return replace(
            command,
            argv=prefix + command.argv,
            env={**command.env, **outside.env},
            cwd=outside.cwd,
            user=outside.user,
            inside=Inside(
                self.container,
                command.program,
                prefix + ("sh", "-c", _UNFED, "lifeboat") + command.argv,
                partial(engine.require_running, self.container),
            ),
        )


HERE = Placement()
