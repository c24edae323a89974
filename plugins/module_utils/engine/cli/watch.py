# SPDX-License-Identifier: GPL-3.0-or-later
"""Show progress: a bar on a terminal, one line an event elsewhere, a file for those who follow a unit."""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ..files import make_private, remove, write
from ..progress import Event, Listener
from ..units import human_size

_SECONDS = 0.2  # between two drawings
_WIDTH = 24
_NARROW = 8  # a bar of fewer signs tells nothing
_COLUMNS = 80  # of a terminal that does not say
_ENDS_ALONE = ("dump", "read-back", "verify")  # are told once, with their size
_BEGINS_ALONE = ("compare",)  # has no size: its end would be the same line again
_MOST = 1 << 62  # bytes; more is not what our unit wrote


def listener(terminal: bool | None = None, quiet: bool = False) -> Listener:
    """What fits standard error."""
    if quiet:
        return _problems
    if terminal is None:
        terminal = sys.stderr.isatty()
    return _Bar() if terminal else _line


def sentence(event: Event) -> str:
    """dump db.database: 12.0 MiB"""
    text = f"{event.phase} {event.what}"
    if event.problem:
        return text + f": {event.problem}"
    if event.done_bytes:
        text += f": {human_size(event.done_bytes)}"
    if event.total_bytes and not event.ended:
        text += f" of {human_size(event.total_bytes)}"
    return text


class _Seldom:
    """Whether an event is due to be told: each step that is new, the same one at most twice a second."""

    def __init__(self) -> None:
        self._step, self._at = ("", "", False), 0.0

    def due(self, event: Event) -> bool:
        step, moment = (event.phase, event.what, event.ended), time.monotonic()
        if step == self._step and moment - self._at < 0.5:
            return False
        self._step, self._at = step, moment
        return True


class ProgressFile:
    """Write the newest event to a file, then pass it on.

    Without what a problem says: that is for the journal and the report.
    """

    def __init__(self, path: Path, then: Listener) -> None:
        self._path, self._then, self._seldom = path, then, _Seldom()
        for left in path.parent.glob(f".{path.name}.*"):  # of one that was killed while it wrote
            remove(left)

    def __call__(self, event: Event) -> None:
        self._then(event)
        if self._seldom.due(event):
            told = replace(event, problem="see the report") if event.problem else event
            try:
                make_private(self._path.parent, 0o750)  # gone since the host was started
                write(self._path, json.dumps(asdict(told)).encode(), 0o640, lasting=False)
            except OSError:
                return  # progress never fails an operation


class UnitStatus:
    """Tell systemd what is being done and how far it is, for `systemctl status`, and pass it on.

    See sd_notify(3); outside of a unit that allows it there is nobody to tell.
    """

    def __init__(self, then: Listener) -> None:
        self._then, self._seldom = then, _Seldom()
        address = os.environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address

    def __call__(self, event: Event) -> None:
        self._then(event)
        if not self._address or not self._seldom.due(event):
            return
        told = replace(event, problem="see the journal") if event.problem else event
        line = "STATUS=" + shown(sentence(told)) + percent(told)
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as line_out:
                line_out.setblocking(False)
                line_out.sendto(line.encode(), self._address)
        except OSError:
            return  # progress never fails an operation


def percent(event: Event) -> str:
    """A blank and "(12%)"; "" where nobody knows the whole."""
    if not event.total_bytes or event.ended:
        return ""
    return f" ({min(1.0, event.done_bytes / event.total_bytes):.0%})"


def event_of(mapping: Mapping[str, Any]) -> Event:
    """Of a file that others may have written; raises ValueError, TypeError, LookupError, ArithmeticError."""
    return Event(
        shown(mapping["phase"]),
        shown(mapping["what"]),
        min(int(mapping["done_bytes"]), _MOST),
        min(int(mapping["total_bytes"]), _MOST),
        mapping["ended"] is True,
        shown(mapping["problem"]),
    )


def shown(text: object, keep: str = "") -> str:
    """Text without what would steer a terminal: control characters become "?", but those of `keep`."""
    return "".join(
        letter if letter.isprintable() or letter in keep else "?" for letter in str(text)
    )


def _line(event: Event) -> None:
    """Only beginnings, ends and problems: a journal is not a terminal."""
    if event.ended or event.problem or not event.done_bytes:
        if not event.ended and not event.problem and event.phase in _ENDS_ALONE:
            return
        if event.ended and not event.problem and event.phase in _BEGINS_ALONE:
            return
        sys.stderr.write(shown(sentence(event), "\n") + "\n")
        sys.stderr.flush()


def _problems(event: Event) -> None:
    if event.problem:
        _line(event)


class _Bar:
    """One line that is drawn over again; what has ended stays above it."""

    def __init__(self) -> None:
        self._drawn = 0.0
        self._since: dict[str, float] = {}

    def __call__(self, event: Event) -> None:
        moment = time.monotonic()
        key = f"{event.phase} {event.what}"
        new = key not in self._since  # is shown at once: nothing more may come of it for long
        begun = self._since.setdefault(key, moment)
        if event.ended or event.problem:
            self._since.pop(key, None)
            sys.stderr.write("\r\x1b[K" + shown(sentence(event), "\n") + "\n")
        elif new or moment - self._drawn >= _SECONDS:
            self._drawn = moment
            sys.stderr.write("\r\x1b[K" + self._draw(event, moment - begun))
        sys.stderr.flush()

    def _draw(self, event: Event, seconds: float) -> str:
        """One line that fits: what wraps could not be drawn over."""
        text, columns = shown(sentence(event)), _columns()
        if event.done_bytes and seconds > 0:
            text += f", {human_size(int(event.done_bytes / seconds))}/s"
        if event.total_bytes:
            part = min(1.0, event.done_bytes / event.total_bytes)
            text = f"{part:4.0%} {text}"
            width = min(_WIDTH, columns - len(text) - len("[] ") - 1)
            if width >= _NARROW:
                text = "[" + ("#" * int(part * width)).ljust(width, ".") + f"] {text}"
        return text[: columns - 1]


def _columns() -> int:
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or _COLUMNS
    except (OSError, ValueError):
        return _COLUMNS
