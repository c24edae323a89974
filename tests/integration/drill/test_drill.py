# SPDX-License-Identifier: GPL-3.0-or-later
"""A drill restores for real, from a destination, into throw-away places, and tells the truth about it."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
from pathlib import Path
from typing import Any

import pytest
from lifeboat.throwaway import server_user

from .conftest import DrillHost


def test_every_kind_of_source_is_restored_in_a_server_of_its_own(
    host: DrillHost,
    tmp_path: Path,
    postgresql_source: dict[str, Any],
    mariadb_source: dict[str, Any],
    redis_source: dict[str, Any],
) -> None:
    uploads = tmp_path / "uploads"
    uploads.mkdir()
    (uploads / "one").write_text("1")
    (uploads / "link").symlink_to("one")
    found = tmp_path / "found"
    host.job["sources"].update(
        pg=postgresql_source,
        my=mariadb_source,
        cache=redis_source,
        uploads={"type": "files", "paths": [str(uploads)]},
        app={"type": "command", "dump": ["echo", "all of it"]},
    )
    check = f"""
        exec >{found}
        psql -X -A -t -h "$LIFEBOAT_DRILL_PG_HOST" -U "$LIFEBOAT_DRILL_PG_USER" \
            -d "$LIFEBOAT_DRILL_PG_DATABASE" -c 'select count(*) from book'
        mariadb --no-defaults -S "$LIFEBOAT_DRILL_MY_SOCKET" -u root -N \
            -e 'select count(*) from titles' "$LIFEBOAT_DRILL_MY_DATABASE"
        redis-cli -s "$LIFEBOAT_DRILL_CACHE_SOCKET" -n 7 get other
        cat "$LIFEBOAT_DRILL_UPLOADS_PATH{uploads}/link"; echo
        sqlite3 "$LIFEBOAT_DRILL_DB_PATH" 'select count(*) from book'
        psql -X -A -t -q -h "$LIFEBOAT_DRILL_PG_HOST" -U "$LIFEBOAT_DRILL_PG_USER" -d postgres \
            -c 'create temp table who (name text)' -c "copy who from program 'id -u'" -c 'table who'
        stat -c %u "$LIFEBOAT_DRILL_MY_SOCKET" "$LIFEBOAT_DRILL_CACHE_SOCKET"
    """
    host.job["drill"] = {"check": ["sh", "-ec", check]}
    host.job["objectives"] = {"rto": "1h", "rpo": "24h"}
    host.configure()
    host.run()

    told = host.told()

    how = {name: one["how"] for name, one in told["sources"].items()}
    assert how.pop("app") == "read"  # nothing but its own program can restore it
    assert how == dict.fromkeys(("db", "pg", "my", "cache", "uploads"), "restored")
    counted, users = found.read_text().split()[:5], found.read_text().split()[5:]
    assert counted == ["500", "3", "value", "1", "1000"]
    ours = pwd.getpwnam(server_user()).pw_uid if server_user() else os.geteuid()
    assert (
        users == [str(ours)] * 3
    )  # what a forged backup runs, it runs as nobody of the live servers
    assert told["sources"]["pg"]["totals"]["rows"] == 500
    assert told["sources"]["pg"]["rto"]["met"] is True
    assert told["rpo"]["met"] is True
    assert {"choose", "fetch", "start", "restore", "compare", "check"} <= set(told["phases"])
    assert host.left() == []


def test_mongodb_is_restored_through_a_socket(
    host: DrillHost, mongodb_source: dict[str, Any]
) -> None:
    """By FerretDB in the place of a mongod: its own options are not tried by this."""
    host.job["sources"] = {"docs": mongodb_source}
    host.job["drill"] = {"check": ["sh", "-c", 'test -S "$LIFEBOAT_DRILL_DOCS_SOCKET"']}
    host.configure()
    host.run()

    told = host.told()

    assert told["sources"]["docs"]["totals"]["rows"] == 70
    assert told["restorable"]
    assert host.left() == []


def test_what_was_restored_as_a_whole_is_marked_and_remembered(host: DrillHost) -> None:
    told = host.told("--metadata")

    assert told["passed"]
    assert told["restorable"]
    assert host.state() == "restorable"
    (remembered,) = host.history()
    assert remembered["id"] == told["id"]
    assert remembered["sources"]["db"]["seconds"] > 0
    assert remembered["what"] == "metadata"


def test_only_a_part_says_nothing_of_the_whole(host: DrillHost) -> None:
    assert host.told("--only", "db")["passed"]
    assert host.state() == "intact"


def test_the_key_that_opened_it_is_named_and_never_shown(host: DrillHost) -> None:
    public = host.configuration["encryption"]["age_recipients"][0]

    (opened,) = host.told()["opened_by"]

    assert opened["recipient"] == public
    assert opened["fingerprint"].startswith("SHA256:")
    assert "AGE-SECRET" not in (host.root / "state/log/history.jsonl").read_text()


def test_an_escrow_key_is_proved(host: DrillHost, tmp_path: Path) -> None:
    escrow = tmp_path / "escrow.key"
    subprocess.run(["age-keygen", "-o", str(escrow)], check=True, capture_output=True)
    public = subprocess.run(
        ["age-keygen", "-y", str(escrow)], check=True, capture_output=True, text=True
    ).stdout.strip()
    host.configuration["encryption"]["age_recipients"].append(public)
    host.configure()
    host.run()
    host.key = escrow

    assert [one["recipient"] for one in host.told()["opened_by"]] == [public]


@pytest.mark.parametrize("number", [0, 1])
def test_any_one_of_the_newest_good_is_drilled_and_no_other(host: DrillHost, number: int) -> None:
    good = [host.run(), host.run()]  # and one before them, which is too old
    bad = host.run()
    archive = next(host.disk.glob(f"archives/h1/shop/{bad}/db.database*"))
    archive.write_bytes(archive.read_bytes()[:-1])
    assert host.lifeboat("verify", bad).returncode == 1
    host.job["drill"] = {"among": 2}
    host.configure()
    note = host.base / "among"
    dice = f"""
