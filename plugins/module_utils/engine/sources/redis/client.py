# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask a Redis or Valkey server through its own client program: here, over TLS, or in a container."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, replace

from ...errors import ProcessError, SourceAbsent, SourceError
from ...model import Command, Secret
from ...placement import Placement
from ...process import run

UNSET = ("REDISCLI_", "VALKEYCLI_")  # of an operator's shell: another server's password
# Replies that are errors begin so; nothing else that is asked here does.
_ERROR = re.compile(
    r"(ERR|[A-Z]*AUTH|WRONGPASS|NOPERM|LOADING|MASTERDOWN|READONLY|MISCONF|BUSY|DENIED|OOM"
    r"|NOREPLICAS|NOMASTERLINK|EXECABORT|UNKNOWN) "
)
_HINTS = (
    ("WRONGPASS", "the credential of this user is not the server's: set both"),
    ("without any password", "the server asks for none: leave out `password`"),
    ("NOAUTH", "give `password: {credential: NAME}`, and `user` where the server has ACL users"),
    ("NOPERM", "docs/sources.md#source-redis has the rights that a dump and a restore take"),
    ("LOADING", "wait until the server has loaded its data"),
    ("unknown command", "the server has renamed or disabled this command"),
    ("Permission denied", "put the job's user into the group of the socket, or use `host`"),
    ("certificate|SSL", "see `tls`, `ca_certificate`, and the name in the server's certificate"),
    ("Connection refused|No such file", "see that the server runs, and `socket`, `host`, `port`"),
)
_GONE = re.compile("Connection refused|No such file")
_ANSWER_S = 60.0


@dataclass(frozen=True)
class Programs:
    """What differs between the two products: the names of their programs."""

    product: str
    client: str
    checker: str
    folder: str = ""  # "" = PATH

    def path(self, program: str) -> str:
        return self.folder + "/" + program if self.folder else program


REDIS = Programs("Redis", "redis-cli", "redis-check-rdb")
VALKEY = Programs("Valkey", "valkey-cli", "valkey-check-rdb")


class Refused(SourceError):
    """The server answered with an error."""


