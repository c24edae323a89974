"""A dump is one instant of the database, whole, with nothing secret in sight; or it is an error."""

from __future__ import annotations

import glob
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from lifeboat.errors import (
    LifeboatError,
    MissingDependency,
    ProcessError,
    SourceAbsent,
    SourceError,
    VerifyError,
)
from lifeboat.model import Workspace
from lifeboat.pipeline import Pipeline
from lifeboat.sources.mariadb.accounts import concerned

from tests.unit.contracts.source_contract import FilePlain, Taken, differences, staged

from .conftest import MARIADBD, ME, PASSWORD, Server, secret
from .test_mariadb_contract import add_readers, fill


@pytest.fixture
def bank(server: Server) -> Server:
    """A database of accounts whose balances always sum to 0, and an account that only dumps."""
    server.drop("bank", *[one for one in server.databases() if "_lb_" in one])
    server.sql("CREATE DATABASE bank")
    server.sql(
        """CREATE TABLE account (id int PRIMARY KEY, balance bigint DEFAULT 0);
        INSERT INTO account (id) VALUES (1), (2);
        CREATE TABLE entry (id int AUTO_INCREMENT PRIMARY KEY, account int, amount bigint);
        CREATE TABLE bulk (n int PRIMARY KEY, word varchar(300));
        INSERT INTO bulk SELECT a.n + 10 * b.n + 100 * c.n + 1000 * d.n, REPEAT('x', 200) FROM
          (SELECT 0 n UNION SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4) a,
          (SELECT 0 n UNION SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4) b,
          (SELECT 0 n UNION SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4) c,
          (SELECT 0 n UNION SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4) d;
        CREATE PROCEDURE pay() BEGIN END;
        CREATE EVENT off ON SCHEDULE EVERY 1 HOUR DISABLE DO DELETE FROM entry;
        CREATE VIEW sums AS SELECT SUM(balance) AS s FROM account;""",
        "bank",
    )
    server.sql("DROP USER IF EXISTS dumper@localhost")
    dumping = server.source("bank", user="dumper", password=secret(), restore_user=ME)
    dumping.prepare("nobody", dry_run=False)
    return server


def test_counts_are_those_of_the_dump_under_writers(
    bank: Server, work: Workspace, tmp_path: Path
) -> None:
    stop = threading.Event()
    write = (
        "START TRANSACTION; UPDATE account SET balance = balance + 1 WHERE id = 1;"
        "INSERT INTO entry (account, amount) VALUES (1, 1);"
        "UPDATE account SET balance = balance - 1 WHERE id = 2;"
        "INSERT INTO entry (account, amount) VALUES (2, -1); COMMIT;"
    )

    def keep_writing() -> None:
        while not stop.is_set():
            bank.sql(write * 30, "bank")

    writers = [threading.Thread(target=keep_writing) for _each in range(2)]
    for writer in writers:
        writer.start()
    source = bank.source("bank")
    try:
        for n in range(3):
            taken = Taken(source, work, tmp_path / str(n))
            swap = staged(source, taken, work, f"bank_copy_{n}")
            assert differences(source, taken, swap, work) == []
            sums = "SELECT SUM(balance), (SELECT SUM(amount) FROM entry) FROM account"
            assert bank.sql(sums, swap.side) == "0\t0"
            source.discard(swap)
    finally:
        stop.set()
        for writer in writers:
            writer.join()
    counted = {one["name"]: one.get("rows") for one in taken.entries}
    assert counted["bulk"] == 625
    assert counted["entry"] > 0


def test_a_dump_has_no_secret_in_any_command_line_or_file_that_stays(
    bank: Server, work: Workspace, tmp_path: Path
) -> None:
    seen: list[str] = []
    stop = threading.Event()

    def watch() -> None:
        while not stop.is_set():
            seen.extend(_command_lines())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        with bank.over_tcp("bank").open(work) as dump:
            (options,) = work.secret.glob("*/client.cnf")
            assert options.stat().st_mode & 0o777 == 0o600
            for stream in dump.streams():
                with Pipeline(stream.feed, [], tap=stream.tap) as flow:
                    flow.check()
        taken = Taken(bank.over_tcp("bank"), work, tmp_path / "store")
        source = bank.over_tcp("bank", restore_user="dumper", restore_password=secret())
        assert "lacks SELECT, INSERT" in source.target(taken.record, None).refusals[0]
        bank.sql("GRANT ALL ON *.* TO dumper@localhost")
        source.discard(staged(source, taken, work, "bank_copy"))
    finally:
        stop.set()
        watcher.join()
    assert {"mariadb", "mariadb-dump"} <= {os.path.basename(one.split(" ")[0]) for one in seen}
    assert [line for line in seen if PASSWORD in line or PASSWORD[:8] in line] == []
    assert list(work.secret.iterdir()) == []


