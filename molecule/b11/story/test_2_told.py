"""The shared host does not answer one night: e-mail, Telegram and the log tell it; the next goes well."""

from __future__ import annotations

import json

from testinfra.host import Host

from tests.lab.guide import Guide
from tests.lab.hosts import on, told, wait_for

UNIT = "lifeboat-run@production:daily.service"
TOKEN = "abcdefg_hijklmnop"


def heard(kind: str, *words: str) -> list[str]:
    """What arrived at one of the services and says all of `words`."""
    lines = on("shared", "cat", "/srv/heard.jsonl").stdout.splitlines()
    arrived = [f"{where} {body}" for at, where, body in map(json.loads, lines) if at == kind]
    return [one for one in arrived if all(word in one for word in words)]


def test_the_test_message_reaches_mail_and_telegram(guide: Guide) -> None:
    shown = guide.on_host("db", "Look", codes=(0, 1))  # nothing has been drilled yet
    assert TOKEN not in shown
    assert heard("mail", "ops@b11.example.org", "Nothing is wrong")
    assert heard("api.telegram.org", f"{TOKEN}/sendMessage", "12315544", "Nothing is wrong")


def test_a_night_that_failed_is_told_and_logged(db: Host, shared: Host) -> None:
    shared.check_output("systemctl stop ssh.socket ssh.service")
    assert on("db", "systemctl", "start", UNIT).returncode != 0
    shared.check_output("systemctl start ssh.service")
    for kind in ("mail", "api.telegram.org"):
        assert wait_for(lambda kind=kind: heard(kind, "critical", "production"), 90), heard(kind)
    assert "production backup" in db.check_output("grep FAILED /var/log/lifeboat/lifeboat.log")


def test_the_next_run_goes_well_and_is_logged_too(db: Host) -> None:
    report = told("db", "run", "production")
    assert [one["state"] for one in report["destinations"]] == ["intact"]
    line = f"production backup {report['id']} done"
    assert line in db.check_output("cat /var/log/lifeboat/lifeboat.log")
