# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a source's programs run: an argv prefix, not a kind of source."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

from .containers import Engine
from .model import DESCRIPTOR, Command, Inside

# Run by the container's own sh, a constant: the words come after it and are never parsed. The engine
# leaves a program running when its client is killed, so this one waits for the end of its standard
# input, which is our end too, and then kills the program and all that it started. It waits for each
# child: PostgreSQL as a container's first process inherits the others', and takes one that was killed
# for a crash of its own (PostmasterMain, reaper), so there only the program itself is killed.
_UNFED = """
exec 3<&0
%s </dev/null 3<&- &
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
# A secret comes first on standard input, as a line, and reaches the program by a pipe: it is in no file,
# no environment and no argument list inside, however we end. `read` takes not a byte more than the line,
# and printf is a part of sh.
_SECRET = "/dev/fd/4"
_GIVEN = """printf '%s\\n' "$secret" | "$@" 4<&0"""
_FED = f"unset secret\nIFS= read -r secret\nexec 3<&0\n{_GIVEN} <&3 3<&-\n"


def _unfed(secret: bool) -> str:
    return _UNFED % ("unset secret\nIFS= read -r secret <&3\n" + _GIVEN if secret else '"$@"')


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

        In a container: a `secret` is one line, and is handed over ahead of standard input (process.Started
        writes it), since a descriptor does not cross; the state of the container is looked at before each
        start; a program that is given no standard input ends when we do, any other when its own does.
        """
        user = command.user or self.as_user
        if self.local:
            return replace(command, user=user) if user else command
        given = command.secret is not None
        if given and b"\n" in (command.secret or b""):
            raise ValueError("a secret that is handed into a container is one line")
        words = tuple(word.replace(DESCRIPTOR, _SECRET) for word in command.argv)
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
            argv=prefix + (("sh", "-c", _FED, "lifeboat") if given else ()) + words,
            env={**command.env, **outside.env},
            cwd=outside.cwd,
            user=outside.user,
            unset=(*command.unset, *outside.unset),
            inside=Inside(
                self.container,
                command.program,
                prefix + ("sh", "-c", _unfed(given), "lifeboat") + words,
                partial(engine.require_running, self.container),
            ),
        )


HERE = Placement()
