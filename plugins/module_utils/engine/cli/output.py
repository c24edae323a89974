# SPDX-License-Identifier: GPL-3.0-or-later
"""Results to standard output, everything else to standard error."""

from __future__ import annotations

import errno
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice, zip_longest
from typing import Any

from ..errors import LifeboatError, MissingDependency, UsageError

_ENCODER = json.JSONEncoder(indent=1, sort_keys=True, default=str)
_RIGHTS = "run this as root, or as the user the job runs as"
_ROOM = "make room (`df -h` says where), then type the same again"
_HINTS = {
    errno.EACCES: _RIGHTS,
    errno.EPERM: _RIGHTS,
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
}
_AT_ONCE = 1000  # pieces of JSON
_BETWEEN = "\0"  # cells; what others may have named so, a tag, stands in the last one


class Output:
    """One command's way to speak. as_json: the result is one JSON document; query: a JMESPath over it."""

    def __init__(self, as_json: bool = False, query: str = "") -> None:
        self.as_json = as_json or bool(query)
        self._query = query

    def result(self, mapping: Any, text: str) -> None:
        """Print the result: `mapping` as JSON where asked for, else `text`."""
        if self.as_json:
            self._say(_ENCODER.iterencode(self._select(mapping)))
        elif text:
            self._say([text.rstrip("\n")])

    def results(self, mappings: Iterable[Any]) -> None:
        """Print a JSON list of many, each as soon as it is there; what --query asks of needs them all.

        What is cut off in its middle has no end, and so nobody takes it for the whole list.
        """
        if self._query:
            self.result(list(mappings), "")
        else:
            self._say(_listed(mappings))

    def lines(self, lines: Iterable[str], otherwise: str) -> None:
        """Print each line as soon as it is there; without one, `otherwise`."""
        left = iter(lines)
        self._say(chain([next(left, otherwise)], ("\n" + line for line in left)))

    def rows(self, head: Sequence[str], rows: Rows) -> None:
        """Print a table of many rows; nothing without rows."""
        if rows:
            self._say(rows.lines(head))

    def _say(self, pieces: Iterable[str]) -> None:
        if sys.stdout.isatty():
            _clear()
        for piece in pieces:
            sys.stdout.write(piece)
        sys.stdout.write("\n")
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


def refused(exc: OSError) -> LifeboatError:
    """What the system refuses, as clear as it can be said where nobody knows more of it."""
    what = f"{exc.filename}: " if exc.filename else ""
    return LifeboatError(f"{what}{exc.strerror or exc}", hint=_HINTS.get(exc.errno or 0, ""))


def _clear() -> None:
    """A progress line may stand where the next text begins."""
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()


def _listed(mappings: Iterable[Any]) -> Iterator[str]:
    """The pieces of a JSON list, as _ENCODER would write it whole."""
    before = "["
    for mapping in mappings:
        yield before + "\n "
        before = ","
        pieces = _ENCODER.iterencode(mapping)
        while text := "".join(islice(pieces, _AT_ONCE)):
            yield text.replace("\n", "\n ")
        del mapping, pieces  # each may be large: not held while the next one is made
    yield "[]" if before == "[" else "\n]"


class Rows:
    """The rows of a table, each held as one text: of 100,000 that is a tenth of what their cells take."""

    def __init__(self, rows: Iterable[Sequence[str]] = ()) -> None:
        self._rows: list[str] = []
        self._widths: list[int] = []
        for row in rows:
            self.add(row)

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, row: Sequence[str]) -> None:
        self._widths = _widths(self._widths, row)
        self._rows.append(_BETWEEN.join(row))

    def lines(self, head: Sequence[str]) -> Iterator[str]:
        """Each line, those after the first with the line break before it; columns as wide as their widest
        cell."""
        widths = _widths(self._widths, head)
        yield _line(head, widths)
        for row in self._rows:
            yield "\n" + _line(row.split(_BETWEEN, len(head) - 1), widths)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Columns as wide as their widest cell; empty without rows."""
    held = Rows(rows)
    return "".join(held.lines(head)) if held else ""


def _widths(widths: Sequence[int], row: Sequence[str]) -> list[int]:
    return [max(both) for both in zip_longest(widths, map(len, row), fillvalue=0)]


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()
