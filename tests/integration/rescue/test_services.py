# SPDX-License-Identifier: GPL-3.0-or-later
"""What a job names stops for a restore and runs again after it, and has to work, or all goes back.

There is no systemd on a machine that runs tests. `systemctl` here is a program of the test that
starts and stops a real web server on the restored database; molecule/default has the real one.
"""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from .host import PHRASE, Host

SYSTEMCTL = """#!{python}
import os, pathlib, signal, subprocess, sys, time
base = pathlib.Path({base!r})
words = [word for word in sys.argv[1:] if word not in ("--user", "--no-block", "--value")]
verb, unit = words[0], words[-1]
pid_file = base / (unit + ".pid")
def pid():
    try:
        number = int(pid_file.read_text())
        with open(f"/proc/{{number}}/stat") as stat:
            return 0 if stat.read().rsplit(")", 1)[1].split()[0] == "Z" else number
    except (OSError, ValueError):
        return 0
if verb == "show":
    if "LoadState" in " ".join(words):
        print("LoadState=" + ("loaded" if (base / unit).exists() else "not-found"))
        print("ActiveState=" + ("active" if pid() else "inactive"))
    else:
        print("active" if pid() else "inactive")
    raise SystemExit
with open(base / "log", "a") as log:
    log.write(verb + " " + unit + "\\n")
if verb == "stop":
    if (base / (unit + ".stubborn")).exists():
        raise SystemExit("Job for " + unit + " canceled.")
    if pid():
        os.kill(pid(), signal.SIGTERM)
        for _tick in range(200):
            if not pid():
                break
            time.sleep(0.02)
elif verb == "start" and not pid():
    if (base / (unit + ".broken")).exists():
        raise SystemExit("Job for " + unit + " failed.")
    made = subprocess.Popen(
        (base / unit).read_text().splitlines(), start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    pid_file.write_text(str(made.pid))
    time.sleep(0.3)
"""
WEB = """
import http.server, sqlite3, sys
books = sqlite3.connect(sys.argv[1], check_same_thread=False)
books.execute("select count(*) from book").fetchone()
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        rows = books.execute("select count(*) from book").fetchone()[0]
        self.send_response(200 if rows else 503)
        self.end_headers()
    def log_message(self, *words):
        pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[2])), Answer).serve_forever()
"""
BOTH = ("shop-web.service", "shop-worker.service")


