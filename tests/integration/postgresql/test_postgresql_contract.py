# SPDX-License-Identifier: GPL-3.0-or-later
"""The contract of sources, on a real PostgreSQL server with hard content."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.moved import for_everyone
from tests.unit.contracts.source_contract import SourceContract

from .conftest import Server
from .test_postgresql_restore import DROP_ROLES, LOOK, SHOP

# so many that 6000 bytes can be cut off their list
READERS = [f"reader_{number}" for number in range(60)]


class TestPostgreSQL(SourceContract):
    @pytest.fixture(autouse=True)
    def _server(self, server: Server) -> Iterator[None]:
        self.server = server
        yield
        self._clear()

    def _clear(self) -> None:
        for name in self.server.databases():
            if name != "postgres":
                self.server.sql(f'DROP DATABASE "{name}" WITH (FORCE)')
        self.server.sql(DROP_ROLES + f"DROP ROLE IF EXISTS {', '.join(READERS)}")

    def prepare(self, ground: Path) -> None:
        self._clear()
        self.server.sql("".join(f"CREATE ROLE {one} LOGIN CONNECTION LIMIT 3;" for one in READERS))
        self.server.sql(SHOP + f"GRANT SELECT ON public.book TO {', '.join(READERS)};")

    def make(self, ground: Path) -> Any:
        return self.server.source()

    def change(self, ground: Path) -> None:
        self.server.sql(
            "DELETE FROM book WHERE id > 100; DROP VIEW recent; INSERT INTO parent VALUES (9);"
            "CREATE TABLE later (id int); SELECT lo_unlink(min(oid)) FROM pg_largeobject_metadata;"
            "ALTER DATABASE shop CONNECTION LIMIT 5",
            "shop",
        )

    def destroy(self, ground: Path) -> None:
        self.server.sql("DROP DATABASE shop WITH (FORCE)")

    def look(self, ground: Path) -> Any:
        return self.server.sql(LOOK, "shop")

    def leftovers(self, ground: Path) -> list[str]:
        return sorted(set(self.server.databases()) - {"postgres", "shop"})


NEWER = os.environ.get("LIFEBOAT_TEST_POSTGRESQL", "")


@pytest.fixture(scope="module")
def newer_server(make_server: Callable[..., Server]) -> Iterator[Server]:
    with for_everyone(NEWER) as programs:
        server = make_server(programs)
        yield server
        server.control("-m", "immediate", "stop")
        server.killed = True  # nothing is left to stop


@pytest.mark.skipif(not NEWER, reason="LIFEBOAT_TEST_POSTGRESQL names no programs")
class TestNewerPostgreSQL(TestPostgreSQL):
    @pytest.fixture(autouse=True)
    def _server(self, newer_server: Server) -> Iterator[None]:
        self.server = newer_server
        yield
        self._clear()

    def make(self, ground: Path) -> Any:
        return self.server.source(programs_path=self.server.programs)
