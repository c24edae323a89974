# SPDX-License-Identifier: GPL-3.0-or-later
"""Results to standard output, everything else to standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from ..errors import LifeboatError, MissingDependency, UsageError


class Output:
    """One command's way to speak. as_json: the result is one JSON document; query: a JMESPath over it."""

    def __init__(self, as_json: bool = False, query: str = "") -> None:
        self.as_json = as_json or bool(query)
        self._query = query

    def result(self, mapping: Any, text: str) -> None:
        """Print the result: `mapping` as JSON where asked for, else `text`."""
        if self.as_json:
            text = json.dumps(self._select(mapping), indent=1, sort_keys=True, default=str)
        if text:
            if sys.stdout.isatty():
                _clear()
            sys.stdout.write(text.rstrip("\n") + "\n")
            sys.stdout.flush()

    def note(self, text: str) -> None:
        _clear()
        sys.stderr.write(text + "\n")
        sys.stderr.flush()

    def error(self, exc: LifeboatError) -> None:
        for place, line in enumerate(exc.lines()):
            self.note(("lifeboat: " if place == 0 else "") + line)
        if self.as_json:
            told = {
                "error": exc.message,
                "detail": exc.detail,
                "hint": exc.hint,
                "exit_code": exc.exit_code,
            }
            sys.stdout.write(json.dumps(told, indent=1, sort_keys=True) + "\n")

    def _select(self, mapping: Any) -> Any:
        if not self._query:
            return mapping
        try:
            import jmespath
            from jmespath.exceptions import JMESPathError
        except ImportError:
            raise MissingDependency(
                "--query needs the library jmespath",
                hint="run site.yml: it brings the libraries; or use --json without --query",
            ) from None
        try:
            return jmespath.search(self._query, mapping)
        except JMESPathError as exc:
            raise UsageError(f"--query {self._query!r} is not JMESPath: {exc}") from None


def _clear() -> None:
    """A progress line may stand where the next text begins."""
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest cell; empty without rows."""
    if not rows:
        return ""
    lines = [list(head), *[list(row) for row in rows]]
    widths = [max(len(line[place]) for line in lines) for place in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines
    )
