# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the SQL of mariadb-dump and mysqldump as it passes: what it holds, and where it names its database.

What is counted is what the archive holds, whatever the server did meanwhile (ADR 11). Rests on three
habits of the programs: a value never holds a raw line end (it is written as \\n), outside of quotes
nothing but a row begins with a parenthesis, and everything that is made is dropped before, on a line
of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from ...errors import SourceError
from .views import VIEWS, ordered

_NAME = rb"`((?:[^`]|``)+)`"
_INSERT = re.compile(
    rb"INSERT INTO %s(?: \((?:%s(?:, )?)+\))? VALUES(\s)" % (_NAME, _NAME.replace(b"(", b"(?:", 1))
)
_DROP = re.compile(
    rb"(?:/\*!\d+ )?DROP (TABLE|SEQUENCE|VIEW|TRIGGER|FUNCTION|PROCEDURE|EVENT|LIBRARY|PACKAGE(?: BODY)?)"
    rb" IF EXISTS %s ?(?:\*/)? ?;" % _NAME
)
_LOCK = re.compile(rb"LOCK TABLES %s WRITE;$" % _NAME)
_LACKING = b"-- insufficient privileges"  # said in a comment, with status 0
_MOST_LINE = 256 << 20  # longer than any statement of a sound dump that is not rows
_OUTSIDE = bytes(set(range(256)) - set(b"'("))

_GAP = rb"(?:\s|/\*.*?\*/|(?:--\s|#)[^\n]*\n)"
_WORD = rb"(?:`(?:[^`]|``)+`|\"(?:[^\"]|\"\")+\"|[0-9A-Za-z_$\x80-\xff]+)"
_TRIGGER = re.compile(
    rb"(\bTRIGGER_+(?:IF_+NOT_+EXISTS_+)?)(?:NAME_*\._*)?(NAME_+(?:BEFORE|AFTER)_+"
    rb"(?:INSERT|UPDATE|DELETE)_+ON_+)(?:NAME_*\._*)?(NAME_+FOR_)".replace(b"_", _GAP).replace(
        b"NAME", _WORD
    ),
    re.IGNORECASE | re.DOTALL,
)
_TRIGGER_BEGINS = b"/*!50003 CREATE*/"  # a routine begins with CREATE, an event with /*!50106
_EVENT = re.compile(
    rb"^(/\*!50106 CREATE\*/ (?:/\*!50117 DEFINER=[^\n]*?\*/ )?/\*!50106 EVENT %s ON SCHEDULE"
    rb" (AT |EVERY [^\n]*? ENDS )?[^\n]*? ?ON COMPLETION (NOT )?PRESERVE )(ENABLE|DISABLE)\b"
    % _NAME,
    re.MULTILINE,
)
# MySQL's routines in JavaScript name the libraries that they use with their database
_LIBRARY = re.compile(rb"CREATE LIBRARY %s" % _NAME)
_USES = re.compile(rb"^    USING \(`.*`\)$", re.MULTILINE)
_USED = re.compile(_NAME + rb"\." + _NAME)
_PROGRAM = b"\nDELIMITER ;;\n"
_HELD = (b"/*!50001 VIEW `", b"-- Host: ", b"LOCK TABLES `", VIEWS)
_VIEWS_BEGIN = re.compile(rb"^%s" % VIEWS, re.MULTILINE)
_LOOKED_AT = re.compile(
    rb"^-- Host: .*    Database: (.*)$|^/\*!50001 VIEW `.*$|^(LOCK) TABLES `.* WRITE;$",
    re.MULTILINE,
)
_QUOTED = rb"`(?:[^`]|``)+`"
_IN_VIEW = re.compile(rb"'(?:[^'\\]|\\.|'')*'|(%s\.)?(%s\.%s)" % (_QUOTED, _QUOTED, _QUOTED))
_PROGRAM_ENDS = b";;\nDELIMITER ;\n"


# Where one of these is set for a program, a byte of a letter may be \\ or `: the client, which reads
# utf8mb4, would end a string elsewhere than the server, and take what stands in it for statements.
_CLIENT = b"character_set_client"
_SWALLOWING = re.compile(_CLIENT + rb" *= *(?:big5|cp932|gb18030|gbk|sjis)\b")
_SWALLOWED = re.compile(rb"[\x80-\xff][\\`]")


