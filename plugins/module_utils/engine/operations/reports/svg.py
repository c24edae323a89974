# SPDX-License-Identifier: GPL-3.0-or-later
"""Draw the pictures of a report as SVG, by hand: black, white and hatched, so that they print. Pure."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Optional

from .report import Points

_WIDE, _HIGH = 460, 170
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 14, 14, 26
HATCH = (  # once in a page: what was missed is filled with it
    '<svg xmlns="http://www.w3.org/2000/svg" width="0" height="0" style="position:absolute"><defs>'
    '<pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" '
    'patternTransform="rotate(45)"><rect width="6" height="6" fill="#fff"/>'
    '<rect width="3" height="6" fill="#111"/></pattern></defs></svg>'
)
_ROOM = 17  # characters of a name beside a bar
Said = Callable[[float], str]
Measured = tuple[str, Optional[float], Optional[float]]  # (name, value, objective)


def plain(text: object) -> str:
    """Anything as text of a page: escaped, and nothing in it that steers or that XML forbids."""
    shown = "".join(one if one.isprintable() else " " for one in str(text))
    return html.escape(shown)


def line(title: str, points: Points, said: Said) -> str:
    """How something went on over time, from 0 up; a dot for each."""
    if not points:
        return _empty(title)
    place = _Axes(points, max(value for _at, value in points), said)
    spots = [(place.x(at), place.y(value)) for at, value in points]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in spots)
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.4"/>' for x, y in spots)
    return _svg(title, _HIGH, f'{place.drawn}<polyline points="{path}" class="line"/>{dots}')


def bars(title: str, points: Points, said: Said) -> str:
    """One bar for each, over time."""
    if not points:
        return _empty(title)
    place = _Axes(points, max(value for _at, value in points), said)
    wide = max(1.5, min(12.0, (_WIDE - _LEFT - _RIGHT) / len(points) * 0.6))
    drawn = "".join(
        f'<rect x="{place.x(at) - wide / 2:.1f}" y="{place.y(value):.1f}" width="{wide:.1f}" '
        f'height="{max(0.0, place.base - place.y(value)):.1f}" class="bar"/>'
        for at, value in points
    )
    return _svg(title, _HIGH, place.drawn + drawn)


def days(title: str, told: Sequence[tuple[str, int, int]]) -> str:
    """A cell for each day (its label, good runs, failed runs): black = all good, a cross = one failed,
    empty = none ran."""
    side, drawn = (_WIDE - 10) / max(1, len(told)), []
    for number, (label, good, failed) in enumerate(told):
        x = 5 + number * side
        kind = "none" if not good + failed else "bad" if failed else "bar"
        inner = side - 2
        drawn.append(
            f'<rect x="{x:.1f}" y="14" width="{inner:.1f}" height="34" class="cell {kind}">'
            f"<title>{plain(label)}: {good} good, {failed} failed</title></rect>"
        )
        if failed:
            ends = (x + 2, 16, x + inner - 2, 46), (x + 2, 46, x + inner - 2, 16)
            drawn += [
                f'<line x1="{a:.1f}" y1="{b}" x2="{c:.1f}" y2="{d}" class="cross"/>'
                for a, b, c, d in ends
            ]
        if number % 5 == 0:
            drawn.append(f'<text x="{x:.1f}" y="62">{plain(label)}</text>')
    return _svg(title, 70, "".join(drawn))


def against(title: str, told: Sequence[Measured], said: Said) -> str:
    """A bar for each measured value, a mark where its objective is; hatched where it was missed."""
    known = [one for one in told if one[1] is not None or one[2] is not None]
    if not known:
        return _empty(title)
    most = max(max(value or 0.0, objective or 0.0) for _name, value, objective in known) or 1.0
    room, drawn = _WIDE - 20, []
    for number, (name, value, objective) in enumerate(known):
        y = 8 + number * 42
        missed = value is not None and objective is not None and value > objective
        words = said(value) if value is not None else "never measured"
        if objective is not None:
            words += f", objective {said(objective)}" + (": MISSED" if missed else "")
        drawn.append(f'<text x="10" y="{y + 10}">{plain(name[:30])}: {plain(words)}</text>')
        drawn.append(
            f'<rect x="10" y="{y + 15}" width="{room * (value or 0.0) / most:.1f}" height="12" '
            f'class="{"hatched" if missed else "bar"}"/>'
        )
        if objective is not None:
            x = 10 + room * objective / most
            drawn.append(
                f'<line x1="{x:.1f}" y1="{y + 12}" x2="{x:.1f}" y2="{y + 30}" class="mark"/>'
            )
    return _svg(title, 16 + 42 * len(known), "".join(drawn))


def shares(title: str, told: Sequence[tuple[str, int, int]]) -> str:
    """For each (name, so many are, of so many): black what is, empty what is not."""
    known = [one for one in told if one[2]]
    if not known:
        return _empty(title)
    room, drawn = _WIDE - 220, []
    for number, (name, there, of) in enumerate(known):
        y = 8 + number * 24
        drawn.append(
            f'<text x="10" y="{y + 12}">{plain(_cut(name))}</text>'
            f'<rect x="130" y="{y + 2}" width="{room}" height="13" class="cell none"/>'
            f'<rect x="130" y="{y + 2}" width="{room * there / of:.1f}" height="13" class="bar"/>'
            f'<text x="{138 + room}" y="{y + 12}">{there} of {of}</text>'
        )
    return _svg(title, 16 + 24 * len(known), "".join(drawn))


class _Axes:
    """Where an instant and a value lie, and the lines and words around them."""

    def __init__(self, points: Points, most: float, said: Said) -> None:
        self._first, last = points[0][0], points[-1][0]
        self._span = (last - self._first).total_seconds()
        self._most = most or 1.0
        self.base = _HIGH - _BOTTOM
        drawn = []
        for part in (0.0, 0.5, 1.0):
            y = self.y(self._most * part)
            drawn.append(
                f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{_WIDE - _RIGHT}" y2="{y:.1f}" class="grid"/>'
                f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" class="end">'
                f"{plain(said(self._most * part))}</text>"
            )
        ends = ((self._first, "start"), (last, "end")) if self._span else ((last, "middle"),)
        for at, anchor in ends:
            drawn.append(
                f'<text x="{self.x(at):.1f}" y="{_HIGH - 8}" class="{anchor}">{at:%Y-%m-%d}</text>'
            )
        self.drawn = "".join(drawn)

    def x(self, at: datetime) -> float:
        part = (at - self._first).total_seconds() / self._span if self._span else 0.5
        return _LEFT + 8 + part * (_WIDE - _LEFT - _RIGHT - 16)

    def y(self, value: float) -> float:
        return self.base - (self.base - _TOP) * value / self._most


def _svg(title: str, high: int, inside: str) -> str:
    return (
        f'<figure><svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDE} {high}" role="img" '
        f'aria-label="{plain(title)}">{inside}</svg><figcaption>{plain(title)}</figcaption></figure>'
    )


def _cut(name: str) -> str:
    """As much of a long name as there is room for: its end, which differs."""
    return name if len(name) <= _ROOM else "…" + name[1 - _ROOM :]


def _empty(title: str) -> str:
    return f'<p class="nothing">{plain(title)}: nothing was measured.</p>'
