# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask a MongoDB server by commands, through pymongo, and say in our words what goes wrong."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ...errors import MissingDependency, SourceAbsent, SourceError

NO_SUCH_NAMESPACE = 26
NAMESPACE_EXISTS = 48
ANSWER_MS = 10000  # that a server may take to be found
# Nothing listens there, says this machine.
_NOBODY = re.compile(r"^(localhost|127\.0\.0\.1|::1):\d+: \[Errno 111\]")
_DENIED, _WRONG_PASSWORD = 13, 18
Reply = Mapping[str, Any]


class CommandRefused(SourceError):
    """The server refused one command; `code` is its own."""

    def __init__(self, message: str, code: int, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code


class Session:
    """A connection to `place`. All errors are SourceError and name the source."""

    def __init__(self, client: Any, source: str, place: str) -> None:
        self._client = client
        self._source = source
        self._place = place

    def ask(self, database: str, command: Mapping[str, Any]) -> Reply:
        """The server's reply; raises CommandRefused."""
        name = next(iter(command))
        with self._faults(database, name):
            reply: Reply = self._client[database].command(dict(command))
        if reply.get("writeErrors"):
            told = reply["writeErrors"][0]
            raise CommandRefused(
                f"source {self._source}: {name} in {database} failed: {told.get('errmsg')}",
                int(told.get("code", 0)),
            )
        return reply

    def rows(self, database: str, command: Mapping[str, Any]) -> Iterator[Any]:
        """All documents of a command that answers with a cursor."""
        name, *_options = command
        with self._faults(database, name):
            # the library's own cursor: a server wants all of an answer asked for in one session
            yield from self._client[database].cursor_command(dict(command))

    def collections(self, database: str) -> dict[str, Any]:
        """{name: listCollections' description} without the server's own; empty = no such database."""
        return {
            one["name"]: one
            for one in self.rows(database, {"listCollections": 1})
            if not one["name"].startswith("system.")
        }

    @contextmanager
    def _faults(self, database: str, name: str) -> Iterator[None]:
        from pymongo import errors

        try:
            yield
        except errors.OperationFailure as exc:
            raise self._refused(database, name, exc) from exc
        except errors.PyMongoError as exc:
            raise self._unreachable(exc) from exc

    def _refused(self, database: str, name: str, exc: Any) -> SourceError:
        said = str(exc).split(", full error", 1)[0]
        if exc.code == _WRONG_PASSWORD:
            return SourceError(
                f"source {self._source}: {self._place} refuses the user or the password",
                detail=said,
                hint="see `user`, `password`, and `auth_source`: the database that knows the user",
            )
        hint = ""
        if exc.code == _DENIED:
            hint = (
                "a user that dumps needs the role `backup`, one that restores `restore` and"
                " `dbAdminAnyDatabase` (or `readWrite` and `dbAdmin` of the database)"
            )
        return CommandRefused(
            f"source {self._source}: {name} in {database} was refused: {said}",
            int(exc.code or 0),
            hint=hint,
        )

    def _unreachable(self, exc: Exception) -> SourceError:
        said = str(exc).split(", Timeout:", 1)[0].split(" (configured timeouts", 1)[0]
        kind = SourceAbsent if _NOBODY.search(said) else SourceError
        return kind(
            f"source {self._source}: the MongoDB server {self._place} does not answer",
            detail=said,
            hint="see that it runs, `host` and `port`, and whether it wants TLS (`tls`)",
        )


@contextmanager
def connected(source: str, place: str, **how: Any) -> Iterator[Session]:
    """A session; nothing is sent before the first question. `how` goes to pymongo.MongoClient."""
    try:
        import pymongo
    except ImportError as exc:
        raise MissingDependency(
            f"source {source} needs the Python library pymongo: {exc}",
            hint="site.yml installs it with the engine; by hand: pip install pymongo",
        ) from exc
    try:
        client: Any = pymongo.MongoClient(
            serverSelectionTimeoutMS=ANSWER_MS,
            connectTimeoutMS=ANSWER_MS,
            appname="lifeboat",
            **how,
        )
    except (pymongo.errors.PyMongoError, OSError, ValueError) as exc:
        raise SourceError(
            f"source {source}: the options of the MongoDB server {place} cannot be used: {exc}"
        ) from exc
    with client:
        yield Session(client, source, place)
