"""After the story: nothing is left over, no secret is told, and the job stands well."""

from __future__ import annotations

from testinfra.host import Host

from tests.lab.hosts import on, told

SECRETS = (
    "cache-secret",
    "visits-secret",
    "dumps-secret",
    "wiki-secret",
    "root-secret-of-the-lab",
    "db-secret-of-the-lab",
    "forum-secret",
    "admin-secret",
    "AGE-SECRET-KEY-1",
)


def test_nothing_temporary_is_left(db: Host) -> None:
    assert db.check_output("find /var/lib/lifeboat -type f -path '*spool*'") == ""
    assert db.check_output("find /srv -name '*lifeboat*' -o -name '*_lb_*'") == ""
    databases = db.check_output("mariadb -N -e 'SHOW DATABASES'").split()
    assert [one for one in databases if "lb" in one or "lifeboat" in one] == []


def test_the_journal_tells_no_secret(db: Host) -> None:
    log = on("db", "journalctl", "--no-pager", "-o", "export").stdout
    assert "lifeboat-run@" in log
    assert [one for one in SECRETS if one in log] == []


def test_no_secret_lies_in_clear_where_lifeboat_writes(db: Host) -> None:
    for secret in SECRETS:
        found = db.run(
            f"grep -rlaF {secret} /etc/lifeboat /var/lib/lifeboat /var/backups /run/lifeboat"
        )
        assert found.stdout == ""


def test_an_optional_store_that_is_not_there_is_no_failure(db: Host) -> None:
    newest = told("db", "list", "stores")[0]
    assert newest["good"]
    assert {one["state"] for one in told("db", "status", exit_code=0)} == {"good"}
