# SPDX-License-Identifier: GPL-3.0-or-later
"""Send an archive to S3 behind its writer. Its parts are read from the spool file as they go, so that
they take no memory, however many destinations follow it at once.
"""

from __future__ import annotations

import io
import os
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from ...errors import DestinationError
from ...ports import Growing
from .bucket import Bucket

_BLOCK = 1 << 20


class Outgrown(Exception):
    """More bytes came than was said."""


def follow(
    bucket: Bucket,
    key: str,
    extra: dict[str, Any],
    growing: Growing,
    part_size: int,
    limit: int,
    workers: int,
) -> None:
    """The object appears once the archive has passed its checks; after a failure nothing is left.

    Raises Outgrown beyond `limit` bytes, and whatever the library raises.
    """
    with growing.reader() as reader:
        try:
            file = os.open(growing.path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            growing.wait()  # it is gone because it was given up, and this says so
            raise
        upload = _Upload(bucket, key, extra, file, part_size, workers)
        try:
            count = 0
            while block := reader.read(_BLOCK):
                count += len(block)
                if count > limit:
                    raise Outgrown
                upload.grown(count)
            expected = growing.wait()
            if count != expected:
                why = f"{count} of {expected} bytes arrived"
                raise bucket.connection.error(f"cannot store {key}", why, permanent=False)
            upload.complete(count)
        except BaseException:
            upload.abort()
            raise
        finally:
            upload.close()
            os.close(file)


class _Upload:
    """One object on its way: in one piece if it is no larger than a part, else in parts."""

    def __init__(
        self,
        bucket: Bucket,
        key: str,
        extra: dict[str, Any],
        file: int,
        part_size: int,
        workers: int,
    ) -> None:
        self._bucket, self._client, self._key = bucket, bucket.client, key
        self._extra, self._file, self._part_size = dict(extra), file, part_size
        self._workers = ThreadPoolExecutor(workers, thread_name_prefix="part")
        self._parts: list[Future[dict[str, Any]]] = []
        self._failed = threading.Event()
        self._id = ""
        wanted = bucket.connection.checksums == "when_supported"
        self._algorithm = str(extra.get("ChecksumAlgorithm", "CRC32" if wanted else ""))

    def grown(self, count: int) -> None:
        """So many bytes are there. The last part is sent by `complete`."""
        if self._failed.is_set():  # there is no use in reading on
            self._results()
        while (len(self._parts) + 1) * self._part_size < count:
            self._send(self._part_size)

    def complete(self, count: int) -> None:
        if not self._id:
            body = _Slice(self._file, 0, count)
            self._client.put_object(**self._bucket.at(self._key), Body=body, **self._extra)
            return
        self._send(count - len(self._parts) * self._part_size)
        parts = {"Parts": self._results()}
        self._client.complete_multipart_upload(
            **self._bucket.at(self._key), UploadId=self._id, MultipartUpload=parts
        )

    def abort(self) -> None:
        self.close()  # a part that is still on its way would outlive the upload
        if self._id:
            try:
                self._bucket.abort(self._key, self._id)
            except DestinationError:
                pass  # what failed before is told; the next run sweeps

    def close(self) -> None:
        self._workers.shutdown(wait=True, cancel_futures=True)

    def _send(self, size: int) -> None:
        if not self._id:
            algorithm = {"ChecksumAlgorithm": self._algorithm} if self._algorithm else {}
            made = self._client.create_multipart_upload(
                **self._bucket.at(self._key), **{**self._extra, **algorithm}
            )
            self._id = made["UploadId"]
        number = len(self._parts)
        self._parts.append(self._workers.submit(self._part, number, size))

    def _part(self, number: int, size: int) -> dict[str, Any]:
        algorithm = {"ChecksumAlgorithm": self._algorithm} if self._algorithm else {}
        try:
            told = self._client.upload_part(
                **self._bucket.at(self._key),
                UploadId=self._id,
                PartNumber=number + 1,
                Body=_Slice(self._file, number * self._part_size, size),
                **algorithm,
            )
        except BaseException:
            self._failed.set()
            raise
        checksum = f"Checksum{self._algorithm}"
        part = {"PartNumber": number + 1, "ETag": told["ETag"]}
        return {**part, checksum: told[checksum]} if told.get(checksum) else part

    def _results(self) -> list[dict[str, Any]]:
        """What the server said of each part; raises the first failure there was."""
        for part in self._parts:
            if part.done() and part.exception() is not None:
                part.result()
        return [part.result() for part in self._parts]


class _Slice(io.RawIOBase):
    """A part of a file, for one reader; the library reads it again when it tries again."""

    def __init__(self, file: int, offset: int, size: int) -> None:
        super().__init__()
        self._file, self._offset, self._size, self._at = file, offset, size, 0

    def __len__(self) -> int:
        return self._size

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        left = max(0, self._size - self._at)
        block = os.pread(self._file, min(len(buffer), left), self._offset + self._at)
        buffer[: len(block)] = block
        self._at += len(block)
        return len(block)