def _command_lines() -> list[str]:
    """Of the programs that this process started."""
    found = []
    for path in glob.glob(f"/proc/{os.getpid()}/task/*/children"):
        try:
            for pid in Path(path).read_text().split():
                found.append(Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " "))
        except OSError:
            pass
    return found


@pytest.mark.parametrize(
    ("options", "error", "message", "hint"),
    [
        ({"password": secret("wrong")}, SourceError, "Access denied", "credential"),
        ({"password": None}, SourceError, "Access denied", "credential"),
        ({"port": 1}, SourceError, "Can't connect", "server runs"),
        ({"host": "no-such-host.invalid"}, SourceError, "no-such-host", "server runs"),
        ({"host": "", "socket": "/nowhere/s"}, SourceError, "/nowhere/s", "server runs"),
        ({"user": "nobody_here"}, SourceError, "Access denied", "credential"),
        ({"tls": "required"}, SourceError, "not encrypted", "TLS"),
        ({"tls": "verify"}, SourceError, "(SSL|TLS|encrypted)", "TLS"),
        ({"database": "n" * 65}, SourceError, "not a database name", "64 characters"),
        ({"database": "a'b"}, SourceError, "quote or a backslash", "another name"),
        ({"programs_path": "/nowhere"}, MissingDependency, "not in /nowhere", "mariadb-client"),
    ],
)
def test_bad_input_is_one_clear_error(
    bank: Server,
    work: Workspace,
    options: dict[str, object],
    error: type[LifeboatError],
    message: str,
    hint: str,
) -> None:
    source = bank.over_tcp(**{"database": "bank", **options})
    with pytest.raises(error, match=message) as told:
        source.check()
    assert hint in told.value.hint
    with pytest.raises(error), source.open(work):
        pass
    assert list(work.secret.iterdir()) == []


def test_a_database_that_is_not_there_is_absent(bank: Server) -> None:
    with pytest.raises(SourceAbsent, match="'nothing' does not exist"):
        bank.source("nothing").check()
    with pytest.raises(SourceAbsent):
        bank.source("nothing").prepare("nobody", dry_run=True)


def test_what_is_wrong_is_told_apart_in_any_language_of_the_server(
    make_server: Callable[..., Server],
) -> None:
    server = make_server(MARIADBD, "--lc-messages=de_DE", "--lower-case-table-names=1")
    server.sql("CREATE USER dumper@127.0.0.1 IDENTIFIED BY 'x'; CREATE DATABASE shop")
    for name in ("absent", "ABSENT", "größe"):
        with pytest.raises(SourceAbsent, match=f"{name}' does not exist"):
            server.source(name).check()
    with pytest.raises(SourceError, match=r"\(1045\)") as told:
        server.over_tcp(password=secret("wrong")).check()
    assert "credential of this user" in told.value.hint
    with pytest.raises(SourceError, match=r"\(1044\)") as told:
        server.over_tcp(password=secret("x")).check()
    assert "grant the user its rights" in told.value.hint
    server.stop()


def test_preparing_gives_what_a_dump_takes_and_no_more(
    bank: Server, work: Workspace, tmp_path: Path
) -> None:
    again = bank.source("bank", user="dumper", password=secret(), restore_user=ME)
    assert again.prepare("nobody", dry_run=True) == []
    bank.sql("DROP USER dumper@localhost; DROP USER IF EXISTS nobody@localhost")
    told = again.prepare("nobody", dry_run=True)
    assert told[0] == "CREATE USER 'dumper'@'localhost' IDENTIFIED BY PASSWORD '***'"
    assert len(told) == 3
    assert bank.source("bank").prepare("nobody", dry_run=True)[0].endswith("VIA unix_socket")
    assert bank.sql("SELECT COUNT(*) FROM mysql.user WHERE User IN ('dumper', 'nobody')") == "0"
    again.prepare("nobody", dry_run=False)
    taken = Taken(bank.over_tcp("bank"), work, tmp_path / "store")
    assert taken.record.totals["procedures"] == taken.record.totals["events"] == 1
    assert {"database", "grants"} <= set(taken.plains)
    grants = bank.sql("SHOW GRANTS FOR dumper@localhost")
    assert "INSERT" not in grants
    assert "ALL" not in grants