MISREAD = (
    "a view, routine, trigger or event in the SQL was made by a client of big5, cp932, gb18030, gbk or"
    " sjis, and the client program could take text in it for statements"
)
MISREAD_HINT = "make it anew by a client of utf8mb4; from a backup by hand, see its RESTORE.md"


class Misread:
    """Whether the client could read SQL otherwise than the server; give it blocks of any size.

    True once it is so. From the first such character set on all is looked at, rows too: what seems to
    set another may itself stand in a string.
    """

    def __init__(self) -> None:
        self._held, self._swallowing, self._found = b"", False, False

    def __call__(self, block: bytes) -> bool:
        text = self._held + block
        self._held = text[-100:]
        if not self._swallowing:
            if _CLIENT not in text:  # told in half the time
                return False
            begins = _SWALLOWING.search(text)
            if begins is None:
                return False
            self._swallowing, text = True, text[begins.end() :]
        self._found = self._found or _SWALLOWED.search(text) is not None
        return self._found


@dataclass
class Found:
    """What a dump holds. A table's rows are None where its name hides them from us."""

    rows: dict[str, int | None] = field(default_factory=dict)  # by table
    others: set[tuple[str, str]] = field(default_factory=set)  # ("view", "v1"), ("trigger", ..)
    lacking: list[str] = field(default_factory=list)  # what the user may not see
    odd_triggers: list[str] = field(default_factory=list)  # whose beginning cannot be read
    passing: list[str] = field(default_factory=list)  # events that the server drops when they end
    misread: bool = False  # the client would take text for statements


