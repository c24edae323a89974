"""What a night leaves: the timer fires, four sources lie in three places, and the disk may be away."""

from __future__ import annotations

import json
import re

from testinfra.host import Host

from tests.lab import hosts
from tests.lab.bolibana import EVERYWHERE
from tests.lab.guide import Guide
from tests.lab.hosts import lifeboat, on, told, wait_for

DAILY = "lifeboat-run@bolibana:daily"
DUMPDATA = (
    "./manage.py dumpdata --natural-foreign --natural-primary --exclude contenttypes"
    " --exclude auth.permission --exclude sessions"
)
OPEN = (
    "set -o pipefail; export GNUPGHOME=$(mktemp -d -p /dev/shm); trap 'rm -r $GNUPGHOME' EXIT;"
    " gpg --batch --quiet --import; cd /srv/export; sha256sum --quiet -c SHA256SUMS >&2;"
    " gpg --batch --quiet --decrypt export.stream.*.gpg | zstd -dqc; gpgconf --kill all"
)


def test_the_daily_timer_fires_and_what_it_starts_is_a_good_backup(web1: Host) -> None:
    """As after nights that the host was off: its last time lies three days back."""
    before = hosts.property_of(web1, f"{DAILY}.timer", "LastTriggerUSec")
    stamp = f"/var/lib/systemd/timers/stamp-{DAILY}.timer"
    web1.check_output(
        f"systemctl stop '{DAILY}.timer' && touch -d '3 days ago' '{stamp}'"
        f" && systemctl start '{DAILY}.timer'"
    )

    def fired() -> bool:
        return hosts.property_of(web1, f"{DAILY}.timer", "LastTriggerUSec") not in ("", before)

    assert wait_for(fired, 20)
    assert wait_for(lambda: told("web1", "list", "bolibana")[0]["type"] == "daily", 60)
    assert wait_for(lambda: not web1.service(f"{DAILY}.service").is_running, 60)
    assert told("web1", "list", "bolibana")[0]["copies"] == EVERYWHERE


def test_weeks_and_months_wait_for_their_turn(web1: Host) -> None:
    for kind, calendar in (("weekly", "Sun *-*-* 03:00:00"), ("monthly", "*-*-01 04:00:00")):
        timer = f"lifeboat-run@bolibana:{kind}.timer"
        assert calendar in hosts.property_of(web1, timer, "TimersCalendar")
        assert hosts.property_of(web1, timer, "ActiveState") == "active"


def test_a_backup_has_a_dated_name_and_says_what_it_holds(web1: Host) -> None:
    newest = told("web1", "list", "bolibana")[0]["id"]
    path = f"/var/backups/lifeboat/catalog/web1/bolibana/{newest}.json"
    manifest = json.loads(web1.file(path).content_string)
    sources = {one["name"]: one for one in manifest["sources"]}
    assert re.fullmatch(r"\d{8}T\d{6}Z-daily-[0-9a-f]{4}", newest)
    assert sorted(sources) == ["db", "export", "media", "settings"]
    assert sources["export"]["totals"]["rows"] >= 4000
    assert sources["media"]["totals"]["files"] == 2


def test_the_export_opens_with_gnupg_and_zstd_alone_and_is_what_dumpdata_writes(
    web1: Host, guide: Guide
) -> None:
    guide.on_host("web1", "Read the export")
    seen = web1.check_output(f"cd /srv/bolibana && runuser -u lifeboat -- {DUMPDATA}")
    key = (guide.home / "operator.secret.asc").read_text()
    opened = on("web1", "bash", "-euc", OPEN, stdin=key)
    assert opened.returncode == 0, opened.stderr
    assert json.loads(opened.stdout) == json.loads(seen)
    assert "export.stream" in web1.file("/srv/export/RESTORE.md").content_string


def test_a_run_by_hand_before_a_deployment_is_tagged(guide: Guide) -> None:
    guide.on_host("web1", "By hand, and from Celery")
    newest = told("web1", "list", "bolibana")[0]
    assert (newest["type"], newest["copies"]) == ("predeploy", EVERYWHERE)
    assert "v1.2.3" in json.dumps(newest)


def test_an_empty_mount_point_is_never_written_to_and_the_disk_gets_it_later(
    web1: Host, guide: Guide
) -> None:
    web1.check_output("umount /mnt/external")
    ran = lifeboat("web1", "run", "bolibana", "--json")
    assert ran.returncode == 3, ran.stderr
    assert "nothing is mounted there" in ran.stdout + ran.stderr
    assert web1.check_output("ls -A /mnt/external") == ""
    guide.on_host("web1", "Plug the external disk in", 1)
    id_ = json.loads(ran.stdout)["id"]
    carried = next(one for one in told("web1", "list", "bolibana") if one["id"] == id_)
    assert carried["copies"] == EVERYWHERE
