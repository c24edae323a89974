# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the report of one host, or of a fleet, as one HTML page: no script, nothing from elsewhere. Pure.

It is made of evidence alone. The page is XML too, and forbids by a policy of its own whatever it has not.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from statistics import median
from typing import Any

from ...units import human_duration, human_size
from ..standing.status import CRITICAL, WARNING
from . import svg
from .evidence import instant, number
from .recommend import ADVICE
from .report import JobReport, full_in, of_job
from .svg import plain

_SHORT = 20  # characters of a word that stays in one line; of several words, half as many
_MOST = 12  # rows of a table of single runs
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)
_DAYS = "Runs of each day: black = all went well, a cross = one failed, empty = none ran"
_TYPED = re.compile(r"`([^`]+)`")  # what somebody is to type
Told = Mapping[str, Any]
Rows = Sequence[Sequence[object]]


def page(hosts: Sequence[Told], silent: Mapping[str, str] | None = None) -> str:
    """The page. hosts: the evidence of each; silent: {host: why there is none}."""
    hosts = sorted(hosts, key=lambda one: str(one["host"]))
    months = ", ".join(sorted({str(one["month"]) for one in hosts}))
    alone = len(hosts) == 1 and not silent
    title = f"Backups of {hosts[0]['host'] if alone else 'the fleet'}, {months or 'no month'}"
    body = [svg.HATCH, f"<h1>{plain(title)}</h1>"]
    if not alone:
        body += _fleet(hosts, silent or {})
    for one in hosts:
        body += _host(one, alone)
    return _SKELETON.format(title=plain(title), style=_STYLE, body="\n".join(body))


def _fleet(hosts: Sequence[Told], silent: Mapping[str, str]) -> Iterator[str]:
    yield "<h2>All hosts</h2>"
    rows = []
    shares = []
    for one in hosts:
        jobs = [of_job(str(one["host"]), job) for job in one["jobs"]]
        good, runs = sum(job.good for job in jobs), sum(job.good + job.failed for job in jobs)
        levels = Counter(str(found["level"]) for found in one["recommendations"])
        drilled = f"{sum(job.drills_passed for job in jobs)} of {sum(job.drills for job in jobs)}"
        counts = [levels[level] for level in (CRITICAL, WARNING, ADVICE)]
        size = sum(job.sizes[-1][1] for job in jobs if job.sizes)
        rows.append(
            [one["host"], len(jobs), f"{good} of {runs}", human_size(int(size)), drilled, *counts]
        )
        shares.append((str(one["host"]), good, runs))
    head = ("host", "jobs", "good runs", "newest backups", "drills passed")
    yield _table((*head, "critical", "warning", "advice"), rows)
    yield svg.shares("Good runs of each host", shares)
    if silent:
        yield "<h3>Hosts that told nothing</h3>"
        yield _table(("host", "why"), sorted(silent.items()))


def _host(told: Told, alone: bool) -> Iterator[str]:
    if not alone:
        yield f"<h2>Host {plain(told['host'])}</h2>"
    yield (
        f"<p>From {_when(told['begins'])} to {_when(told['ends'])}, "
        f"looked at {_when(told['made_at'])}. All times are UTC.</p>"
    )
    yield "<h3>What to do</h3>"
    yield _table(
        ("level", "job", "what was measured", "what to do"),
        [
            [one["level"], one["job"] or "the host", one["what"], one["do"]]
            for one in told["recommendations"]
        ],
        "Nothing: no rule found anything.",
    )
    if not told["jobs"]:
        yield "<p>No job backs up anything on this host.</p>"
    for job in told["jobs"]:
        yield from _job(told, job)
    yield from _coverage(told["coverage"])
    yield from _disks(told)
    yield from _proof(told)
    if told.get("runbook"):  # the page is read when the host is gone, too
        yield f"<details><summary>The runbook of {plain(told['host'])}</summary>"
        yield f"<pre>{plain(told['runbook'])}</pre></details>"


