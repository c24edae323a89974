"""An application in podman's containers: its database, by its own variables, and its volume."""

from __future__ import annotations

import json
from pathlib import Path

from testinfra.host import Host

from tests.lab.hosts import PHRASE, on, watched

FILES = Path(__file__).resolve().parent.parent / "files"
SECRETS = ["forum-secret-of-the-lab", "admin-secret-of-the-lab", "AGE-SECRET-KEY-1"]
ASK = "podman exec forum-db mariadb --no-defaults -uroot --socket=/run/mysqld/mysqld.sock"


def box() -> list[str]:
    script = (FILES / "resp.py").read_text() + (FILES / "state.py").read_text()
    ran = on("db", "python3", "-", "box", stdin=script)
    assert ran.returncode == 0, ran.stderr
    found: list[str] = json.loads(ran.stdout)["box"]
    return found


def typed(*words: str, stdin: str = "") -> tuple[str, set[str]]:
    ran, programs = watched("db", *words, secrets=SECRETS, stdin=stdin)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip(), programs


def test_the_forum_comes_back_and_goes_again(db: Host, keys: Path) -> None:
    whole = box()
    assert len(whole) > 60
    backup, programs = typed("run", "boxed")
    assert "podman" in programs
    db.check_output(f"{ASK} -e 'DROP DATABASE forum'")
    db.check_output(
        "podman exec forum-app sh -c 'rm -rf /data/up /data/first; echo new >/data/new'"
    )
    lost = box()

    confirmed = ("--confirm", PHRASE, "--target-host", "db")
    key = (keys / "operator.key").read_text()
    typed("restore", "boxed", backup, "--identity", "-", *confirmed, stdin=key)
    assert box() == whole
    typed("undo", "boxed", backup, *confirmed)
    assert box() == lost
    typed("restore", "boxed", backup, "--identity", "-", *confirmed, stdin=key)
    typed("confirm", "boxed")
    assert box() == whole
    running = db.check_output("podman ps --format '{{.Names}}'").split()
    assert sorted(running) == ["forum-app", "forum-db"]


def test_nothing_is_left_beside_the_volume(db: Host) -> None:
    place = db.check_output("podman volume inspect -f '{{.Mountpoint}}' forum_files")
    assert db.check_output(f"ls -A {Path(place).parent}") == "_data"
    databases = db.check_output(f"{ASK} -N -e 'SHOW DATABASES'").split()
    assert [one for one in databases if "_lb_" in one] == []
