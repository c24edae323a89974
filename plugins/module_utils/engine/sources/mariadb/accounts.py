# SPDX-License-Identifier: GPL-3.0-or-later
"""The accounts of a MariaDB server and their grants: written beside a dump, made again where missing,
and the one account that dumps.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Collection, Mapping
from typing import BinaryIO

from ...errors import SourceError
from ...model import Secret
from .facts import READING, covering, rights, same, sees_routines
from .programs import FLAVOURS, MARIADB
from .server import About, Access, QueryError, identifier, literal

log = logging.getLogger(__name__)
_SYSTEM = ("mariadb.sys", "mysql.sys", "mysql.session", "mysql.infoschema")
_PUBLIC = "PUBLIC"  # a role that is always there, and in the list once it was given something
_BEGINS = "-- account "
_ENDS = b"\n-- accounts completed\n"
_MOST = 64 << 20  # bytes of accounts that are read into memory
# of one statement, all on one line: nothing of it is run by itself, and none is a command of the client
_STATEMENT = re.compile(
    r"(?:(?:CREATE|ALTER) (?:USER|ROLE)|GRANT|REVOKE|SET DEFAULT ROLE) (?:[^'\"`;\\\r\n]"
    r"|'(?:[^'\\\r\n]|\\[^\r\n]|'')*'|\"(?:[^\"\\\r\n]|\\[^\r\n]|\"\")*\"|`(?:[^`\r\n]|``)*`)*"
)
# on one table or routine, which is made after the accounts
_ON_ONE = re.compile(
    r"GRANT .+ ON (?:(?:TABLE|PROCEDURE|FUNCTION|LIBRARY|PACKAGE(?: BODY)?) )?"
    r"`(?:[^`]|``)+`\.`(?:[^`]|``)+` TO "
)
_NAME = r"(?:`(?:[^`]|``)*`|'(?:[^'\\]|\\.|'')*')"
_PROVEN = re.compile(rf"( ON \*\.\* TO {_NAME}@{_NAME}) IDENTIFIED .*?( WITH GRANT OPTION)?$")
_DENIED = (1044, 1142, 1143, 1227)


def written(access: Access) -> str | None:
    """All accounts as SQL that makes those which are not there; None = we may not read them."""
    about = access.about
    try:
        rows = access.ask(_listing(about))
    except QueryError as exc:
        if exc.code in _DENIED:
            return None
        raise
    parts = [f"-- the accounts of a {about.flavour} server {about.version}, and what they may do\n"]
    for is_role, user, host in sorted(rows, key=lambda row: (row[0] != "Y", row[1], row[2])):
        if user in _SYSTEM:
            continue
        statements = _one(access, is_role == "Y", user, host)
        if all(map(_STATEMENT.fullmatch, statements)):
            body = "".join(f"{one};\n" for one in statements)
            parts.append(f"{_BEGINS}{user}@{host}\n{body}")
        else:  # a line end in a name or a password would begin a line of its own
            log.warning(
                "account=%r is not in the backup: it has a line end in it", f"{user}@{host}"
            )
    return "\n".join(parts) + _ENDS.decode()


def complain(_head: bytes, tail: bytes, size: int) -> str:
    """What is wrong with the archive of accounts, as far as its ends show."""
    if size == 0:
        return "the list of accounts is empty"
    return "" if tail.endswith(_ENDS) else "the line that ends the list of accounts is missing"


def concerned(access: Access, database: str) -> list[str]:
    """The accounts that have rights in this database by name: ["shop@localhost"]; [] = not ours to know."""
    database = access.about.folded(database)
    text = literal(database)
    try:
        rows = access.ask(
            [
                f"SELECT User, Host FROM mysql.db WHERE {text} LIKE Db",
                *(
                    f"SELECT User, Host FROM mysql.{table} WHERE {same('Db', database)}"
                    for table in ("tables_priv", "columns_priv", "procs_priv")
                ),
            ]
        )
    except QueryError as exc:
        if exc.code in _DENIED:
            return []
        raise
    found = {f"{user}@{host}" for user, host in rows}
    members = _members(access) if found else []
    for _depth in members:  # a role may be a member of another one
        found |= {member for role, member in members if role in found}
    return sorted(found)


def _members(access: Access) -> list[tuple[str, str]]:
    """[(role, who has it)], without those who only administer it."""
    query = (
        "SELECT CONCAT(Role, '@'), CONCAT(User, '@', Host) FROM mysql.roles_mapping"
        " WHERE Admin_option = 'N'"
    )
    if access.about.flavour != MARIADB:
        if access.about.number < (8,):
            return []
        query = (
            "SELECT CONCAT(FROM_USER, '@', FROM_HOST), CONCAT(TO_USER, '@', TO_HOST)"
            " FROM mysql.role_edges WHERE WITH_ADMIN_OPTION = 'N'"
        )
    try:
        return [(row[0], row[1]) for row in access.ask(query)]
    except QueryError as exc:
        if exc.code in _DENIED:
            return []
        raise


def read(lines: BinaryIO) -> dict[str, list[str]]:
    """{"shop@localhost": [statement]} of what `written` wrote."""
    text = lines.read(_MOST).decode("utf-8", "surrogateescape")
    found = {}
    for part in text.split("\n" + _BEGINS)[1:]:
        name, _end, body = part.partition("\n")
        statements = body.split(_ENDS.decode())[0].split(";\n")
        found[name] = [one.strip() for one in statements if one.strip()]
    return found


def missing(access: Access, wanted: Collection[str]) -> list[str]:
    """Those of `wanted` that the server lacks."""
    existing = {f"{user}@{host}" for user, host in access.ask("SELECT User, Host FROM mysql.user")}
    return sorted(set(wanted) - existing)


def create_missing(
    access: Access, source: str, wanted: Collection[str], known: Mapping[str, list[str]]
) -> tuple[list[str], list[str]]:
    """Make those of `wanted` that the server lacks, with their grants; alter no other. Those that
    cannot be made are told: the data is restored all the same. The accounts that are made, and the
    statements that give them rights in what is not there yet: single tables and routines.
    """
    made: list[str] = []
    problems: dict[str, SourceError] = {}
    for account in missing(access, wanted):
        if account not in known:
            log.warning("source=%s account=%s missing here and in the backup", source, account)
            continue
        if not all(map(_STATEMENT.fullmatch, known[account])):
            log.warning(
                "source=%s account=%r not made: what the backup has of it is not only statements about"
                " accounts",
                source,
                account,
            )
            continue
        made.append(account)
    for todo in (made, problems):  # again: who has a role may have come before it
        for account in list(todo):
            try:
                access.ask([one for one in known[account] if not _ON_ONE.match(one)])
                problems.pop(account, None)
            except SourceError as exc:
                problems[account] = exc
    for account, problem in problems.items():
        log.warning("source=%s account=%s not made: %s", source, account, problem)
    whole = [one for account in made if account not in problems for one in known[account]]
    return made, [one for one in whole if _ON_ONE.match(one)]


def drop(access: Access, made: Collection[str]) -> None:
    """Take back what `create_missing` made."""
    for account in made:
        user, _at, host = account.rpartition("@")
        kind, name = ("USER", f"{literal_name(user)}@{literal_name(host)}")
        if not host:
            kind, name = ("ROLE", literal_name(user))
        statement = f"DROP {kind} IF EXISTS {name}"
        if account == f"{_PUBLIC}@":
            statement = f"REVOKE ALL PRIVILEGES, GRANT OPTION FROM {_PUBLIC}"
        try:
            access.ask(statement)
        except SourceError as exc:
            log.warning("account=%s made for this restore, and not removed: %s", account, exc)


def of_routines(access: Access, database: str) -> list[str]:
    """The rights in single routines of a database, which are dropped with them: GRANTs to be run in it."""
    try:
        rows = access.ask(
            "SELECT User, Host, Routine_name, Routine_type, Proc_priv FROM mysql.procs_priv"
            f" WHERE {same('Db', access.about.folded(database))}"
        )
    except QueryError as exc:
        if exc.code in _DENIED:
            log.warning("database=%s the rights in its single routines cannot be read", database)
            return []
        raise
    grants = []
    for user, host, name, kind, given in rows:
        words = [one for one in given.split(",") if one and one != "Grant"]
        to = literal_name(user) + (f"@{literal_name(host)}" if host else "")
        grants.append(
            f"GRANT {', '.join(words) or 'USAGE'} ON {kind} {identifier(name)} TO {to}"
            + (" WITH GRANT OPTION" if "Grant" in given.split(",") else "")
        )
    return [one for one in grants if _STATEMENT.fullmatch(one)]


def prepare(
    access: Access,
    database: str,
    account: str,
    password: Secret | None,
    dry_run: bool,
) -> list[str]:
    """The statements that `account` ("lifeboat@localhost") was lacking to dump `database`; run unless
    `dry_run`. A password is shown as ***.
    """
    about = access.about
    database = about.folded(database)
    user, _at, host = account.rpartition("@")
    name = f"{literal_name(user)}@{literal_name(host)}"
    there = [user, host] in access.ask("SELECT User, Host FROM mysql.user")
    given = rights(access, name) if there else {}
    wanted = [] if there else [f"CREATE USER {name}" + _identified(about, password)]
    told = [] if there else [f"CREATE USER {name}" + _identified(about, password, shown=True)]
    lacking = [one for one in READING if one not in covering(given, database)]
    if lacking:
        # in the name of a grant's database % and _ stand for others
        pattern = re.sub(r"([\\%_])", r"\\\1", database)
        wanted.append(f"GRANT {', '.join(lacking)} ON {identifier(pattern)}.* TO {name}")
    if "SELECT" not in covering(given, "mysql"):  # routines and accounts
        wanted.append(f"GRANT SELECT ON `mysql`.* TO {name}")
    if about.flavour != MARIADB and not sees_routines(given, about):
        wanted.append(f"GRANT SHOW_ROUTINE, RELOAD ON *.* TO {name}")
    told += wanted[len(told) :]
    if wanted and not dry_run:
        access.ask(wanted)
    return told


def literal_name(text: str) -> str:
    """`text` as the user or host of an account, where no expression is possible; sql_mode is ''."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _identified(about: About, password: Secret | None, shown: bool = False) -> str:
    if password is None:
        return " " + FLAVOURS[about.flavour].by_socket
    text = str(password.reveal())
    if about.flavour == MARIADB:  # its hash, for statements may be logged there
        inner = hashlib.sha1(text.encode("utf-8")).digest()
        hashed = "*" + hashlib.sha1(inner).hexdigest().upper()
        return " IDENTIFIED BY PASSWORD " + ("'***'" if shown else f"'{hashed}'")
    return " IDENTIFIED BY " + ("'***'" if shown else literal_name(text))


def _listing(about: About) -> str:
    if about.flavour == MARIADB:
        return "SELECT is_role, User, Host FROM mysql.user"
    return "SELECT 'N', User, Host FROM mysql.user"


def _one(access: Access, is_role: bool, user: str, host: str) -> list[str]:
    name = literal_name(user) if is_role else f"{literal_name(user)}@{literal_name(host)}"
    asked = [f"SHOW GRANTS FOR {name}"]
    if not is_role:
        asked.insert(0, f"SHOW CREATE USER {name}")
    if access.about.flavour != MARIADB and access.about.number >= (8, 0, 17):
        # a hash may hold any byte
        asked.insert(0, "SET print_identified_with_as_hex = 1")
    rows = [row[0] for row in access.ask(asked)]
    made = f"CREATE ROLE {name}" if is_role else rows.pop(0)
    statements = [re.sub(r"^CREATE (USER|ROLE) ", r"CREATE \1 IF NOT EXISTS ", made)]
    if is_role and user == _PUBLIC:
        statements = []
    # only what makes an account says how it proves itself: a grant would change that of one there
    statements += [_PROVEN.sub(r"\1\2", row) for row in rows]
    return statements