@pytest.mark.parametrize("right", ["SELECT", "SHOW VIEW", "TRIGGER", "EVENT"])
def test_a_user_who_sees_a_part_is_refused(bank: Server, right: str) -> None:
    bank.sql(f"REVOKE {right} ON bank.* FROM dumper@localhost")
    with pytest.raises(SourceError, match=f"lacks {right}"):
        bank.over_tcp("bank").check()


def test_a_user_who_cannot_see_routines_is_refused(bank: Server) -> None:
    bank.sql("REVOKE SELECT ON mysql.* FROM dumper@localhost")
    with pytest.raises(SourceError, match="routines"):
        bank.over_tcp("bank").check()


def test_an_application_s_own_user_dumps_what_it_may_read(
    bank: Server, work: Workspace, tmp_path: Path
) -> None:
    bank.sql(
        "REVOKE SELECT ON mysql.* FROM dumper@localhost; GRANT ALL ON bank.* TO dumper@localhost"
    )
    with pytest.raises(SourceError, match="routines"):
        bank.over_tcp("bank").check()  # one of them is another's
    bank.sql("DROP PROCEDURE pay; CREATE DEFINER = dumper@localhost PROCEDURE pay() DO 1", "bank")
    taken = Taken(bank.over_tcp("bank"), work, tmp_path / "store")
    assert taken.record.totals["procedures"] == 1


def test_who_has_rights_by_a_role_belongs_to_the_database(bank: Server) -> None:
    bank.sql(
        "CREATE OR REPLACE ROLE teller; GRANT SELECT ON bank.* TO teller;"
        "CREATE OR REPLACE ROLE boss; GRANT teller TO boss;"
        "CREATE OR REPLACE USER ann@localhost; GRANT boss TO ann@localhost"
    )
    with bank.source("bank")._server.access() as access:
        found = concerned(access, "bank")
    bank.sql("DROP ROLE teller, boss; DROP USER ann@localhost")
    assert {"teller@", "boss@", "ann@localhost"} <= set(found)
    assert f"{ME}@localhost" not in found  # who made the roles only administers them


def test_without_a_look_at_accounts_they_are_left_out_and_told(
    bank: Server, work: Workspace, tmp_path: Path
) -> None:
    bank.sql("REVOKE SELECT ON mysql.* FROM dumper@localhost")
    bank.sql("GRANT SELECT ON mysql.proc TO dumper@localhost")
    taken = Taken(bank.over_tcp("bank"), work, tmp_path / "store")
    assert "grants" not in taken.plains
    assert [one for one in taken.warnings if "may not read accounts" in one]
    bank.over_tcp("bank").check_content(taken.plains, work)


def test_a_dump_that_is_killed_is_an_error(bank: Server, work: Workspace) -> None:
    with bank.source("bank").open(work) as dump:
        stream = next(iter(dump.streams()))
        with Pipeline(stream.feed, [], tap=stream.tap) as flow:
            flow._stages[0].process.kill()
            with pytest.raises(ProcessError, match="ended by signal 9"):
                flow.check()
    assert list(work.bulk.iterdir()) == []


def test_clients_older_than_the_server_are_refused(bank: Server, tmp_path: Path) -> None:
    """They would leave out what they do not know. Older ones are not packaged: these say that they are."""
    for name in ("mariadb", "mariadb-dump"):
        fake = tmp_path / name
        real = f'exec {shutil.which(name)} "$@"'
        told = f'[ "$2" != --version ] || {{ echo "{name}  Ver 10.19 Distrib 10.1.48-MariaDB"; exit; }}'
        fake.write_text(f"#!/bin/sh\n{told}\n{real}\n")
        fake.chmod(0o755)
    with pytest.raises(MissingDependency, match=r"are 10\.1\.48, older than the server's") as told_:
        bank.source("bank", programs_path=str(tmp_path)).check()
    assert "install a newer mariadb-client" in told_.value.hint


