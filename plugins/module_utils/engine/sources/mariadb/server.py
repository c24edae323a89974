# SPDX-License-Identifier: GPL-3.0-or-later
"""Reach a MariaDB or MySQL server as one user, through its own client program, a connection a question.

No driver library: the client programs are needed for the dump anyway.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from ...errors import ProcessError, SourceAbsent, SourceError
from ...files import write
from ...fleeting import fleeting
from ...model import Command, Secret
from ...placement import Placement
from ...process import run
from .programs import FLAVOURS, Programs, find_programs, flavour_of, number

NO_LIMIT = 18446744073709551615
# whatever the server has for all
_SETTINGS = f"SET NAMES utf8mb4, sql_mode='', sql_select_limit={NO_LIMIT}"
UNSET = ("MYSQL", "MARIADB")  # MYSQL_HOST leads the client elsewhere, and not what dumps
SQL_ALONE = ("--binary-mode", "--local-infile=0", "--comments")
_ABOUT_ACCOUNTS = ("CREATE USER", "CREATE ROLE", "ALTER USER", "GRANT", "SET DEFAULT ROLE")
_ANSWER_S = 3600.0  # a count of a large table takes its time
# of the client, then of the dump program
_ERRORS = (
    re.compile(r"ERROR (?P<code>\d+) \(\w+\)(?: at line \d+)?: (?P<reason>.*)", re.DOTALL),
    re.compile(r"(?:Got error|Error):? (?P<code>\d+): (?P<reason>.*)"),
    re.compile(r": (?P<reason>Couldn't execute .*) \((?P<code>\d+)\)"),
)
# Nothing listens there: no such socket, or this machine says so.
_NOBODY = re.compile(r"socket '.*' \((2|111)\)|'(localhost|127\.0\.0\.1|::1)(:\d+)?' \((111|115)\)")
_ESCAPED = {"\\t": "\t", "\\n": "\n", "\\\\": "\\", "\\0": "\0"}
_HINTS = {
    1045: "the credential of this user is not the server's: set both",
    1698: "this user is tied to the system's user of its name: run as that one, or set `user`",
    1044: "grant the user its rights in this database: site.yml does",
    1142: "grant the user its rights in this database: site.yml does",
    1227: "set `restore_user` to one who may do this",
    1040: "let go of some connections, or raise max_connections",
    1130: "let this host in: the account is for other hosts",
    1153: "raise the server's max_allowed_packet, for this restore at least",
    2002: "see that the server runs and that `host`, `port` and `socket` are its own",
    2003: "see that the server runs and that `host`, `port` and `socket` are its own",
    2005: "see that the server runs and that `host`, `port` and `socket` are its own",
    2006: "see the server's log; most often a row is larger than its max_allowed_packet, of which each byte of"
    " a BLOB takes two: raise that, for this restore at least",
    2013: "see the server's log: it may have ended",
    1418: "set log_bin_trust_function_creators=1 on the server",
    1419: "set log_bin_trust_function_creators=1 on the server, or `restore_user` to one with SUPER",
    2059: "these programs no longer know, or do not know yet, how to log in here: install the ones of the"
    " server's family, MariaDB's or MySQL's, and set `programs_path`",
    2061: "set `tls: required`: the server takes this password over TLS alone",
    3159: "set `tls: required`: the server takes no connection without TLS",
    2026: "see `tls` and `tls_ca`, and whether the server offers TLS",
}


def identifier(name: str) -> str:
    """`name` quoted for SQL, in any sql_mode."""
    return "`" + name.replace("`", "``") + "`"


def literal(text: str) -> str:
    """`text` as an SQL string, in any sql_mode and from any character set of the connection."""
    if not text:
        return "''"
    return "CONVERT(0x%s USING utf8mb4)" % text.encode("utf-8", "surrogateescape").hex()


class QueryError(SourceError):
    """A statement failed; `code` is the server's error number."""

    def __init__(self, message: str, code: int, detail: str = "", hint: str = "") -> None:
        super().__init__(message, detail=detail, hint=hint)
        self.code = code


@dataclass(frozen=True)
class About:
    """A server, as it tells of itself."""

    version: str  # "10.11.19-MariaDB-0+deb12u1"
    user: str  # CURRENT_USER(): the account that the server took us for
    read_only: bool
    folds: bool = False  # the case of names: lower_case_table_names

    def folded(self, database: str) -> str:
        """Its name as rights in it are written down."""
        return database.lower() if self.folds else database

    @property
    def flavour(self) -> str:
        return flavour_of(self.version)

    @property
    def number(self) -> tuple[int, ...]:
        return number(self.version)


