# SPDX-License-Identifier: GPL-3.0-or-later
"""What a MariaDB database and its server are: for the manifest, for a restore, and to refuse early."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

from ...errors import MissingDependency, SourceError
from .programs import FLAVOURS, MARIADB, MYSQL
from .server import NO_LIMIT, About, Access, QueryError, identifier, literal

_TRANSACTIONAL = ("InnoDB", "ROCKSDB", "TokuDB", "ndbcluster")
# whose rows lie on another server, where a restore would write them
ELSEWHERE = ("FEDERATED", "SPIDER")
_THROUGH = ("CONNECT", "OQGRAPH", "S3", "SPHINX")  # and whose rows may lie anywhere
_WITHOUT_ROWS = (*ELSEWHERE, "MRG_MyISAM", "BLACKHOLE")  # their rows are not theirs, or nowhere
_GRANT = re.compile(
    r"GRANT (.+?) ON (?:TABLE )?(`(?:[^`]|``)+`|\*)\.(`(?:[^`]|``)+`|\*) TO ", re.DOTALL
)
READING = ("SELECT", "SHOW VIEW", "TRIGGER", "EVENT")
RESTORING = (
    *("SELECT", "INSERT", "CREATE", "DROP", "ALTER", "INDEX", "REFERENCES", "LOCK TABLES"),
    *("CREATE VIEW", "SHOW VIEW", "CREATE ROUTINE", "ALTER ROUTINE", "EVENT", "TRIGGER"),
)
# of what bears a name: its table in information_schema, the columns of schema, name and kind
_KINDS = (
    ("VIEWS", "TABLE_SCHEMA", "TABLE_NAME", "'view'"),
    ("TRIGGERS", "TRIGGER_SCHEMA", "TRIGGER_NAME", "'trigger'"),
    ("ROUTINES", "ROUTINE_SCHEMA", "ROUTINE_NAME", "REPLACE(LOWER(ROUTINE_TYPE), ' ', '_')"),
    ("EVENTS", "EVENT_SCHEMA", "EVENT_NAME", "'event'"),
)
_LIBRARIES = ("LIBRARIES", "LIBRARY_SCHEMA", "LIBRARY_NAME", "'library'")  # of JavaScript
_HAS_LIBRARIES = (9, 2)  # since when MySQL has them


def same(column: str, name: str) -> str:
    """The condition that a column of names holds `name`, cases told apart where the server does.

    To a column's collation `shöp` is `shop`, to no server.
    """
    text = literal(name)
    folded = f"BINARY LOWER({column}) = LOWER({text})"
    return (
        f"({column} = {text} AND IF(@@lower_case_table_names, {folded}, BINARY {column} = {text}))"
    )


def exists(access: Access, database: str) -> bool:
    query = "SELECT COUNT(*) FROM information_schema.SCHEMATA WHERE "
    return access.value(query + same("SCHEMA_NAME", database)) == "1"


def tables(access: Access, database: str) -> list[tuple[str, str]]:
    """[(kind, name)] of what holds data: "table" or "sequence"."""
    return [
        ("sequence" if row[0] == "SEQUENCE" else "table", row[1])
        for row in access.ask(
            "SELECT TABLE_TYPE, TABLE_NAME FROM information_schema.TABLES"
            f" WHERE TABLE_TYPE NOT LIKE '%VIEW' AND {same('TABLE_SCHEMA', database)}"
        )
    ]


def programs(access: Access, database: str) -> list[tuple[str, str]]:
    """[(kind, name)] of what is text: views, triggers, routines, events, libraries."""
    about = access.about
    has_libraries = about.flavour == MYSQL and about.number >= _HAS_LIBRARIES
    asked = [
        f"SELECT {kind}, {name} FROM information_schema.{table} WHERE {same(schema, database)}"
        for table, schema, name, kind in (*_KINDS, *([_LIBRARIES] if has_libraries else []))
    ]
    return [(row[0], row[1]) for row in access.ask(asked)]


def definers(access: Access, database: str) -> list[str]:
    """The accounts in whose name views, triggers, routines and events run: ["shop@localhost"]."""
    asked = [
        f"SELECT DISTINCT DEFINER FROM information_schema.{table} WHERE {same(schema, database)}"
        for table, schema, _name, _kind in _KINDS
    ]
    return sorted({row[0] for row in access.ask(asked)} - {"", "NULL"})


def like(access: Access, database: str) -> tuple[str, str]:
    """(character set, collation) of a database."""
    row = access.ask(
        "SELECT DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME FROM information_schema.SCHEMATA"
        f" WHERE {same('SCHEMA_NAME', database)}"
    )[0]
    return row[0], row[1]


def options(like_: tuple[str, str]) -> str:
    """The clause that makes a database so; from a manifest too, so only words are let through."""
    for word in like_:
        if not re.fullmatch(r"\w+", word):
            raise SourceError(f"{word!r} is not a character set or collation")
    return "CHARACTER SET {} COLLATE {}".format(*like_)


def database(access: Access, name: str) -> dict[str, Any]:
    """What a restore needs to know of a database, as JSON values."""
    character_set, collation = like(access, name)
    here = same("TABLE_SCHEMA", name)
    used = access.ask(
        [
            f"SELECT DISTINCT 'collation', TABLE_COLLATION FROM information_schema.TABLES WHERE {here}",
            f"SELECT DISTINCT 'collation', COLLATION_NAME FROM information_schema.COLUMNS WHERE {here}",
            f"SELECT DISTINCT 'engine', ENGINE FROM information_schema.TABLES WHERE {here}",
        ]
    )
    return {
        "character_set": character_set,
        "collation": collation,
        "collations": _used(used, "collation", {collation}),
        "engines": _used(used, "engine", set()),
        "definers": definers(access, name),
        "alike": _alike(access, name),
        "size_bytes": size_bytes(access, name),
    }


def _alike(access: Access, name: str) -> list[str]:
    """The tables and views whose names are one where the server does not tell cases apart."""
    rows = access.ask(
        f"SELECT TABLE_NAME FROM information_schema.TABLES WHERE {same('TABLE_SCHEMA', name)}"
    )
    counts = Counter(row[0].lower() for row in rows)
    return sorted(row[0] for row in rows if counts[row[0].lower()] > 1)


def _used(rows: list[list[str]], kind: str, more: set[str]) -> list[str]:
    return sorted({row[1] for row in rows if row[0] == kind and row[1] != "NULL"} | more)


def size_bytes(access: Access, name: str) -> int:
    """As the server estimates it."""
    return int(
        access.value(
            "SELECT CAST(COALESCE(SUM(DATA_LENGTH + INDEX_LENGTH), 0) AS UNSIGNED)"
            f" FROM information_schema.TABLES WHERE {same('TABLE_SCHEMA', name)}"
        )
    )


def totals(access: Access, name: str) -> dict[str, int]:
    """What would be lost. Rows as the server estimates them, which is told as `uncounted`."""
    row = access.ask(
        "SELECT COUNT(*), CAST(COALESCE(SUM(TABLE_ROWS), 0) AS UNSIGNED)"
        f" FROM information_schema.TABLES WHERE {same('TABLE_SCHEMA', name)}"
        " AND TABLE_TYPE NOT LIKE '%VIEW' AND TABLE_TYPE <> 'SEQUENCE'"
    )[0]
    return {"tables": int(row[0]), "rows": int(row[1]), "uncounted": int(row[0])}


def counted(access: Access, name: str) -> list[tuple[str, str, int]]:
    """[(kind, name, rows)] of what holds data; 0 rows for a sequence, and for what lies elsewhere."""
    there, far = tables(access, name), of_engines(access, name, *ELSEWHERE)
    holders = [one for kind, one in there if kind == "table" and one not in far]
    where = identifier(name)
    rows = access.ask([f"SELECT COUNT(*) FROM {where}.{identifier(one)}" for one in holders])
    counts = dict(zip(holders, (int(row[0]) for row in rows)))
    return [(kind, one, counts.get(one, 0)) for kind, one in there]


def uncountable(access: Access, name: str) -> list[tuple[str, str]]:
    """[(kind, name)] of what cannot be counted in a dump: tables whose rows it leaves out."""
    return [("table", one) for one in of_engines(access, name, *_WITHOUT_ROWS)]


def of_engines(access: Access, name: str, *engines: str) -> list[str]:
    """The tables that are of these engines. None of their servers is asked."""
    return [row[1] for row in access.ask(_of_engines("table", name, engines))]


def _of_engines(told_as: str, name: str, engines: Iterable[str]) -> str:
    listed = ", ".join(literal(one) for one in engines)
    return (
        f"SELECT '{told_as}', TABLE_NAME FROM information_schema.TABLES"
        f" WHERE {same('TABLE_SCHEMA', name)} AND ENGINE IN ({listed})"
    )


def broken_names(access: Access, name: str) -> list[str]:
    """What has a line end in a name: ["table a\\nb"]. In a dump it cannot be told from a line's own."""
    asked = [
        f"SELECT '{kind}', {shown} FROM information_schema.{table}"
        f" WHERE {same(schema, name)} AND ({column} LIKE '%\n%' OR {column} LIKE '%\r%')"
        for kind, table, schema, shown, column in (
            ("table", "TABLES", "TABLE_SCHEMA", "TABLE_NAME", "TABLE_NAME"),
            ("a column of", "COLUMNS", "TABLE_SCHEMA", "TABLE_NAME", "COLUMN_NAME"),
            ("an index of", "STATISTICS", "TABLE_SCHEMA", "TABLE_NAME", "INDEX_NAME"),
            (
                "a constraint of",
                "TABLE_CONSTRAINTS",
                "TABLE_SCHEMA",
                "TABLE_NAME",
                "CONSTRAINT_NAME",
            ),
            ("a partition of", "PARTITIONS", "TABLE_SCHEMA", "TABLE_NAME", "PARTITION_NAME"),
            # strings have theirs written as \\n
            ("view", "VIEWS", "TABLE_SCHEMA", "TABLE_NAME", "VIEW_DEFINITION"),
            ("trigger", "TRIGGERS", "TRIGGER_SCHEMA", "TRIGGER_NAME", "TRIGGER_NAME"),
            ("routine", "ROUTINES", "ROUTINE_SCHEMA", "ROUTINE_NAME", "ROUTINE_NAME"),
            ("event", "EVENTS", "EVENT_SCHEMA", "EVENT_NAME", "EVENT_NAME"),
        )
    ]
    try:
        return sorted({f"{row[0]} {row[1]!r}" for row in access.ask(asked)})
    except QueryError as exc:  # the first question for which the server opens each table
        far = of_engines(access, name, *ELSEWHERE)
        if not far:
            raise
        hint = f"these tables cannot be looked at without their own server: {first(far)}"
        raise SourceError(f"{exc}", detail=exc.detail, hint=exc.hint or hint) from exc


