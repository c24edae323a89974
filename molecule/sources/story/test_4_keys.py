"""What the server of this Debian cannot write so that it comes back is told, before it is counted on."""

from __future__ import annotations

from tests.lab.hosts import lifeboat, on, said

NAMED = "CREATE TABLE `odd ``key` (page int, FOREIGN KEY (page) REFERENCES page (id))"


def test_a_foreign_key_that_the_server_does_not_quote_is_told() -> None:
    """MariaDB gives it the name of its table: 10.11 quotes that as it writes it, and 11.8 does not."""
    assert on("db", "mariadb", "wiki", "-e", NAMED).returncode == 0
    shown = on("db", "mariadb", "wiki", "-NBe", "SHOW CREATE TABLE `odd ``key`").stdout
    quoted = "CONSTRAINT `odd ``key_ibfk_1`" in shown
    assert quoted or "CONSTRAINT `odd `key_ibfk_1`" in shown

    told = "the server does not quote a ` in the names of foreign keys" in said(
        lifeboat("db", "doctor")
    )

    assert told is not quoted
    assert on("db", "mariadb", "wiki", "-e", "DROP TABLE `odd ``key`").returncode == 0