class Scanner:
    """Give it the dump in blocks of any size, then `close`. `found` is then whole."""

    def __init__(self) -> None:
        self.found = Found()
        self._held = bytearray()
        self._step: Callable[[], bool] = self._line
        self._table = ""  # whose rows come now
        self._quoted = False  # within a value, where the last block ended
        self._apart = False  # each row on a line of its own, as newer programs write them
        self._program = b""  # what stands between DELIMITER ;; and DELIMITER ;, None = outside
        self._trigger = ""  # the last that was dropped
        self._misread = Misread()

    def __call__(self, block: bytes) -> None:
        self.found.misread = self._misread(block)
        self._held += block
        while self._step():
            pass

    def close(self) -> Found:
        self._held += b"\n"
        while self._step():
            pass
        return self.found

    # -- each step takes something off `_held`; False = more is needed

    def _line(self) -> bool:
        if self._table and self._held.startswith(b"INSERT INTO `"):
            return self._begin_rows()
        end = self._held.find(b"\n")
        if end < 0:
            if len(self._held) > _MOST_LINE:
                raise SourceError("the dump has a line of more than 256 MiB that is not rows")
            return False
        line = bytes(self._held[:end])
        del self._held[: end + 1]
        if line == b"DELIMITER ;;":
            self._step, self._program = self._body, b""
        elif line.startswith(b"LOCK TABLES "):
            named = _LOCK.match(line)
            self._table = _text(named.group(1)) if named else ""
        elif line == b"UNLOCK TABLES;":
            self._table = ""
        elif line.startswith(_LACKING):
            self.found.lacking.append(line.decode("utf-8", "replace"))
        elif b"DROP " in line[:20]:
            self._dropped(line)
        return True

    def _dropped(self, line: bytes) -> None:
        made = _DROP.match(line)
        if not made:
            return
        kind, name = made.group(1).decode().lower().replace(" ", "_"), _text(made.group(2))
        if kind == "table":
            self.found.rows[name] = 0
        else:
            self.found.others.add((kind, name))
        if kind == "view":  # a stand-in, dropped as a table before
            self.found.rows.pop(name, None)
        if kind == "trigger":
            self._trigger = name

    def _body(self) -> bool:
        end = self._held.find(b"\n")
        if end < 0:
            return False
        line = bytes(self._held[:end])
        del self._held[: end + 1]
        if line == b"DELIMITER ;" and self._program.rstrip().endswith(b";;"):
            self._made_trigger()
            self._step = self._line
            for event in _EVENT.finditer(self._program):
                if event.group(3) and event.group(4):
                    self.found.passing.append(_text(event.group(2)))
                    self.found.others.discard(("event", _text(event.group(2))))
        else:
            if line == b"DELIMITER ;;":  # between two events the first one's is not taken back
                self._dropped(self._program.rstrip(b"\n").rpartition(b"\n")[2])
            self._program += line + b"\n"
            if line.startswith(_LACKING):
                self.found.lacking.append(line.decode("utf-8", "replace"))
        return True

    def _made_trigger(self) -> None:
        """Of the program that has ended. MySQL's dump program drops none before, and names it first."""
        told = _TRIGGER.search(self._program)
        dropped, self._trigger = self._trigger, ""
        if dropped and not told:
            self.found.odd_triggers.append(dropped)
        elif not dropped and self._program.startswith(_TRIGGER_BEGINS):
            name = told and re.match(_NAME, told.group(2))
            if name:
                self.found.others.add(("trigger", _text(name.group(1))))
            else:
                self.found.odd_triggers.append(self._program[:100].decode("utf-8", "replace"))

    def _begin_rows(self) -> bool:
        header = _INSERT.match(self._held)
        if header is None:
            if len(self._held) > _MOST_LINE:
                raise SourceError("the dump has an INSERT that cannot be read")
            return False
        if _text(header.group(1)) != self._table:
            raise SourceError(f"the dump has rows of another table among those of {self._table}")
        on_next_line = header.group(2) == b"\n"
        self._apart = self._apart or on_next_line
        if self._apart and not on_next_line:  # a list of columns: its first row follows at once
            self._add(1)
        # the line end counts with the row that it begins
        del self._held[: header.end() - (1 if on_next_line else 0)]
        self._step = self._rows_apart if self._apart else self._rows
        return True

    def _rows_apart(self) -> bool:
        """No value holds a line end: each begins a row, but for that which ends the statement."""
        held = self._held
        # whether there is an end is told from behind in half the time, and most blocks have none
        end = held.find(b";\n") if held.rfind(b";\n") >= 0 else -1
        if end >= 0:
            self._add(held.count(b"\n", 0, end))
            del held[: end + 2]
            self._step = self._line
            return True
        self._add(held.count(b"\n"))
        del held[: len(held) - 1 if held.endswith(b";") else len(held)]
        return False

    def _rows(self) -> bool:
        """Rows on one line: count the parentheses that stand outside of quotes."""
        held = self._held
        end = held.find(b";\n")
        if end >= 0:
            self._count(bytes(held[:end]))
            del held[: end + 2]
            self._step, self._quoted = self._line, False
            return True
        keep = len(held) - len(held.rstrip(b"\\")) or (1 if held.endswith(b";") else 0)
        cut = len(held) - keep
        self._count(bytes(held[:cut]))
        del held[:cut]
        return False

    def _count(self, values: bytes) -> None:
        bare = values.replace(b"\\\\", b"").replace(b"\\'", b"").translate(None, _OUTSIDE)
        parts = bare.split(b"'")
        self._add(sum(part.count(b"(") for part in parts[1 if self._quoted else 0 :: 2]))
        if len(parts) % 2 == 0:
            self._quoted = not self._quoted

    def _add(self, count: int) -> None:
        rows = self.found.rows.get(self._table)
        if rows is not None:
            self.found.rows[self._table] = rows + count


