# SPDX-License-Identifier: GPL-3.0-or-later
"""What lies on a host and no job protects is found, on a real server and in real trees."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from lifeboat.job import Job
from lifeboat.operations.watching.coverage import Found, coverage
from lifeboat.registry import SOURCES
from lifeboat.sources.files import Files
from lifeboat.sources.sqlite.source import SQLite

from .conftest import Server


@pytest.fixture
def databases(server: Server) -> Iterator[None]:
    for name in ("kept", "forgotten", "shop_lb_0a1b2c_old"):
        server.sql(f"CREATE DATABASE {name}")
    yield
    for name in ("kept", "forgotten", "shop_lb_0a1b2c_old"):
        server.sql(f"DROP DATABASE {name}")


def found(*sources: object, trees: Path | None = None, least: int = 1) -> dict[str, Found]:
    job = Job("shop", "h1", "dev", tuple(sources), (), ())  # type: ignore[arg-type]
    patterns = [f"{trees}/*"] if trees else []
    return {f"{one.kind} {one.name}": one for one in coverage([job], SOURCES, least, patterns)}


def test_a_database_that_no_job_has_is_told(server: Server, databases: None) -> None:
    told = found(server.source("kept"))

    assert told["database kept"].jobs == ("shop",)
    assert told["database forgotten"].jobs == ()
    assert "database template1" not in told
    assert "database shop_lb_0a1b2c_old" not in told  # a restore keeps it, for undo


def test_a_server_that_cannot_be_asked_is_told(server: Server) -> None:
    broken = server.source("kept", port=1)
    told = [one for one in found(broken).values() if one.kind == "server"]
    assert any("source" in one.name and one.why for one in told)


def test_the_part_of_a_tree_that_nobody_protects_is_measured(tmp_path: Path) -> None:
    for name in ("shop/uploads", "shop/notes", "wiki"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "file").write_bytes(b"x" * 300_000)
    (tmp_path / "empty").mkdir()
    shop, wiki = tmp_path / "shop", tmp_path / "wiki"

    told = found(
        Files(name="uploads", paths=[str(shop / "uploads")]),
        Files(name="wiki", paths=[str(wiki)]),
        trees=tmp_path,
    )

    assert told[f"tree {wiki}"].jobs == ("shop",)
    assert told[f"tree {shop}"].jobs == ()
    assert 300_000 <= told[f"tree {shop}"].size_bytes < 600_000
    assert f"tree {tmp_path / 'empty'}" not in told


def test_an_sqlite_file_is_protected_by_its_source(tmp_path: Path) -> None:
    folder = tmp_path / "trees" / "app"
    folder.mkdir(parents=True)
    (folder / "app.db").write_bytes(b"x" * 300_000)

    assert found(SQLite(name="db", path=str(folder / "app.db")), trees=folder.parent) == {}
    assert f"tree {folder}" in found(trees=folder.parent)
