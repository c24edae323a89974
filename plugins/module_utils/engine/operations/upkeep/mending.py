# SPDX-License-Identifier: GPL-3.0-or-later
"""Make a copy whole that proved bad: what is wrong there is stored again, beside it, from a good copy.

Nothing is overwritten and nothing is deleted, so it takes no right but to add, and whoever is killed
leaves a copy that is as bad as before, with less left to do. docs/format.md#stored-again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from ...errors import DestinationError, FormatError, ReadBackError, UnsignedError, VerifyError
from ...files import make_private, remove
from ...manifest import sha256sums
from ...model import Archive, Manifest
from ...naming import (
    RESTORE_NOTE,
    SUMS,
    archive_key,
    archive_prefix,
    manifest_key,
    mended_key,
    signature_key,
)
from ...ports import Destination
from ...progress import Event, Listener
from ...retention import SKEW
from ...stored import Copy, Mark
from ..backup.backup import empty
from ..backup.lanes import Outcome
from ..backup.replicate import Finished, Transfer
from ..copies.catalog import Holding, copy_at, put_mark, read_document
from ..copies.metadata import prove_note
from ..copies.plain import fetch
from ..copies.proving import prove_archive, prove_small
from ..copies.restore_note import restore_note

AGAIN = "stored again"  # remark of an outcome
_ONCE = ("intact", "drilled", "bad", "sampled")  # marks that are written after the commit


def mend(asked: Transfer) -> Outcome:
    """Bring the copy at the other destination to what this one is; "intact" once all of it was read back.

    Raises as `replicate`, and what the other destination says where it takes nothing more.
    """
    manifest, document, signature = asked.read()
    work = _Mending(asked.to, manifest, asked.clock, asked.listener)
    there = _there(asked)
    empty(asked.spool)
    try:
        work.check_manifest(document, asked.signers)
        for archive in manifest.archives:
            work.archive(archive, asked.from_, make_private(asked.spool))
        work.beside()
        if there is None or not there.committed:
            for mark in asked.kept_marks():
                put_mark(asked.to, manifest, mark)
        work.manifest(document, signature, asked.signers)
        problems = work.problems()
        say_mended(asked.to, manifest, _after(there, asked.clock()))
    finally:
        empty(asked.spool)
    return Outcome(asked.to.name, "intact", problems, remarks=(AGAIN,))


def sign_again(asked: Transfer) -> Outcome:
    """Put a signature back that was lost, where the manifest is the one that it is of. As `mend`."""
    manifest, document, signature = asked.read()
    work = _Mending(asked.to, manifest, asked.clock, asked.listener)
    work.check_manifest(document, ())
    work.sign(signature)
    work.manifest(document, None, asked.signers)
    return Outcome(asked.to.name, "intact", work.problems(), remarks=(f"its signature {AGAIN}",))


def _there(asked: Transfer) -> Copy | None:
    try:
        return copy_at(asked.to, *asked.backup)
    except DestinationError as exc:
        if exc.missing:
            return None
        raise


def store_beside(to: Destination, key: str, path: Path, size_bytes: int) -> None:
    to.store(key, Finished(path, size_bytes))


def say_mended(to: Destination, manifest: Manifest, at: datetime) -> None:
    """That it was stored again, so that a host which receives seals that too; then that it is whole."""
    put_mark(to, manifest, Mark("mended", at))
    put_mark(to, manifest, Mark("intact", at))


class _Mending:
    """One copy while it is made whole."""

    def __init__(
        self,
        to: Destination,
        manifest: Manifest,
        clock: Callable[[], datetime],
        listener: Listener,
    ) -> None:
        self._to, self._manifest, self._clock, self._listener = to, manifest, clock, listener
        self._where = (manifest.host, manifest.job, manifest.id)
        self._stored: list[str] = []

    def check_manifest(self, document: bytes, signers: Sequence[str]) -> None:
        """Two manifests that can both be read and differ: nobody here can say which one is right."""
        if self._document(signers) not in (None, document):
            raise VerifyError(
                f"the manifest of {self._manifest.id} at {self._to.name} can be read, and is another one",
                hint="`lifeboat verify --all` tells which copy is whole; nothing was stored",
            )

    def archive(self, archive: Archive, from_: Destination, spool: Path) -> None:
        what = f"{archive.name} at {self._to.name}"
        self._listener(Event("verify", what, 0, archive.size_bytes))
        if self._whole(archive):
            return
        path = fetch(from_, self._manifest, archive, spool, self._listener)
        try:
            key = self._free(archive_key(*self._where, archive.name))
            store_beside(self._to, key, path, archive.size_bytes)
            self._stored.append(key)
        finally:
            remove(path)
        self._listener(Event("read-back", what, 0, archive.size_bytes))
        prove_archive(self._to, self._manifest, archive)
        self._listener(Event("read-back", what, archive.size_bytes, archive.size_bytes, ended=True))

    def beside(self) -> None:
        """SHA256SUMS and RESTORE.md."""
        prefix = archive_prefix(*self._where)
        sums = sha256sums(self._manifest)
        try:
            prove_small(self._to, prefix + SUMS, sums)
        except VerifyError:
            self._put(prefix + SUMS, sums)
        try:
            prove_note(self._manifest, self._to)
        except VerifyError:
            self._put(prefix + RESTORE_NOTE, restore_note(self._manifest))

    def sign(self, signature: bytes | None) -> None:
        if signature is not None:
            self._put(signature_key(*self._where), signature)

    def manifest(self, document: bytes, signature: bytes | None, signers: Sequence[str]) -> None:
        """Last, where it is not as it should be: from now on the backup exists here."""
        if self._document(signers) == document:
            return
        self.sign(signature)
        if self._document(signers) != document:
            self._put(manifest_key(*self._where), document)

    def problems(self) -> str:
        """What was asked of the storage for these objects, as a lock, and is not so."""
        asked = getattr(self._to, "protection", None)
        return "; ".join(asked(self._stored).problems) if asked and self._stored else ""

    # -- inside

    def _whole(self, archive: Archive) -> bool:
        try:
            prove_archive(self._to, self._manifest, archive)
        except VerifyError:
            return False
        return True

    def _document(self, signers: Sequence[str]) -> bytes | None:
        """The manifest's bytes there; None where none can be used."""
        try:
            return read_document(self._to, *self._where, signers)[1]
        except (FormatError, UnsignedError):
            return None
        except DestinationError as exc:
            if exc.missing:
                return None
            raise

    def _free(self, key: str) -> str:
        """Its own name where nothing has it, else one beside it."""
        there = any(one.key == key for one in self._to.list(key))
        return mended_key(key, self._clock()) if there else key

    def _put(self, key: str, content: bytes) -> None:
        key = self._free(key)
        self._to.put(key, content)
        self._stored.append(key)
        with self._to.open(key) as stored:
            if stored.read(len(content) + 1) != content:
                raise ReadBackError(f"{key} at {self._to.name} is not what was sent")


def _after(there: Copy | None, now: datetime) -> datetime:
    """An instant that counts against `bad`, which wins in its own second; not against one from the future."""
    bad = there.latest("bad") if there is not None else None
    if bad is not None and bad.at <= now + SKEW:
        return max(now, bad.at + timedelta(seconds=1))
    return now


def donors(copies: Sequence[tuple[str, Copy]], but: Sequence[str] = ()) -> list[str]:
    """The destinations whose copy is known to be good."""
    return [name for name, copy in copies if copy.good and name not in but]


def unsigned(holding: Holding) -> list[str]:
    """The destinations whose copy is good and lost its signature, as far as names tell, which another has."""
    there = [(name, copy) for name, copy in holding.copies if copy.good]
    return (
        [name for name, copy in there if not copy.signed]
        if any(copy.signed for _name, copy in there)
        else []
    )


def broken(copy: Copy) -> bool:
    """Whether it was here once, and is not whole any more, though nobody let it go."""
    if copy.replaced:
        return False  # its content lies beside it, whole, with other keys
    if copy.unreadable:
        return False  # its bytes are right: what another copy has is the same
    return copy.state == "corrupt" or (copy.state == "missing" and copy.latest(*_ONCE) is not None)
