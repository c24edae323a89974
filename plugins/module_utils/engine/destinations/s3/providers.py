# SPDX-License-Identifier: GPL-3.0-or-later
"""What is different about each provider of S3, as a table. Pure; docs/destinations.md lists it for users.

Taken from each provider's page on its compatibility with S3. `versitygw` and `ceph` (radosgw 16 and 18) are what
the tests run on; the others were not met by any test, so a row says no more than what that page says.
"""

from __future__ import annotations

from dataclasses import dataclass

_AWS_CLASSES = (
    "STANDARD",
    "STANDARD_IA",
    "ONEZONE_IA",
    "INTELLIGENT_TIERING",
    "GLACIER_IR",
    "GLACIER",
    "DEEP_ARCHIVE",
    "REDUCED_REDUNDANCY",
)
COLD = ("GLACIER", "DEEP_ARCHIVE")  # nothing of these can be read before it is thawed


@dataclass(frozen=True)
class Provider:
    """One row. classes: storage classes it takes, () = any may be tried; locks: it has Object Lock."""

    path_style: bool = True
    checksums: str = (
        "when_required"  # what the SDK is told: newer headers are refused or stored by many
    )
    max_parts: int = 10000
    classes: tuple[str, ...] = ()
    locks: bool = True
    in_parts: bool = True  # an upload in parts keeps the tags and the lock that it was begun with


PROVIDERS = {
    "aws": Provider(path_style=False, checksums="when_supported", classes=_AWS_CLASSES),
    "minio": Provider(classes=("STANDARD", "REDUCED_REDUNDANCY")),
    "versitygw": Provider(),  # takes any class, and stores as STANDARD
    "ceph": Provider(in_parts=False),  # classes are made by its administrator
    "b2": Provider(classes=("STANDARD",)),
    "r2": Provider(classes=("STANDARD", "STANDARD_IA"), locks=False),
    "wasabi": Provider(classes=("STANDARD",)),
    "gcs": Provider(classes=("STANDARD", "NEARLINE", "COLDLINE", "ARCHIVE"), locks=False),
    "scaleway": Provider(max_parts=1000, classes=("STANDARD", "ONEZONE_IA", "GLACIER")),
    "other": Provider(in_parts=False),
}
