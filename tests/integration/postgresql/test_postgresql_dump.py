"""A dump is one instant of the database, whole, with nothing secret in sight; or it is an error."""

from __future__ import annotations

import glob
import json
import os
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lifeboat.errors import (
    LifeboatError,
    MissingDependency,
    ProcessError,
    SourceAbsent,
    SourceError,
)
from lifeboat.model import Workspace
from lifeboat.pipeline import Pipeline
from lifeboat.process import run
from lifeboat.sources.postgresql import count as counts

from .conftest import BIN, PASSWORD, Server, back_up, secret


@pytest.fixture
def bank(server: Server) -> Iterator[str]:
    """A database of accounts whose balances always sum to 0, and a role with a password that may read it."""
    quoted = PASSWORD.replace("'", "''")
    server.sql("CREATE DATABASE bank")
    server.sql(
        f"""SET standard_conforming_strings = on;
        CREATE ROLE dumper LOGIN PASSWORD '{quoted}'; GRANT pg_read_all_data TO dumper;
        CREATE TABLE account (id int PRIMARY KEY, balance bigint DEFAULT 0);
        INSERT INTO account SELECT generate_series(1, 1000);
        CREATE TABLE entry (id bigserial PRIMARY KEY, account int, amount bigint);
        CREATE TABLE bulk AS SELECT n, repeat('x', 200) FROM generate_series(1, 100000) n;""",
        "bank",
    )
    yield "bank"
    server.sql("DROP DATABASE IF EXISTS bank WITH (FORCE)")
    server.sql("DROP ROLE dumper")


def over_tcp(server: Server, **options: object) -> dict[str, object]:
    return {"host": "127.0.0.1", "user": "dumper", "password": secret(), **options}


def leftovers() -> list[str]:
    """Client programs that this process started and that still run."""
    told = subprocess.run(["ps", "-eo", "ppid=,args="], capture_output=True, text=True).stdout
    lines = [line.split(None, 1) for line in told.splitlines()]
    mine = [args for parent, args in lines if int(parent) == os.getpid()]
    return [args for args in mine if re.search(r"\b(psql|pg_dump|pg_dumpall|pg_restore)\b", args)]


def test_dump_and_inventory_are_one_instant_under_writers(
    server: Server, bank: str, work: Workspace, tmp_path: Path
) -> None:
    stop = threading.Event()
    write = """DO $$ DECLARE a bigint := nextval('entry_id_seq'); BEGIN FOR i IN 1..50 LOOP
        UPDATE account SET balance = balance + 1 WHERE id = 1;
        UPDATE account SET balance = balance - 1 WHERE id = 2;
        INSERT INTO entry (account, amount) VALUES (1, 1), (2, -1); COMMIT; END LOOP; END $$;"""

    def keep_writing() -> None:
        while not stop.is_set():
            server.sql(write, "bank")

    writers = [threading.Thread(target=keep_writing) for _each in range(2)]
    for writer in writers:
        writer.start()
    try:
        for _attempt in range(200):  # or the sum of no entry is none
            if server.sql("SELECT count(*) FROM entry", "bank") != "0":
                break
            time.sleep(0.05)
        backup = back_up(server.source("bank"), work, tmp_path / "archives")
        source = server.source("bank")
        target = source.target(backup.record, "bank_copy")
        swap = source.plan(backup.record, target, "w")
        source.stage(swap, backup.record, backup.plains, work)
        counted = source.count(swap, work).path.read_bytes()
    finally:
        stop.set()
        for writer in writers:
            writer.join()
    sums = "SELECT sum(balance), (SELECT sum(amount) FROM entry) FROM account"
    assert server.sql(sums, swap.side) == "0|0"
    rows = {one["name"]: one for one in map(json.loads, backup.inventory.splitlines())}
    again = {one["name"]: one for one in map(json.loads, counted.splitlines())}
    assert rows["public.entry"]["rows"] == again["public.entry"]["rows"] > 0
    assert rows["public.bulk"]["rows"] == 100000
    assert "last_value" not in rows["public.entry_id_seq"]  # it moved, so nothing is claimed
    source.discard(swap)


