"""What every destination promises (ports.Destination), as one suite that runs on every adapter.

class TestLocal(DestinationContract):
    @pytest.fixture
    def place(self, tmp_path): return Local(name="disk", path=str(tmp_path))

    def unfinished(self, place): return what lies there, behind the adapter's back, and is no object
"""

from __future__ import annotations

import hashlib
import io
import threading
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from lifeboat import listed, naming
from lifeboat.errors import DestinationError, SpoolError
from lifeboat.ports import Destination
from lifeboat.spool import Spool
from lifeboat.stored import Mark

TAKEN_AT = datetime(2026, 11, 21, 2, 0, tzinfo=timezone.utc)
ID = naming.backup_id(TAKEN_AT, "daily", "7f3a")
HOST, JOB = "db1.example.org", "shop-1_a"
ARCHIVE = naming.archive_key(HOST, JOB, ID, "db.database.pgdump.zst.age")
MANIFEST = naming.manifest_key(HOST, JOB, ID)
TAG = naming.mark_key(HOST, JOB, ID, Mark("tag", TAKEN_AT, "v1.2 ü/../x"))
CATALOG = naming.catalog_prefix(HOST, JOB)
ARCHIVES = naming.archive_prefix(HOST, JOB, ID)
BLOCK = bytes(range(256)) * 1024  # 256 KiB


class Writer(threading.Thread):
    """Writes a spool block by block, slower than anyone reads, then commits or gives up."""

    def __init__(self, spool: Spool, blocks: int, failure: str = "", pause_s: float = 0.02) -> None:
        super().__init__(daemon=True)
        self.spool, self.blocks, self.failure, self.pause_s = spool, blocks, failure, pause_s
        self.start()

    def run(self) -> None:
        for _number in range(self.blocks):
            self.spool.write(BLOCK)
            time.sleep(self.pause_s)
        if self.failure:
            self.spool.abort(self.failure)
        else:
            self.spool.commit()


def finished(folder: Path, content: bytes, name: str = "spool") -> Spool:
    spool = Spool(folder / name)
    spool.write(content)
    spool.commit()
    return spool


def content_of(place: Destination, key: str) -> bytes:
    with place.open(key) as stored:
        return stored.read()


def keys(place: Destination, prefix: str = "") -> list[str]:
    return [stored.key for stored in place.list(prefix)]