def test_a_server_that_dies_in_the_middle_is_an_error(
    make_server: Callable[..., Server], work: Workspace, tmp_path: Path
) -> None:
    server = make_server()
    server.sql("CREATE DATABASE shop; CREATE TABLE shop.t (id int PRIMARY KEY, word longtext)")
    words = "; ".join(f"INSERT INTO shop.t VALUES ({n}, REPEAT('x', 4000000))" for n in range(12))
    server.sql(words)
    source = server.source()
    taken = Taken(source, work, tmp_path / "store")
    with source.open(work) as dump:
        stream = next(iter(dump.streams()))
        with Pipeline(stream.feed, [], tap=stream.tap) as flow:
            next(flow.blocks())
            server.kill()
            with pytest.raises(ProcessError) as told:
                flow.check()
    assert "Lost connection" in told.value.detail
    with pytest.raises(SourceError, match="Can't connect"):
        source.target(taken.record, None)
    # and in the middle of a restore: after recovery the old state
    server.start()
    swap = source.plan(taken.record, source.target(taken.record, None), "k")

    def kill_soon() -> None:
        while "shop_lb_k_new" not in server.databases() or not server.sql(
            "SELECT 1 FROM information_schema.TABLES WHERE TABLE_SCHEMA LIKE '%new'"
        ):
            time.sleep(0.01)
        server.kill()

    killer = threading.Thread(target=kill_soon)
    killer.start()
    with pytest.raises(SourceError):
        source.stage(swap, taken.record, taken.plains, work)
    killer.join()
    server.start()
    source.back(swap)
    source.discard(swap)
    assert server.sql("SELECT COUNT(*) FROM shop.t") == "12"
    assert server.leftovers() == []


