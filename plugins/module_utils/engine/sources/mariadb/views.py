# SPDX-License-Identifier: GPL-3.0-or-later
"""Put the views of a dump into an order in which each can be made, also over one that is broken.

The server makes no view over one whose definer is gone, or has lost its rights; the dump program writes
views by their names. So all are made twice: first by who restores, what is selected from before what
selects; then as they were, the other way round, so that what is broken is made when nothing needs it.
"""

from __future__ import annotations

import re

VIEWS = b"-- Final view structure for view `"
_FINAL = re.compile(rb"^(?:--\n)?%s((?:[^`]|``)+)`$" % VIEWS, re.MULTILINE)
_LAST = re.compile(
    rb"^/\*!50001 SET collation_connection      = @saved_col_connection \*/;\n", re.M
)
_CREATE = re.compile(
    rb"^/\*!50001 CREATE (ALGORITHM=\w+ \*/\n/\*!50013 )DEFINER=.* (?=SQL SECURITY )", re.M
)
_FROM = re.compile(rb"\b(?:from|join) \(*(?:`(?:[^`]|``)+`\.)?`((?:[^`]|``)+)`")


def ordered(text: bytes) -> bytes:
    """The end of a dump, from its first final view on, with its views twice where one is over another."""
    begins = [found.start() for found in _FINAL.finditer(text)]
    if not begins:
        return text
    last = max((found.end() for found in _LAST.finditer(text, begins[-1])), default=0)
    if not last:  # cut off: whoever reads it is told
        return text
    ends = [*begins[1:], last]
    made = {}
    for begin, end in zip(begins, ends):
        name = _FINAL.match(text, begin)
        if name:
            made[name[1]] = text[begin:end]
    over = {
        name: {one for one in _FROM.findall(said) if one in made and one != name}
        for name, said in made.items()
    }
    if len(made) < len(begins) or not any(over.values()):
        return text
    names = _bottom_up(over)
    first = [_CREATE.sub(rb"/*!50001 CREATE \1", made[one]) for one in names]
    again = [made[one] for one in reversed(names)]
    return text[: begins[0]] + b"".join([*first, *again]) + text[last:]


def _bottom_up(over: dict[bytes, set[bytes]]) -> list[bytes]:
    """The names, each after those that it is over. Text in a view may look like a name: no circle ends it."""
    names: dict[bytes, None] = {}
    seen: set[bytes] = set()
    for name in sorted(over):
        waiting = [(name, False)]
        while waiting:
            one, done = waiting.pop()
            if done:
                names[one] = None
            elif one not in seen:
                seen.add(one)
                waiting.append((one, True))
                waiting += [(below, False) for below in sorted(over[one])]
    return list(names)
