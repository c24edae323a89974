"""What the lab's S3 server holds, as its owner sees it.

As a module, in a story:  stored.sums("documents")
As a program, python -m tests.lab.stored makes documents up. It reads {"endpoint": URL, "root": CREDENTIALS,
"buckets": {NAME: {"key": KEY, "count": N, "bytes": N}}} as JSON, where KEY has {number:02} in it.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterator
from typing import Any

from botocore.client import BaseClient

from tests.lab import hosts, s3

ROOT = {"access_key": "root", "secret_key": "root-secret-of-the-lab"}


def owner() -> BaseClient:
    """A client that may do everything, from outside of the lab's hosts."""
    address = hosts.host("s3").check_output("getent ahostsv4 s3").split()[0]
    return s3.client(f"http://{address}:7070", ROOT)


def keys(bucket: str, prefix: str = "", at: BaseClient | None = None) -> Iterator[str]:
    """All of them, in their order."""
    pages = (at or owner()).get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return (one["Key"] for page in pages for one in page.get("Contents", []))


def contents(bucket: str, prefix: str = "") -> Iterator[tuple[str, bytes]]:
    """(key, content) of each object."""
    at = owner()
    for key in keys(bucket, prefix, at):
        yield key, at.get_object(Bucket=bucket, Key=key)["Body"].read()


def classes(bucket: str, ending: str) -> list[str]:
    """The storage class of each object whose key ends so."""
    at = owner()
    wanted = [key for key in keys(bucket, at=at) if key.endswith(ending)]
    found = [at.head_object(Bucket=bucket, Key=key) for key in wanted]
    return [str(one.get("StorageClass", "STANDARD")) for one in found]


def sums(bucket: str) -> list[str]:
    """One line an object: what sha256sum writes."""
    return [f"{hashlib.sha256(body).hexdigest()}  {key}" for key, body in contents(bucket)]


def remove(bucket: str, prefix: str = "") -> int:
    """Delete these objects; says how many there were."""
    at, gone = owner(), 0
    for key in list(keys(bucket, prefix, at)):
        at.delete_object(Bucket=bucket, Key=key)
        gone += 1
    return gone


def unfinished(bucket: str, prefix: str = "") -> list[str]:
    """Keys of the uploads in parts that were begun, and not completed."""
    found = owner().list_multipart_uploads(Bucket=bucket, Prefix=prefix)
    return [str(one["Key"]) for one in found.get("Uploads", [])]


def fill(asked: dict[str, Any]) -> None:
    at = s3.client(asked["endpoint"], asked["root"])
    for bucket, made in asked["buckets"].items():
        at.create_bucket(Bucket=bucket)
        for number in range(made["count"]):
            body = os.urandom(made["bytes"] + number)
            at.put_object(Bucket=bucket, Key=made["key"].format(number=number), Body=body)


if __name__ == "__main__":
    fill(json.load(sys.stdin))
