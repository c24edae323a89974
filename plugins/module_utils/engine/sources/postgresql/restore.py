# SPDX-License-Identifier: GPL-3.0-or-later
"""Make a database beside the live one that is in every respect what the backup's facts say."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

from ...errors import ProcessError, SourceError
from ...model import Command
from ...ports import Plain
from . import facts, tables
from . import parallel as files
from .session import Access, Session, becoming, conninfo, identifier, literal, option, patient

_IDENTIFIER = r'("(?:[^"]|"")+"|[a-z_][a-z0-9_$]*)'
_ROLE_STATEMENT = re.compile(
    rf"(?:CREATE ROLE {_IDENTIFIER};|ALTER ROLE {_IDENTIFIER} (?:WITH|SET) .*;"
    rf"|COMMENT ON ROLE {_IDENTIFIER} IS .*;)",
    re.DOTALL,
)
_MEMBERSHIP = re.compile(
    rf"(GRANT {_IDENTIFIER} TO {_IDENTIFIER}(?: WITH [A-Z ,]+?)?)(?: GRANTED BY {_IDENTIFIER})?;",
    re.DOTALL,
)
_LISTS = {  # settings whose stored value is a list of quoted names (GUC_LIST_QUOTE)
    "search_path",
    "temp_tablespaces",
    "local_preload_libraries",
    "session_preload_libraries",
    "shared_preload_libraries",
    "unix_socket_directories",
}


def create_roles(
    admin: Session, source: str, wanted: Collection[str], globals_: list[str]
) -> list[str]:
    """Create those of `wanted` that the server lacks, as the globals have them; alter no other. What others
    had of those, as statements: whoever was a member may do nothing with what such a role owns.

    All in one transaction: a role that was half made would count as existing the next time.
    """
    existing = set(facts.names(admin, "SELECT rolname AS name FROM pg_catalog.pg_roles"))
    missing = [role for role in wanted if role not in existing]
    statements = list(role_statements(globals_, missing, existing))
    made = {one for one in statements if one.startswith("CREATE ROLE ")}
    lost = [role for role in missing if not made & _creations(role)]
    if lost:
        raise SourceError(
            f"source {source}: the role {lost[0]!r} is needed, is not on this server, and is not"
            " in the backup's globals",
            hint="create the role, then restore again",
        )
    if statements:
        transaction(admin, statements)
    members = (_MEMBERSHIP.fullmatch(one) for one in globals_)
    return [
        one.group(1) + ";"
        for one in members
        if one and _name(one.group(2)) in missing and _name(one.group(3)) in existing
    ]


def role_statements(
    globals_: Iterable[str], missing: Collection[str], existing: Collection[str]
) -> Iterator[str]:
    """Those of pg_dumpall's statements that make the `missing` roles and their memberships."""
    for statement in globals_:
        own = _ROLE_STATEMENT.fullmatch(statement)
        if own:
            if any(_name(group) in missing for group in own.groups() if group):
                yield statement
            continue
        member = _MEMBERSHIP.fullmatch(statement)
        if member:
            granted, to = _name(member.group(2)), _name(member.group(3))
            # Who granted it does not matter, and may not be there.
            if to in missing and (granted in missing or granted in existing):
                yield member.group(1) + ";"


def statements(lines: BinaryIO) -> list[str]:
    """The statements about roles in pg_dumpall's output. Text in quotes may hold anything."""
    found: list[str] = []
    collected, quote = "", ""
    for raw in lines:
        line = raw.decode("utf-8", "surrogateescape")
        if not collected and re.match(r"\s*$|--|\\", line):
            continue
        # Quotes within quotes are doubled, and so are backslashes: toggling is enough.
        for mark in re.findall("['\"]", line):
            quote = "" if quote == mark else quote or mark
        collected += line
        if not quote and collected.rstrip().endswith(";"):
            statement = collected.strip()
            if re.match("(CREATE|ALTER|COMMENT ON) ROLE |GRANT ", statement):
                found.append(statement)
            collected = ""
    return found


