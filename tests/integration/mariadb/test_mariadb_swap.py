"""A swap that is killed anywhere can be completed and taken back, and nothing else is touched."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from lifeboat.errors import SourceError
from lifeboat.model import Swap, Workspace
from lifeboat.sources.mariadb.packing import Packer
from lifeboat.sources.mariadb.server import Access

from tests.unit.contracts.source_contract import Taken, planned, staged

from .conftest import MARIADBD, Server, secret

SIMPLE = "a password"

SMALL = """
CREATE TABLE book (id int PRIMARY KEY, title text);
INSERT INTO book VALUES (1, 'old');
CREATE TABLE loan (id int PRIMARY KEY, book int, FOREIGN KEY (book) REFERENCES book (id));
INSERT INTO loan VALUES (1, 1);
CREATE VIEW titles AS SELECT title FROM book;
CREATE TRIGGER shout BEFORE INSERT ON book FOR EACH ROW SET NEW.title = UPPER(NEW.title);
CREATE FUNCTION one() RETURNS int DETERMINISTIC RETURN 1;
CREATE EVENT off ON SCHEDULE EVERY 1 HOUR STARTS '2030-01-01 00:00:00' DISABLE DO DELETE FROM loan;
"""


class Killed(BaseException):
    """The process ends here: nothing after it is done, nothing is cleaned up."""


class Killer:
    """Ends the process before its statement number `moment`, also within those sent together."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.moment, self._seen = -1, 0
        ask, feed = Access.ask, Packer.feed

        def asking(access: Access, statements: str | Sequence[str], database: str = "") -> Any:
            wanted = [statements] if isinstance(statements, str) else list(statements)
            for n, statement in enumerate(wanted):
                if statement.startswith(("SELECT", "SET", "SHOW")):
                    continue
                if self._now():
                    ask(access, wanted[:n], database)
                    raise Killed
            return ask(access, wanted, database)

        def feeding(packer: Packer, database: str, blocks: Any, *words: str) -> Any:
            text = b"".join(blocks)
            for part in (0, 3, 6):
                if self._now():
                    done = text[: text.rfind(b"\n", 0, 1 + len(text) * part // 7) + 1]
                    if done:
                        with pytest.raises(SourceError):  # cut off: told as such, and run so far
                            feed(packer, database, [done], "--force")
                    raise Killed
            return feed(packer, database, [text], *words)

        patch.setattr(Access, "ask", asking)
        patch.setattr(Packer, "feed", feeding)

    def _now(self) -> bool:
        self._seen += 1
        return self._seen == self.moment

    def kill(self, moment: int, step: Callable[[Swap], None], swap: Swap) -> bool:
        """Run a step; whether it was killed before its change number `moment`, the first being 1."""
        self.moment, self._seen = moment, 0
        try:
            step(swap)
        except Killed:
            return True
        finally:
            self.moment = -1
        return False


@pytest.fixture
def shop(server: Server) -> Server:
    server.drop("shop", *[one for one in server.databases() if "_lb_" in one])
    server.sql("CREATE DATABASE shop CHARACTER SET latin1")
    server.sql(SMALL, "shop")
    return server


@pytest.fixture
def taken(shop: Server, work: Workspace, tmp_path: Path) -> Taken:
    return Taken(shop.source(), work, tmp_path / "store")


@pytest.fixture(params=[False, True], ids=["there", "lost"])
def change(request: pytest.FixtureRequest, shop: Server) -> Callable[[], None]:
    """What happens to the database after its backup."""

    def make() -> None:
        if request.param:
            shop.drop("shop")
            return
        shop.sql(
            "INSERT INTO book VALUES (2, 'b'); DROP VIEW titles; CREATE VIEW other AS SELECT 1 AS n;"
            "CREATE TABLE more (id int); DROP TRIGGER shout; ALTER DATABASE shop CHARACTER SET utf8mb4",
            "shop",
        )

    return make


class Tried:
    """A staged restore whose steps are killed before one statement after the other."""

    def __init__(self, shop: Server, work: Workspace, taken: Taken, change: Callable[[], None]):
        self.shop, self.source = shop, shop.source()
        self.states = {"swap": shop.look("shop")}
        change()
        self.states["back"] = shop.look("shop")
        self.swap = staged(self.source, taken, work)

    def step(self, name: str) -> Callable[[Swap], None]:
        return getattr(self.source, name)

    def recover(self, name: str) -> None:
        self.step(name)(self.swap)
        assert self.source.swapped(self.swap) == (name == "swap")
        assert self.shop.look("shop") == self.states[name]

    def clear(self, state: str) -> None:
        self.source.discard(self.swap)
        assert self.shop.look("shop") == self.states[state]
        assert self.shop.leftovers() == []


def test_a_step_killed_before_any_statement_can_be_completed(
    shop: Server, work: Workspace, taken: Taken, monkeypatch, change: Callable[[], None]
) -> None:
    tried, killer = Tried(shop, work, taken, change), Killer(monkeypatch)
    moment, killed = 0, True
    while killed:
        moment += 1
        killed = killer.kill(moment, tried.source.swap, tried.swap)
        tried.recover("swap")
        killed = killer.kill(moment, tried.source.back, tried.swap) or killed
        tried.recover("back")
    assert moment > 10
    tried.clear("back")


@pytest.mark.parametrize(("first", "then"), [("swap", "back"), ("back", "swap")])
def test_a_step_killed_before_any_statement_can_be_taken_back(
    shop: Server, work: Workspace, taken: Taken, monkeypatch, change, first: str, then: str
) -> None:
    tried, killer = Tried(shop, work, taken, change), Killer(monkeypatch)
    tried.recover(then)
    moment = 1
    while killer.kill(moment, tried.step(first), tried.swap):
        tried.recover(then)
        moment += 1
    assert moment > 5
    tried.clear(first)


def test_a_killed_swap_is_never_discarded(
    shop: Server, work: Workspace, taken: Taken, monkeypatch
) -> None:
    source = shop.source()
    swap = staged(source, taken, work)
    killer = Killer(monkeypatch)
    assert killer.kill(12, source.swap, swap)
    with pytest.raises(SourceError, match="the last of it"):
        source.discard(swap)
    with pytest.raises(SourceError, match="cut off"):
        source.check()
    source.back(swap)
    source.discard(swap)


def test_sessions_that_hold_a_table_are_ended(shop: Server, work: Workspace, taken: Taken) -> None:
    source = shop.source()
    swap = staged(source, taken, work)
    argv = [*shop.argv("mariadb"), "--unbuffered", "-N", "--database=shop"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as user:
        user.stdin.write(b"START TRANSACTION; SELECT title FROM book;\n")
        user.stdin.flush()
        assert user.stdout.readline() == b"old\n"
        source.swap(swap)
        user.kill()
    assert source.swapped(swap)
    source.back(swap)
    source.discard(swap)


def test_sessions_of_a_database_of_nearly_that_name_go_on(
    shop: Server, work: Workspace, taken: Taken
) -> None:
    shop.drop("Shop")
    shop.sql("CREATE DATABASE Shop")
    source = shop.source()
    swap = staged(source, taken, work)
    with ExitStack() as around:
        users = []
        for database in ("Shop", "shop"):
            argv = [*shop.argv("mariadb"), "--unbuffered", "-N", f"--database={database}"]
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
            users.append(around.enter_context(subprocess.Popen(argv, stderr=-3, **pipes)))
            around.callback(users[-1].kill)
            users[-1].stdin.write(b"START TRANSACTION; SELECT COUNT(*) FROM shop.book;\n")
            users[-1].stdin.flush()
            assert users[-1].stdout.readline() == b"1\n"
            if database == "Shop":  # holds nothing of what is moved
                users[-1].stdin.write(b"ROLLBACK; SELECT 2;\n")
                users[-1].stdin.flush()
                assert users[-1].stdout.readline() == b"2\n"
        source.swap(swap)
        users[0].stdin.write(b"SELECT CONNECTION_ID() > 0;\n")
        users[0].stdin.flush()
        assert users[0].stdout.readline() == b"1\n"
    source.discard(swap)
    shop.drop("Shop")


@pytest.fixture(scope="module")
def folding(make_server: Callable[..., Server]) -> Server:
    return make_server(MARIADBD, "--lower-case-table-names=1")


def test_where_cases_are_one_a_database_is_found_by_any_and_no_other_is(
    folding: Server, work: Workspace, tmp_path: Path
) -> None:
    """`shöp` is `shop` to the collation of names, and another database to the server."""
    folding.drop("shop", "shöp")
    folding.sql("CREATE DATABASE Shop; CREATE DATABASE `shöp`; CREATE TABLE `shöp`.other (a int)")
    folding.sql(SMALL, "shop")
    folding.sql(
        "CREATE OR REPLACE USER app@localhost; GRANT SELECT ON Shop.book TO app@localhost;"
        f"CREATE OR REPLACE USER dumper@127.0.0.1 IDENTIFIED BY '{SIMPLE}';"
        "GRANT SELECT, SHOW VIEW, TRIGGER, EVENT ON Shop.* TO dumper@127.0.0.1;"
        "GRANT SELECT ON mysql.* TO dumper@127.0.0.1"
    )
    source = folding.over_tcp("Shop", password=secret(SIMPLE))
    taken = Taken(source, work, tmp_path / "store")
    assert taken.record.totals["tables"] == 2
    assert "app@localhost" in taken.record.facts["accounts"]
    before = folding.look("shop")
    folding.sql("CREATE TABLE more (a int)", "shop")
    changed = folding.look("shop")
    admin = folding.source("Shop")
    swap = staged(admin, taken, work)
    assert swap.existed
    admin.swap(swap)
    assert folding.look("shop") == before
    admin.back(swap)
    assert folding.look("shop") == changed
    admin.discard(swap)
    assert folding.leftovers() == []
    assert folding.sql("SHOW TABLES", "shöp") == "other"


def test_names_that_are_one_where_cases_are_not_told_apart_are_refused_there(
    shop: Server, folding: Server, work: Workspace, tmp_path: Path
) -> None:
    shop.sql(
        "CREATE TABLE Orders (a int); CREATE TABLE orders (a int); CREATE VIEW BOOK AS SELECT 1 AS a",
        "shop",
    )
    apart = Taken(shop.source(), work, tmp_path / "apart")
    (told,) = folding.source().target(apart.record, None).refusals
    assert "one would be lost of each of these: BOOK, Orders, book, orders" in told
    assert shop.source().target(apart.record, None).refusals == ()
    shop.sql("DROP TABLE orders; DROP VIEW BOOK", "shop")
    once = Taken(shop.source(), work, tmp_path / "once")
    assert folding.source().target(once.record, None).refusals == ()


def test_foreign_keys_hold_after_a_swap_and_back(
    shop: Server, work: Workspace, taken: Taken
) -> None:
    source = shop.source()
    swap = staged(source, taken, work)
    for step in (source.swap, source.back, source.swap):
        step(swap)
        keys = shop.sql(
            "SELECT DISTINCT CONSTRAINT_SCHEMA = UNIQUE_CONSTRAINT_SCHEMA FROM"
            " information_schema.REFERENTIAL_CONSTRAINTS WHERE CONSTRAINT_SCHEMA LIKE 'shop%'"
        )
        assert keys == "1"
        refused = subprocess.run(
            [*shop.argv("mariadb"), "-e", "INSERT INTO shop.loan VALUES (9, 99)"],
            capture_output=True,
        )
        assert b"foreign key constraint fails" in refused.stderr
    source.discard(swap)


def test_a_foreign_key_of_another_database_forbids_a_restore(shop: Server, taken: Taken) -> None:
    shop.sql(
        "DROP DATABASE IF EXISTS branch; CREATE DATABASE branch; CREATE TABLE branch.b"
        " (id int, FOREIGN KEY (id) REFERENCES shop.book (id))"
    )
    told = shop.source().target(taken.record, None).refusals
    shop.drop("branch")
    assert told == ("table branch.b has a foreign key into database shop: drop it, or use --into",)


def test_a_broken_view_of_the_old_state_does_not_stop_a_restore(
    shop: Server, work: Workspace, taken: Taken, caplog
) -> None:
    new = shop.look("shop")
    shop.sql("SET foreign_key_checks = 0; DROP TABLE book", "shop")
    source = shop.source()
    swap = staged(source, taken, work)
    source.swap(swap)
    assert shop.look("shop") == new
    told = source.back(swap)
    assert told
    assert "titles of shop" in told
    assert not source.swapped(swap)
    assert shop.sql("SHOW TABLES", "shop") == "loan"
    assert "can be made again only when" in caplog.text
    assert "VIEW `titles` AS select" in caplog.text  # not lost
    source.discard(swap)


def test_a_restore_into_another_name_leaves_the_live_database_alone(
    shop: Server, work: Workspace, taken: Taken
) -> None:
    before = shop.look("shop")
    odd = "we`ird (d,b); é"
    shop.drop(odd)
    source = shop.source()
    swap = staged(source, taken, work, odd)
    source.swap(swap)
    assert shop.look("shop") == before
    assert shop.look(odd)[1:] == before[1:]
    source.discard(swap)
    shop.drop(odd)


def test_writers_are_not_let_between_old_and_new(
    shop: Server, work: Workspace, taken: Taken
) -> None:
    source, stop, failures = shop.source(), threading.Event(), []
    swap = staged(source, taken, work)

    def write() -> None:
        n = 100
        while not stop.is_set():
            n += 1
            argv = [*shop.argv("mariadb"), "-e", f"INSERT INTO shop.book VALUES ({n}, 'x')"]
            done = subprocess.run(argv, capture_output=True)
            if done.returncode:
                failures.append(done.stderr)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        source.swap(swap)
        source.back(swap)
        source.swap(swap)
    finally:
        time.sleep(0.1)
        stop.set()
        writer.join()
    tables = "SELECT GROUP_CONCAT(TABLE_NAME ORDER BY 1) FROM information_schema.TABLES WHERE TABLE_SCHEMA"
    assert shop.sql(f"{tables} = 'shop'") == "book,loan,titles"
    assert failures == []
    source.discard(swap)


def test_a_target_that_has_come_or_gone_meanwhile_is_not_touched(
    shop: Server, work: Workspace, taken: Taken
) -> None:
    source = shop.source()
    swap = staged(source, taken, work)
    shop.drop("shop")
    with pytest.raises(SourceError, match="has gone since"):
        source.swap(swap)
    source.back(swap)
    source.discard(swap)
    swap = staged(source, taken, work)
    shop.sql("CREATE DATABASE shop; CREATE TABLE shop.own (id int)")
    with pytest.raises(SourceError, match="has come since"):
        source.swap(swap)
    source.back(swap)
    source.discard(swap)
    assert shop.sql("SHOW TABLES", "shop") == "own"


def test_a_plan_of_a_lost_database_says_so(shop: Server, taken: Taken) -> None:
    shop.drop("shop")
    assert not planned(shop.source(), taken).existed


def test_what_names_its_own_database_is_restored_where_it_is_and_told_where_not(
    shop: Server, work: Workspace, tmp_path: Path
) -> None:
    shop.sql("CREATE SEQUENCE ticket; CREATE TABLE sale (id int DEFAULT NEXTVAL(ticket))", "shop")
    before = shop.look("shop")
    source = shop.source()
    taken = Taken(source, work, tmp_path / "again")
    swap = staged(source, taken, work)
    source.swap(swap)
    source.discard(swap)
    assert shop.look("shop") == before
    shop.drop("shop")
    with pytest.raises(SourceError, match="ticket") as told:
        staged(source, taken, work)
    assert "make it there first" in told.value.hint
    assert shop.leftovers() == []
    shop.sql("CREATE DATABASE shop; CREATE SEQUENCE shop.ticket")
    swap = staged(source, taken, work)
    source.swap(swap)
    source.discard(swap)
    assert shop.look("shop")[1:] == before[1:]
