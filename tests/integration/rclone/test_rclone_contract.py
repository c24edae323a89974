"""The contract of destinations behind rclone: on a directory, and on a real S3 server."""

from __future__ import annotations

import shutil
import signal
import time
from pathlib import Path

import pytest
from lifeboat.destinations.rclone.destination import Rclone
from lifeboat.errors import DestinationError
from lifeboat.model import Secret

from tests.integration.s3.conftest import Bucket
from tests.unit.contracts.destination_contract import ARCHIVE, BLOCK, DestinationContract, Short

pytestmark = pytest.mark.skipif(not shutil.which("rclone"), reason="no rclone here")


def rclone_at(bucket: Bucket, **options: object) -> Rclone:
    """To a bucket, as the documentation has it: what is secret is in the credential."""
    keys = {
        "access_key_id": bucket.host["access_key"],
        "secret_access_key": bucket.host["secret_key"],
    }
    settings = {"provider": "Other", "endpoint": bucket.endpoint, "force_path_style": "true"}
    given = {"backend": "s3", "path": f"{bucket.name}/hosts", "settings": settings}
    return Rclone(name="cloud", **{**given, "credential": Secret.of(keys), **options})  # type: ignore[arg-type]


class TestRcloneDirectory(DestinationContract):
    """A backend that renames."""

    @pytest.fixture
    def place(self, tmp_path: Path) -> Rclone:
        self.folder = tmp_path / "there"
        self.folder.mkdir()
        return Rclone(name="cloud", backend="local", path=str(self.folder))

    def unfinished(self, place: Rclone) -> list[str]:
        return [str(one) for one in self.folder.rglob(".*")]


class TestRcloneBucket(DestinationContract):
    """A backend that does not: an upload is no object before its end."""

    @pytest.fixture
    def place(self, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> Rclone:
        monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)  # rclone 1.60 fails with any
        self.bucket = bucket
        return rclone_at(bucket)

    def unfinished(self, place: Rclone) -> list[str]:
        return self.bucket.open_uploads()

    def test_an_upload_that_was_begun_when_it_was_stopped_goes_and_its_neighbours_stay(
        self, place: Rclone, tmp_path: Path
    ) -> None:
        there = f"hosts/{ARCHIVE}"
        for key in (there, "hosts/other", "other"):
            self.bucket.owner.create_multipart_upload(Bucket=self.bucket.name, Key=key)
        with pytest.raises(DestinationError, match="bytes arrived"):
            place.store(ARCHIVE, Short(tmp_path / "spool", BLOCK))
        assert sorted(self.bucket.open_uploads()) == ["hosts/other", "other"]

    def test_it_is_stopped_at_once_where_nobody_may_interrupt(
        self, place: Rclone, tmp_path: Path
    ) -> None:
        """As below nohup, or a shell's &: programs that start there never see SIGINT."""
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        begun = time.monotonic()
        try:
            with pytest.raises(DestinationError, match="bytes arrived"):
                place.store(ARCHIVE, Short(tmp_path / "spool", BLOCK))
        finally:
            signal.signal(signal.SIGINT, before)
        assert time.monotonic() - begun < 8  # else it is given ten seconds
        assert self.unfinished(place) == []
