# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep what was seen of each job and what people were told, in files of one directory; write the metrics.

<state>/watch/<job>.json    the newest observation of a job
<state>/watch/told.json     problems that are known, messages that wait, what could not be delivered
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..errors import LifeboatError
from ..files import lock, make_private, read_small, remove, write
from ..job import Job
from ..operations.drills import record as drill_record
from ..operations.standing import audit, denied, history, status
from ..operations.watching import alarms, metrics, observe
from ..operations.watching.alarms import Known, Message
from .session import Session, now
from .standing import of_job
from .watch import shown

TEXTFILES = Path("/var/lib/prometheus/node-exporter")  # of Debian's node_exporter
_TOLD = "told.json"
_ATTEMPTS = ("restore", "undo")
_KEPT_S = 7 * 86400.0  # a message that nobody took


@dataclass
class Told:
    """What people know, and what they are still to be told."""

    known: dict[str, Known] = field(default_factory=dict)
    waiting: list[Message] = field(default_factory=list)
    failures: dict[str, int] = field(default_factory=dict)  # of each URL, ever
    sent_at: float = 0.0  # when something was delivered last
    flush_at: float = 0.0  # when somebody who waits will deliver the rest
    denied: int | None = None  # accesses to our files, as of the last look at all jobs
    changed: int | None = None  # places in the audit log


class Lookout:
    """The files. Reading tolerates whatever a power cut left: what cannot be read was never seen."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._folder = session.paths.state / "watch"

    @contextmanager
    def held(self) -> Iterator[None]:
        """One at a time reads and writes what is here."""
        make_private(self._folder, 0o750)
        with lock(self._folder / "watch.lock", "freshness", wait=True):
            yield

    def keep(self, seen: Mapping[str, Any]) -> None:
        content = json.dumps(seen, sort_keys=True, default=str).encode()
        write(self._folder / f"{seen['job']}.json", content, 0o640)

    def seen(self) -> list[Mapping[str, Any]]:
        """The newest observation of each configured job that has one; of others it is removed."""
        jobs = self._session.configuration.jobs
        found = []
        for path in sorted(self._folder.glob("*.json")):
            if path.name == _TOLD:
                continue
            if path.stem not in jobs:
                remove(path)
                continue
            mapping = self._read(path)
            if mapping.get("job") == path.stem:
                found.append(mapping)
        return found

    def drilled_elsewhere(self, job: str) -> Mapping[str, Any] | None:
        """The newest report of a drill by another host, as the last look at the job found it."""
        told = self._read(self._folder / f"{job}.json").get("elsewhere")
        return told if isinstance(told, dict) and isinstance(told.get("at"), str) else None

    def told(self) -> Told:
        mapping = self._read(self._folder / _TOLD)
        try:
            return Told(
                known={key: Known(**one) for key, one in mapping.get("known", {}).items()},
                waiting=[
                    Message(**{**one, "to": tuple(one["to"])}) for one in mapping.get("waiting", [])
                ],
                failures={key: int(one) for key, one in mapping.get("failures", {}).items()},
                sent_at=float(mapping.get("sent_at", 0)),
                flush_at=float(mapping.get("flush_at", 0)),
                denied=mapping.get("denied"),
                changed=mapping.get("changed"),
            )
        except (TypeError, ValueError, KeyError, AttributeError):
            return Told()  # of another release, or not ours

    def keep_told(self, told: Told) -> None:
        young = [one for one in told.waiting if abs(time.time() - one.at) < _KEPT_S]
        told.waiting = alarms.merged(young)
        write(self._folder / _TOLD, json.dumps(asdict(told), sort_keys=True).encode(), 0o640)

    def metrics(self, fresh: Sequence[Mapping[str, Any]] | None = None) -> str:
        """All that is known of this host, as node_exporter reads it; of `fresh` observations, if given."""
        told, configuration = self.told(), self._session.configuration
        samples = [
            *metrics.of_host(
                configuration.host, told.failures, len(told.waiting), told.denied, told.changed
            )
        ]
        for name, job in sorted(configuration.jobs.items()):
            samples.append(metrics.of_configured(name, job.environment))
        for seen in self.seen() if fresh is None else fresh:
            try:
                samples += metrics.of_job(seen)
            except (KeyError, TypeError, ValueError, LifeboatError):
                continue  # seen by another release; the next check sees it anew
        return metrics.render(samples)

    def write_metrics(self) -> Path | None:
        """The file written, None without a directory for it; raises OSError when that is not there."""
        folder = self._session.configuration.textfile
        system = self._session.paths.scope == "system"
        if folder is None and (not system or not TEXTFILES.is_dir()):
            return None
        name = "lifeboat.prom" if system else f"lifeboat-{os.getuid()}.prom"
        path = (folder or TEXTFILES) / name
        write(path, self.metrics().encode(), 0o644)  # node_exporter is another user
        return path

    def _read(self, path: Path) -> Mapping[str, Any]:
        try:
            mapping = json.loads(read_small(path, 16 << 20))
        except (OSError, ValueError, LifeboatError, RecursionError):
            return {}
        return mapping if isinstance(mapping, dict) else {}


def look(session: Session, job: Job) -> observe.Observation:
    """Ask the job's destinations, read its history, try its encryption."""
    moment, there = now(), status.asked(job)
    past, elsewhere = session.paths.history, drill_record.newest(job, there, moment)
    looked = observe.Looked(
        there=there,
        standings=of_job(session, job, there, moment, elsewhere),
        runs=history.past(past, job.name),
        drills=drill_record.known(past, job, elsewhere),
        prunes=history.past(past, job.name, "prune"),
        attempts=[one for event in _ATTEMPTS for one in history.past(past, job.name, event)],
        places=_places(session, job),
        exposed=_exposed(session, job),
        timers=_timers(session, job),
        elsewhere=elsewhere,
    )
    return observe.observe(job, looked, moment)