def endless_events(access: Access, name: str) -> list[str]:
    """The events with which mariadb-dump never ends (10.11): it looks for another delimiter than ;;."""
    text = "CONCAT_WS(' ', EVENT_NAME, EVENT_DEFINITION, EVENT_COMMENT)"
    query = f"SELECT EVENT_NAME FROM information_schema.EVENTS WHERE {same('EVENT_SCHEMA', name)}"
    return [row[0] for row in access.ask(f"{query} AND {text} LIKE '%;;%'")]


def refuse_names(access: Access, source: str, name: str) -> None:
    endless = endless_events(access, name)
    if endless:
        raise SourceError(
            f"source {source}: the dump program never ends with ;; in an event: {first(endless)}",
            hint="write the event without it",
        )
    told = broken_names(access, name)
    if told:
        raise SourceError(
            f"source {source}: names in database {name!r} have a line end in them, and could not be"
            f" restored: {first(told)}",
            hint="rename it",
        )


def refuse_limit(access: Access, source: str) -> None:
    """Raise where the server would give the dump program, which lifts no limit, a part of a table."""
    limit, for_all = access.ask("SELECT @@global.sql_select_limit, @@global.init_connect")[0]
    if int(limit) < NO_LIMIT or "sql_select_limit" in for_all.lower():
        raise SourceError(
            f"source {source}: the server limits every answer (sql_select_limit), so a dump would lack rows",
            hint="SET GLOBAL sql_select_limit = DEFAULT, also in the server's option files and init_connect",
        )


