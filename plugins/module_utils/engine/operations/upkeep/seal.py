# SPDX-License-Identifier: GPL-3.0-or-later
"""Seal what clients have committed in the tree of a receiving host, so that they cannot take it back.

A backup whose manifest is there belongs to root from now on: its client can read it, and neither delete,
rename nor change it. What is not committed yet stays the client's, and new backups and marks can
be added, for the directories are sticky and not closed.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timezone

from ... import sealing
from ...errors import LifeboatError, UsageError
from ...listed import copies
from ...naming import ARCHIVES, CATALOG, check_host, check_name
from ...ports import PROTECTION_PROBE
from ...stored import Copy, Stored


@dataclass
class Sealed:
    """What one round did in the tree of one client."""

    client: str
    sealed: list[str] = field(default_factory=list)  # keys
    busy: list[str] = field(default_factory=list)  # open for writing: tried again the next time
    failure: str = ""


def seal(client: str, path: str, group: int) -> Sealed:
    """Seal all that is committed below `path`; root only. `group`: the client's own, by number."""
    done = Sealed(client)
    if os.geteuid() != 0:
        raise UsageError("only root can seal", hint="run this as root; the timer does")
    try:
        with sealing.directory(path) as root:
            if root is None:
                raise LifeboatError(
                    f"client {client}: there is no directory {path}",
                    hint="mount its disk, or run site.yml for this host",
                )
            _Round(done, root, group).run()
    except OSError as exc:
        done.failure = f"client {client}: {exc.filename or path}: {exc.strerror}"
    except LifeboatError as exc:
        done.failure = str(exc)
    return done


class _Round:
    def __init__(self, done: Sealed, root: int, group: int) -> None:
        self._done, self._root, self._group = done, root, group

    def run(self) -> None:
        sealing.take_directory(self._root, self._group)
        with sealing.directory(ARCHIVES, self._root) as archives:
            if archives is not None:
                sealing.take_directory(archives, self._group)
        with sealing.directory(CATALOG, self._root) as catalog:
            if catalog is None:
                return  # nothing has come yet
            sealing.take_directory(catalog, self._group)
            for host in _called(catalog, check_host):
                with sealing.directory(host, catalog) as of_host:
                    if of_host is not None:
                        self._host(host, of_host)

    def _host(self, host: str, catalog: int) -> None:
        sealing.take_directory(catalog, self._group)
        self._seal(catalog, PROTECTION_PROBE, f"{CATALOG}/{host}")
        for job in _called(catalog, lambda text: check_name("job", text)):
            with sealing.directory(job, catalog) as of_job:
                if of_job is not None:
                    sealing.take_directory(of_job, self._group)
                    self._job(host, job, of_job)

    def _job(self, host: str, job: str, catalog: int) -> None:
        """Archives first: a sealed manifest says that all of its backup is sealed."""
        where = f"{CATALOG}/{host}/{job}"
        there = {
            name: found for name, found in sealing.names(catalog) if stat.S_ISREG(found.st_mode)
        }
        now = datetime.now(timezone.utc)
        for copy in copies(Stored(f"{where}/{name}", 0, now) for name in there):
            if copy.committed:
                manifest = f"{copy.id}.json"
                if not self._settled(there, copy):
                    if not self._archives(host, job, copy.id):
                        continue
                    self._seal(catalog, manifest, where)
                for name in there:
                    if name.startswith(f"{copy.id}.") and name != manifest:
                        self._seal(catalog, name, where)

    def _settled(self, there: Mapping[str, os.stat_result], copy: Copy) -> bool:
        """Whether nothing can have come since the last round: neither the manifest nor a mark `mended`."""
        says = [f"{copy.id}.json", *(n for n in there if n.startswith(f"{copy.id}.mended-"))]
        return all(sealing.is_sealed(there[name], self._group) for name in says)

    def _archives(self, host: str, job: str, id_: str) -> bool:
        """Whether nothing of one backup is the client's any more."""
        sealed = True
        with ExitStack() as opened:
            folder: int | None = self._root
            for name in (ARCHIVES, host, job, id_):
                folder = opened.enter_context(sealing.directory(name, folder))
                if folder is None:
                    return True  # a manifest without archives: nothing to seal
                sealing.take_directory(folder, self._group)
            for name, _found in sealing.names(folder or 0):
                if not name.startswith("."):  # a part is the client's to remove
                    sealed &= self._seal(folder or 0, name, f"{ARCHIVES}/{host}/{job}/{id_}")
        return sealed

    def _seal(self, folder: int, name: str, where: str) -> bool:
        """Whether a file is not the client's any more."""
        try:
            outcome = sealing.seal_file(folder, name, self._group)
        except FileNotFoundError:
            return True
        if outcome == sealing.SEALED:
            self._done.sealed.append(f"{where}/{name}")
        elif outcome == sealing.BUSY:
            self._done.busy.append(f"{where}/{name}")
        return outcome != sealing.BUSY


def _called(folder: int, check: Callable[[str], object]) -> list[str]:
    """What an open directory holds that has a name of ours."""
    good = []
    for name in sorted(os.listdir(folder)):
        try:
            check(name)
        except UsageError:
            continue
        good.append(name)
    return good
