"""After the story: nothing is left over, no secret is told, and the log was changed by nobody."""

from __future__ import annotations

import pytest

from tests.lab import hosts
from tests.lab.hosts import lifeboat, on, told

SECRETS = ("sessions-secret", "dumps-secret", "offsite-secret", "root-secret", "AGE-SECRET-KEY-1")
BOTH = pytest.mark.parametrize("name", ["med-prod", "med-staging"])


@BOTH
def test_nothing_temporary_is_left(name: str) -> None:
    host = hosts.host(name)
    assert host.check_output("find /var/lib/lifeboat -type f -path '*spool*'") == ""
    assert host.check_output("find /srv -name '*lifeboat*' -o -name '*_lb_*'") == ""
    databases = host.check_output("mariadb -N -e 'SHOW DATABASES'").split()
    assert [one for one in databases if "_lb_" in one] == []


@BOTH
def test_no_secret_is_in_the_journal_or_lies_in_clear(name: str) -> None:
    log = on(name, "journalctl", "--no-pager", "-o", "export").stdout
    assert "lifeboat-run@" in log
    assert [one for one in SECRETS if one in log] == []
    places = "/etc/lifeboat /var/lib/lifeboat /var/backups /run/lifeboat /var/log/lifeboat"
    for secret in SECRETS:
        assert on(name, "sh", "-c", f"grep -rlaF {secret} {places}").stdout == ""


@BOTH
def test_the_log_was_changed_by_nobody_and_the_newest_backup_is_good(name: str) -> None:
    assert lifeboat(name, "audit").returncode == 0
    assert told(name, "list", "medisecure")[0]["good"]
