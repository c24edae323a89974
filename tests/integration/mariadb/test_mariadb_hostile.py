"""What a user of the database, or an archive, says is SQL of that database, and never more."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from lifeboat.errors import SourceError
from lifeboat.model import Workspace

from tests.unit.contracts.source_contract import Taken, differences, staged

from .conftest import Server


@pytest.fixture
def shop(server: Server) -> Server:
    server.drop("shop", "pwned", *[one for one in server.databases() if "_lb_" in one])
    server.sql(
        "CREATE DATABASE shop; CREATE TABLE shop.t (a TEXT);"
        "CREATE OR REPLACE USER app@localhost IDENTIFIED BY 'x'; GRANT ALL ON shop.* TO app@localhost"
    )
    return server


def rewrite(taken: Taken, part: str, old: bytes, new: bytes) -> None:
    content = taken.plains[part].path.read_bytes()
    assert old in content
    taken.plains[part].path.write_bytes(content.replace(old, new, 1))


def as_app(shop: Server, statement: bytes, character_set: str = "utf8mb4") -> None:
    """One statement, however many delimiters are in it."""
    words = ["--binary-mode", "--comments", "--password=x", "--database=shop"]
    argv = [*shop.argv("mariadb", "app"), *words, f"--default-character-set={character_set}"]
    subprocess.run(argv, input=b"DELIMITER ;;;\n" + statement + b"\n;;;\n", check=True)


def refused_or_harmless(shop: Server, work: Workspace, store: Path, into: str = "shop") -> bool:
    """Whether it was refused; else what is restored is what was there."""
    source = shop.source()
    try:
        taken = Taken(source, work, store)
        swap = staged(source, taken, work, into)
    except SourceError:
        return True
    assert differences(source, taken, swap, work) == []
    source.discard(swap)
    return False


def test_accounts_in_an_archive_start_no_shell(
    shop: Server, work: Workspace, tmp_path: Path, caplog
) -> None:
    taken = Taken(shop.source(), work, tmp_path / "store")
    shop.sql("DROP USER app@localhost")
    for sneaked in (b"\\! id > %s\n", b"system id > %s\n", b"DROP DATABASE shop;\n# %s\n"):
        made = b"CREATE USER IF NOT EXISTS `app`@`localhost`"
        rewrite(taken, "grants", made, sneaked % bytes(tmp_path / "pwned") + made)
        source = shop.source()
        source.discard(staged(source, taken, work))
        assert not (tmp_path / "pwned").exists()
    assert "shop" in shop.databases()
    assert "not only statements about accounts" in caplog.text
    assert shop.sql("SELECT COUNT(*) FROM mysql.user WHERE User = 'app'") == "0"


def test_names_of_accounts_start_no_shell_at_a_backup(
    shop: Server, work: Workspace, tmp_path: Path, caplog
) -> None:
    secret = "a'' \n\\\\! id > %s\n" % (tmp_path / "pwned")
    shop.sql(
        "CREATE OR REPLACE USER evil@localhost IDENTIFIED VIA unix_socket USING '%s';"
        "GRANT SELECT ON shop.* TO evil@localhost" % secret
    )
    taken = Taken(shop.source(), work, tmp_path / "store")
    shop.sql("DROP USER evil@localhost")
    assert shop.source().check_content(taken.plains, work) is None
    source = shop.source()
    source.discard(staged(source, taken, work))
    with shop.source()._server.access() as access:
        name = "x'\nsystem id > %s\n\\! id > %s\n#" % (tmp_path / "pwned", tmp_path / "pwned")
        with pytest.raises(SourceError):
            access.ask(["SELECT 1", f"SELECT '{name}"])
    assert not (tmp_path / "pwned").exists()


def test_an_archive_reads_no_file_of_this_host(
    shop: Server, work: Workspace, tmp_path: Path
) -> None:
    taken = Taken(shop.source(), work, tmp_path / "store")
    (tmp_path / "shadow").write_text("root:hash\n")
    load = b"LOAD DATA LOCAL INFILE '%s' INTO TABLE t;\n" % bytes(tmp_path / "shadow")
    rewrite(taken, "database", b"UNLOCK TABLES;", load + b"UNLOCK TABLES;")
    with pytest.raises(SourceError):
        staged(shop.source(), taken, work)
    assert shop.leftovers() == []


def test_comments_of_routines_are_kept_by_a_restore_and_its_undo(
    shop: Server, work: Workspace, tmp_path: Path
) -> None:
    as_app(shop, b"CREATE PROCEDURE p() BEGIN\n -- why\n /* a note */ # third\n SELECT 1; END")
    bodies = (
        "SELECT ROUTINE_DEFINITION FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = 'shop'"
    )
    before = shop.sql(bodies)
    assert "why" in before
    source = shop.source()
    swap = staged(source, Taken(source, work, tmp_path / "store"), work)
    source.swap(swap)
    assert shop.sql(bodies) == before
    source.back(swap)
    assert shop.sql(bodies) == before
    source.discard(swap)


def test_what_the_server_says_of_an_account_shows_no_hash(shop: Server) -> None:
    with shop.source()._server.access(admin=True) as access, pytest.raises(SourceError) as told:
        access.ask("CREATE USER `x`@`y` IDENTIFIED WITH 'caching_sha2_password' AS 0x24SECRET")
    assert "SECRET" not in f"{told.value} {told.value.detail} {told.value.__cause__}"
    assert "1064" in str(told.value)