def _job(host: Told, told: Told) -> Iterator[str]:
    one = of_job(str(host["host"]), told)
    yield f"<h3>Job {plain(told['job'])} ({plain(told['environment'])})</h3>"
    yield _pair("Runs", svg.days(_DAYS, _days(host, told)), _runs(one, told))
    yield _pair("Size", svg.line("Size of a backup as stored", one.sizes, _size), _sizes(one))
    yield _pair("Duration", svg.bars("Duration of runs", one.durations, _long), _durations(one))
    yield _pair("Restores and objectives", _restore_times(told), _objectives(told))
    yield _pair("Copies", _copies_picture(one), _copies(told))
    yield _drills(told)


def _days(host: Told, told: Told) -> list[tuple[str, int, int]]:
    begins, ends = instant(host["begins"]), instant(host["ends"])
    found: list[tuple[str, int, int]] = []
    while begins is not None and ends is not None and begins < ends and len(found) < 31:
        day = f"{begins:%Y-%m-%d}"
        ran = [run for run in told["runs"] if str(run["at"]).startswith(day)]
        good = sum(1 for run in ran if run["good"])
        found.append((f"{begins:%d}", good, len(ran) - good))
        begins += timedelta(days=1)
    return found


def _runs(one: JobReport, told: Told) -> str:
    rate = "no run is remembered" if one.rate is None else f"{100 * one.rate:.1f} % went well"
    failed = [run for run in told["runs"] if not run["good"]]
    rows = [[run["at"], run["exit_code"], "; ".join(run["errors"])] for run in failed[-_MOST:]]
    shown = f"<p>{rate}: {one.good} good, {one.failed} failed.</p>"
    if len(failed) > _MOST:
        shown += f"<p>The last {_MOST} that failed:</p>"
    return shown + (_table(("failed at", "exit code", "why"), rows) if rows else "")


def _sizes(one: JobReport) -> str:
    grown = "too few runs to tell"
    if one.growth_per_day is not None:
        sign = "-" if one.growth_per_day < 0 else "+"
        grown = f"{sign}{human_size(int(abs(one.growth_per_day)))} a day"
    weeks: dict[str, float] = {}
    for at, size in one.sizes:
        weeks[f"{at:%G} week {at:%V}"] = size
    rows = [[week, human_size(int(size))] for week, size in weeks.items()]
    return f"<p>Growth: {plain(grown)}.</p>" + (_table(("last of", "size"), rows) if rows else "")


def _durations(one: JobReport) -> str:
    took = [seconds for _at, seconds in one.durations]
    if not took:
        return "<p>No good run in this month.</p>"
    rows = [["shortest", _long(min(took))], ["half take less than", _long(median(took))]]
    return _table(("good runs", "time"), [*rows, ["longest", _long(max(took))]])


def _restore_times(told: Told) -> str:
    return svg.against(
        "Bar: how long the last restore took; line: what was promised; hatched = missed",
        [(str(one["name"]), one["rto_measured_s"], one["rto_s"]) for one in told["sources"]],
        _long,
    )


def _objectives(told: Told) -> str:
    rows = []
    for one in told["sources"]:
        rows.append(
            [
                one["name"],
                one["kind"],
                _maybe(one["rpo_s"]),
                one["point_at"] or "never",
                _maybe(one["rto_s"]),
                _maybe(one["rto_measured_s"], "never"),
            ]
        )
    return _table(("source", "kind", "RPO", "newest good backup", "RTO", "last restore took"), rows)


def _copies_picture(one: JobReport) -> str:
    every = sum(one.copies.values())
    told = [(state, count, every) for state, count in sorted(one.copies.items())]
    return svg.shares("Copies by what is proved; in the table, when that was done last", told)