def create_database(admin: Session, name: str, wanted: Mapping[str, Any], number: int) -> None:
    """An empty database like the backup's, on a server of version `number`; closed to the public."""
    words = [
        f"CREATE DATABASE {identifier(name)} TEMPLATE template0",
        f"OWNER {identifier(wanted['owner'])} ENCODING {literal(wanted['encoding'])}",
        f"LC_COLLATE {literal(wanted['collate'])} LC_CTYPE {literal(wanted['ctype'])}",
    ]
    provider = {"c": "libc", "i": "icu", "b": "builtin"}[wanted["locale_provider"]]
    if number >= 150000:  # before, there was only libc
        words.append(f"LOCALE_PROVIDER {provider}")
    if provider != "libc":
        words.append(f"{provider.upper()}_LOCALE {literal(wanted['locale'])}")
    if wanted.get("icu_rules"):
        words.append(f"ICU_RULES {literal(wanted['icu_rules'])}")
    # pg_default is where template0 lies; who is no superuser may not name it
    if wanted["tablespace"] != "pg_default" and wanted["tablespace"] in tablespaces(admin):
        words.append(f"TABLESPACE {identifier(wanted['tablespace'])}")
    admin.ask(" ".join(words))
    admin.ask(f"REVOKE ALL ON DATABASE {identifier(name)} FROM PUBLIC")


def configure_database(admin: Session, name: str, wanted: Mapping[str, Any]) -> None:
    """The settings of the database itself: before its data, since materialized views are computed under them."""
    transaction(admin, list(setting_statements(name, wanted)))


def setting_statements(name: str, wanted: Mapping[str, Any]) -> Iterator[str]:
    database = identifier(name)
    for one in wanted.get("settings", ()):
        key, _equals, value = one["setting"].partition("=")
        whose = f"ROLE {identifier(one['role'])} IN DATABASE" if one["role"] else "DATABASE"
        yield f"ALTER {whose} {database} SET {_setting(key)} TO {_value(key, value)}"


def load(
    access: Access,
    program: str,
    name: str,
    plain: Plain,
    work: Path,
    parallel: int,
    *,
    keep_places: bool,
    only: Sequence[str] = (),
    given: str = "",
    role: str = "",
) -> None:
    """pg_restore into the empty database `name`; raises SourceError, ProcessError of a decoder. `given`:
    what else it is set to, see `settings`. `role`: see Session.

    By `parallel` connections it needs the plain dump as files in `work`; by one it reads a stream, for
    the tables `only` more than once.
    """
    # a copy of a subscription has the slot of the first one: to drop it would drop that at the publisher
    argv: tuple[str, ...] = (program, "--exit-on-error", "--no-password", "--no-subscriptions")
    if not keep_places:
        argv += ("--no-tablespaces",)
    # The name again, as conninfo: pg_restore connects only when argv says so.
    argv += ("--dbname=" + conninfo(name), *becoming(role))
    # Safe: after a crash the stage begins anew, and the rename's commit writes all WAL before it.
    fast = "-c synchronous_commit=off -c default_transaction_read_only=off"
    # off, as the database or the role may have it, a NULL in an array would become the text NULL
    command = access.command(argv, name, f"{fast} -c array_nulls=on {given}".strip())
    try:
        if parallel > 1 or plain.format == files.FORMAT:
            _load_files(access, command, plain, work, parallel, only)
        else:
            for options in tables.sections(only) if only else [()]:
                # of a section, or of a table, it reads no further than that
                asked = replace(command, argv=(*command.argv, *options), may_stop=bool(only))
                plain.feed(asked)
    except ProcessError as exc:
        if not str(exc).startswith(command.program):
            raise
        raise SourceError(
            f"source {access.source}: pg_restore into database {name!r} failed: {exc}",
            detail=exc.detail,
            hint="the live database was not touched",
        ) from exc


