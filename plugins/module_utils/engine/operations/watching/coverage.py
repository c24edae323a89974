# SPDX-License-Identifier: GPL-3.0-or-later
"""Find data on this host that no job protects: databases, servers, volumes, containers' folders, trees."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ...containers import Engine
from ...errors import LifeboatError
from ...job import Job
from ...model import Shelf
from ...occupied import folders, listening, size_beside
from ...units import human_size

TREES = ("/srv/*", "/var/www/*", "/home/*", "/opt/*", "/root", "/usr/local", "/var/lib/*")
# Of the system itself: packages bring it again.
_SYSTEM = ("apt", "dpkg", "systemd", "containers", "docker", "lifeboat", "snapd", "flatpak", "rpm")
_SIDE = re.compile(r"_lb_[0-9a-f]{6}_(new|old)$")  # of a restore that is not confirmed yet
_ENGINES = ("docker", "podman")
_FOLDER = "com.docker.compose.project.working_dir"


@dataclass(frozen=True)
class Found:
    """One thing that holds data. `jobs`: who protects it; empty = nobody. `why`: where it was seen."""

    kind: str  # "database", "server", "volume", "project", "tree"
    name: str
    jobs: tuple[str, ...]
    why: str = ""
    size_bytes: int = 0

    @property
    def protected(self) -> bool:
        return bool(self.jobs)


def coverage(
    jobs: Collection[Job],
    kinds: Mapping[str, Any],
    least_bytes: int,
    trees: Iterable[str] = TREES,
    own: Collection[str] = (),
) -> Iterator[Found]:
    """All that was found, protected or not. `kinds`: of sources, as the registry has them; `own`:
    paths of lifeboat's, which need no protection."""
    yield from _databases(jobs)
    yield from _servers(jobs, kinds)
    covered = _covered(jobs)
    yield from _containers(jobs, covered)
    yield from _trees(covered, kinds, least_bytes, trees, {*own, *_destinations(jobs)})


def _databases(jobs: Iterable[Job]) -> Iterator[Found]:
    shelves: dict[tuple[str, str], dict[str, set[str]]] = {}
    for job in jobs:
        for source in job.sources:
            try:
                ask = getattr(source, "shelf", None)  # of ports.Shelved
                shelf: Shelf | None = ask() if ask else None
            except LifeboatError as exc:
                yield Found("server", f"source {source.name} of {job.name}", (), str(exc))
                continue
            if shelf is None:
                continue
            there = shelves.setdefault((source.kind, shelf.place), {})
            for name in shelf.there:
                there.setdefault(name, set())
            for name in shelf.held:
                there.setdefault(name, set()).add(job.name)
    for (kind, place), there in sorted(shelves.items()):
        for name, by in sorted(there.items()):
            if not _SIDE.search(name):
                yield Found("database", name, tuple(sorted(by)), f"{kind} on {place}")


def _servers(jobs: Iterable[Job], kinds: Mapping[str, Any]) -> Iterator[Found]:
    """Servers that listen here, of kinds that no source is of."""
    users: dict[tuple[str, ...], set[str]] = {}
    for job in jobs:
        for source in job.sources:
            users.setdefault(getattr(kinds[source.kind], "signs", ()), set()).add(job.name)
    for kind, made in sorted(kinds.items(), key=lambda one: (getattr(one[1], "signs", ()), one[0])):
        signs = getattr(made, "signs", ())
        if signs and signs not in users:
            users[signs] = set()
            for place in (one for sign in signs for one in listening(sign)):
                yield Found("server", kind, (), f"listens on {place}")


def _covered(jobs: Iterable[Job]) -> dict[str, set[str]]:
    """{path: jobs} of what is backed up as files."""
    found: dict[str, set[str]] = {}
    for job in jobs:
        for source in job.sources:
            needs = source.needs()
            for path in {*needs.replaces, *needs.covers}:
                found.setdefault(os.path.realpath(path), set()).add(job.name)
    return found


def _destinations(jobs: Iterable[Job]) -> set[str]:
    places = {one for job in jobs for each in job.destinations for one in each.needs().writes}
    return {os.path.realpath(one) for one in places if os.path.isabs(one)}


def _containers(jobs: Collection[Job], covered: Mapping[str, set[str]]) -> Iterator[Found]:
    """Volumes, and the folders of compose projects, of each engine that is there."""
    held = [(job.name, source.needs()) for job in jobs for source in job.sources]
    owners = {"", *(job.user or "" for job in jobs)}
    for program in _ENGINES:
        for owner in sorted(owners) if program == "podman" else [""]:
            engine = Engine(program, owner)
            try:
                volumes = engine.ask("volume", "ls", "--format", "{{.Name}} {{.Mountpoint}}")
                projects = engine.ask("ps", "--all", "--format", '{{.Label "' + _FOLDER + '"}}')
            except LifeboatError:  # not installed, not running, no session
                continue
            for line in sorted(volumes.split("\n")):
                name, _space, place = line.strip().partition(" ")
                if name:
                    by = _within(place, covered)
                    by |= {job for job, one in held if (one.engine, one.volume) == (program, name)}
                    yield Found("volume", name, tuple(sorted(by)), f"of {program}")
            for folder in sorted(
                {one.strip() for one in projects.split("\n")} - {"", "<no value>"}
            ):
                by = _within(folder, covered)
                yield Found("project", folder, tuple(sorted(by)), f"containers of {program}")


def _trees(
    covered: Mapping[str, set[str]],
    kinds: Mapping[str, Any],
    least_bytes: int,
    trees: Iterable[str],
    own: Collection[str],
) -> Iterator[Found]:
    servers = {one for made in kinds.values() for one in getattr(made, "keeps_in", ())}
    for folder in folders(trees):
        if folder in servers or os.path.basename(folder) in _SYSTEM:
            continue  # a server's files are no backup of its data, which is looked at above
        by = _within(folder, covered)
        if by:
            yield Found("tree", folder, tuple(sorted(by)))
            continue
        size = size_beside(folder, {*covered, *servers, *own})
        if size >= least_bytes:
            yield Found("tree", folder, (), human_size(size), size)


def _within(path: str, covered: Mapping[str, set[str]]) -> set[str]:
    """The jobs that protect all of `path`."""
    if not path:
        return set()
    real = os.path.realpath(path)
    return {
        job
        for place, by in covered.items()
        if (real + "/").startswith(place.rstrip("/") + "/")
        for job in by
    }