def test_no_password_in_any_command_line_or_file_that_stays(
    server: Server, bank: str, work: Workspace
) -> None:
    seen: list[str] = []
    with server.source("bank", **over_tcp(server)).open(work) as dump:
        for stream in dump.streams():
            with Pipeline(stream.feed, []) as flow:
                for _block in flow.blocks():
                    seen += _command_lines()
                flow.check()
        dump.inventory()
        (passfile,) = work.secret.glob("*/pgpass")
        assert passfile.stat().st_mode & 0o777 == 0o600
    assert [line for line in seen if "pg_dump" in line]
    assert [line for line in seen if PASSWORD in line] == []
    assert list(work.secret.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "error", "message", "hint"),
    [
        ({"password": secret("wrong")}, SourceError, "password authentication", "credential"),
        ({"password": None}, SourceError, "no password supplied", "password: {credential"),
        ({"port": 1}, SourceAbsent, "Connection refused", "server runs"),
        ({"host": "/nowhere"}, SourceAbsent, "No such file", "server runs"),
        ({"user": "nobody_here"}, SourceError, "password authentication", "credential"),
        (
            {"database": "no such"},
            SourceAbsent,
            "'no such' as user 'dumper' .* not exist",
            "psql -l",
        ),
        ({"database": "n" * 64}, SourceError, "not a database name", "63 bytes"),
        (
            {"programs_path": "/nowhere"},
            MissingDependency,
            "are not in /nowhere",
            "postgresql-client",
        ),
    ],
)
def test_bad_input_is_one_clear_error(
    server: Server,
    bank: str,
    work: Workspace,
    options: dict[str, object],
    error: type[LifeboatError],
    message: str,
    hint: str,
) -> None:
    source = server.source(**{"database": "bank", **over_tcp(server), **options})
    with pytest.raises(error, match=message) as told:
        source.check()
    assert hint in told.value.hint
    assert PASSWORD not in "\n".join(told.value.lines())
    with pytest.raises(error), source.open(work):
        pass
    assert list(work.secret.iterdir()) == []
    assert leftovers() == []


def test_client_programs_of_another_version_are_refused(
    server: Server, bank: str, tmp_path: Path
) -> None:
    for name in ("psql", "pg_dump"):
        (tmp_path / name).symlink_to(BIN + "/" + name)
    (tmp_path / "pg_dump").unlink()
    (tmp_path / "pg_dump").write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 9.6.24'\n")
    (tmp_path / "pg_dump").chmod(0o755)
    with pytest.raises(MissingDependency, match=r"the client programs here are 9\.6\.24") as told:
        server.source("bank", **over_tcp(server, programs_path=str(tmp_path))).check()
    assert "install the package postgresql-client-" in told.value.hint


def test_check_tells_versions_and_changes_nothing(server: Server, bank: str) -> None:
    found = server.source("bank", **over_tcp(server)).check()
    assert found["role"] == "dumper"
    assert str(found["server"]).split(".")[0] == str(found["client"]).split(".")[0]


@pytest.mark.parametrize(
    ("fault", "message", "hint"),
    [
        ("REVOKE pg_read_all_data FROM dumper", "may not read public.account", "pg_read_all_data"),
        ("ALTER TABLE entry ENABLE ROW LEVEL SECURITY", "hides rows of public.entry", "BYPASSRLS"),
        ("SELECT lo_from_bytea(0, 'x')", "may not read 1 large objects", "lo_compat_privileges"),
    ],
)
def test_what_the_role_may_not_read_is_told_before_the_dump(
    server: Server, bank: str, work: Workspace, fault: str, message: str, hint: str
) -> None:
    server.sql(fault, "bank")
    source = server.source("bank", **over_tcp(server))
    with pytest.raises(SourceError, match=message) as told:
        source.check()
    assert hint in told.value.hint
    with pytest.raises(SourceError, match=message), source.open(work):
        pass


def test_settings_and_comment_are_not_among_the_facts_that_anybody_may_read(
    server: Server, bank: str, work: Workspace
) -> None:
    server.sql(
        "ALTER DATABASE bank SET app.jwt_secret TO 'S3CR3T'; COMMENT ON DATABASE bank IS 'S3CR3T';"
        "ALTER ROLE dumper IN DATABASE bank SET app.key TO 'S3CR3T'"
    )
    with server.source("bank").open(work) as dump:
        assert "S3CR3T" not in json.dumps(dump.facts)
        assert dump.private == {
            "settings": [
                {"role": None, "setting": "app.jwt_secret=S3CR3T"},
                {"role": "dumper", "setting": "app.key=S3CR3T"},
            ],
            "comment": "S3CR3T",
        }
    with server.source("postgres").open(work) as dump:
        assert "settings" not in dump.facts


def test_globals_have_no_passwords_where_the_role_may_not_read_them(
    server: Server, bank: str, work: Workspace, tmp_path: Path
) -> None:
    server.sql(
        "REVOKE pg_read_all_data FROM dumper; GRANT SELECT ON ALL TABLES IN SCHEMA public TO dumper;"
        "GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO dumper;",
        "bank",
    )
    backup = back_up(server.source("bank", **over_tcp(server)), work, tmp_path / "archives")
    assert "passwords" in " ".join(backup.warnings)
    assert backup.record.facts["role_passwords"] is False
    content = (tmp_path / "archives" / "globals").read_text()
    assert "CREATE ROLE dumper" in content
    assert "SCRAM" not in content


