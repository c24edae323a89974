# SPDX-License-Identifier: GPL-3.0-or-later
"""Neither the operator's shell nor settings of the server change what is dumped, restored, or where."""

from __future__ import annotations

from pathlib import Path

import pytest
from lifeboat.errors import SourceError
from lifeboat.model import Workspace

from tests.unit.contracts.source_contract import Taken, differences, staged

from .conftest import Server
from .test_mariadb_contract import fill

ELSEWHERE = {
    "MYSQL_HOST": "elsewhere.invalid",
    "MYSQL_TCP_PORT": "1",
    "MYSQL_UNIX_PORT": "/elsewhere",
    "MYSQL_PWD": "elsewhere",
    "MYSQL_GROUP_SUFFIX": "_elsewhere",
    "MARIADB_PWD": "elsewhere",
    "LIBMYSQL_ENABLE_CLEARTEXT_PLUGIN": "Y",
    "LC_ALL": "tr_TR.UTF-8",
    "LANGUAGE": "tr:de",
}
OPTIONS = """[client]
password=elsewhere
host=elsewhere.invalid
[mysqldump]
no-data
where=1=0
skip-comments
skip-triggers
force
[mysql]
init-command=DROP DATABASE shop
xml
"""
ODD = {
    "sql_mode": "'ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PAD_CHAR_TO_FULL_LENGTH,PIPES_AS_CONCAT,ORACLE'",
    "character_set_server": "'latin5'",
    "collation_connection": "'latin5_turkish_ci'",
    "character_set_client": "'latin1'",
    "time_zone": "'+09:00'",
    "lc_messages": "'de_DE'",
    "lc_time_names": "'tr_TR'",
    "max_statement_time": "0.3",
    "autocommit": "0",
    "sql_safe_updates": "1",
    "net_read_timeout": "5",
    "transaction_isolation": "'READ-UNCOMMITTED'",
    "foreign_key_checks": "1",
    "explicit_defaults_for_timestamp": "0",
}


@pytest.mark.parametrize("hostile", ["shell", "settings"])
def test_what_is_around_changes_nothing(
    server: Server, work: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hostile: str
) -> None:
    fill(server)
    source = server.source()
    before = server.look("shop")
    plain = Taken(source, work, tmp_path / "plain")
    was = {key: server.sql(f"SELECT @@global.{_known(server, key)}") for key in ODD}
    try:
        with monkeypatch.context() as around:
            if hostile == "shell":
                (tmp_path / ".my.cnf").write_text(OPTIONS)
                for name, value in {**ELSEWHERE, "HOME": str(tmp_path)}.items():
                    around.setenv(name, value)
                around.setenv("MYSQL_HOME", str(tmp_path))
            else:
                for key, value in ODD.items():
                    server.sql(f"SET GLOBAL {_known(server, key)} = {value}")
            taken = Taken(source, work, tmp_path / "store")
            source.check_content(taken.plains, work)
            swap = staged(source, taken, work)
            assert differences(source, taken, swap, work) == []
            source.swap(swap)
            source.discard(swap)
            assert source.check()["server"]
    finally:
        for key, value in was.items():
            quoted = value if value.replace(".", "").isdigit() else f"'{value}'"
            server.sql(f"SET GLOBAL {_known(server, key)} = {quoted}")
    assert server.look("shop") == before
    assert taken.record.inventory_digest == plain.record.inventory_digest


@pytest.mark.parametrize(
    "setting", ["sql_select_limit = 3", "init_connect = 'SET sql_select_limit=3'"]
)
def test_a_server_that_limits_every_answer_is_refused(server: Server, setting: str) -> None:
    """Its dump would lack rows, and be whole by all that can be seen of it."""
    fill(server)
    server.sql(f"SET GLOBAL {setting}")
    try:
        with pytest.raises(SourceError, match="a dump would lack rows") as told:
            server.source().check()
        assert "sql_select_limit = DEFAULT" in told.value.hint
    finally:
        server.sql("SET GLOBAL sql_select_limit = DEFAULT, GLOBAL init_connect = ''")


def _known(server: Server, key: str) -> str:
    """What this server calls a setting."""
    return "tx_isolation" if key == "transaction_isolation" and not server.mysql else key
