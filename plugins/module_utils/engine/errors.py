# SPDX-License-Identifier: GPL-3.0-or-later
"""What can go wrong, as families a door can translate.

A message says what failed, on what, and why: lower case, no full stop, never a secret.
`hint` is the next step for the person reading; `detail` is what the program itself said.
`exit_code` is the documented exit status of the `lifeboat` command (docs/command.md#exit-codes).
"""

from __future__ import annotations


class LifeboatError(Exception):
    """Base of everything the engine raises on purpose."""

    exit_code = 1

    def __init__(self, message: str, *, detail: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail.strip()
        self.hint = hint

    def __str__(self) -> str:
        return self.message

    def lines(self) -> list[str]:
        """The whole report, one line an element: message, what the program said, what to do."""
        told = [self.message]
        told += ["  | " + line for line in self.detail.splitlines()]
        if self.hint:
            told.append("  hint: " + self.hint)
        return told


class UsageError(LifeboatError):
    """The request itself is wrong: an unknown job, an id that does not exist, a bad option."""

    exit_code = 2


class ConfigError(UsageError):
    """The configuration is wrong; the message starts with the path of the key at fault."""


class MissingDependency(LifeboatError):
    """A program or library that is needed is not on this machine."""

    exit_code = 2


class FormatError(LifeboatError):
    """A name, manifest or archive does not have the documented form (docs/format.md)."""


class ProcessError(LifeboatError):
    """A program failed; `status` is its exit status, negative when a signal ended it. `program` is its
    name, where it did start."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 1,
        detail: str = "",
        hint: str = "",
        program: str = "",
    ) -> None:
        super().__init__(message, detail=detail, hint=hint)
        self.status = status
        self.program = program


class SourceError(LifeboatError):
    """A source could not be read or restored."""


class SourceAbsent(SourceError):
    """The source does not exist here; a failure unless it is declared `optional`."""


class SpoolError(LifeboatError):
    """The spool could not take the stream: full disk, or over its cap."""


class DestinationError(LifeboatError):
    """A destination refused or lost something.

    missing: the object is not there. permanent: trying again cannot help (denied, full disk).
    """

    def __init__(
        self,
        message: str,
        *,
        missing: bool = False,
        permanent: bool = False,
        detail: str = "",
        hint: str = "",
    ) -> None:
        super().__init__(message, detail=detail, hint=hint)
        self.missing = missing
        self.permanent = permanent


class VerifyError(LifeboatError):
    """A copy is not what its manifest says."""


class ReadBackError(LifeboatError):
    """What was just stored could not be read back as it was sent."""

    exit_code = 4


class LockedError(LifeboatError):
    """Another operation holds the job."""

    exit_code = 5


class GateRefused(LifeboatError):
    """The restore gate said no; nothing was touched."""

    exit_code = 6


class PruneRefused(LifeboatError):
    """A prune would delete more than one run may; nothing was deleted."""

    exit_code = 6


class UnsignedError(GateRefused):
    """A manifest that has to be signed is not, or by nobody who may."""


class RestoreError(LifeboatError):
    """A restore failed; the message says whether the old or the new state is in place."""


class Interrupted(LifeboatError):
    """The operator or the system asked to stop."""

    exit_code = 130