@pytest.mark.parametrize(
    "name",
    ["we=ird", 'it\'s "quoted" back\\slash', "line\nend", "postgres://x/y", " sp ace ", "é漢"],
)
def test_any_database_name_works(
    server: Server, work: Workspace, tmp_path: Path, name: str
) -> None:
    quoted = '"' + name.replace('"', '""') + '"'
    server.sql(f"CREATE DATABASE {quoted}")
    try:
        server.sql("CREATE TABLE t AS SELECT 1 AS n", name)
        source = server.source(name)
        source.check()
        backup = back_up(source, work, tmp_path / "archives")
        swap = source.plan(backup.record, source.target(backup.record, None), "n")
        assert swap.existed
        source.stage(swap, backup.record, backup.plains, work)
        source.swap(swap)
        source.discard(swap)
        assert server.sql("SELECT n FROM t", name) == "1"
    finally:
        server.sql(f"DROP DATABASE {quoted} WITH (FORCE)")


def test_a_dump_that_is_killed_is_an_error(server: Server, bank: str, work: Workspace) -> None:
    with server.source("bank", **over_tcp(server)).open(work) as dump:
        stream = next(iter(dump.streams()))
        with Pipeline(stream.feed, []) as flow:
            blocks = flow.blocks()
            next(blocks)
            flow._stages[0].process.terminate()
            with pytest.raises(ProcessError, match="pg_dump"):
                flow.check()
            assert stream.complaint(flow.head, flow.tail, flow.plain_bytes) != ""
    assert leftovers() == []


def test_a_server_that_is_killed_is_an_error_and_leaves_nothing(
    make_server: Callable[[], Server], work: Workspace
) -> None:
    server = make_server()
    server.sql("CREATE DATABASE bank")
    server.sql("CREATE TABLE t AS SELECT repeat('x', 500) FROM generate_series(1, 100000)", "bank")
    began = time.monotonic()
    with server.source("bank").open(work) as dump:
        streams = dump.streams()
        stream = next(streams)
        with Pipeline(stream.feed, []) as flow:
            next(flow.blocks())
            server.kill()
            with pytest.raises(ProcessError) as told:
                flow.check()
            assert "server closed the connection" in told.value.detail
        with pytest.raises(SourceError, match="cannot be used"):
            dump.inventory()
    assert time.monotonic() - began < 20
    assert leftovers() == []
    assert list(work.secret.iterdir()) == []