def _copies(told: Told) -> str:
    rows = []
    for one in told["destinations"]:
        proofs: dict[str, str] = {}
        for backup in told["backups"]:
            for copy in backup["copies"]:
                if copy["destination"] == one["name"]:
                    for claim, at in copy["proved"].items():
                        proofs[claim] = max(at, proofs.get(claim, ""))
        proved = [proofs.get(claim, "never") for claim in ("intact", "readable", "restorable")]
        state = one["copies"] if one["answered"] else f"did not answer: {one['error']}"
        rows.append([one["name"], state, *proved])
    head = ("destination", "backups", "intact", "readable", "restorable")
    return _table(head, rows)


def _drills(told: Told) -> str:
    rows = []
    for one in told["drills"][-_MOST:]:
        phases = one.get("phases")
        each = phases.items() if isinstance(phases, Mapping) else ()
        rows.append(
            [
                one.get("at"),
                one.get("id") or "-",
                "passed" if one.get("passed") else f"FAILED: {one.get('error')}",
                _long(number(one.get("seconds"))),
                ", ".join(f"{name} {_long(number(seconds))}" for name, seconds in each),
            ]
        )
    head = ("drill at", "backup", "outcome", "restore took", "phases")
    return "<h4>Drills</h4>" + _table(head, rows, "There was no drill in this month.")


def _coverage(found: Sequence[Told] | None) -> Iterator[str]:
    if found is None:
        return
    kinds: dict[str, list[bool]] = {}
    for one in found:
        kinds.setdefault(str(one["kind"]), []).append(bool(one["jobs"]))
    shares = [(kind, sum(there), len(there)) for kind, there in sorted(kinds.items())]
    bare = [[one["kind"], one["name"], one["why"]] for one in found if not one["jobs"]]
    yield "<h3>What is protected</h3>"
    yield _pair(
        "",
        svg.shares("Things with data here that a job protects", shares),
        _table(("what", "protected by nobody", "seen"), bare, "Nothing here is unprotected."),
    )


