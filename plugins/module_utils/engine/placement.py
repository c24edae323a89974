# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a source's programs run: an argv prefix, not a kind of source."""

from __future__ import annotations

from dataclasses import dataclass, replace

from .model import Command


@dataclass(frozen=True)
class Placement:
    """On this host, or inside a container of `engine` ("docker", "podman").

    `as_user` is the user that programs run as on this host, for those who may change it (root).
    """

    engine: str = ""
    container: str = ""
    as_user: str = ""

    @property
    def local(self) -> bool:
        return not self.engine

    def wrap(self, command: Command) -> Command:
        """`command` as it is started from here. Variables go by name, so that no value is in argv."""
        if self.engine:
            return replace(command, argv=self._container_prefix(command) + command.argv)
        return replace(command, user=self.as_user) if self.as_user else command

    def _container_prefix(self, command: Command) -> tuple[str, ...]:
        names: tuple[str, ...] = ()
        for name in sorted(command.env):
            names += ("--env", name)
        # -i and never -t: a terminal would change line ends in a binary stream
        return (self.engine, "exec", "-i") + names + (self.container,)


HERE = Placement()
