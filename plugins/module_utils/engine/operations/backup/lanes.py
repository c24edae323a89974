# SPDX-License-Identifier: GPL-3.0-or-later
"""Carry archives to one destination, in a thread of its own: store, commit, read back.

A lane that fails is lost; it never holds up the dump or another lane.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from ...errors import DestinationError, LifeboatError, ReadBackError, SpoolError, VerifyError
from ...manifest import encode, sha256sums
from ...model import Archive, Manifest
from ...naming import RESTORE_NOTE, SUMS, archive_prefix, manifest_key, signature_key
from ...ports import Destination, Growing
from ...progress import Event, Listener
from ...stored import Mark, Protection
from ...units import stamp
from ..copies.catalog import put_mark
from ..copies.proving import prove_archive, prove_samples, prove_small
from ..copies.restore_note import restore_note
from .writing import writing

_ATTEMPTS = 3
_PAUSE_S = 2.0


@dataclass(frozen=True)
class Outcome:
    """What became of one backup at one destination.

    state: "intact" (every byte read back), "stored" (by sample, or not at all), "archived" (in cold storage,
    where it cannot be), "bad" (read back, and wrong), "lost" (not there, and nothing of it counts).
    An error beside "intact": the bytes are right, and something else that was asked for is not so.
    """

    destination: str
    state: str
    error: str = ""
    hint: str = ""
    remarks: tuple[str, ...] = ()

    @property
    def done(self) -> bool:
        """Whether all is there that was asked for, as far as it can be proved at once."""
        return self.state in ("intact", "archived", "stored") and not self.error


class Lane:
    """Feed it spools with `take`, then `commit` or `give_up`; `outcome` waits for the end."""

    def __init__(
        self,
        destination: Destination,
        where: tuple[str, str, str],
        clock: Callable[[], datetime],
        listener: Listener,
    ) -> None:
        """`where`: host, job and id of the backup."""
        self.destination = destination
        self._where, self._prefix = where, archive_prefix(*where)
        self._clock = clock
        self._listener = listener
        self._work: queue.Queue[Callable[[], None] | None] = queue.Queue()
        self._stored: list[str] = []
        self._samples: dict[str, Sequence[bytes]] = {}
        self._failure: LifeboatError | None = None
        self._state = "lost"
        self._remarks: tuple[str, ...] = ()
        policy = getattr(destination, "policy", None)
        self.samples_above: int | None = policy.full_up_to if policy else None  # bytes of a backup
        self._thread = threading.Thread(target=self._loop, daemon=True, name=destination.name)
        self._thread.start()

    @property
    def lost(self) -> bool:
        """Whether nothing more can come of this lane."""
        return self._failure is not None

    def prepare(self, twin: str = "") -> None:
        """Ask, before anything is dumped, whether what was asked for can be had; if not it is lost.

        twin: another destination of this run that is the same place. Then this one is no copy.
        """
        try:
            if twin:
                raise DestinationError(
                    f"destination {self.destination.name} is the same place as {twin}: no second copy",
                    hint="give it a place of its own, or take it out of the job",
                    permanent=True,
                )
            if hasattr(self.destination, "prepare"):
                self.destination.prepare()
        except LifeboatError as exc:
            self._failure = exc

    def take(self, name: str, spool: Growing, released: Callable[[], None]) -> None:
        """Store a spool that may still grow; `released` is called when this lane needs it no more."""
        self._work.put(lambda: self._store(name, spool, released))

    def commit(
        self,
        manifest: Manifest,
        marks: Sequence[Mark],
        document: bytes = b"",
        signature: bytes | None = None,
    ) -> None:
        """`document`: the manifest's bytes where they exist already, which `signature` is of."""
        content = document or encode(manifest)
        self._work.put(lambda: self._commit(manifest, marks, content, signature))
        self._work.put(None)

    def give_up(self) -> None:
        """No manifest will come: take away what was stored."""
        self._work.put(self._clean)
        self._work.put(None)

    def outcome(self) -> Outcome:
        self._thread.join()
        failure = self._failure
        told = (str(failure), failure.hint) if failure else ("", "")
        return Outcome(self.destination.name, self._state, *told, self._remarks)

    # -- inside, in the lane's thread

    def _loop(self) -> None:
        with writing(self.destination, self._where, self._clock):
            for step in iter(self._work.get, None):
                try:
                    step()
                except LifeboatError as exc:
                    self._failure = self._failure or exc
                except Exception as exc:  # a library's own error must cost this lane only
                    self._failure = self._failure or DestinationError(
                        f"destination {self.destination.name} failed: {exc!r}"
                    )

    def _store(self, name: str, spool: Growing, released: Callable[[], None]) -> None:
        try:
            if self._failure is None:
                self._try_store(name, spool)
        finally:
            released()

    def _try_store(self, name: str, spool: Growing) -> None:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                self.destination.store(self._prefix + name, spool)
                self._stored.append(name)
                self._samples[name] = getattr(spool, "samples", ())
                self._listener(Event("store", f"{name} to {self.destination.name}", ended=True))
                return
            except SpoolError:
                return  # the archive was given up; the run says why
            except DestinationError as exc:
                if exc.permanent or attempt == _ATTEMPTS:
                    raise
            time.sleep(_PAUSE_S * attempt)

    def _commit(
        self,
        manifest: Manifest,
        marks: Sequence[Mark],
        content: bytes,
        signature: bytes | None,
    ) -> None:
        wanted = {archive.name for archive in manifest.archives}
        if self._failure is not None or not wanted <= set(self._stored):
            self._clean()
            return
        self._drop([name for name in self._stored if name not in wanted])
        self.destination.put(self._prefix + SUMS, sha256sums(manifest))
        self.destination.put(self._prefix + RESTORE_NOTE, restore_note(manifest))
        for mark in marks:
            put_mark(self.destination, manifest, mark)
        key = manifest_key(manifest.host, manifest.job, manifest.id)
        small: dict[str, bytes] = {}
        if signature is not None:  # before the manifest: what is committed is never unsigned
            small[signature_key(manifest.host, manifest.job, manifest.id)] = signature
            self.destination.put(next(iter(small)), signature)
        self.destination.put(key, content)
        self._state = "stored"
        small.update(
            {
                self._prefix + SUMS: sha256sums(manifest),
                self._prefix + RESTORE_NOTE: restore_note(manifest),
                key: content,
            }
        )
        kept = self._protection([*small, *(self._prefix + one.name for one in manifest.archives)])
        self._read_back(manifest, small, kept.cold)
        if kept.locked_until is not None and not kept.problems:
            put_mark(
                self.destination, manifest, Mark("locked", self._clock(), stamp(kept.locked_until))
            )
        self._remarks += kept.remarks
        if kept.problems:
            raise ReadBackError(
                f"destination {self.destination.name}: " + "; ".join(kept.problems),
                hint="the copy is there; take what the server does not do out of the configuration",
            )

    def _protection(self, keys: Sequence[str]) -> Protection:
        asked: Callable[[Sequence[str]], Protection] | None
        asked = getattr(self.destination, "protection", None)
        return asked(keys) if asked else Protection()

    def _read_back(
        self,
        manifest: Manifest,
        small: Mapping[str, bytes],
        cold: bool,
    ) -> None:
        try:
            for key, content in small.items():
                prove_small(self.destination, key, content)
            if cold:
                put_mark(self.destination, manifest, Mark("archived", self._clock()))
                self._state = "archived"
                return
            whole = [self._prove(manifest, archive) for archive in manifest.archives]
        except VerifyError:
            self._state = "bad"
            put_mark(self.destination, manifest, Mark("bad", self._clock()))
            raise
        if all(whole):
            put_mark(self.destination, manifest, Mark("intact", self._clock()))
            self._state = "intact"
        else:  # it stays `stored`: only all of it earns `intact`
            put_mark(self.destination, manifest, Mark("sampled", self._clock()))
            self._remarks = ("read back by sample",)

    def _prove(self, manifest: Manifest, archive: Archive) -> bool:
        """Whether all of it was read back, and not samples only."""
        above, total = self.samples_above, sum(one.size_bytes for one in manifest.archives)
        what, size = f"{archive.name} at {self.destination.name}", archive.size_bytes
        self._listener(Event("read-back", what, 0, size))
        if above is None or total <= above:
            prove_archive(self.destination, manifest, archive)
            whole = True
        else:
            samples = self._samples.get(archive.name, ())
            whole = prove_samples(self.destination, manifest, archive, samples)
        self._listener(Event("read-back", what, size, size, ended=True))
        return whole

    def _clean(self) -> None:
        if self._stored and not self._is_committed():
            self._drop(self._stored)

    def _is_committed(self) -> bool:
        """Whether the backup is here already, although a listing, stale or cut short, did not say so: what
        was stored may be what lay there. Also where that cannot be asked; retention sweeps orphans."""
        try:
            with self.destination.open(manifest_key(*self._where)):
                return True
        except LifeboatError as exc:
            return not getattr(exc, "missing", False)

    def _drop(self, names: Sequence[str]) -> None:
        """Best effort: an identity that may only add cannot, and the pruner sweeps orphans."""
        for name in names:
            try:
                self.destination.delete(self._prefix + name)
            except LifeboatError as exc:
                self._listener(Event("clean", name, problem=str(exc)))


def lanes(
    destinations: Sequence[Destination],
    host: str,
    job: str,
    id_: str,
    clock: Callable[[], datetime],
    listener: Listener,
) -> tuple[Lane, ...]:
    where = (host, job, id_)
    return tuple(Lane(destination, where, clock, listener) for destination in destinations)
