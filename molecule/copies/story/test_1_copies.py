"""Copies in three places; sealed where they can be; brought back from each of them, when they are all there is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from testinfra.host import Host

from tests.lab import hosts
from tests.lab.hosts import PHRASE, told, wait_for

EVERYWHERE = {"disk": "intact", "offsite": "intact", "vault": "intact"}
TREE = "/srv/lifeboat/db/backups"
LOOK = 'sha256sum /srv/shop/uploads/* && python3 -c "%s"' % (
    "import sqlite3; print(sqlite3.connect('/srv/shop/shop.db').execute("
    "'SELECT count(*), sum(id), max(of) FROM orders').fetchone())"
)


def back_up() -> str:
    report = told("db", "run", "shop")
    assert {one["name"]: one["state"] for one in report["destinations"]} == EVERYWHERE
    return str(report["id"])


def protected() -> dict[str, bool]:
    ran = hosts.lifeboat("db", "destination", "check", "--json")
    return {one["destination"]: one["protected"] for one in json.loads(ran.stdout)}


def copies_at(place: str) -> dict[str, str]:
    """{id: state of its copy there}"""
    return {one["id"]: one["copies"].get(place, "") for one in told("db", "list", "shop")}


def theirs(vault: Host) -> str:
    """What is still the client's among the objects that it has sent."""
    return str(vault.check_output(f"find {TREE} -type f -user db ! -name '.*'"))


@pytest.fixture(scope="module")
def whole(db: Host) -> str:
    return str(db.check_output(LOOK))


@pytest.fixture(scope="module")
def first(whole: str) -> str:
    return back_up()


def test_every_copy_is_proved(first: str) -> None:
    """And the first backup was made by site.yml; at its own disk the host has let it go since."""
    listed = told("db", "list", "shop")
    assert len(listed) >= 2
    assert listed[0]["copies"] == EVERYWHERE
    assert {one["copies"][place] for one in listed for place in ("offsite", "vault")} == {"intact"}


def test_the_timer_seals_what_was_committed(vault: Host, first: str) -> None:
    sealed = f"{TREE}/catalog/db/shop/{first}.json"
    assert wait_for(lambda: vault.file(sealed).user == "root", 60), vault.run(
        "journalctl --no-pager -u lifeboat-receiver-seal.service -n 30"
    ).stdout
    assert wait_for(lambda: theirs(vault) == "", 60)
    assert vault.file(sealed).mode == 0o440
    assert vault.file(f"{TREE}/archives/db/shop/{first}").mode == 0o1770


def test_the_host_says_where_its_backups_are_safe_from_it(db: Host) -> None:
    assert wait_for(lambda: protected() == {"disk": False, "offsite": True, "vault": True}, 60), (
        protected()
    )
    assert hosts.lifeboat("db", "destination", "check").returncode == 0


def test_the_host_goes_on_backing_up(first: str, whole: str) -> None:
    """New ids beside sealed ones, and marks beside a sealed manifest."""
    second = back_up()
    assert second > first
    assert hosts.lifeboat("db", "tag", first, "sealed").returncode == 0


def test_the_receiver_lets_old_backups_of_its_clients_go(vault: Host) -> None:
    newest = back_up()
    planned = told("vault", "receiver", "prune")
    gone = [one["id"] for one in planned[0]["expired"]]
    assert gone
    vault.check_output("systemctl start lifeboat-receiver-prune.service")
    left = copies_at("vault")
    assert left[newest] == "intact"
    assert not {id_ for id_ in gone if left.get(id_) == "intact"}
    timer = "lifeboat-receiver-prune.timer"
    assert vault.check_output(f"systemctl is-active {timer}") == "active"


def test_the_pruner_lets_them_go_in_the_bucket(vault: Host, first: str) -> None:
    """With an identity of its own, for the host that wrote them may not. What has a tag stays."""
    there = copies_at("offsite")
    assert len([state for state in there.values() if state == "intact"]) > 1
    told("vault", "prune", "--all-hosts", "--apply")
    left = copies_at("offsite")
    assert {id_ for id_, state in left.items() if state == "intact"} == {max(there), first}


@pytest.mark.parametrize("place", ["disk", "offsite", "vault"])
def test_each_copy_brings_everything_back(db: Host, keys: Path, whole: str, place: str) -> None:
    newest = next(
        one["id"] for one in told("db", "list", "shop") if one["copies"].get(place) == "intact"
    )
    db.check_output("rm -rf /srv/shop/uploads /srv/shop/shop.db")
    words = ("--identity", "-", "--confirm", PHRASE, "--target-host", "db", "--at", place)
    told("db", "restore", "shop", newest, *words, stdin=(keys / "operator.key").read_text())
    assert db.check_output(LOOK) == whole
    told("db", "confirm", "shop")
