# SPDX-License-Identifier: GPL-3.0-or-later
"""Reach a PostgreSQL server as one user, through a psql that is asked and answers.

No driver library: the client programs are needed for the dump anyway.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import SourceAbsent, SourceError
from ...files import write
from ...fleeting import fleeting
from ...model import Command, Secret
from ...placement import Placement
from ...process import Conversation

UNSET = ("PG", "PSQL")  # a PGSERVICE wins over all that is said here
_OWN = "lifeboat.session"  # a server keeps it for a session; a pooler refuses, or forgets it
_POOLER = "give `host` and `port` of the server itself, not of a pooler (PgBouncer and the like)"
NAME_BYTES = 63  # NAMEDATALEN - 1; the server cuts longer names without a word
_HINTS = (
    ("password authentication failed", "the credential of this user is not the server's: set both"),
    ("no password supplied", "give `password: {credential: NAME}` for this user"),
    ("Peer authentication failed", "run as the system user of that name, or set `user` or `host`"),
    ("no pg_hba.conf entry", "let this user in with a line in the server's pg_hba.conf"),
    ("unsupported startup parameter", _POOLER),
    ("role .* does not exist", "create the role: site.yml does, or set `user`"),
    ("starting up|shutting down|recovery mode", "wait until the server has started"),
    ("permission denied for database", "GRANT CONNECT on that database to the user"),
    ("remaining connection slots|too many (clients|connections)", "let go of some connections"),
    (
        "Connection refused|No such file|could not translate|timeout expired|No route",
        "see that the server runs and that `host` and `port` are its own",
    ),
)

# Nothing listens there: no such socket, or this machine says so.
_NOBODY = (
    'socket ".*" failed: (No such file|Connection refused)'
    '|"(localhost|127.0.0.1|::1)".* failed: Connection refused'
)

# Whatever the user, the database or the server sets for interactive use. Of every program of ours, from
# its first statement on.
_PATIENT = "-c statement_timeout=0 -c lock_timeout=0 -c idle_in_transaction_session_timeout=0"
# Alone, and before any other: whoever owns a database may put functions and operators of his own before
# the server's, and we may be its superuser.
_OWN_PATH = "SELECT pg_catalog.set_config('search_path', '', false)"
_SETTINGS = """SELECT set_config(name, wanted.value, false)
FROM (VALUES ('transaction_timeout', '0'), ('idle_session_timeout', '0'), ('row_security', 'off'),
             ('default_transaction_read_only', 'off')) AS wanted (name, value)
JOIN pg_catalog.pg_settings USING (name)"""

# Where a database makes everybody another role, we stay who we are everywhere: whom `user` names, or whom
# that role always becomes.
_OWN_ROLE = """
SELECT set_config('role', coalesce((
  SELECT substr(one, 6) FROM pg_db_role_setting, unnest(setconfig) AS one
  WHERE setdatabase = 0 AND one LIKE 'role=%' AND setrole = me.oid), 'none'), false) AS role
