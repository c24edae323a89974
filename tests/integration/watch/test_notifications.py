# SPDX-License-Identifier: GPL-3.0-or-later
"""People are told by real mail and real HTTPS; nobody who cannot be told fails or delays a backup."""

from __future__ import annotations

import json
import os
import subprocess
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from tests.integration.rescue.host import Host

from . import listeners
from .listeners import Heard

SLACK = "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#backups"
DISCORD = "discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js"
TELEGRAM = "tgram://123456789:abcdefg_hijklmnop/12315544"
HOOK = "jsons://user:hook-secret-of-the-lab@hook.lab/backups"
SECRETS = ("TIiajkdnlazkcOXrIdevi7FQ", "JHMHI8qBe7bk2ZwO5U711o3dV", "abcdefg_hijk", "hook-secret")


def mailto(port: int) -> str:
    return f"mailto://127.0.0.1:{port}?from=backup@lab.example&to=ops@lab.example"


def known(host: Host) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((host.root / "state/watch/told.json").read_text())
    return told


def test_the_self_test_reaches_every_service(
    host: Host, tell: Any, heard: Heard, services: int
) -> None:
    with listeners.mail(heard) as port:
        urls = {"slack": SLACK, "discord": DISCORD, "telegram": TELEGRAM, "hook": HOOK}
        done = tell(
            {**urls, "mail": mailto(port)},
            *("notify", "--test", "--json"),
            port=services,
            ping="https://hook.lab/ping/1234",
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert {one["to"] for one in json.loads(done.stdout) if one["delivered"]} == {
        *urls,
        "mail",
        "ping",
    }
    assert {one[0] for one in heard.requests} == set(listeners.SERVICES)
    assert ("hook.lab", "/ping/1234", "") in heard.requests
    assert all("Nothing is wrong" in one[2] for one in heard.requests if one[2])
    assert "Nothing is wrong" in heard.mails[0]
    assert "To: ops@lab.example" in heard.mails[0]


def test_a_self_test_that_fails_says_whom_and_why_and_no_secret(
    tell: Any, heard: Heard, services: int
) -> None:
    heard.status = 403
    with listeners.mail(heard, refuses=True) as port:
        urls = {"slack": SLACK, "hook": HOOK, "odd": "nonsense://x", "mail": mailto(port)}
        done = tell(urls, "notify", "--test", "--json", port=services)
    assert done.returncode == 1
    told = {one["to"]: one["problem"] for one in json.loads(done.stdout)}
    assert set(told) == set(urls)
    assert all(told.values())
    assert "does not know this kind of URL" in told["odd"]
    assert not [one for one in SECRETS if one in done.stdout + done.stderr]


def test_one_url_can_be_tried_alone(tell: Any, heard: Heard, services: int) -> None:
    urls = {"slack": SLACK, "hook": HOOK}
    assert tell(urls, "notify", "--test", "--to", "hook", port=services).returncode == 0
    assert [one[0] for one in heard.requests] == ["hook.lab"]
    wrong = tell(urls, "notify", "--to", "hoook", port=services)
    assert wrong.returncode == 2
    assert "hook, slack" in wrong.stderr


def test_failure_is_told_once_and_so_is_recovery(
    host: Host, tell: Any, heard: Heard, services: int
) -> None:
    tell({"hook": HOOK}, "run", "shop", port=services)
    assert heard.requests == []  # all is well
    kept = host.database.rename(host.database.with_suffix(".away"))
    tell(None, "run", "shop", port=services)
    said = json.loads(heard.requests[0][2])
    assert said["title"] == "lifeboat on h1: critical"
    assert "shop: the last run failed" in said["message"]
    tell(None, "freshness", port=services)
    assert len(heard.requests) == 1  # nothing is new
    kept.rename(host.database)
    age(host)
    assert tell(None, "run", "shop", port=services).returncode == 0
    assert json.loads(heard.requests[1][2])["title"] == "lifeboat on h1: recovered"


# A backup of that many hours ago: the clock of lifeboat's doors is put back.
AGO = """
from datetime import timedelta
from lifeboat.cli import session
real = session.now
session.now = lambda: real() - timedelta(hours={hours})
"""


@pytest.mark.parametrize(
    ("hours", "state", "age"),
    [(24, "", ""), (26, "warning", "1d 2h"), (49, "critical", "2d 1h")],
)
def test_a_backup_that_grows_old_is_told_by_mail_and_slack(
    host: Host, tell: Any, heard: Heard, services: int, hours: int, state: str, age: str
) -> None:
    """As the check finds it that a timer begins every six hours: no run is needed for that."""
    done = host.lifeboat("run", "shop", before=AGO.format(hours=hours))
    assert done.returncode == 0, done.stderr
    with listeners.mail(heard) as port:
        tell({"slack": SLACK, "mail": mailto(port)}, "freshness", port=services)
    assert [one[0] for one in heard.requests] == (["hooks.slack.com"] if state else [])
    messages = [*(one[2] for one in heard.requests), *heard.mails]
    assert len(messages) == (2 if state else 0)
    for said in messages:
        assert f"lifeboat on h1: {state}" in said
        assert f"newest good is {age} old" in said


def test_code_that_the_remote_lacks_is_told(
    host: Host, tell: Any, heard: Heard, services: int, tmp_path: Path
) -> None:
    app, remote = tmp_path / "app", tmp_path / "remote.git"
    subprocess.run(["git", "init", "-q", "--bare", str(remote)], check=True)
    subprocess.run(["git", "init", "-q", "-b", "main", str(app)], check=True)
    me = ("-c", "user.name=a", "-c", "user.email=a@x")
    made = ("git", "-C", str(app), *me, "commit", "-q", "--allow-empty", "-m", "hotfix")
    subprocess.run(made, check=True)
    host.job["repository"] = {"path": str(app), "remote": str(remote)}
    tell({"hook": HOOK}, "run", "shop", port=services)
    said = json.loads(heard.requests[0][2])
    assert said["title"] == "lifeboat on h1: critical"
    assert "RPO 0 missed" in said["message"]
    subprocess.run(["git", "-C", str(app), "push", "-q", str(remote), "main"], check=True)
    age(host)
    tell(None, "freshness", port=services)
    assert json.loads(heard.requests[1][2])["title"] == "lifeboat on h1: recovered"


def test_a_missed_drill_and_somebody_who_was_refused_are_told(
    host: Host, tell: Any, heard: Heard, services: int
) -> None:
    id_ = host.run()
    (host.disk / f"catalog/h1/shop/{id_}.drilled-20260101T000000Z").touch()
    asked = ("restore", "shop", id_, "--confirm", "RESTORE", "--target-host", "h1")
    done = tell({"hook": HOOK}, *asked, "--identity", str(host.key), port=services)
    assert done.returncode == 6, done.stderr
    ((_host, _path, body),) = heard.requests
    assert "shop: drill missed: the last was" in body
    assert "shop: the gate refused 1 restores in 24 h" in body


def age(host: Host) -> None:
    """As if the last message were two minutes old."""
    path = host.root / "state/watch/told.json"
    told = json.loads(path.read_text())
    told["sent_at"] -= 120
    path.write_text(json.dumps(told))


def test_what_follows_within_a_minute_waits_for_the_next_message(
    host: Host, tell: Any, heard: Heard, services: int
) -> None:
    host.configuration["jobs"]["blog"] = dict(host.job)
    tell({"hook": HOOK}, "freshness", "shop", port=services)
    tell(None, "freshness", "blog", port=services)
    assert len(heard.requests) == 1
    age(host)
    tell(None, "freshness", "blog", port=services)
    assert [("shop" in body, "blog" in body) for _h, _p, body in heard.requests] == [
        (True, False),
        (False, True),
    ]


@pytest.mark.parametrize("down", ["refuses", "denies", "mail"])
def test_nobody_who_cannot_be_told_fails_a_backup(
    host: Host, tell: Any, heard: Heard, services: int, down: str
) -> None:
    heard.status = 500
    urls = {"hook": HOOK} if down != "mail" else {"mail": mailto(9)}
    port = 9 if down == "refuses" else services
    host.job["objectives"] = {"rto": "1h"}  # never measured: there is something to tell
    done = tell(urls, "run", "shop", port=port, ping="https://hook.lab/p")
    assert done.returncode == 0, done.stderr
    assert "was not delivered" in done.stderr
    assert not [one for one in SECRETS if one in done.stderr]
    assert known(host)["failures"] == {next(iter(urls)): 1, "ping": 1}
    heard.status = 200
    if down != "mail":
        age(host)
        assert tell(None, "freshness", port=services).returncode == 0
        assert known(host)["waiting"] == []  # it was kept, and tried again
        assert any("never measured" in body for _host, _path, body in heard.requests)


def test_the_watcher_outside_is_told_good_and_bad(
    host: Host, tell: Any, heard: Heard, services: int
) -> None:
    tell({}, "freshness", port=services, ping="https://hook.lab/ping/1234?x=1")
    tell(None, "run", "shop", port=services)
    assert [one[1] for one in heard.requests] == ["/ping/1234/fail?x=1", "/ping/1234?x=1"]


def test_the_watcher_outside_is_not_told_of_a_job_that_nobody_looked_at_lately(
    host: Host, tell: Any, heard: Heard, services: int
) -> None:
    host.configuration["jobs"]["wiki"] = host.job
    tell({}, "run", "shop", port=services, ping="https://hook.lab/p")
    tell(None, "run", "wiki", port=services)
    assert [one[1] for one in heard.requests] == ["/p"]
    path = host.root / "state/watch/shop.json"
    seen = json.loads(path.read_text())
    seen["at"] -= 14 * 3600
    path.write_text(json.dumps(seen))
    tell(None, "freshness", "wiki", port=services)
    assert [one[1] for one in heard.requests] == ["/p"]


@pytest.mark.parametrize("log", ["history", "audit"])
@pytest.mark.parametrize("line", ["[" * 200_000, '{"seq": 1e999, "prev": "", "at": ""}'])
def test_what_the_user_of_a_job_writes_into_a_log_stops_nothing(
    host: Host, log: str, line: str
) -> None:
    host.run()
    with open(host.root / f"state/log/{log}.jsonl", "a") as out:
        out.write(line + "\n")
    done = host.lifeboat("freshness", "--json")
    assert (done.returncode, json.loads(done.stdout)) == (0, {"shop": "good"}), done.stderr
    assert host.lifeboat("run", "shop").returncode == 0


def test_a_job_that_cannot_be_looked_at_silences_no_other(host: Host) -> None:
    host.configuration["jobs"]["wiki"] = host.job
    host.configure()
    host.run()
    host.run()
    audit = host.root / "state/log/audit.jsonl"
    audit.write_bytes(audit.read_bytes().replace(b"-manual-", b"-daily-", 1))
    done = host.lifeboat(
        "freshness",
        "--json",
        before="from lifeboat.cli import freshness\n"
        "def look(session, job, real=freshness.look):\n"
        "    return real(session, job) if job.name == 'shop' else int('z')\n"
        "freshness.look = look",
    )
    assert (done.returncode, json.loads(done.stdout)) == (1, {"shop": "good"})
    assert "wiki could not be looked at: ValueError" in done.stderr
    assert known(host)["changed"] == 1


def test_a_missing_directory_for_metrics_fails_no_backup(host: Host) -> None:
    host.configuration["textfile_path"] = str(host.base / "nowhere")
    host.configure()
    done = host.lifeboat("run", "shop")
    assert done.returncode == 0
    assert "the metrics could not be written" in done.stderr


def test_a_history_that_was_half_written_fails_nothing_and_is_gone_on_with(host: Host) -> None:
    host.run()
    with open(host.root / "state/log/history.jsonl", "a") as history:
        history.write('{"event": "backup", "job": "shop", "at": "2026-')
    for damaged in ("shop.json", "told.json"):
        (host.root / "state/watch" / damaged).write_text('{"job": "shop", "at')
    assert host.lifeboat("run", "shop").returncode == 0
    done = host.lifeboat("freshness", "--json")
    assert (done.returncode, json.loads(done.stdout)) == (0, {"shop": "good"}), done.stderr
    text = host.lifeboat("metrics").stdout
    assert 'lifeboat_runs{job_name="shop",result="good"} 2' in text


@pytest.mark.parametrize(
    ("result", "status", "remembered"),
    [
        ("oom-kill", "9", True),
        ("exit-code", "2", True),
        ("exit-code", "5", False),  # the job was held
        ("success", "0", False),
    ],
)
def test_a_run_that_was_killed_is_remembered_for_it(
    host: Host, result: str, status: str, remembered: bool
) -> None:
    env = systemd(host, result, status)
    for _look in range(2):
        done = host.lifeboat("freshness", "--unit", "shop:daily", env=env)
        assert ("the last run failed" in done.stdout) == remembered, done.stdout
    history = host.root / "state/log/history.jsonl"
    assert len(history.read_text().splitlines() if history.exists() else []) == remembered


def test_a_run_that_began_when_another_one_ended_is_remembered_too(host: Host) -> None:
    host.run()
    history = host.root / "state/log/history.jsonl"
    last = dict(json.loads(history.read_text()), seconds=8.0)
    env = systemd(host, "signal", "9")
    last["at"] = datetime.now(timezone.utc).isoformat(timespec="seconds")
    history.write_text(json.dumps(last) + "\n")
    for _look in range(2):
        done = host.lifeboat("freshness", "--unit", "shop:daily", env=env)
        assert "the run ended with signal 9" in done.stdout
    assert len(history.read_text().splitlines()) == 2


def systemd(host: Host, result: str, status: str) -> dict[str, str]:
    """systemd's answer is a program of ours: there is none here that would run units."""
    programs = host.base / "bin"
    programs.mkdir()
    begun = int(time.clock_gettime(time.CLOCK_MONOTONIC) * 1e6)
    (programs / "systemctl").write_text(
        '#!/bin/sh\ncase "$*" in *"lifeboat-run@shop:daily.service") ;; *) exit 1 ;; esac\n'
        f"echo Result={result}\necho ExecMainStatus={status}\n"
        f"echo ExecMainStartTimestampMonotonic={begun}\n"
    )
    (programs / "systemctl").chmod(0o755)
    return {"PATH": f"{programs}:{os.environ['PATH']}"}


def test_a_job_that_was_removed_is_forgotten(host: Host) -> None:
    host.configuration["jobs"]["old"] = dict(host.job)
    host.configure()
    assert host.lifeboat("freshness").returncode == 0
    del host.configuration["jobs"]["old"]
    host.configure()
    assert host.lifeboat("freshness").returncode == 0
    assert not (host.root / "state/watch/old.json").exists()
    assert 'job_name="old"' not in host.lifeboat("metrics").stdout
    assert not [key for key in known(host)["known"] if key.startswith("old")]


def test_metrics_can_be_read_by_another_user_and_hold_no_secret(
    host: Host, tell: Any, services: int
) -> None:
    tell({"slack": SLACK}, "run", "shop", port=services)
    (path,) = Path(host.configuration["textfile_path"]).iterdir()
    assert path.name == f"lifeboat-{os.getuid()}.prom"
    assert path.stat().st_mode & 0o777 == 0o644
    assert not [one for one in SECRETS if one in path.read_text()]


def test_a_storm_leaves_one_who_waits_and_one_message(
    host: Host, tell: Any, heard: Heard, services: int, lab: Path
) -> None:
    """As systemd starts them: a process after each of many runs that failed at once."""
    for number in range(5):
        host.configuration["jobs"][f"job{number}"] = dict(host.job)
    tell({"hook": HOOK}, "freshness", "shop", port=services)  # the first is told at once
    shorter = listeners.names(services) + "import lifeboat.cli.freshness as f; f._BATCH_S = 4.0"
    env = {**os.environ, "REQUESTS_CA_BUNDLE": str(lab / "ca.pem")}
    begun = time.monotonic()
    running = [
        subprocess.Popen(
            host.argv("freshness", "--unit", f"job{number}:daily", before=shorter), env=env
        )
        for number in range(5)
    ]
    assert [one.wait(timeout=60) for one in running] == [0] * 5
    assert len(heard.requests) <= 3
    text = "".join(body for _host, _path, body in heard.requests)
    assert all(f"job{number}" in text for number in range(5))
    assert time.monotonic() - begun < 60