def look_around(session: Session, told: Told) -> list[alarms.Problem]:
    """Signs that somebody did what nobody may: what is wrong, and the numbers added to `told`."""
    configuration, paths = session.configuration, session.paths
    folders = {paths.config, paths.state, paths.log}
    for job in configuration.jobs.values():
        folders.update(_places(session, job).values())
    found = denied.by_system(sorted(map(str, folders)), now())
    try:
        changed = audit.check(paths.log / audit.NAME).breaks
    except LifeboatError as exc:
        changed = (str(exc),)
    told.denied, told.changed = None if found is None else len(found), len(changed)
    return [*alarms.of_host([shown(str(one)) for one in found or ()], changed)]


def _places(session: Session, job: Job) -> dict[str, Path]:
    places = {"spool": session.area(job).spool.parent, "log": session.paths.log}
    for one in job.destinations:
        for path in filter(os.path.isabs, one.needs().writes):
            places[one.name] = Path(path)
    return places


def _exposed(session: Session, job: Job) -> list[str]:
    """Files of ours with rights for everybody. A destination may be read: what it holds is encrypted."""
    paths = session.paths
    wanted: Sequence[tuple[Path, int]] = (
        (paths.config_file, 0o007),
        (paths.credentials, 0o077),
        (paths.log, 0o007),
        (session.area(job).spool.parent, 0o007),
        *((path, 0o002) for path in _places(session, job).values()),
    )
    found = set()
    for path, rights in wanted:
        try:
            if path.stat().st_mode & rights:
                found.add(str(path))
        except OSError:
            continue
    return sorted(found)


def _timers(session: Session, job: Job) -> dict[str, bool]:
    """{type: whether its timer is enabled}; empty where no timers were ever installed."""
    units = session.paths.units
    if not (units / "lifeboat-run@.timer").exists():
        return {}
    links = units / "timers.target.wants"
    found = {
        one.type: (links / f"lifeboat-run@{job.name}:{one.type}.timer").is_symlink()
        for one in job.schedules
    }
    for drill in job.drilling.schedules:
        timer = f"lifeboat-drill@{job.name}:{drill.type}.timer"
        found[f"drill {drill.type}"] = (links / timer).is_symlink()
    return found