FROM pg_roles AS me WHERE rolname = session_user AND EXISTS (
  SELECT FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase, unnest(setconfig) AS one
  WHERE datname = current_database() AND setrole IN (0, me.oid) AND one LIKE 'role=%')"""


def identifier(name: str) -> str:
    """`name` quoted for SQL."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """`text` as an SQL string, whatever standard_conforming_strings says."""
    quoted = "'" + text.replace("'", "''") + "'"
    return " E" + quoted.replace("\\", "\\\\") if "\\" in text else quoted


def conninfo(database: str) -> str:
    """`database` for an option that libpq would parse when it holds = or looks like a URI."""
    return "dbname='" + database.replace("\\", "\\\\").replace("'", "\\'") + "'"


def option(name: str, value: str) -> str:
    """A setting as PGOPTIONS takes it after -c."""
    return name + "=" + re.sub(r"([\\\s])", r"\\\1", value)


def becoming(role: str) -> tuple[str, ...]:
    """The option of pg_dump and its like for `Session.role`."""
    return ("--role=" + role,) if role else ()


def patient(number: int) -> str:
    """Settings with which a server of version `number` ends no program that waits for its input or output."""
    return "-c idle_session_timeout=0" if number >= 140000 else ""


def pgpass(password: str) -> str:
    """The one line of a password file. It matches every server: only our own programs read it."""
    if "\n" in password or "\0" in password:
        raise SourceError("a password with a line end cannot be used with PostgreSQL's programs")
    return "*:*:*:*:" + password.replace("\\", "\\\\").replace(":", "\\:") + "\n"


@dataclass(frozen=True)
class Access:
    """One server as one user sees it. Made by PostgreSQL._access, which also makes the password file."""

    source: str  # its name, for errors
    placement: Placement
    host: str
    port: int
    user: str
    sslmode: str
    psql: str
    passfile: str = ""  # path, where this host's programs read the password
    password: Secret | None = None  # only for containers, where no file of ours can be read
    maintenance: str = ""  # a database to ask which others there are

    def command(self, argv: tuple[str, ...], database: str, options: str = "") -> Command:
        """A client program that connects to `database`, which is never in argv."""
        env = {
            "PGHOST": self.host,
            "PGPORT": str(self.port),
            "PGHOSTADDR": "",
            "PGDATABASE": database,  # taken as it is, where an argument might be parsed
            "PGPASSWORD": str(self.password.reveal()) if self.password is not None else "",
            "PGOPTIONS": f"{_PATIENT} {options}".strip(),
            "PGAPPNAME": "lifeboat",
            "PGCLIENTENCODING": "UTF8",
            "PGCONNECT_TIMEOUT": "15",
            "LC_ALL": "C",  # the messages that _HINTS looks for
        }
        if self.user:
            env["PGUSER"] = self.user
        if self.sslmode:
            env["PGSSLMODE"] = self.sslmode
        if self.passfile:
            env["PGPASSFILE"] = self.passfile
        return self.placement.wrap(Command(argv, env, cwd="/", unset=UNSET))

    def where(self, database: str) -> str:
        by = f" as user {self.user!r}" if self.user else ""
        return f"database {database!r}{by} on {self.host or 'the local socket'}:{self.port}"

    @contextmanager
    def session(self, database: str) -> Iterator[Session]:
        """A psql that is connected to `database`; raises SourceError, SourceAbsent."""
        with ExitStack() as around:
            try:
                session = around.enter_context(self._session(database))
            except SilentEnd:
                # `exec` can lose the last words of a program that ends at once, seldom twice
                if self.placement.local:
                    raise
                session = around.enter_context(self._session(database))
            except UnclearEnd as exc:
                # it may have said so in its own language, and psql tells no SQLSTATE of a connection
                if self.maintenance and self._lacks(database):
                    raise self.absent(database) from exc
                raise
            yield session

    def absent(self, database: str) -> SourceAbsent:
        return SourceAbsent(
            f"source {self.source}: {self.where(database)} does not exist",
            hint="see `psql -l`, and the option `database`",
        )

    def _lacks(self, database: str) -> bool:
        """Whether the server says, in another database, that there is none of that name."""
        other = self.maintenance if self.maintenance != database else "template1"
        named = f"SELECT oid FROM pg_database WHERE datname = {literal(database)}"
        try:
            with self._session(other) as session:
                return session.ask(named) == []
        except SourceError:
            return False

    @contextmanager
    def _session(self, database: str) -> Iterator[Session]:
        # -X: nobody's .psqlrc; errors do not end it, they are asked for after each statement
        argv = (self.psql, "-X", "-q", "-A", "-t", "--no-password", "-v", "ON_ERROR_STOP=0")
        own = secrets.token_hex(4)
        with Conversation(self.command(argv, database, f"-c {_OWN}={own}")) as talk:
            session = Session(talk, self, database)
            # before anything is set: it would be set in a session that is an application's next
            if session.ask(f"SELECT pg_catalog.current_setting('{_OWN}', true)") != [own]:
                raise SourceError(
                    f"source {self.source}: {self.where(database)} is a pooler, which gives one session to"
                    " many",
                    hint=_POOLER,
                )
            session.ask(_OWN_PATH)
            session.ask(_SETTINGS)
            session.role = "".join(one["role"] for one in session.rows(_OWN_ROLE))
            try:  # a count whose asker has gone ends; from 14, not on every system
                session.ask("SET client_connection_check_interval = '5s'")
            except QueryError:
                pass
            yield session


class QueryError(SourceError):
    """A statement failed; `state` is its SQLSTATE."""

    def __init__(self, message: str, state: str) -> None:
        super().__init__(message)
        self.state = state


class SilentEnd(SourceError):
    """psql ended, and neither it nor the server said why."""


class UnclearEnd(SourceError):
    """psql ended, and we know none of the words that it said."""


class Session:
    """One connection. One statement at a time, from one thread at a time."""

    def __init__(self, talk: Conversation, access: Access, database: str) -> None:
        self._talk = talk
        self._access = access
        self._database = database
        self._mark = "--" + secrets.token_hex(8)
        self.role = ""  # whom every other program has to become in this database; "" = nobody else

    def ask(self, statement: str, meanwhile: Callable[[], None] | None = None) -> list[str]:
        """Its answer's lines; `meanwhile` is called about every 0.2 s until it is there.

        Raises QueryError, and SourceError when the connection is lost.
        """
        mark = self._mark
        # psql leaves SQLSTATE as it was when it could not even set its savepoint
        opening = "\\set SQLSTATE 08000\n"
        closing = f"\n;\n\\echo {mark} :SQLSTATE\n\\echo :LAST_ERROR_MESSAGE\n\\echo {mark}\n"
        self._talk.say((opening + statement + closing).encode("utf-8", "surrogateescape"))
        answer = list(self._until_mark(meanwhile))
        state = answer.pop().partition(" ")[2].strip()
        problem = "\n".join(self._until_mark(None, drop_last=True))
        if state[:2] in ("", "08") or state[:3] == "57P":  # no answer, or the server's farewell
            raise self._lost(problem)
        if state != "00000":
            raise QueryError(f"source {self._access.source}: {problem or state}", state)
        return answer

    def rows(self, query: str) -> list[Any]:
        """Each row of `query` as a mapping of its columns. JSON, so that any name comes through."""
        return [json.loads(line) for line in self.ask(f"SELECT row_to_json(q) FROM ({query}) AS q")]

    def row(self, query: str) -> Any:
        return self.rows(query)[0]

    def stop(self) -> None:
        """End the connection, from another thread too."""
        self._talk.stop()

    def set(self, name: str, value: str) -> None:
        """Set a variable of psql."""
        self._talk.say(f"\\set {name} {value}\n".encode())

    def _until_mark(
        self, meanwhile: Callable[[], None] | None, drop_last: bool = False
    ) -> Iterator[str]:
        while True:
            line = self._talk.line(0.2 if meanwhile else 3600.0)
            if line == b"":
                raise self._lost()
            if line is None:
                if meanwhile:
                    meanwhile()
                continue
            text = line.decode("utf-8", "surrogateescape").rstrip("\n")
            if text.startswith(self._mark):
                if not drop_last:
                    yield text
                return
            yield text

    def _lost(self, said: str = "") -> SourceError:
        self._talk.stop()
        status, heard = self._talk.ended()
        said = f"{said}\n{heard}".strip()
        where = f"source {self._access.source}: {self._access.where(self._database)}"
        if re.search(r"FATAL: +database .* does not exist", said, re.DOTALL):
            return self._access.absent(self._database)
        if not said:
            placed = self._access.placement
            log = (
                "in the server's log"
                if placed.local
                else f"{placed.engine} logs {placed.container}"
            )
            raise SilentEnd(
                f"{where} cannot be used: psql ended with status {status} and said nothing",
                hint=f"see why: {log}",
            )
        reasons = [line for line in said.splitlines() if re.search("FATAL|error:|closed", line)]
        reason = re.sub(r"^.*(FATAL|error): +", "", reasons[0]) if reasons else f"status {status}"
        hint = next((hint for pattern, hint in _HINTS if re.search(pattern, said)), "")
        nobody = re.search(_NOBODY, said)
        kind = SourceAbsent if nobody else SourceError if hint else UnclearEnd
        return kind(f"{where} cannot be used: {reason}", detail=said, hint=hint)


def password_file(password: Secret | None, folder: Path | None) -> AbstractContextManager[str]:
    """The path of a 0600 password file, "" where none is needed. It goes with the context."""
    return nullcontext("") if password is None else _written(password, folder)


@contextmanager
def _written(password: Secret, folder: Path | None) -> Iterator[str]:
    with fleeting(folder) as private:
        write(private / "pgpass", pgpass(str(password.reveal())).encode("utf-8"))
        yield str(private / "pgpass")
