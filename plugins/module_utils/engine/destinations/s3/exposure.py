# SPDX-License-Identifier: GPL-3.0-or-later
"""Find out what an identity can do to objects that are stored in a bucket, by doing it to one of its own."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Callable

from ...errors import DestinationError
from ...s3_client import Denied, Taken
from .bucket import Bucket

_FIRST, _SECOND = b"lifeboat tries whether this can be replaced", b"it can"


def exposure(bucket: Bucket, key: str) -> str:
    """What can be done to an object, in words; "" = it can be neither deleted nor lost by a second write.

    The object stays: nobody who is kept from deleting can remove it, and it is used the next time. Raises
    DestinationError where not even that can be written.
    """
    with suppress(Taken):  # it is there from the last time
        bucket.put(key, _FIRST, {})
    client, at = bucket.connection.client(), bucket.at(key)  # one that sets no conditions
    told = []
    replaced = _tried(bucket, "replace", key, lambda: client.put_object(**at, Body=_SECOND))
    if replaced is not None and not replaced.get("VersionId"):
        told.append("it can overwrite what is stored (the bucket keeps no versions)")
    found = _tried(bucket, "look at", key, lambda: client.head_object(**at)) or {}
    version = found.get("VersionId")
    if version not in (None, "null"):
        gone = _tried(bucket, "delete", key, lambda: client.delete_object(**at, VersionId=version))
        if gone is not None:
            told.append("it can delete versions of what is stored")
    if _tried(bucket, "delete", key, lambda: client.delete_object(**at)) is not None:
        told.append("it can delete what is stored")
    return ", and ".join(told)


def _tried(bucket: Bucket, verb: str, key: str, request: Callable[[], Any]) -> Any:
    """The server's answer; None where it refuses. What is no refusal is raised."""
    try:
        with bucket.connection.faults(verb, key):
            return request()
    except (Denied, Taken):
        return None
    except DestinationError as exc:
        if exc.missing or exc.permanent:  # a lock is refused under several names
            return None
        raise