def _disks(told: Told) -> Iterator[str]:
    yield "<h3>Disks that backups lie on</h3>"
    rows, shares = [], []
    for disk in told["disks"]:
        free, size = int(number(disk["free_bytes"])), int(number(disk["size_bytes"]))
        left = full_in(disk, told["jobs"])
        places = ", ".join(map(str, disk["places"]))
        full = f"in {human_duration(left)}" if left is not None else "not foreseen"
        rows.append([places, human_size(free), human_size(size), full])
        shares.append((str(disk["places"][0]), 100 - 100 * free // size if size else 0, 100))
    table = _table(("where", "free", "of", "full"), rows, "None on this host.")
    yield _pair("", svg.shares("Percent that is taken", shares), table)


def _proof(told: Told) -> Iterator[str]:
    """What else an auditor asks: who did what, and whether the log of it is whole."""
    yield "<h3>Done by hand, and refused</h3>"
    rows = []
    for one in told["events"]:
        facts = one["facts"] if isinstance(one["facts"], Mapping) else {}
        who = one["who"] if isinstance(one["who"], Mapping) else {}
        names = " for ".join(str(who[key]) for key in ("user", "sudo") if who.get(key))
        rows.append(
            [one["at"], one["job"], one["event"], names, facts.get("id", ""), facts.get("reason")]
        )
    yield _table(("at", "job", "what", "who", "backup", "reason"), rows, "Nothing in this month.")
    log = told["audit"]
    whole = "whole" if log["whole"] else "NOT WHOLE: " + "; ".join(map(str, log["problems"][:3]))
    yield "<h3>Evidence</h3>"
    listed: Rows = [
        ["audit log", f"{log['path']}, {log['lines']} entries: {whole}"],
        ["its last entry", f"{log['last_at'] or '-'} {log['head']}"],
        ["configuration", f"{told['configuration']['path']}, SHA-256"],
        ["", told["configuration"]["sha256"]],
        ["programs", ", ".join(f"{name} {version}" for name, version in told["tools"].items())],
    ]
    yield _table(("what", "is"), listed)


def _pair(title: str, picture: str, beside: str) -> str:
    head = f"<h4>{plain(title)}</h4>" if title else ""
    return f'<div class="pair">{head}<div>{picture}</div><div>{beside}</div></div>'


def _table(head: Sequence[str], rows: Rows, none: str = "Nothing.") -> str:
    if not rows:
        return f"<p>{plain(none)}</p>"
    top = "".join(f"<th>{plain(one)}</th>" for one in head)
    body = "".join("<tr>" + "".join(map(_cell, row)) + "</tr>" for row in rows)
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def _cell(value: object) -> str:
    text = plain("" if value is None else value)
    if value in (CRITICAL, WARNING):
        return f'<td class="short"><b>{text}</b></td>'
    if _INSTANT.fullmatch(text):
        return f'<td class="short">{text[:10]} {text[11:16]}</td>'
    if len(text) <= _SHORT // 2 or (len(text) <= _SHORT and " " not in text):
        return f'<td class="short">{text}</td>'
    return "<td>" + _TYPED.sub(r"<code>\1</code>", text) + "</td>"


def _when(at: object) -> str:
    return plain(at).replace("T", " ").replace("Z", "")[:16]


def _maybe(seconds: Any, none: str = "-") -> str:
    return none if seconds is None else _long(number(seconds))


def _long(seconds: float) -> str:
    if 0 < seconds < 10:
        return f"{seconds:.1f}s"
    return human_duration(timedelta(seconds=max(0.0, seconds)))


def _size(count: float) -> str:
    return human_size(int(count))


_STYLE = """
body { font: 15px/1.45 sans-serif; color: #111; background: #fff; max-width: 1080px; margin: 2em auto;
  padding: 0 1em; }
h1 { font-size: 1.7em; } h2 { border-top: 3px solid #111; padding-top: .6em; margin-top: 2em; }
h3 { border-bottom: 1px solid #999; margin-top: 1.8em; } h4 { margin: 0; grid-column: 1 / 3; }
table { border-collapse: collapse; font-size: .87em; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .2em .5em .2em 0; border-bottom: 1px solid #ccc;
  overflow-wrap: anywhere; }
th { border-bottom: 1px solid #111; overflow-wrap: normal; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: .4em 2em; margin: 1.2em 0;
  break-inside: avoid; }
.pair > div { min-width: 0; } .pair p { margin: .2em 0 .5em; }
svg { width: 100%; height: auto; max-width: 560px; }
pre { white-space: pre-wrap; }
figure { margin: 0; } figcaption { font-size: .8em; color: #333; } .short { white-space: nowrap; }
code { font-size: 1em; background: #eee; padding: 0 .2em; }
svg text { font: 11px sans-serif; fill: #111; } svg .end { text-anchor: end; }
svg .middle { text-anchor: middle; }
.line { fill: none; stroke: #111; stroke-width: 1.6; } .grid { stroke: #bbb; stroke-width: .7; }
.bar { fill: #444; } .hatched { fill: url(#hatch); stroke: #111; }
.cell { stroke: #444; } .none, .bad { fill: #fff; } .cross { stroke: #111; stroke-width: 2; }
.mark { stroke: #111; stroke-width: 3; } .nothing { color: #555; }
@media print { body { margin: 0; font-size: 11px; max-width: none; } .bar { print-color-adjust: exact; } }
@media (max-width: 700px) { .pair { grid-template-columns: 1fr; } h4 { grid-column: 1; } }
"""
_SKELETON = """<!DOCTYPE html>
<html xmlns="http://www.w3.org/1999/xhtml" lang="en">
<head>
<meta charset="utf-8"/>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'"/>
<meta name="viewport" content="width=device-width, initial-scale=1"/>
<title>{title}</title>
<style>{style}</style>
</head>
<body>
{body}
</body>
</html>
"""