def test_counting_ends_soon_after_the_dump(
    server: Server, bank: str, work: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table whose count takes for ever is recorded with its estimate, and the count is ended."""
    server.sql("ANALYZE bulk", "bank")
    from lifeboat.sources.postgresql import count as postgresql_count

    slow = ", (SELECT pg_catalog.pg_sleep(60)) AS x"
    count = postgresql_count._count

    def counting(session: object, table: str) -> int | None:
        return count(session, table + slow if "bulk" in table else table)  # type: ignore[arg-type]

    monkeypatch.setattr(postgresql_count, "_count", counting)
    with server.source("bank").open(work) as dump:
        for stream in dump.streams():
            with Pipeline(stream.feed, []) as flow:
                flow.check()
        ended = time.monotonic()
        inventory = dump.inventory()
        assert time.monotonic() - ended < 5
        content = inventory.path.read_text()
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
        assert server.sql(waiting) == "0"
    entries = {one["name"]: one for one in map(json.loads, content.splitlines())}
    assert entries["public.bulk"] == {
        "kind": "table",
        "name": "public.bulk",
        "rows": 100000,
        "uncounted": True,
    }
    assert entries["public.account"]["rows"] == 1000
    assert inventory.totals["uncounted"] == 1


def test_a_locked_table_fails_the_dump_after_the_lock_timeout(
    server: Server, bank: str, work: Workspace
) -> None:
    holder = server.psql("bank")
    assert holder.stdin is not None
    assert holder.stdout is not None
    holder.stdin.write(b"BEGIN; LOCK TABLE entry; SELECT 'locked';\n")
    holder.stdout.readline()
    try:
        with server.source("bank", lock_timeout="1s").open(work) as dump:
            flow = Pipeline(next(iter(dump.streams())).feed, [])
            with flow, pytest.raises(ProcessError) as told:
                flow.check()
        assert "LOCK TABLE public.entry" in told.value.detail
    finally:
        holder.stdin.close()
        holder.wait(10)


def test_leaving_a_dump_early_ends_every_session(
    server: Server, bank: str, work: Workspace
) -> None:
    with server.source("bank").open(work) as dump:
        next(iter(dump.streams()))
    time.sleep(0.5)
    mine = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'lifeboat'"
    assert server.sql(mine) == "0"
    assert leftovers() == []


def test_the_archive_opens_with_the_native_client(
    server: Server, bank: str, work: Workspace, tmp_path: Path
) -> None:
    backup = back_up(server.source("bank"), work, tmp_path / "archives")
    assert list(backup.plains) == ["database", "globals"]
    from lifeboat.model import Command

    listed = run(Command((BIN + "/pg_restore", "-l", str(tmp_path / "archives" / "database"))))
    assert b"TABLE DATA public entry" in listed


def _command_lines() -> list[str]:
    found = []
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            found.append(Path(path).read_bytes().replace(b"\0", b" ").decode("utf-8", "replace"))
        except OSError:
            continue
    return found


@pytest.mark.parametrize("rows", [0, 1, 20_000, 65_537])
def test_a_large_table_is_counted_exactly_in_slices(
    server: Server, work: Workspace, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    monkeypatch.setattr(counts, "_SLICE", 7)  # pages: many slices, and a last one that is not full
    server.sql("CREATE DATABASE sliced")
    try:
        server.sql(
            "CREATE TABLE t AS SELECT n, repeat('x', 50) AS x FROM generate_series(1, 20000) n;"
            " ANALYZE t;"  # relpages is what it was now, whatever comes after
            f" DELETE FROM t WHERE n > {rows};"
            f" INSERT INTO t SELECT n, repeat('x', 50) FROM generate_series(20001, {rows}) n",
            "sliced",
        )
        rests: list[float] = []
        with server.source("sliced").open(work) as dump:
            dump._counting.rows.clear()
            with dump._access.session("sliced") as session:
                counts.count_rows(session, dump._counting, rest=rests.append)
            counted = list(dump._counting.rows.values())
    finally:
        server.sql("DROP DATABASE sliced")

    assert counted == [rows]
    assert len(rests) > 10


def test_a_count_that_is_told_to_stop_between_slices_keeps_the_estimate(
    server: Server, work: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counts, "_SLICE", 7)
    server.sql("CREATE DATABASE stopped")
    try:
        server.sql("CREATE TABLE t AS SELECT generate_series(1, 20000) n; ANALYZE t", "stopped")
        left = iter([True, True, True])
        with server.source("stopped").open(work) as dump:
            with dump._access.session("stopped") as session:
                counts.count_rows(session, dump._counting, lambda: next(left, False))
            counted = dict(dump._counting.rows)
    finally:
        server.sql("DROP DATABASE stopped")

    assert counted == {}


def test_a_standby_is_dumped_like_its_primary(
    server: Server,
    bank: str,
    make_standby: Callable[[Server], Server],
    work: Workspace,
    tmp_path: Path,
) -> None:
    standby = make_standby(server)
    backup = back_up(standby.source("bank"), work, tmp_path / "archives")
    primary = back_up(server.source("bank"), work, tmp_path / "primary")
    assert backup.record.facts["standby"] is True
    assert backup.record.totals == primary.record.totals
    assert "standby" in standby.source("bank").check()["note"]


def test_a_standby_that_follows_nobody_is_told(
    make_server: Callable[[], Server],
    make_standby: Callable[[Server], Server],
    work: Workspace,
    tmp_path: Path,
) -> None:
    """All that it has may be of last month, and a backup of it bears today's date."""
    primary = make_server()
    standby = make_standby(primary)
    source = standby.source("postgres")
    assert back_up(source, work, tmp_path / "following").warnings == ()
    standby.sql("SELECT pg_wal_replay_pause()")
    assert "paused" in back_up(source, work, tmp_path / "paused").warnings[0]
    standby.sql("SELECT pg_wal_replay_resume()")
    primary.kill()
    for _wait in range(100):
        if standby.sql("SELECT count(*) FROM pg_stat_wal_receiver") == "0":
            break
        time.sleep(0.1)
    told = back_up(source, work, tmp_path / "alone").warnings
    assert "receives nothing from its primary: its last change is of " in told[0]


def test_nothing_is_restored_into_a_standby(
    server: Server,
    bank: str,
    make_standby: Callable[[Server], Server],
    work: Workspace,
    tmp_path: Path,
) -> None:
    backup = back_up(server.source("bank"), work, tmp_path / "archives")
    refusals = make_standby(server).source("bank").target(backup.record, None).refusals
    assert any("standby" in one for one in refusals)