import secrets
def choice(of):
    if hasattr(of[0], "id"):
        open({str(note)!r}, "w").write(" ".join(one.id for one in of))
        return of[{number}]
    return of[0]
secrets.choice = choice
"""

    drilled = host.told("random", before=dice)["id"]

    among = note.read_text().split()
    assert sorted(among) == sorted(good)
    assert drilled == among[number]


@pytest.mark.parametrize("place", ["disk", "second"])
def test_a_random_drill_restores_from_any_destination(
    host: DrillHost, tmp_path: Path, place: str
) -> None:
    (tmp_path / "second").mkdir()
    host.configuration["destinations"]["second"] = {
        "type": "local",
        "path": str(tmp_path / "second"),
    }
    host.job["destinations"].append("second")
    host.configure()
    host.run()
    dice = f"import secrets; secrets.choice = lambda of: {place!r} if {place!r} in of else of[0]"

    words = ("drill", "shop", "random", "--identity", str(host.key), "--json")
    done = host.lifeboat(*words, before=dice)

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[0]["destination"] == place


def test_the_copy_at_the_destination_is_restored_and_no_other(
    host: DrillHost, tmp_path: Path
) -> None:
    host.configuration["destinations"]["second"] = {
        "type": "local",
        "path": str(tmp_path / "second"),
    }
    (tmp_path / "second").mkdir()
    host.job["destinations"].append("second")
    host.configure()
    host.run()
    for archive in (tmp_path / "second").glob("archives/*/*/*/db.database*"):
        content = archive.read_bytes()
        archive.unlink()
        archive.write_bytes(content[:-1] + b"x")

    assert host.told("--at", "disk")["passed"]
    told = host.told("--at", "second", expected=1)

    assert "corrupt" in told["sources"]["db"]["problem"]
    assert told["mark"] == "bad"


@pytest.mark.parametrize("left", ["clear", "restore"])
def test_no_program_of_the_live_data_is_part_of_a_place_for_drills(
    host: DrillHost, tmp_path: Path, left: str
) -> None:
    real, stand_in = tmp_path / "real", tmp_path / "stand-in"
    real.write_text("all of it\n")

    def programs(place: Path) -> dict[str, list[str]]:
        load = ["sh", "-c", f"cat >{place}"]
        return {"dump": ["cat", str(place)], "restore": load, "clear": ["rm", "-f", str(place)]}

    host.job["sources"] = {"app": {"type": "command", **programs(real)}}
    host.configure()
    assert host.lifeboat("run", "shop").returncode == 0
    own = {key: value for key, value in programs(stand_in).items() if key != left}
    host.job["drill"] = {"sources": {"app": {**own, "restore_without_copy": True}}}
    host.configure()
    done = host.drill()
    assert real.read_text() == "all of it\n"
    assert done.returncode == 2
    assert f"drill.sources.app: give its `{left}` too" in done.stderr


def test_a_place_that_the_user_names_is_restored_into_in_a_measured_time_and_left_empty(
    host: DrillHost, tmp_path: Path
) -> None:
    real, stand_in = tmp_path / "real", tmp_path / "stand-in"
    real.write_text("all of it")
    host.job["sources"]["app"] = {
        "type": "command",
        "dump": ["cat", str(real)],
        "restore": ["tee", str(real)],
    }
    host.job["drill"] = {
        "sources": {
            "app": {
                "dump": ["cat", str(stand_in)],
                "restore": ["sh", "-c", f"sleep 1.1; cat >{stand_in}"],
                "clear": ["rm", "-f", str(stand_in)],
                "restore_without_copy": True,
            }
        },
        "check": ["grep", "-q", "all of it", str(stand_in)],
    }
    host.job["objectives"] = {"rto": "1s", "rpo": "1s"}
    host.configure()
    host.run()
    real.write_text("newer")

    told = host.told()

    assert told["sources"]["app"]["how"] == "restored"
    assert told["restorable"]
    assert told["sources"]["app"]["rto"] == {
        "seconds": told["sources"]["app"]["seconds"],
        "objective": 1.0,
        "met": False,  # which is no failure of the drill
    }
    assert not stand_in.exists()
    assert real.read_text() == "newer"


def test_a_place_that_is_not_empty_is_not_touched(host: DrillHost, tmp_path: Path) -> None:
    stand_in = tmp_path / "other.db"
    stand_in.write_text("mine")
    host.job["drill"] = {"sources": {"db": {"path": str(stand_in)}}}
    host.configure()

    told = host.told(expected=1)

    assert "is not empty" in told["sources"]["db"]["problem"]
    assert stand_in.read_text() == "mine"


def test_a_drill_host_restores_another_host_s_backup_with_a_key_of_its_own(
    host: DrillHost, tmp_path: Path
) -> None:
    key = tmp_path / "drill.key"
    subprocess.run(["age-keygen", "-o", str(key)], check=True, capture_output=True)
    public = subprocess.run(
        ["age-keygen", "-y", str(key)], check=True, capture_output=True, text=True
    ).stdout.strip()
    host.configuration["encryption"]["age_recipients"].append(public)
    host.configure()
    made = host.run()
    other = DrillHost(tmp_path, "drills", disk=host.disk)
    other.job["drill"] = {"hosts": ["h1"], "identity": {"credential": "drill_key"}}
    other.job["drills"] = {"weekly": {"at": "Sun 05:00"}}
    other.configure()
    store = other.root / "config/credentials"
    store.mkdir(mode=0o700)
    (store / "drill_key").write_text(json.dumps(key.read_text()))
    (store / "drill_key").chmod(0o600)

    done = other.lifeboat("drill", "--unit", "shop:weekly", "--json")

    assert done.returncode == 0, done.stderr
    (told,) = json.loads(done.stdout)
    assert (told["id"], told["host"], told["restorable"]) == (made, "h1", True)
    assert host.state() == "restorable"
    assert other.lifeboat("run", "shop").returncode == 2
    standing = other.lifeboat("status")
    assert standing.returncode == 0, standing.stdout
    assert "weekly drill" in standing.stdout
    assert "lifeboat restore" not in other.lifeboat("runbook").stdout  # it is for the other host
    looked = json.loads(other.lifeboat("doctor", "--json").stdout)
    assert [one for one in looked if one["area"] in ("source", "3-2-1", "protection")] == []
    assert [one["told"] for one in looked if one["area"] in ("keys", "destination")] == [
        "a private key for its drills",
        "reached, and holds 2 backups of h1",
    ]
    (store / "drill_key").unlink()
    assert "drill_key" in next(
        one["told"]
        for one in json.loads(other.lifeboat("doctor", "--json").stdout)
        if one["area"] == "keys"
    )