def warnings(access: Access, name: str) -> list[str]:
    """What a dump in one transaction does not hold as of its instant, or not at all."""
    engines = ", ".join(literal(one) for one in (*_TRANSACTIONAL, *ELSEWHERE, *_THROUGH))
    rows = access.ask(
        [
            "SELECT 'engine', CONCAT(TABLE_NAME, ' (', ENGINE, ')') FROM information_schema.TABLES"
            f" WHERE {same('TABLE_SCHEMA', name)} AND TABLE_TYPE NOT LIKE '%VIEW'"
            f" AND TABLE_TYPE <> 'SEQUENCE' AND ENGINE NOT IN ({engines})",
            "SELECT 'history', TABLE_NAME FROM information_schema.TABLES"
            f" WHERE {same('TABLE_SCHEMA', name)} AND TABLE_TYPE = 'SYSTEM VERSIONED'",
            _of_engines("elsewhere", name, ELSEWHERE),
            _of_engines("through", name, _THROUGH),
        ]
    )
    told = []
    for kind, what in (
        ("engine", "not in the snapshot, for their engine has no transactions"),
        ("elsewhere", "not in the backup, for their rows lie on another server"),
        ("through", "read through their engine, and written back through it by a restore"),
        ("history", "only the present rows are in the backup, not the history, of"),
    ):
        named = [row[1] for row in rows if row[0] == kind]
        if named:
            told.append(f"{what}: {first(named)}")
    return told