def test_a_table_that_is_altered_meanwhile_ends_the_dump_and_may_go_well_again(
    bank: Server, work: Workspace
) -> None:
    source = bank.source("bank")
    bank.sql("INSERT INTO account SELECT n + 10, 0 FROM bulk; CREATE TABLE zoo (id int); ", "bank")
    held = subprocess.Popen(
        [*bank.argv("mariadb"), "--unbuffered", "--database=bank"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    held.stdin.write(b"LOCK TABLES account WRITE; SELECT 1;\n")
    held.stdin.flush()
    held.stdout.readline()
    with source.open(work) as dump:
        stream = next(iter(dump.streams()))
        with Pipeline(stream.feed, [], tap=stream.tap) as flow:
            while "Waiting for table metadata lock" not in bank.sql("SHOW FULL PROCESSLIST"):
                time.sleep(0.02)
            bank.sql(
                "ALTER TABLE zoo ADD x int, ALGORITHM = COPY; INSERT INTO zoo VALUES (1, 2)", "bank"
            )
            held.kill()
            with pytest.raises(ProcessError) as told:
                flow.check()
    held.wait()
    held.stdin.close()
    held.stdout.close()
    assert "1412" in told.value.detail
    assert source.again(told.value)
    assert not source.again(SourceError("other"))


@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_an_archive_cut_off_anywhere_is_refused(
    bank: Server, work: Workspace, tmp_path: Path, share: float
) -> None:
    source = bank.source("bank")
    before = bank.look("bank")
    taken = Taken(source, work, tmp_path / "store")
    path = taken.plains["database"].path
    os.truncate(path, int(path.stat().st_size * share))
    with pytest.raises(VerifyError, match="Dump completed"):
        source.check_content(taken.plains, work)
    swap = source.plan(taken.record, source.target(taken.record, None), "c")
    with pytest.raises(SourceError):
        source.stage(swap, taken.record, taken.plains, work)
    assert bank.look("bank") == before
    assert bank.leftovers() == []


def test_an_archive_of_another_kind_is_refused(
    bank: Server, work: Workspace, tmp_path: Path
) -> None:
    path = tmp_path / "other"
    path.write_bytes(b"PGDMP" + b"\0" * 5000 + b"\n-- Dump completed\n")
    with pytest.raises(VerifyError, match="not a dump of MariaDB"):
        bank.source("bank").check_content({"database": FilePlain("database", "sql", path)}, work)


def test_missing_accounts_are_made_with_their_grants_and_others_left(
    server: Server, work: Workspace, tmp_path: Path, caplog
) -> None:
    fill(server)
    add_readers(server)
    server.sql("CREATE DEFINER = ghost@nowhere VIEW haunted AS SELECT 1 AS n", "shop")
    server.sql("CREATE ROLE IF NOT EXISTS clerk; GRANT clerk TO 'reader2'@'10.0.0.2'")
    source = server.source()
    taken = Taken(source, work, tmp_path / "store")
    before = server.sql("SHOW GRANTS FOR 'reader1'@'10.0.0.1'")
    server.sql("DROP USER 'reader1'@'10.0.0.1'; SET PASSWORD FOR 'reader2'@'10.0.0.2' = ''")
    swap = staged(source, taken, work)
    source.swap(swap)
    source.discard(swap)
    assert server.sql("SHOW GRANTS FOR 'reader1'@'10.0.0.1'") == before
    assert "PASSWORD" not in server.sql("SHOW CREATE USER 'reader2'@'10.0.0.2'")
    assert "account=ghost@nowhere missing" in caplog.text


def test_engines_that_cannot_be_counted_are_told_and_restored(
    bank: Server, work: Workspace, tmp_path: Path
) -> None:
    bank.sql(
        "CREATE TABLE one_m (id int) ENGINE = MyISAM; INSERT INTO one_m VALUES (1);"
        "CREATE TABLE merged (id int) ENGINE = MERGE UNION = (one_m)",
        "bank",
    )
    source = bank.source("bank")
    taken = Taken(source, work, tmp_path / "store")
    assert taken.record.totals["uncounted"] == 1
    swap = staged(source, taken, work, "bank_copy")
    assert differences(source, taken, swap, work) == []
    source.discard(swap)


def test_tables_of_another_server_are_told_and_never_read(
    make_server: Callable[..., Server], work: Workspace, tmp_path: Path
) -> None:
    near, far = make_server(MARIADBD, "--plugin-load-add=ha_federatedx"), make_server(MARIADBD)
    far.sql(
        "CREATE DATABASE far; CREATE TABLE far.t (a int, f float); INSERT INTO far.t VALUES (1, 2);"
        "CREATE USER near@'%' IDENTIFIED BY 'x'; GRANT ALL ON far.* TO near@'%'"
    )
    link = f"CONNECTION='mysql://near:x@127.0.0.1:{far.port}/far/t'"
    near.sql(
        "CREATE DATABASE shop; CREATE TABLE shop.own (a int); INSERT INTO shop.own VALUES (9);"
        f"CREATE TABLE shop.theirs (a int, f float) ENGINE=FEDERATED {link}"
    )
    far.sql("SET GLOBAL log_output = 'TABLE'; SET GLOBAL general_log = ON")
    source = near.source()
    note = "not in the backup, for their rows lie on another server: theirs"
    assert source.check()["note"] == note
    taken = Taken(source, work, tmp_path / "store")
    assert taken.warnings == [note]
    swap = staged(source, taken, work)
    assert differences(source, taken, swap, work) == []
    source.swap(swap)
    assert near.sql("SELECT * FROM shop.theirs; SELECT a FROM shop.own") == "1\t2\n9"
    source.back(swap)
    source.discard(swap)
    asked = far.sql("SELECT argument FROM mysql.general_log WHERE user_host LIKE 'near%'")
    assert "LOCK" not in asked.upper()
    assert "COUNT" not in asked.upper()
    assert far.sql("SELECT COUNT(*) FROM far.t") == "1"
    far.sql("DROP TABLE far.t")
    with pytest.raises(SourceError) as told:
        staged(source, taken, work)
    assert "without their own server: theirs" in told.value.hint
    with pytest.raises(SourceError) as told:
        source.check()
    assert "without their own server: theirs" in told.value.hint
    near.sql("DROP DATABASE shop")
    with pytest.raises(SourceError) as told:
        staged(source, taken, work)
    assert "see its server" in told.value.hint
    for one in (near, far):
        one.stop()


def test_values_that_a_dump_changes_are_told_and_no_others(
    bank: Server, work: Workspace, tmp_path: Path
) -> None:
    """И in UTF-8, written into cp1251, has a byte that is no character there, and comes back as ?."""
    bank.sql(
        "CREATE TABLE word (cyr text CHARACTER SET cp1251, odd text CHARACTER SET cp1251,"
        " old text CHARACTER SET latin1, f float, g float, h float(7,3));"
        "INSERT INTO word VALUES ('И', _cp1251 0xD098, _latin1 0x818D, 1.5, 16777215, 1.1)",
        "bank",
    )
    shown = "SELECT HEX(cyr), HEX(odd), HEX(old), f + 0e0, g + 0e0, h + 0e0 FROM "
    source = bank.source("bank")
    taken = Taken(source, work, tmp_path / "store")
    told = [one for one in taken.warnings if "come back as others" in one]
    assert len(told) == 1
    assert "word.odd (cp1251)" in told[0]
    assert "word.g (float)" in told[0]
    assert told[0].count("word.") == 2
    swap = staged(source, taken, work, "bank_copy")
    source.swap(swap)
    was, now = (bank.sql(f"{shown}{one}.word").split("\t") for one in ("bank", "bank_copy"))
    assert [n for n in range(6) if was[n] != now[n]] == [1, 4]
    source.discard(swap)
    bank.drop("bank_copy")


def test_a_collation_that_the_server_does_not_know_is_a_refusal(
    bank: Server, work: Workspace, tmp_path: Path
) -> None:
    source = bank.source("bank")
    taken = Taken(source, work, tmp_path / "store")
    taken.record.facts.update(collations=["utf8mb9_odd_ci"], engines=["NoSuchEngine"])
    told = " ".join(source.target(taken.record, None).refusals)
    assert "utf8mb9_odd_ci" in told
    assert "NoSuchEngine" in told
    with pytest.raises(SourceError, match="not a target"):
        source.target(taken.record, "mysql")


def test_the_default_collation_of_newer_servers_is_known(
    bank: Server, work: Workspace, tmp_path: Path
) -> None:
    """That of MariaDB 11.4 and later, which 10.11 has too: the server lists it under half of its name."""
    newer = "CHARACTER SET utf8mb4 COLLATE utf8mb4_uca1400_ai_ci"
    bank.sql(f"ALTER DATABASE bank {newer}")
    bank.sql(f"CREATE TABLE word (w varchar(9)) {newer}; INSERT INTO word VALUES ('ß')", "bank")
    source = bank.source("bank")
    taken = Taken(source, work, tmp_path / "store")
    assert source.target(taken.record, None).refusals == ()
    swap = staged(source, taken, work, "bank_copy")
    assert differences(source, taken, swap, work) == []
    source.discard(swap)


def test_tls_is_verified_when_asked(
    make_server: Callable[..., Server], work: Workspace, tmp_path: Path
) -> None:
    def certificate(name: str) -> Path:
        words = ["-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
        files = ["-keyout", str(tmp_path / f"{name}.key"), "-out", str(tmp_path / f"{name}.pem")]
        subprocess.run(["openssl", "req", *words, *files], check=True, capture_output=True)
        return tmp_path / f"{name}.pem"

    ours, other = certificate("server"), certificate("other")
    server = make_server(
        MARIADBD, f"--ssl-cert={ours}", f"--ssl-key={tmp_path}/server.key", f"--ssl-ca={ours}"
    )
    server.sql("CREATE DATABASE shop; CREATE TABLE shop.t (id int)")
    server.source(user="dumper", password=secret(), restore_user=ME).prepare("x", dry_run=False)
    verified = server.over_tcp(host="localhost", tls="verify", tls_ca=str(ours))
    assert "t" in str(Taken(verified, work, tmp_path / "store").entries)
    assert server.over_tcp(tls="required").check()
    for options in ({"host": "localhost", "tls_ca": str(other)}, {"tls_ca": str(ours)}):
        with pytest.raises(SourceError, match=r"(certificate|TLS|SSL)") as told:
            server.over_tcp(tls="verify", **options).check()
        assert "`tls_ca`" in told.value.hint
    server.sql("SET GLOBAL require_secure_transport = ON")
    assert server.over_tcp(tls="required").check()
    with pytest.raises(SourceError) as told:
        server.over_tcp(tls="disabled").check()
    assert "the server wants TLS" in told.value.hint