class Units:
    """Two units: shop-web.service, which has the database open, and shop-worker.service."""

    def __init__(self, base: Path, database: Path) -> None:
        self.base = base
        base.mkdir()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        (base / "web.py").write_text(WEB)
        argv = [sys.executable, str(base / "web.py"), str(database), str(self.port)]
        (base / "shop-web.service").write_text("\n".join(argv))
        (base / "shop-worker.service").write_text("sleep\n600")
        program = base / "systemctl"
        program.write_text(SYSTEMCTL.format(python=sys.executable, base=str(base)))
        program.chmod(0o755)
        self.env = {"PATH": f"{base}:{os.environ['PATH']}"}

    def systemctl(self, *words: str) -> None:
        os.spawnv(os.P_WAIT, str(self.base / "systemctl"), ["systemctl", *words])

    def log(self) -> list[str]:
        return (self.base / "log").read_text().splitlines()

    def forget(self) -> None:
        (self.base / "log").write_text("")

    def status(self) -> int:
        """What the web server answers; 0 = it does not run."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/", timeout=5) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as exc:
            return exc.code
        except OSError:
            return 0


@pytest.fixture
def units(host: Host, tmp_path: Path) -> Iterator[Units]:
    made = Units(tmp_path / "units", host.database)
    host.job["restore"] = {
        "stop": ["shop-worker.service", "shop-web.service"],
        "health": {"web": {"http": f"http://127.0.0.1:{made.port}/"}},
        "health_timeout": "2s",
    }
    host.configure()
    for unit in BOTH:
        made.systemctl("start", unit)
    yield made
    for unit in BOTH:
        (made.base / f"{unit}.stubborn").unlink(missing_ok=True)
        made.systemctl("stop", unit)


def restore(host: Host, units: Units, id_: str, *words: str, before: str = "") -> tuple[int, str]:
    gate = ("--confirm", PHRASE, "--target-host", host.name, "--identity", str(host.key))
    done = host.lifeboat("restore", "shop", id_, *gate, *words, before=before, env=units.env)
    return done.returncode, done.stderr


def test_services_stop_in_order_and_start_in_reverse(host: Host, units: Units) -> None:
    id_ = host.run()
    host.fill(7)
    units.forget()

    code, said = restore(host, units, id_)

    assert code == 0, said
    assert host.rows() == 1000
    assert units.log() == [
        "stop shop-worker.service",
        "stop shop-web.service",
        "start shop-web.service",
        "start shop-worker.service",
    ]
    assert units.status() == 200
    assert "shop-web.service: stops right before the swap" in said
    assert "then has to work: web (http://" in said


def test_what_does_not_work_goes_back_with_its_services(host: Host, units: Units) -> None:
    host.fill(0)
    empty = host.run()
    host.fill(7)

    code, said = restore(host, units, empty)

    assert code == 1, said
    assert "the health check web (http://" in said
    assert "status 503" in said
    assert "the old state is in place" in said
    assert host.rows() == 7
    assert units.status() == 200
    assert host.left_over() == []
    assert host.lifeboat("recover", env=units.env).stdout.strip() == "nothing to recover"


def test_a_service_that_does_not_start_takes_the_restore_back(host: Host, units: Units) -> None:
    id_ = host.run()
    host.fill(7)
    (units.base / "shop-worker.service.broken").touch()

    code, said = restore(host, units, id_)

    assert code == 1
    assert "shop-worker.service does not start: see `systemctl --user status" in said
    assert "the old state is in place" in said
    assert host.rows() == 7
    assert units.status() == 200


def test_a_service_that_does_not_stop_leaves_all_as_it_was(host: Host, units: Units) -> None:
    id_ = host.run()
    host.fill(7)
    (units.base / "shop-web.service.stubborn").touch()

    code, said = restore(host, units, id_)

    assert code == 1
    assert "shop-web.service does not stop" in said
    assert "the old state is in place" in said
    assert host.rows() == 7
    assert units.log()[-1] == "start shop-worker.service"
    assert units.status() == 200
    assert host.left_over() == []


def test_what_a_person_has_stopped_stays_so_and_is_not_asked(host: Host, units: Units) -> None:
    id_ = host.run()
    host.fill(7)
    units.systemctl("stop", "shop-web.service")

    code, said = restore(host, units, id_)

    assert code == 0, said
    assert host.rows() == 1000
    assert units.status() == 0
    assert "shop-web.service: does not run, and stays so" in said


def test_services_stay_where_nothing_of_theirs_is_touched(
    host: Host, units: Units, tmp_path: Path
) -> None:
    id_ = host.run()
    units.forget()

    code, said = restore(host, units, id_, "--into", str(tmp_path / "look.db"))

    assert code == 0, said
    assert units.log() == []


def test_services_can_be_left_alone(host: Host, units: Units) -> None:
    id_ = host.run()
    host.fill(7)
    units.systemctl("stop", "shop-web.service")  # it has the file open
    units.forget()

    code, said = restore(host, units, id_, "--no-services")

    assert code == 0, said
    assert units.log() == []


def test_without_the_stop_what_is_in_use_is_not_replaced(host: Host, units: Units) -> None:
    id_ = host.run()
    with sqlite3.connect(host.database) as writer:
        writer.execute("delete from book where id > 10")
    writer.close()

    assert restore(host, units, id_, "--no-services")[0] == 1
    assert host.rows() == 10
    assert restore(host, units, id_)[0] == 0
    assert host.rows() == 1000


def test_an_undo_stops_and_starts_them_too(host: Host, units: Units) -> None:
    id_ = host.run()
    host.fill(7)
    assert restore(host, units, id_)[0] == 0
    units.forget()

    gate = ("--confirm", PHRASE, "--target-host", host.name)
    done = host.lifeboat("undo", "shop", id_, *gate, env=units.env)

    assert done.returncode == 0, done.stderr
    assert host.rows() == 7
    assert units.log()[0] == "stop shop-worker.service"
    assert units.log()[-1] == "start shop-worker.service"
    assert units.status() == 200


DIE = "__import__('os').kill(__import__('os').getpid(), 9)"
KILL = """
import lifeboat.operations.restore.around as around
real = around.{function}
def killed(job, *words):
    {before}
    told = real(job, *words)
    {after}
    return told