def libraries_unknown(access: Access, name: str) -> list[str]:
    """["library L"] where the programs are MariaDB's, which do not know what MySQL has of these."""
    if access.programs.flavour == access.about.flavour:
        return []
    return [f"library {one}" for kind, one in programs(access, name) if kind == "library"]


def _generated(access: Access, name: str) -> list[str]:
    """["column TABLE.COLUMN"] of a MySQL server: MariaDB's dump program writes values for them."""
    rows = access.ask(
        "SELECT TABLE_NAME, COLUMN_NAME FROM information_schema.COLUMNS"
        f" WHERE {same('TABLE_SCHEMA', name)} AND GENERATION_EXPRESSION <> ''"
    )
    return sorted(f"column {table}.{column}" for table, column in rows)


def refuse_programs(access: Access, source: str, name: str) -> None:
    """Raise where the dump program would leave out what it does not know."""
    about, programs_ = access.about, access.programs
    package = FLAVOURS[about.flavour].package
    if programs_.flavour != about.flavour and about.flavour == MARIADB:
        raise MissingDependency(
            f"source {source}: the server is {about.version}, and the client programs here are those of"
            f" {programs_.flavour}, which do not know all of it",
            hint=f"install the package {package}",
        )
    if programs_.flavour != about.flavour:
        unknown = _generated(access, name) + libraries_unknown(access, name)
        if unknown:
            raise MissingDependency(
                f"source {source}: the server is {about.version} of {about.flavour}, and the client"
                f" programs here are those of {programs_.flavour}, whose dump of this could not be"
                f" restored: {first(unknown)}",
                hint=f"install {about.flavour}'s own {package}, and set `programs_path` to where it is",
            )
    if programs_.flavour == about.flavour and programs_.number[:2] < about.number[:2]:
        raise MissingDependency(
            f"source {source}: the client programs are {programs_.version}, older than the server's"
            f" {about.version}",
            hint=f"install a newer {package}, or set `programs_path` to where it is",
        )


