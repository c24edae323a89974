# SPDX-License-Identifier: GPL-3.0-or-later
"""Write observations as metrics: the text that node_exporter reads. Pure. docs/monitoring.md#metrics lists them.

Instants, not ages: an age in a file would stand still. The label is `job_name`, since Prometheus has a
`job` of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ...naming import parse_id
from ...version import VERSION
from ..standing.status import ORDER

METRICS = {  # name -> help; all are gauges but those that end in _total
    "lifeboat_build_info": "The lifeboat that wrote this; always 1.",
    "lifeboat_job_info": "A job of this host's configuration; always 1.",
    "lifeboat_check_timestamp_seconds": "When the job was looked at last.",
    "lifeboat_job_state": "0 good, 1 warning, 2 critical, as `lifeboat status` tells it.",
    "lifeboat_destination_up": "Whether the destination told what it holds.",
    "lifeboat_last_good_timestamp_seconds": "The instant of the newest good backup there.",
    "lifeboat_last_good_size_bytes": "Its size as stored.",
    "lifeboat_oldest_timestamp_seconds": "The instant of the oldest backup there.",
    "lifeboat_freshness_warning_seconds": "The age of the newest good backup that is a warning.",
    "lifeboat_freshness_critical_seconds": "The age of the newest good backup that is critical.",
    "lifeboat_copies": "Backups there, by the state of the copy.",
    "lifeboat_backups": "Committed backups there, by type.",
    "lifeboat_last_proved_timestamp_seconds": "When a copy there was last proved: intact, readable, restorable.",
    "lifeboat_newest_suspect": "Whether the newest backup there is suspect: its size jumped.",
    "lifeboat_prunable_copies": "Backups there that retention would delete now.",
    "lifeboat_last_run_timestamp_seconds": "When the last run on this host ended.",
    "lifeboat_last_success_timestamp_seconds": "When the last run that lost nothing ended.",
    "lifeboat_last_run_exit_code": "What the last run ended with; 0 is well.",
    "lifeboat_last_run_duration_seconds": "How long the last run took.",
    "lifeboat_last_run_phase_duration_seconds": "How long each phase of it took; they overlap.",
    "lifeboat_last_run_stored_bytes": "What it stored, compressed and encrypted.",
    "lifeboat_source_size_bytes": "The plain size of a source in the last run.",
    "lifeboat_runs": "Runs of the last 30 days, by result: good or failed.",
    "lifeboat_objective_rpo_seconds": "How much work may be lost, as promised.",
    "lifeboat_objective_rpo_limit_seconds": "From where on that is missed: a run takes time.",
    "lifeboat_recovery_point_timestamp_seconds": "The instant of the newest good backup that holds the source.",
    "lifeboat_objective_rto_seconds": "How long a restore may take, as promised.",
    "lifeboat_measured_rto_seconds": "How long it took in the last drill.",
    "lifeboat_last_drill_timestamp_seconds": "When the last drill of what this host backed up ended.",
    "lifeboat_last_drill_success": "Whether it went well.",
    "lifeboat_last_drill_duration_seconds": "How long it took.",
    "lifeboat_last_prune_timestamp_seconds": "When this host pruned last.",
    "lifeboat_encryption_ok": "Whether something could be encrypted to the recipients.",
    "lifeboat_key_expiry_timestamp_seconds": "When the first key of the recipients ends.",
    "lifeboat_timer_enabled": "Whether the timer of a schedule is enabled.",
    "lifeboat_restores_open": "Restores that were cut off, or are neither confirmed nor undone.",
    "lifeboat_disk_free_bytes": "Room that is left where lifeboat writes.",
    "lifeboat_disk_size_bytes": "The size of that file system.",
    "lifeboat_exposed_paths": "Files of lifeboat that other users of this host could read or change.",
    "lifeboat_unsigned_copies": "Backups there that nobody signed, though those before them are signed.",
    "lifeboat_denied_accesses": "Restores that the gate refused in 24 h, and files that the system kept closed.",
    "lifeboat_audit_problems": "Places where the audit log is not as it was written.",
    "lifeboat_notification_failures_total": "Notifications that could not be delivered.",
    "lifeboat_notifications_waiting": "Notifications that wait to be delivered.",
}


@dataclass(frozen=True)
class Sample:
    name: str
    value: float
    labels: Mapping[str, str]


def render(samples: Iterable[Sample]) -> str:
    """The text format 0.0.4: help and type of each metric, then its samples, in the order of METRICS."""
    found: dict[str, list[Sample]] = {}
    for one in samples:
        found.setdefault(one.name, []).append(one)
    lines = []
    for name, told in METRICS.items():
        if name not in found:
            continue
        kind = "counter" if name.endswith("_total") else "gauge"
        lines += [f"# HELP {name} {told}", f"# TYPE {name} {kind}"]
        lines += [_line(one) for one in found[name]]
    return "\n".join(lines) + "\n"


def of_host(
    host: str,
    failures: Mapping[str, int],
    waiting: int,
    denied: int | None = None,
    changed: int | None = None,
) -> Iterator[Sample]:
    """What concerns no job. failures: {name of a URL: how often it could not be reached, ever}.

    denied: accesses to our files; changed: places in the audit log. None: nobody could say.
    """
    yield Sample("lifeboat_build_info", 1, {"version": VERSION, "lifeboat_host": host})
    if denied is not None:
        yield Sample("lifeboat_denied_accesses", denied, {"by": "system"})
    if changed is not None:
        yield Sample("lifeboat_audit_problems", changed, {})
    for name, count in sorted(failures.items()):
        yield Sample("lifeboat_notification_failures_total", count, {"to": name})
    yield Sample("lifeboat_notifications_waiting", waiting, {})


def of_configured(job: str, environment: str) -> Sample:
    """A job that is configured, also if it was never looked at."""
    return Sample("lifeboat_job_info", 1, {"job_name": job, "environment": environment})


def of_job(seen: Mapping[str, Any]) -> Iterator[Sample]:
    """One observation."""
    job = {"job_name": seen["job"]}
    for name, value, labels in _of_job(seen):
        if value is not None:
            yield Sample("lifeboat_" + name, float(value), {**job, **labels})


def _of_job(seen: Mapping[str, Any]) -> Iterator[tuple[str, Any, dict[str, str]]]:
    yield "check_timestamp_seconds", seen["at"], {}
    yield "freshness_warning_seconds", seen["limits"]["warning_s"], {}
    yield "freshness_critical_seconds", seen["limits"]["critical_s"], {}
    yield from _standings(seen)
    for one in seen["destinations"]:
        there = {"destination": one["name"]}
        yield "destination_up", one["up"], there
        yield "newest_suspect", one.get("suspect"), there
        yield "oldest_timestamp_seconds", one.get("oldest_at"), there
        yield "prunable_copies", one.get("prunable"), there
        yield "unsigned_copies", len(one["unsigned"]) if "unsigned" in one else None, there
    for one in seen["objectives"]:
        source = {"source": one["source"]}
        yield "objective_rpo_seconds", one["rpo_s"], source
        if one["rpo_s"] is not None:
            yield "objective_rpo_limit_seconds", one["rpo_s"] + one["slack_s"], source
        yield "recovery_point_timestamp_seconds", one["point_at"], source
        yield "objective_rto_seconds", one["rto_s"], source
        yield "measured_rto_seconds", one["rto_measured_s"], source
    yield from _runs(seen)
    drill = seen["drill"] or {}
    yield "last_drill_timestamp_seconds", drill.get("at"), {}
    yield "last_drill_success", drill.get("good"), {}
    yield "last_drill_duration_seconds", drill.get("seconds"), {}
    yield "last_prune_timestamp_seconds", (seen["prune"] or {}).get("at"), {}
    yield "encryption_ok", seen["encryption"]["ok"], {}
    yield "key_expiry_timestamp_seconds", seen["encryption"]["expires_at"], {}
    for type_, enabled in seen["timers"].items():
        yield "timer_enabled", enabled, {"type": type_}
    for one in seen["disks"]:
        yield "disk_free_bytes", one["free_bytes"], {"place": one["place"]}
        yield "disk_size_bytes", one["size_bytes"], {"place": one["place"]}
    yield "exposed_paths", len(seen["exposed"]), {}
    yield "denied_accesses", seen["refused"], {"by": "gate"}


def _standings(seen: Mapping[str, Any]) -> Iterator[tuple[str, Any, dict[str, str]]]:
    waiting = 0
    for one in seen["standings"]:
        there = {"destination": one["destination"]}
        if one["source"]:
            continue  # objectives have metrics of their own
        if not one["destination"]:
            waiting += one["state"] != ORDER[0]
            continue
        yield "job_state", ORDER.index(one["state"]), there
        if one["newest_good"]:
            yield "last_good_timestamp_seconds", parse_id(one["newest_good"])[0].timestamp(), there
            yield "last_good_size_bytes", one["size_bytes"], there
        for state, count in sorted(one["states"].items()):
            yield "copies", count, {**there, "state": state}
        for type_, count in sorted(one["types"].items()):
            yield "backups", count, {**there, "type": type_}
        for claim, at in one["proved"].items():
            yield "last_proved_timestamp_seconds", at, {**there, "claim": claim}
    yield "restores_open", waiting, {}


def _runs(seen: Mapping[str, Any]) -> Iterator[tuple[str, Any, dict[str, str]]]:
    for result, count in seen["runs"].items():
        yield "runs", count, {"result": result}
    yield "last_success_timestamp_seconds", seen["success_at"], {}
    run = seen["run"]
    if run is None:
        return
    yield "last_run_timestamp_seconds", run["at"], {}
    yield "last_run_exit_code", run["exit_code"], {}
    yield "last_run_duration_seconds", run["seconds"], {}
    yield "last_run_stored_bytes", run["stored_bytes"], {}
    for phase, seconds in sorted(run["phases"].items()):
        yield "last_run_phase_duration_seconds", seconds, {"phase": phase}
    for source, size in sorted(run["sizes"].items()):
        yield "source_size_bytes", size, {"source": source}


def _line(one: Sample) -> str:
    labels = ",".join(f'{key}="{_escaped(value)}"' for key, value in one.labels.items())
    number = repr(one.value) if one.value % 1 else str(int(one.value))
    return f"{one.name}{{{labels}}} {number}" if labels else f"{one.name} {number}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