around.{function} = killed
"""
MOMENTS = [
    (function, when)
    for function in ("stop", "start", "wait_until_healthy")
    for when in ("before", "after")
]


@pytest.mark.parametrize(("function", "when"), MOMENTS)
def test_a_kill_leaves_no_service_behind(
    host: Host, units: Units, function: str, when: str
) -> None:
    id_ = host.run()
    host.fill(7)
    before = KILL.format(
        function=function,
        before=DIE if when == "before" else "pass",
        after=DIE if when == "after" else "pass",
    )

    code, _said = restore(host, units, id_, before=before)
    recovered = host.lifeboat("recover", env=units.env)

    assert code == -signal.SIGKILL
    assert recovered.returncode == 0, recovered.stderr
    assert host.rows() in (7, 1000)
    state = "the new state is in place" if host.rows() == 1000 else "the old state is in place"
    assert state in recovered.stdout
    assert units.status() == 200
    units.forget()
    assert host.lifeboat("recover", env=units.env).stdout.strip() == "nothing to recover"
    assert units.log() == []


def test_a_service_that_recovery_cannot_start_is_told(host: Host, units: Units) -> None:
    id_ = host.run()
    host.fill(7)
    restore(host, units, id_, before=KILL.format(function="start", before=DIE, after="pass"))
    (units.base / "shop-worker.service.broken").touch()

    recovered = host.lifeboat("recover", env=units.env)

    assert recovered.returncode == 1
    assert "shop-worker.service does not start" in recovered.stdout
    assert units.status() == 200


@pytest.mark.parametrize(
    ("rows", "sql", "code"),
    [
        (1000, "SELECT count(*) FROM book", 0),
        (0, "SELECT count(*) FROM book", 1),
        (1000, "SELECT title FROM book WHERE id < 0", 1),
        (1000, "DELETE FROM book", 1),
    ],
)
def test_the_database_itself_can_be_asked(host: Host, rows: int, sql: str, code: int) -> None:
    host.job["restore"] = {
        "health": {"books": {"source": "db", "sql": sql}},
        "health_timeout": "1s",
    }
    host.configure()
    host.fill(rows)
    id_ = host.run()
    host.fill(7)

    done = host.restore(id_)

    assert done.returncode == code, done.stderr
    assert host.rows() == (rows if code == 0 else 7)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"stop": ["shop"]}, "jobs.shop.restore.stop: 'shop' is neither a unit nor a container"),
        ({"stop": ["--now.service"]}, "neither a unit nor a container"),
        ({"health": {"web": {}}}, "write exactly one of http, command, sql"),
        ({"health": {"web": {"http": "file:///etc/passwd"}}}, "health.web.http: write http://"),
        ({"health": {"web": {"http": "http://me:secret@h/"}}}, "without a password"),
        ({"health": {"web": {"sql": "select 1"}}}, "sql and source belong together"),
        ({"helth": {}}, "did you mean health?"),
    ],
)
def test_what_is_wrong_with_it_is_told_at_once(
    host: Host, body: dict[str, object], said: str
) -> None:
    host.job["restore"] = body
    host.configure()
    done = host.lifeboat("config", "check")
    assert done.returncode == 2
    assert said in done.stdout + done.stderr
    assert "secret@" not in done.stderr