@dataclass(frozen=True)
class Access:
    """One server as one user sees it. Made by Server.access, which also makes the password file."""

    source: str  # its name, for errors
    placement: Placement
    programs: Programs
    where: str  # "user 'lifeboat' on db:3306", for errors
    words: tuple[str, ...]  # of the connection
    option_file: str = ""  # path, where this host's programs read the password
    password: Secret | None = None  # only for containers, where no file of ours can be read
    about: About = About("", "", False)

    def command(self, program: str, *words: str) -> Command:
        """A client program that connects. Nobody's option files are read: a `skip-comments` or a
        `force` in one of them would make a dump that cannot be judged.
        """
        first = f"--defaults-file={self.option_file}" if self.option_file else "--no-defaults"
        env = {"LC_ALL": "C", "MYSQL_TEST_LOGIN_FILE": "/dev/null"}  # read whatever else is not
        if self.password is not None:
            env["MYSQL_PWD"] = str(self.password.reveal())
        argv = (program, first, *self.words, "--default-character-set=utf8mb4", *words)
        return self.placement.wrap(Command(argv, env, unset=UNSET))

    def client(self, database: str, *words: str) -> Command:
        """The client program, which runs SQL alone: no command of its own in it starts a shell
        (--binary-mode), and no statement of it reads a file of this host. Comments are part of the
        text of routines.
        """
        chosen = (f"--database={database}",) if database else ()
        return self.command(self.programs.client, *SQL_ALONE, *words, *chosen)

    def ask(self, statements: str | Sequence[str], database: str = "") -> list[list[str]]:
        """Run statements one after the other, in one connection; the rows of all their answers.

        NULL comes as the text NULL. Ends at the first that fails: raises QueryError, SourceAbsent
        where the database is not there, SourceError where the server cannot be reached.
        """
        wanted = [statements] if isinstance(statements, str) else statements
        text = "".join(one + ";\n" for one in (_SETTINGS, *wanted))
        command = self.client(database, "--batch", "--skip-column-names", "--unbuffered")
        try:
            answer = run(
                command, stdin=text.encode("utf-8", "surrogateescape"), timeout_s=_ANSWER_S
            )
        except ProcessError as exc:
            problem = self.explain(exc, database)
            if not any(one.startswith(_ABOUT_ACCOUNTS) for one in wanted):
                raise problem from exc
            raise self._without_secrets(problem) from None
        lines = answer.decode("utf-8", "surrogateescape").split("\n")[:-1]
        return [[_plain(field) for field in line.split("\t")] for line in lines]

    def value(self, query: str, database: str = "") -> str:
        """The one value of the one row of `query`."""
        return self.ask(query, database)[0][0]

    def _without_secrets(self, problem: SourceError) -> SourceError:
        """The server repeats what it does not understand, and the client says where: a password."""
        code = problem.code if isinstance(problem, QueryError) else 0
        if code in _HINTS or isinstance(problem, SourceAbsent):  # their words are the server's own
            return problem
        told = f"source {self.source}: {self.where}: a statement about accounts was refused"
        return QueryError(f"{told} ({code})", code)

    def explain(self, exc: ProcessError, database: str = "") -> SourceError:
        """What a client said, in words that name the source and what to do."""
        detail = _without_rows(exc.detail)
        found = next(filter(None, (one.search(detail) for one in _ERRORS)), None)
        told = f"source {self.source}: {self.where}"
        if found is None:
            return SourceError(f"{told}: {exc}", detail=detail, hint=exc.hint)
        code, reason = int(found.group("code")), found.group("reason").strip()
        # of a statement the client tells the line: what fails before is that it enters our database,
        # whose name the server may write in other letters
        entering = " at line " not in found.group()
        if code == 1049 and database and (entering or database in reason):
            return SourceAbsent(
                f"source {self.source}: database {database!r} does not exist on {self.where}",
                hint="see `SHOW DATABASES`, and the option `database`",
            )
        if code in (2002, 2003) and _NOBODY.search(reason):
            return SourceAbsent(f"{told}: {reason} ({code})", detail=detail, hint=_HINTS[code])
        hint = _HINTS.get(code, "")
        if code == 1045 and set(FLAVOURS[self.programs.flavour].tls["disabled"]) & set(self.words):
            # all that MariaDB says where it wants TLS
            hint += "; or the server wants TLS, which `tls: disabled` forbids"
        return QueryError(f"{told}: {reason} ({code})", code, detail, hint)