class Moved:
    """A dump's SQL on its way into a database of another name: triggers lose the name of theirs.

    The server keeps a trigger's text as it was typed. With its database in it, it would be made in
    the live one. So do routines lose it that use a library of the same dump, and the columns of a view
    whose definer is gone: there alone the server writes it. Give it blocks, each gives what may go on;
    `close()` gives the rest. `asleep` disables events, which the server would run where they are not yet
    to run. Tables are not locked. Views are given at the end, in an order in which each can be made.
    """

    def __init__(self, asleep: bool = False) -> None:
        self.awake: set[bytes] = set()  # the names of the events that were put to sleep
        self._asleep = asleep
        self._held = bytearray(b"\n")
        self._inside = False  # of the statement of a trigger, a routine or an event
        self._begun = False
        self._misread = Misread()
        self._libraries: set[bytes] = set()
        self._database = b""  # quoted, with a . after it
        self._line, self._amid = b"", False  # of what is no program: held back; not its beginning
        self._views = bytearray()  # all from the first on

    def __call__(self, block: bytes) -> bytes:
        if self._misread(block):
            raise SourceError(MISREAD, hint=MISREAD_HINT)
        self._held += block
        out = bytearray()
        while True:
            mark = _PROGRAM_ENDS if self._inside else _PROGRAM
            at = self._held.find(mark)
            if at < 0:
                break
            piece = bytes(self._held[: at + len(mark)])
            del self._held[: len(piece)]
            out += self._program(piece) if self._inside else self._outside(piece) + self._ordered()
            self._inside = not self._inside
            if not self._inside:  # its line end may begin the next mark
                del out[-1:]
                self._held[:0] = b"\n"
        if not self._inside:
            cut = max(0, len(self._held) - len(_PROGRAM) + 1)
            out += self._outside(bytes(self._held[:cut]))
            del self._held[:cut]
        return self._after_first(bytes(out))

    def _outside(self, text: bytes) -> bytes:
        """What may go on of what is no program. Of its lines those alone are held back that are looked
        at: a row may be as long as memory.
        """
        text = self._line + text
        end = text.rfind(b"\n") + 1
        line = text[end:]
        begun = end > 0 or not self._amid
        held = begun and any(line[: len(one)] == one[: len(line)] for one in _HELD)
        out = text[:end] if held else text
        # all of these lines but the first end in a semicolon; most of what passes are rows, and few have one
        ends = b";" in out and b";\n" in out
        views = 0 if self._views else len(out)
        ends = ends or VIEWS in out
        if end and (ends or not self._database) and any(one in out for one in _HELD):
            first = out.find(b"\n") + 1 if self._amid else 0
            out = out[:first] + _LOOKED_AT.sub(self._looked_at, out[first:])
            if not self._views:
                found = _VIEWS_BEGIN.search(out, first)
                views = found.start() if found else len(out)
        self._line, self._amid = (line, False) if held else (b"", True)
        self._views += out[views:]
        return out[:views] + (self._ordered() if len(self._views) > _MOST_LINE else b"")

    def _ordered(self) -> bytes:
        text, self._views = bytes(self._views), bytearray()
        return ordered(text)

    def _looked_at(self, line: re.Match[bytes]) -> bytes:
        if line[2]:  # a table would not reach the sequence of its default, and nobody else is here
            return b""
        if line[1] is not None:
            self._database = b"`%s`." % line[1].replace(b"`", b"``")
            return line[0]
        if self._database not in line[0]:
            return line[0]
        return _IN_VIEW.sub(lambda one: one[2] if one[1] == self._database else one[0], line[0])

    def _program(self, piece: bytes) -> bytes:
        if self._asleep:
            self.awake.update(one.group(2) for one in _EVENT.finditer(piece) if one[5] == b"ENABLE")
            piece = _EVENT.sub(rb"\1DISABLE", piece)
        library = _LIBRARY.match(piece)
        if library:
            self._libraries.add(library.group(1))
        elif self._libraries:
            piece = _USES.sub(lambda uses: _USED.sub(self._own, uses[0]), piece, 1)
        return _without_database(piece)

    def _own(self, used: re.Match[bytes]) -> bytes:
        return b"`%s`" % used[2] if used[2] in self._libraries else used[0]

    def close(self) -> bytes:
        rest = bytes(self._held)
        if not self._inside:
            rest = self._outside(rest)
            self._views += self._line
            rest, self._line = rest + self._ordered(), b""
        return self._after_first(rest)

    def _after_first(self, out: bytes) -> bytes:
        """Without the line end that was put before the first line."""
        if out and not self._begun:
            self._begun = True
            return out[1:]
        return out


def awakened(text: bytes, awake: Collection[bytes]) -> bytes:
    """The SQL of a dump with those events enabled that `Moved` put to sleep."""
    return _EVENT.sub(lambda one: one[1] + b"ENABLE" if one[2] in awake else one[0], text)


def _without_database(program: bytes) -> bytes:
    if not program.startswith(_TRIGGER_BEGINS):
        return program
    bare, found = _TRIGGER.subn(rb"\1\2\3", program, 1)
    if not found:
        raise SourceError(
            "the backup has a trigger whose beginning cannot be read",
            detail=program[:200].decode("utf-8", "replace"),
            hint="restore the archive by hand, see the backup's RESTORE.md",
        )
    return bare


def _text(quoted: bytes) -> str:
    return quoted.decode("utf-8", "surrogateescape").replace("``", "`")