def settings(me: Any, wanted: Mapping[str, Any], money: str) -> str:
    """What `load` has to be set to on the server `me`, for what the backup has; `money`: the locale of its
    amounts, "" = any.
    """
    reads = "-c " + option("lc_monetary", money) if money else ""
    return " ".join(filter(None, (patient(me["number"]), _quieting(me, wanted), reads)))


def _quieting(me: Any, wanted: Mapping[str, Any]) -> str:
    """Settings with which no event trigger fires: pg_restore makes those that forbid what it does last,
    REFRESH MATERIALIZED VIEW. None of what it does before needs a trigger.
    """
    if not wanted.get("event_triggers") or not me["superuser"]:
        return ""
    if me["number"] >= 170000:
        return "-c event_triggers=off"
    return "-c session_replication_role=replica"


def _load_files(
    access: Access,
    command: Command,
    plain: Plain,
    work: Path,
    parallel: int,
    only: Sequence[str],
) -> None:
    with files.folder(work, access.placement.as_user) as place:
        what = files.unpack(plain, place, access.placement.as_user)
        for options in tables.sections(only) if only else [()]:
            argv = (*command.argv, *options, f"--jobs={parallel}", what)
            files.run_in(place, replace(command, argv=argv))


def tablespaces(admin: Session) -> list[str]:
    return facts.names(admin, "SELECT spcname AS name FROM pg_catalog.pg_tablespace")


def finish_database(admin: Session, name: str, wanted: Mapping[str, Any]) -> None:
    """What pg_restore does not bring: comment, privileges and limit of the database itself."""
    transaction(admin, list(finish_statements(name, wanted)))


def finish_statements(name: str, wanted: Mapping[str, Any]) -> Iterator[str]:
    database = identifier(name)
    if wanted.get("comment") is not None:
        yield f"COMMENT ON DATABASE {database} IS {literal(wanted['comment'])}"
    grants = wanted["grants"]
    if grants is None:  # never touched: what PostgreSQL gives by itself
        yield f"GRANT CONNECT, TEMPORARY ON DATABASE {database} TO PUBLIC"
    else:
        yield f"REVOKE ALL ON DATABASE {database} FROM {identifier(wanted['owner'])}"
        for one in grants:
            to = "PUBLIC" if one["role"] is None else identifier(one["role"])
            option = " WITH GRANT OPTION" if one["grantable"] else ""
            yield f"GRANT {_word(one['privilege'])} ON DATABASE {database} TO {to}{option}"
    yield f"ALTER DATABASE {database} CONNECTION LIMIT {int(wanted['connection_limit'])}"
    if wanted.get("template"):
        yield f"ALTER DATABASE {database} IS_TEMPLATE true"


def transaction(session: Session, wanted: Iterable[str]) -> None:
    """All or nothing; raises QueryError of the statement that failed."""
    session.ask("BEGIN")
    try:
        for statement in wanted:
            session.ask(statement)
    except BaseException:
        session.ask("ROLLBACK")
        raise
    session.ask("COMMIT")


def _creations(role: str) -> set[str]:
    return {f"CREATE ROLE {identifier(role)};", f"CREATE ROLE {role};"}


def _name(quoted: str) -> str:
    return quoted[1:-1].replace('""', '"') if quoted.startswith('"') else quoted


def _word(text: str) -> str:
    """A keyword of a manifest, where a quoted name is not possible."""
    if not re.fullmatch("[A-Z]+", text):
        raise SourceError(f"{text!r} is not a privilege")
    return text


def _setting(key: str) -> str:
    return ".".join(identifier(part) for part in key.split("."))


def _value(key: str, value: str) -> str:
    if key.lower() not in _LISTS:
        return literal(value)
    parts = re.findall(r'"((?:[^"]|"")*)"|([^,\s"]+)', value)
    return ", ".join(literal(quoted.replace('""', '"') or bare) for quoted, bare in parts) or "''"
