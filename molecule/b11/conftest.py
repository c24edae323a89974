"""The hosts of the scenario and the reader of the guide, for the story and for the tests after it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from testinfra.host import Host

from tests.lab import hosts
from tests.lab.guide import Guide
from tests.lab.scenario import db

__all__ = ["db"]


@pytest.fixture(scope="session")
def shared() -> Host:
    return hosts.host("shared")


@pytest.fixture(scope="session")
def guide() -> Guide:
    return Guide("b11")


@pytest.fixture(scope="session")
def key(guide: Guide) -> str:
    """The operator's private key, as the guide shows it."""
    return guide.at_controller("Drill").strip().splitlines()[-1]


@pytest.fixture(scope="session")
def rows(db: Host) -> Callable[[], dict[str, str]]:
    """Every row of every table and view, as PostgreSQL writes them."""
    ask = "runuser -u postgres -- psql -XqAtd b11 -c"
    names = (
        "SELECT relname FROM pg_class WHERE relkind IN ('r', 'v') AND relowner = 'b11_app'::regrole"
    )

    def everything() -> dict[str, str]:
        return {
            name: str(db.check_output(f"{ask} 'COPY (SELECT * FROM {name} ORDER BY 1) TO STDOUT'"))
            for name in db.check_output(f'{ask} "{names}"').split()
        }

    return everything