@dataclass(frozen=True)
class Server:
    """One server as one user sees it. `address`: the path of a socket, or HOST:PORT."""

    source: str  # its name, for errors
    programs: Programs
    placement: Placement
    address: str
    user: str = ""
    password: Secret | None = None
    tls: tuple[str, ...] = ()  # words for the client

    def at(self, address: str) -> Server:
        return replace(self, address=address)

    @property
    def where(self) -> str:
        by = f" as user {self.user!r}" if self.user else ""
        return f"source {self.source}: {self.programs.product} at {self.address}{by}"

    @property
    def host(self) -> str:
        """ "" = a socket, which is on this host."""
        return "" if self.address.startswith("/") else self.address.rpartition(":")[0].strip("[]")

    @property
    def on_loopback(self) -> bool:
        return self.host in ("", "localhost", "::1") or self.host.startswith("127.")

    def command(self, *words: str, known: bool = True) -> Command:
        """The client with these words; the password goes by variable, and not at all unless `known`."""
        where: tuple[str, ...] = ("-s", self.address)
        if self.host:
            where = ("-h", self.host, "-p", self.address.rpartition(":")[2])
        env = {"LC_ALL": "C"}  # the messages that _HINTS looks for
        if known and self.user:
            where += ("--user", self.user)
        if known and self.password is not None:
            env["REDISCLI_AUTH"] = str(self.password.reveal())
        argv = (self.programs.path(self.programs.client), *where, *self.tls, *words)
        return self.placement.wrap(Command(argv, env, cwd="/", unset=UNSET))

    def checker(self) -> Command:
        """The program that reads an RDB file from its standard input, to its end."""
        argv = (self.programs.path(self.programs.checker), "/dev/stdin")
        return self.placement.wrap(Command(argv, {"LC_ALL": "C"}, cwd="/"))

    def ask(self, *words: str, last: str | None = None) -> str:
        """The server's answer; `last` is a last word that must not be seen. Refused, SourceError."""
        hidden, stdin = ((), b"") if last is None else (("-x",), last.encode())
        answer = self._run(self.command(*hidden, *words), stdin)
        if _ERROR.match(answer):
            raise Refused(f"{self.where} refused {words[0]}: {answer}", hint=_hint(answer))
        return answer

    def info(self) -> dict[str, str]:
        """What INFO says: {"redis_version": "7.0.15", "role": "master", "db0": "keys=1,…", …}."""
        pairs = (line.partition(":") for line in self.ask("INFO").splitlines())
        return {key: value.strip() for key, colon, value in pairs if colon}

    def config(self, *names: str) -> dict[str, str]:
        """Settings of the server by name."""
        found = {}
        for name in names:
            lines = self.ask("CONFIG", "GET", name).split("\n")
            found.update(dict(zip(lines[::2], lines[1::2])))
        return found

    def require(self) -> None:
        """Raise SourceAbsent where nothing listens, and SourceError unless the password is right.

        The client itself goes on as the default user after a wrong password, and only mentions it.
        """
        if self.placement.local:
            self._knock()
        if self.password is None:
            return
        words = (self.user,) if self.user else ()
        line = " ".join(["AUTH", *map(_quoted, (*words, str(self.password.reveal())))])
        answer = self._run(self.command(known=False), line.encode() + b"\n")
        if answer != "OK":
            raise Refused(f"{self.where} refused the password: {answer}", hint=_hint(answer))

    def explained(self, exc: ProcessError) -> SourceError:
        """What the client said, as an error that names the server."""
        lines = [line for line in exc.detail.splitlines() if line]
        reason = lines[0] if lines else str(exc)
        kind = SourceAbsent if _GONE.search(reason) else SourceError
        return kind(
            f"{self.where} cannot be used: {reason}",
            detail=exc.detail,
            hint=_hint(exc.detail) or exc.hint,
        )

    def _run(self, command: Command, stdin: bytes) -> str:
        try:
            answer = run(command, stdin=stdin, timeout_s=_ANSWER_S)
        except ProcessError as exc:
            raise self.explained(exc) from exc
        text = answer.decode("utf-8", "surrogateescape")
        return text[:-1] if text.endswith("\n") else text  # the last of a list may be empty

    def _knock(self) -> None:
        """Whether anything listens, told without any program: an optional source may have none."""
        try:
            if self.host:
                port = int(self.address.rpartition(":")[2])
                socket.create_connection((self.host, port), 15.0).close()
            else:
                os.stat(self.address)
        except (ConnectionRefusedError, FileNotFoundError) as exc:
            raise SourceAbsent(
                f"{self.where} is not there: {exc.strerror}", hint=_hint("Connection refused")
            ) from exc
        except OSError as exc:
            raise SourceError(
                f"{self.where} cannot be reached: {exc.strerror or exc}", hint=_hint(str(exc))
            ) from exc


def keyspace(info: Mapping[str, str]) -> dict[int, int]:
    """{database: its keys} of what INFO said; databases without keys are left out."""
    found = {}
    for name, value in info.items():
        told = re.match(r"keys=(\d+)", value) if re.fullmatch(r"db\d+", name) else None
        if told:
            found[int(name[2:])] = int(told.group(1))
    return found


def fields_that_expire(info: Mapping[str, str]) -> bool:
    """Whether a hash has a field of a life of its own: Valkey 9 writes such to no client (`--rdb`)."""
    lines = (value for name, value in info.items() if re.fullmatch(r"db\d+", name))
    return any(re.search(r"keys_with_volatile_items=[1-9]", one) for one in lines)


def version(info: Mapping[str, str]) -> tuple[str, tuple[int, ...]]:
    """(product in lower case, its version) of what INFO said."""
    product = info.get("server_name", "redis")
    text = info.get(product + "_version", info.get("redis_version", "0"))
    return product, tuple(int(part) for part in re.findall(r"\d+", text)[:3])


def _quoted(word: str) -> str:
    """A word for the client's standard input, whatever it holds."""
    return '"' + "".join(f"\\x{byte:02x}" for byte in word.encode("utf-8")) + '"'


def _hint(said: str) -> str:
    return next((hint for pattern, hint in _HINTS if re.search(pattern, said)), "")
