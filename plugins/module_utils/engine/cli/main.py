# SPDX-License-Identifier: GPL-3.0-or-later
"""The `lifeboat` command: read the arguments, do one thing, translate errors into exit codes.

Exit codes are API: 0 done; 1 failed; 2 usage or configuration; 3 done, but a source or a destination
was lost; 4 read-back failed; 5 locked; 6 refused at the gate; 130 interrupted. (`status`: 0, 1, 2.)
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

from ..errors import Interrupted, LifeboatError, UsageError
from ..paths import paths
from .aftermath import look_again
from .commands import COMMANDS
from .output import Output, refused
from .parser import parser
from .session import Session, ensure_directories

_SPECIAL = ("config", "receiver")  # need no session


def main(argv: Sequence[str] | None = None, scope: str = "system", root: str | None = None) -> int:
    """Run one command; the launcher that `engine_install` writes passes scope and root."""
    words = sys.argv[1:] if argv is None else argv
    known = [*COMMANDS, *_SPECIAL]
    if words and words[0] not in known and not words[0].startswith("-"):
        import difflib  # of no use to anybody else

        like = difflib.get_close_matches(words[0], known)
        hint = "; ".join([*(f"did you mean {one}?" for one in like[:1]), "see `lifeboat --help`"])
        Output().error(UsageError(f"there is no command {words[0]!r}", hint=hint))
        return UsageError.exit_code
    asked = parser().parse_args(words)
    out = Output(asked.json, asked.query)
    os.umask(0o077)
    logging.getLogger("botocore").setLevel(
        logging.CRITICAL
    )  # it would log what we report as an error
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        return _run(asked, out, scope, root)
    except LifeboatError as exc:
        out.error(exc)
        return exc.exit_code
    except KeyboardInterrupt:
        out.error(Interrupted("interrupted; nothing half done counts"))
        return Interrupted.exit_code
    except BrokenPipeError:  # whoever read our output has enough
        sys.stdout = open(os.devnull, "w")
        return 0
    except OSError as exc:
        out.error(refused(exc))
        return LifeboatError.exit_code
    finally:
        signal.signal(signal.SIGTERM, before)


def _run(asked: Any, out: Output, scope: str, root: str | None) -> int:
    where = paths(scope, root)
    if asked.command == "config":  # looks at a file that is not installed yet
        from . import check

        return check.config_check(where, asked, out)
    if asked.command == "receiver":  # such a host needs no jobs of its own
        from . import receiver

        return receiver.receive(where, asked, out)
    ensure_directories(where)
    session = Session.load(where)
    try:
        code: int = COMMANDS[asked.command](session, asked, out)
    except LifeboatError:
        look_again(session, asked, out)
        raise
    look_again(session, asked, out)
    return code


def _interrupt(_signal: int, _frame: Any) -> None:
    raise KeyboardInterrupt
