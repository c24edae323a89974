"""How it stands after the story: secrets, the shared host, logs, and what the monitoring is told."""

from __future__ import annotations

import json
import re

from testinfra.host import Host

from tests.lab.guide import Guide
from tests.lab.hosts import lifeboat, on, run, told, watched

BACKUPS = "/srv/sftp/b11/data/backups"


def secrets(guide: Guide) -> list[str]:
    """A line of each secret that the host uses, as the vault shows it."""
    lines = []
    for name, line in (("shared_key", 3), ("operator.key", -1)):
        shown = on_controller(guide, name)
        lines.append(shown.splitlines()[line])
    assert "KEY" not in lines[0]
    return [*lines, "abcdefg_hijklmnop"]


def on_controller(guide: Guide, name: str) -> str:
    words = ["ansible-vault", "view", "--vault-password-file", str(guide.home / ".b11-vault")]
    ran = run([*words, str(guide.place / "secrets" / name)])
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_the_shared_host_speaks_nothing_but_sftp_and_needs_nothing_of_ours(
    guide: Guide, shared: Host
) -> None:
    shared.run_expect([1, 127], "command -v lifeboat age zstd psql")
    log = shared.check_output("journalctl --no-pager -u ssh")
    assert "Accepted publickey for b11" in log
    assert "Accepted password" not in log
    shell = (
        "ssh -qi /run/key -o BatchMode=yes -o StrictHostKeyChecking=no b11@shared.example.net id"
    )
    script = f"umask 077; cat >/run/key; timeout 20 {shell}; status=$?; rm /run/key; exit $status"
    ran = on("db", "sh", "-c", script, stdin=on_controller(guide, "shared_key"))
    assert ran.returncode not in (0, 124)
    assert "sftp connections only" in ran.stdout


def test_what_lies_there_is_ciphertext_and_a_catalog(shared: Host) -> None:
    files = shared.check_output(f"find {BACKUPS}/archives -type f").split()
    archives = [one for one in files if one.endswith(".age")]
    assert archives
    assert {one.rsplit("/", 1)[1] for one in set(files) - set(archives)} <= {
        "SHA256SUMS",
        "RESTORE.md",
    }
    headers = f"find {BACKUPS} -name '*.age' -exec head -qn 1 {{}} +"
    assert set(shared.check_output(f"{headers} | sort -u").splitlines()) == {
        "age-encryption.org/v1"
    }
    shared.run_expect([1], f"grep -rqa 'Müller' {BACKUPS}")
    assert shared.check_output(f"find {BACKUPS} -name '.part-*'") == ""


def test_no_secret_lies_in_clear_is_logged_or_listed(guide: Guide, db: Host) -> None:
    lines = secrets(guide)
    places = "/etc /var/log /var/lib/lifeboat /run/systemd /run/lifeboat"
    for line in lines:
        shown = on("db", "sh", "-c", f"grep -rlaF -f - {places}", stdin=line)
        assert shown.stdout == "", shown.stdout
        assert line not in db.check_output("journalctl --no-pager -q")
    ran, programs = watched("db", "run", "production", secrets=lines)
    assert ran.returncode == 0, ran.stderr
    assert programs & {"pg_dump", "zstd", "age"}


def test_what_the_reader_may_commit_holds_no_secret(guide: Guide) -> None:
    texts = [one.read_text() for one in guide.place.rglob("*") if one.is_file()]
    assert len(texts) > 8
    assert not [line for line in secrets(guide) if any(line in text for text in texts)]


def test_logs_say_good_and_bad_and_are_rotated(db: Host) -> None:
    log = "/var/log/lifeboat/lifeboat.log"
    assert re.search(r"production backup \S+ FAILED", db.check_output(f"cat {log}"))
    rules = db.file("/etc/logrotate.d/lifeboat").content_string
    assert "rotate 12" in rules
    db.check_output("/usr/sbin/logrotate --force /etc/logrotate.d/lifeboat")
    assert db.file(f"{log}.1").exists
    assert db.file("/var/log/lifeboat/history.jsonl.1").exists


def test_every_copy_is_proved_and_the_job_stands_well() -> None:
    assert lifeboat("db", "verify", "production").returncode == 0
    standing = told("db", "status", "production")
    assert [one for one in standing if one["state"] == "critical"] == []


def test_the_time_limits_are_those_that_were_chosen(db: Host) -> None:
    made = json.loads(db.file("/etc/lifeboat/config.json").content_string)
    shared = made["destinations"]["shared"]
    assert (shared["connect_timeout"], shared["timeout"]) == ("30s", "2m")
    assert made["jobs"]["production"]["stall_timeout"] == "30m"
