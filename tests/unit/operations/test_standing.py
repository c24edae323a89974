# SPDX-License-Identifier: GPL-3.0-or-later
"""Three claims, never one light; objectives are measured, and what was never measured is not met."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest
from lifeboat.errors import DestinationError
from lifeboat.job import Job, Objectives
from lifeboat.operations.copies.claims import claims, proved
from lifeboat.operations.standing import status
from lifeboat.operations.watching.objectives import measure, standings
from lifeboat.policy import Schedule
from lifeboat.stored import Copy, Mark

NOW = datetime(2026, 11, 21, 12, tzinfo=timezone.utc)


def ago(**length: float) -> datetime:
    return NOW - timedelta(**length)


def copy(*kinds: tuple[str, datetime], at: datetime = NOW, type_: str = "daily") -> Copy:
    id_ = f"{at:%Y%m%dT%H%M%SZ}-{type_}-7f3a"
    return Copy(id_, at, type_, True, tuple(Mark(kind, when) for kind, when in kinds))


def job(**promised: Any) -> Job:
    source: Any = SimpleNamespace(name="db")
    return Job(
        "shop",
        "h1",
        "production",
        (source,),
        (),
        (),
        schedules=(Schedule("hourly", "*:05", ("db",)),),
        objectives=(("db", Objectives(**promised)),),
    )


@pytest.mark.parametrize(
    ("kinds", "claimed"),
    [
        ((), set()),
        ((("intact", NOW),), {"intact"}),
        ((("intact", ago(days=1)), ("readable", NOW)), {"intact", "readable"}),
        ((("drilled", NOW),), {"intact", "readable", "restorable"}),
        ((("drilled", ago(days=1)), ("bad", NOW)), set()),
        ((("bad", ago(days=1)), ("intact", NOW)), {"intact"}),
    ],
)
def test_each_proof_claims_what_it_proves(
    kinds: tuple[tuple[str, datetime], ...], claimed: set[str]
) -> None:
    assert set(proved(copy(*kinds))) == claimed


def test_a_claim_names_its_newest_proof() -> None:
    old = copy(("drilled", ago(days=3)), at=ago(days=4))
    new = copy(("intact", ago(hours=1)), at=ago(hours=2))
    told = claims([new, old])
    assert told["intact"] == {"id": new.id, "at": "2026-11-21T11:00:00Z"}
    assert told["restorable"] == {"id": old.id, "at": "2026-11-18T12:00:00Z"}
    assert claims([new])["restorable"] is None


INTACT = ("intact", NOW)


@pytest.mark.parametrize(("age_h", "state"), [(2, "good"), (24.5, "good"), (25.5, "critical")])
def test_rpo_is_measured_by_the_newest_good_copy(age_h: float, state: str) -> None:
    held = [copy(INTACT, at=ago(hours=age_h)), copy(at=NOW)]  # the newest is not proved
    promised = job(rpo=timedelta(hours=24))
    (told,) = standings("shop", measure(promised, held, [], NOW), NOW)
    assert (told.source, told.state, told.age_s) == ("db", state, int(age_h * 3600))


def test_a_backup_of_some_sources_counts_for_those_that_it_asked_for() -> None:
    subset = copy(INTACT, ("subset", NOW), at=ago(hours=1), type_="hourly")
    other = copy(INTACT, ("subset", NOW), at=ago(hours=1), type_="manual")
    promised = job(rpo=timedelta(hours=24))
    assert measure(promised, [subset], [], NOW)[0].point == ago(hours=1)
    assert measure(promised, [other], [], NOW)[0].point is None


def restored(seconds: float) -> dict[str, Any]:
    """A drill of the history."""
    return {"sources": {"db": {"how": "restored", "seconds": seconds, "problem": ""}}}


@pytest.mark.parametrize(
    ("drills", "state"),
    [
        ([], "warning"),
        ([restored(60)], "good"),
        ([restored(60), restored(9000)], "critical"),
        (
            [restored(9000), restored(5), {"sources": {"db": {"how": "read", "seconds": 9000}}}],
            "good",
        ),
        ([{"sources": {"db": {"how": "failed", "seconds": 60, "problem": "no room"}}}], "warning"),
    ],
)
def test_rto_is_measured_by_the_last_drill_that_went_well(drills: Any, state: str) -> None:
    promised = job(rto=timedelta(minutes=30))
    (told,) = standings("shop", measure(promised, [], drills, NOW), NOW)
    assert told.state == state, told.reason


@pytest.mark.parametrize(("age_d", "state"), [(3, "good"), (36, "warning")])
def test_what_another_host_drilled_was_measured_there(age_d: float, state: str) -> None:
    held = [copy(INTACT, ("drilled", ago(days=age_d)), at=ago(days=age_d))]
    promised = job(rto=timedelta(minutes=30))
    (told,) = standings("shop", measure(promised, held, [], NOW), NOW)
    assert told.state == state, told.reason


def test_without_an_objective_nothing_is_said() -> None:
    assert standings("shop", measure(job(), [], [], NOW), NOW) == []


# -- cold storage, where nobody can read a copy back


class Named:
    """A destination that is asked for nothing but its name, and whose manifests are of nobody."""

    def __init__(self, name: str) -> None:
        self.name = name

    def open(self, key: str) -> Any:
        raise DestinationError(f"{key} is not there", missing=True)


def stands(cold: list[Copy], disk: list[Copy]) -> dict[str, Any]:
    told: Any = [(Named("cold"), cold), (Named("disk"), disk)]
    return {one.destination: one for one in status.standings(job(), told, NOW)}


def test_an_archived_copy_is_fresh_where_the_backup_is_good_elsewhere() -> None:
    archived, intact = copy(("archived", NOW)), copy(INTACT)
    found = stands([archived], [intact])["cold"]
    assert found.newest_good == archived.id
    assert "newest, good elsewhere, is" in found.reason
    assert "1 are archived: accepted there, and read back by nobody" in found.reason


@pytest.mark.parametrize("elsewhere", [[], [copy(("bad", NOW))], [copy(INTACT, at=ago(days=1))]])
def test_an_archived_copy_alone_is_no_good_backup(elsewhere: list[Copy]) -> None:
    found = stands([copy(("archived", NOW))], elsewhere)["cold"]
    assert (found.state, found.newest_good) == ("critical", "")
    assert "there is no good backup; 1 are archived" in found.reason


# -- a mark that says somebody may still have to choose another backup


def test_what_holds_the_pruner_is_told() -> None:
    """Anybody who may add names can renew such a mark: nothing would be deleted, and nobody would see why."""
    told = "nothing is pruned: the restore of"
    held = stands([], [copy(INTACT, ("restored", ago(days=2)))])["disk"]
    assert held.state in ("warning", "critical")
    assert told in held.reason
    settled = copy(INTACT, ("restored", ago(days=2)), ("settled", ago(days=1)))
    assert told not in stands([], [settled])["disk"].reason
    assert told not in stands([], [copy(INTACT, ("restored", ago(days=30)))])["disk"].reason