def refuse_unreadable(access: Access, source: str, name: str) -> None:
    """Raise unless the user sees all of the database: a dump silently lacks what its user may not see."""
    about, given = access.about, rights(access)
    name = about.folded(name)
    lacking = [one for one in READING if one not in covering(given, name)]
    # of routines only those that the user may execute are listed to others
    if lacking:
        raise SourceError(
            f"source {source}: user {about.user} lacks {', '.join(lacking)} in database {name!r},"
            " and would dump a part of it",
            hint="grant it, as site.yml does",
        )
    if not sees_routines(given, about) and not _owns_routines(access, given, name):
        wanted = "SELECT ON mysql.*" if about.flavour == MARIADB else "SHOW_ROUTINE ON *.*"
        raise SourceError(
            f"source {source}: user {about.user} may not read the server's routines, and would leave"
            " out what it does not see",
            hint=f"GRANT {wanted} to it, as site.yml does",
        )


def sees_routines(given: dict[tuple[str, str], set[str]], about: About) -> bool:
    everywhere = given.get(("*", "*"), set())
    if _has(everywhere, "SELECT") or everywhere & {"SHOW_ROUTINE", "SHOW CREATE ROUTINE"}:
        return True
    system = covering(given, "mysql") | given.get(("mysql", "proc"), set())
    return about.flavour == MARIADB and "SELECT" in system


def _owns_routines(access: Access, given: dict[tuple[str, str], set[str]], name: str) -> bool:
    """Whether one who has all rights in the database, as an application's user, may read each of its
    routines: there are none, or they are its own.
    """
    hidden = (
        "SELECT COUNT(*) FROM information_schema.ROUTINES WHERE ROUTINE_DEFINITION IS NULL"
        f" AND {same('ROUTINE_SCHEMA', name)}"
    )
    return "EXECUTE" in covering(given, name) and access.value(hidden) == "0"


def rights(access: Access, account: str = "") -> dict[tuple[str, str], set[str]]:
    """{(database, table): {privilege}}, "*" = all; of us and our roles, or of a quoted account."""
    given: dict[tuple[str, str], set[str]] = {}
    for row in access.ask("SHOW GRANTS" + (f" FOR {account}" if account else "")):
        found = _GRANT.match(row[0])
        if found:
            where = _unquoted(found.group(2)), _unquoted(found.group(3))
            # rights in columns alone are not rights in the table
            words = re.sub(r"[A-Z ]+\([^)]*\)", "", found.group(1))
            given.setdefault(where, set()).update(one.strip() for one in words.split(","))
    return given


def covering(given: dict[tuple[str, str], set[str]], name: str) -> set[str]:
    """The privileges that hold in all of database `name`."""
    held: set[str] = set()
    for (where, table), words in given.items():
        if table == "*" and (where == "*" or _matches(where, name)):
            held |= words
    everything = {*READING, *RESTORING, "EXECUTE"}
    return held | everything if held & {"ALL PRIVILEGES", "ALL"} else held


def _has(words: set[str], word: str) -> bool:
    return bool(words & {word, "ALL PRIVILEGES", "ALL"})


def _matches(pattern: str, name: str) -> bool:
    """Whether a grant's database, in which % and _ stand for others, is `name`."""
    words = re.split(r"(\\[%_\\]|%|_)", pattern)
    wild = {"%": ".*", "_": "."}
    regex = "".join(wild.get(one) or re.escape(one.lstrip("\\")) for one in words)
    return re.fullmatch(regex, name, re.DOTALL) is not None


def _unquoted(name: str) -> str:
    return name[1:-1].replace("``", "`") if name.startswith("`") else name


def first(names: list[str], most: int = 5) -> str:
    """Some of them, for a sentence."""
    shown = ", ".join(names[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")