class DestinationContract:
    """Inherit, and give `place` (a Destination, empty) and `unfinished`; `spools` where it matters."""

    blocks = 12  # of 256 KiB: what a growing archive has at its end

    @pytest.fixture
    def place(self, tmp_path: Path) -> Destination:
        raise NotImplementedError

    @pytest.fixture
    def spools(self, tmp_path: Path) -> Path:
        folder = tmp_path / "spools"
        folder.mkdir()
        return folder

    def unfinished(self, place: Destination) -> list[str]:
        """What lies there that is no object: parts, open uploads."""
        raise NotImplementedError

    def test_check_passes_and_leaves_nothing(self, place: Destination) -> None:
        place.check()
        assert keys(place) == []
        assert self.unfinished(place) == []

    def test_put_then_open_gives_the_same_bytes(self, place: Destination) -> None:
        place.put(MANIFEST, b'{"version": 1}\n')
        assert content_of(place, MANIFEST) == b'{"version": 1}\n'

    def test_put_takes_an_empty_object_as_marks_are(self, place: Destination) -> None:
        place.put(TAG, b"")
        assert content_of(place, TAG) == b""

    def test_put_again_with_the_same_content_is_done(self, place: Destination) -> None:
        place.put(MANIFEST, b"one")
        place.put(MANIFEST, b"one")
        assert content_of(place, MANIFEST) == b"one"

    @pytest.mark.parametrize("other", [b"two", b"one and more", b"on", b""])
    def test_put_never_replaces_other_content(self, place: Destination, other: bytes) -> None:
        place.put(MANIFEST, b"one")
        with pytest.raises(DestinationError, match="there already") as caught:
            place.put(MANIFEST, other)
        assert caught.value.permanent
        assert place.name in str(caught.value)
        assert MANIFEST in str(caught.value)
        assert content_of(place, MANIFEST) == b"one"
        assert self.unfinished(place) == []

    def test_store_of_a_finished_spool_gives_the_same_bytes(
        self, place: Destination, spools: Path
    ) -> None:
        place.store(ARCHIVE, finished(spools, BLOCK * 3 + b"end"))
        assert content_of(place, ARCHIVE) == BLOCK * 3 + b"end"
        assert self.unfinished(place) == []

    def test_the_copy_outlives_the_spool(self, place: Destination, spools: Path) -> None:
        spool = finished(spools, BLOCK)
        place.store(ARCHIVE, spool)
        spool.remove()
        assert content_of(place, ARCHIVE) == BLOCK

    def test_store_follows_a_writer_and_shows_nothing_before_its_end(
        self, place: Destination, spools: Path
    ) -> None:
        spool = Spool(spools / "spool")
        storing = threading.Thread(target=place.store, args=(ARCHIVE, spool), daemon=True)
        storing.start()
        for _number in range(self.blocks):
            spool.write(BLOCK)
        time.sleep(0.5)  # enough to finish, if it did not wait for the checks
        assert storing.is_alive()
        assert keys(place) == []
        spool.commit()
        storing.join(30)
        assert not storing.is_alive()
        stored = content_of(place, ARCHIVE)
        assert len(stored) == self.blocks * len(BLOCK)
        assert hashlib.sha256(stored).hexdigest() == spool.sha256
        assert self.unfinished(place) == []

    @pytest.mark.parametrize("blocks", [0, 1, None], ids=["at once", "early", "late"])
    def test_an_archive_that_was_given_up_leaves_nothing(
        self, place: Destination, spools: Path, blocks: int | None
    ) -> None:
        spool = Spool(spools / "spool")
        Writer(spool, self.blocks if blocks is None else blocks, failure="pg_dump died")
        with pytest.raises(SpoolError, match="pg_dump died"):
            place.store(ARCHIVE, spool)
        assert keys(place) == []
        assert self.unfinished(place) == []

    def test_a_reader_that_breaks_leaves_nothing(self, place: Destination, spools: Path) -> None:
        with pytest.raises((DestinationError, OSError)):
            place.store(ARCHIVE, Broken(spools / "spool", BLOCK * self.blocks))
        assert keys(place) == []
        assert self.unfinished(place) == []

    def test_a_copy_of_another_size_than_the_archive_is_refused(
        self, place: Destination, spools: Path
    ) -> None:
        with pytest.raises(DestinationError, match=f"{len(BLOCK)} of {len(BLOCK) + 1} bytes"):
            place.store(ARCHIVE, Short(spools / "spool", BLOCK))
        assert keys(place) == []
        assert self.unfinished(place) == []

    def test_store_refuses_a_key_that_is_taken(self, place: Destination, spools: Path) -> None:
        place.store(ARCHIVE, finished(spools, b"first"))
        with pytest.raises(DestinationError, match="there already") as caught:
            place.store(ARCHIVE, finished(spools, b"second", "other"))
        assert caught.value.permanent
        assert content_of(place, ARCHIVE) == b"first"
        assert self.unfinished(place) == []

    def test_an_archive_that_is_there_already_is_done(
        self, place: Destination, spools: Path
    ) -> None:
        """Whoever was cut off goes on, also where nothing can be taken away again."""
        place.store(ARCHIVE, finished(spools, b"first"))
        place.store(ARCHIVE, finished(spools, b"first", "again"))
        assert content_of(place, ARCHIVE) == b"first"
        assert self.unfinished(place) == []

    def test_a_key_taken_while_the_archive_grew_is_not_replaced(
        self, place: Destination, spools: Path
    ) -> None:
        spool = Spool(spools / "spool")
        caught: list[Exception] = []

        def store() -> None:
            try:
                place.store(ARCHIVE, spool)
            except DestinationError as exc:
                caught.append(exc)

        storing = threading.Thread(target=store, daemon=True)
        storing.start()
        spool.write(BLOCK)
        time.sleep(0.2)
        place.put(ARCHIVE, b"first")
        spool.commit()
        storing.join(30)
        assert "there already" in str(caught[0])
        assert content_of(place, ARCHIVE) == b"first"
        assert self.unfinished(place) == []

    def test_open_streams_in_the_sizes_asked_for(self, place: Destination, spools: Path) -> None:
        place.store(ARCHIVE, finished(spools, BLOCK * 10))
        with place.open(ARCHIVE) as stored:
            assert stored.read(3) == BLOCK[:3]
            assert len(stored.read(len(BLOCK))) == len(BLOCK)
            rest = stored.read()
            assert len(rest) == 9 * len(BLOCK) - 3
            assert stored.read(1) == b""

    def test_open_at_begins_where_it_is_told(self, place: Destination, spools: Path) -> None:
        place.store(ARCHIVE, finished(spools, BLOCK * 3 + b"the end"))
        with place.open_at(ARCHIVE, 3 * len(BLOCK) + 4) as stored:
            assert stored.read(2) == b"en"
            assert stored.read() == b"d"
        with place.open_at(ARCHIVE, 0) as stored:
            assert stored.read(3) == BLOCK[:3]

    def test_open_may_be_left_early(self, place: Destination, spools: Path) -> None:
        place.store(ARCHIVE, finished(spools, BLOCK * 10))
        with place.open(ARCHIVE) as stored:
            stored.read(1)
        assert content_of(place, ARCHIVE)[:1] == BLOCK[:1]

    def test_open_of_what_is_not_there_says_missing(self, place: Destination) -> None:
        place.put(MANIFEST, b"one")
        with pytest.raises(DestinationError) as caught, place.open(ARCHIVE):
            pass
        assert caught.value.missing
        assert place.name in str(caught.value)
        assert ARCHIVE in str(caught.value)

    def test_an_error_of_the_one_who_reads_stays_his(self, place: Destination) -> None:
        place.put(MANIFEST, b"one")
        with pytest.raises(OSError, match="mine"), place.open(MANIFEST):
            raise OSError("mine")

    def test_list_of_an_empty_place_is_empty(self, place: Destination) -> None:
        place.check()  # where a place is made on first use
        assert keys(place) == []
        assert keys(place, CATALOG) == []

    def test_list_gives_what_begins_with_the_prefix_and_nothing_else(
        self, place: Destination
    ) -> None:
        others = [
            naming.manifest_key(HOST, "shop", ID),
            naming.manifest_key(HOST, "shop-1_ab", ID),
            naming.manifest_key("db1.example.or", JOB, ID),
            ARCHIVE,
        ]
        for key in [MANIFEST, TAG, *others]:
            place.put(key, key.encode())
        assert keys(place, CATALOG) == sorted([MANIFEST, TAG])
        assert keys(place, CATALOG + ID + ".json") == [MANIFEST]
        assert keys(place, "catalog/") == sorted([MANIFEST, TAG, *others[:3]])
        assert keys(place, ARCHIVES) == [ARCHIVE]
        assert keys(place) == sorted([MANIFEST, TAG, *others])

    def test_list_tells_size_and_time(self, place: Destination) -> None:
        place.put(MANIFEST, b"12345")
        (stored,) = place.list(CATALOG)
        assert stored.size_bytes == 5
        assert abs(datetime.now(timezone.utc) - stored.changed_at) < timedelta(minutes=2)

    def test_names_come_back_as_the_marks_they_were(self, place: Destination) -> None:
        place.put(MANIFEST, b"{}")
        place.put(TAG, b"")
        (copy,) = listed.copies(place.list(CATALOG))
        assert copy.committed
        assert copy.tags == ("v1.2 ü/../x",)

    def test_delete_removes_one_object_and_twice_is_fine(self, place: Destination) -> None:
        place.put(MANIFEST, b"{}")
        place.put(TAG, b"")
        place.delete(MANIFEST)
        place.delete(MANIFEST)
        assert keys(place) == [TAG]

    def test_a_deleted_key_may_be_stored_again(self, place: Destination, spools: Path) -> None:
        place.store(ARCHIVE, finished(spools, b"first"))
        place.delete(ARCHIVE)
        place.store(ARCHIVE, finished(spools, b"second", "other"))
        assert content_of(place, ARCHIVE) == b"second"

    def test_sweep_touches_no_object(self, place: Destination) -> None:
        place.put(MANIFEST, b"{}")
        assert list(place.sweep("", datetime.now(timezone.utc) + timedelta(days=1))) == []
        assert keys(place) == [MANIFEST]


class Broken:
    """A growing archive whose reader fails at the end, as a failing disk would."""

    size_hint = 0

    def __init__(self, path: Path, content: bytes) -> None:
        self.path = path
        self._content = content

    def reader(self) -> io.BufferedReader:
        return io.BufferedReader(_BrokenRaw(self._content), 1 << 20)

    def wait(self) -> int:
        raise OSError(5, "the spool's disk failed")


class Short:
    """A growing archive that says it has one byte more than can be read."""

    size_hint = 0

    def __init__(self, path: Path, content: bytes) -> None:
        self.path = path
        path.write_bytes(content)

    def reader(self) -> io.BufferedReader:
        return open(self.path, "rb")

    def wait(self) -> int:
        return self.path.stat().st_size + 1


class _BrokenRaw(io.RawIOBase):
    def __init__(self, content: bytes) -> None:
        super().__init__()
        self._inner = io.BytesIO(content)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:
        count = self._inner.readinto(buffer)
        if count == 0:
            raise OSError(5, "the spool's disk failed")
        return count
