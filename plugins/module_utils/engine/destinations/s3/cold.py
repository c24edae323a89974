# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects in S3's cold storage: how cold each is, and asking for them to be thawed."""

from __future__ import annotations

from collections.abc import Sequence

from ...errors import DestinationError
from ...stored import Cold
from .bucket import Bucket
from .providers import COLD

# Hours until it can be read, as the provider says; docs.aws.amazon.com, "Archive retrieval options".
HOURS = {
    ("GLACIER", "expedited"): "5 minutes",
    ("GLACIER", "standard"): "3 to 5 hours",
    ("GLACIER", "bulk"): "5 to 12 hours",
    ("DEEP_ARCHIVE", "standard"): "12 hours",
    ("DEEP_ARCHIVE", "bulk"): "48 hours",
}


def cold(bucket: Bucket, keys: Sequence[str], tier: str) -> list[Cold]:
    """Those of the objects that lie in cold storage, thawed or not. `tier`: of which `hours` are told."""
    found = []
    for key in keys:
        head = bucket.head(key)
        storage_class = str(head.get("StorageClass", "STANDARD"))
        if storage_class not in COLD:
            continue
        told = str(head.get("Restore", ""))
        state = "thawing" if 'ongoing-request="true"' in told else "thawed" if told else "frozen"
        hours = HOURS.get((storage_class, tier), "")
        found.append(Cold(key, state, storage_class, int(head["ContentLength"]), hours))
    return found


def thaw(bucket: Bucket, one: Cold, tier: str, days: int) -> None:
    """Ask for one frozen object; it can be read for `days` days then. Asked already = nothing to do."""
    if not one.hours:
        raise bucket.connection.error(
            f"cannot thaw {one.key}",
            f"{one.storage_class} has no {tier} retrieval",
            hint="use --tier standard or bulk",
        )
    asked = {"Days": days, "GlacierJobParameters": {"Tier": tier.capitalize()}}
    try:
        with bucket.connection.faults("thaw", one.key):
            bucket.client.restore_object(**bucket.at(one.key), RestoreRequest=asked)
    except DestinationError as exc:
        if "RestoreAlreadyInProgress" not in str(exc):
            raise