@dataclass(frozen=True)
class Server:
    """The server of one source. Nothing is connected before `access(...)`."""

    source: str  # its name, for errors
    placement: Placement
    host: str  # "" = the local socket
    port: int
    socket: str
    tls: str
    tls_ca: str
    user: str
    password: Secret | None
    restore_user: str
    restore_password: Secret | None
    programs_path: str

    @property
    def place(self) -> str:
        return f"{self.host}:{self.port}" if self.host else self.socket or "the local socket"

    @property
    def words(self) -> str:
        """Of a client that somebody types, where it would look for the server elsewhere."""
        found = {"-h": self.host, "-P": "" if self.port == 3306 else str(self.port)}
        if not self.host:
            found = {"-S": self.socket}
        found["-u"] = self.restore_user
        said = "".join(f" {key} {shlex.quote(one)}" for key, one in found.items() if one)
        return said + " -p" * bool(self.restore_password)

    @property
    def on_host(self) -> bool:
        """Whether root of this host is let in as the server's own root, by its socket."""
        return self.placement.local and not self.host

    @contextmanager
    def access(self, admin: bool = False, folder: Path | None = None) -> Iterator[Access]:
        """The way to the server: to dump, or with the rights to restore. `folder` is private."""
        user, password = self.user, self.password
        if admin and self.restore_user:
            user, password = self.restore_user, self.restore_password
        elif admin and self.on_host and os.geteuid() == 0:
            user, password = "root", None
        placement = self.placement
        with _option_file(password if placement.local else None, folder) as path:
            access = Access(
                source=self.source,
                placement=placement,
                programs=find_programs(placement, self.programs_path),
                where=(f"user {user!r} on " if user else "") + self.place,
                words=(),
                option_file=path,
                password=None if placement.local else password,
            )
            access = self._connected(access, user)
            row, cipher = access.ask(
                [
                    "SELECT VERSION(), CURRENT_USER(), @@global.read_only, @@lower_case_table_names",
                    "SHOW SESSION STATUS LIKE 'Ssl_cipher'",
                ]
            )
            about = About(row[0], row[1], row[2] not in ("0", "OFF"), row[3] != "0")
            if self.tls in ("required", "verify") and not cipher[1]:
                # MariaDB's client goes on without it where the server offers none
                raise SourceError(
                    f"source {self.source}: the connection as {access.where} is not encrypted",
                    hint="let the server offer TLS, or leave out `tls`",
                )
            # only now is it known whose server this is, and so whose programs fit best
            if about.flavour != access.programs.flavour:
                fitting = find_programs(placement, self.programs_path, about.flavour)
                access = self._connected(replace(access, programs=fitting), user)
            yield replace(access, about=about)

    def _connected(self, access: Access, user: str) -> Access:
        words: tuple[str, ...] = (f"--user={user}",) if user else ()
        if self.host:
            words += (f"--host={self.host}", f"--port={self.port}", "--protocol=TCP")
        elif self.socket:
            words += (f"--socket={self.socket}",)
        if self.tls:
            words += FLAVOURS[access.programs.flavour].tls[self.tls]
        if self.tls_ca:
            words += (f"--ssl-ca={self.tls_ca}",)
        return replace(access, words=words)


def option_file(password: str) -> str:
    """An option file with the password of every client program."""
    if "\n" in password or "\0" in password:
        raise SourceError("a password with a line end cannot be used with MariaDB's programs")
    # Quoted, a # begins no comment; what the quotes and the backslash are is escaped.
    quoted = password.replace("\\", "\\\\").replace('"', '\\"')
    return f'[client]\npassword="{quoted}"\n'


def _option_file(password: Secret | None, folder: Path | None) -> AbstractContextManager[str]:
    """The path of a 0600 option file, "" where none is needed. It goes with the context."""
    return nullcontext("") if password is None else _written(password, folder)


@contextmanager
def _written(password: Secret, folder: Path | None) -> Iterator[str]:
    with fleeting(folder) as private:
        write(private / "client.cnf", option_file(str(password.reveal())).encode("utf-8"))
        yield str(private / "client.cnf")


def _without_rows(said: str) -> str:
    """What a client said, without the statement that failed where that is rows: a log is no place for them."""
    statement, error, told = said.rpartition("\nERROR ")
    if not error or re.match(r"-+\n(?!INSERT |REPLACE )", statement):
        return said
    return f"(a statement with rows)\nERROR {told}"


def _plain(field: str) -> str:
    """A field as it was before the client escaped it for its output."""
    return re.sub(r"\\[tn0\\]", lambda found: _ESCAPED[found.group()], field)
