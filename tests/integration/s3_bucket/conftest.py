# SPDX-License-Identifier: GPL-3.0-or-later
"""A bucket of an application, on a real server, and the source that protects it."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

import pytest
from lifeboat.model import Secret
from lifeboat.sources.s3_bucket.source import S3Bucket

from tests.integration.s3.conftest import (  # noqa: F401
    _no_chain,
    client_of,
    gateway,
    moto,
    moto_root,
)
from tests.lab import s3 as lab

ODD_KEYS = (
    "plain.txt",
    "with blank/and “quotes” & + % ? #.txt",
    "ünïcödé/日本語/\U0001f6df.txt",
    "a=b/c;d/e,f",
    "tab\there",
    ".lifeboat-keys/00000003",
    "x" * 200 + "/" + "y" * 200 + "/" + "z" * 200 + "/" + "é" * 100 + "/" + "w" * 96,  # 900 bytes
)
# What a server whose objects are files cannot take.
HOSTILE_KEYS = (
    "/etc/passwd",
    "//two",
    "a//b",
    "../../up",
    "./here",
    "folder/",
    "x",
    "x/y",
    "n" * 900,
)


@dataclass
class Place:
    """One server, as its owner sees it, and a new bucket on it."""

    endpoint: str
    key: dict[str, str]
    owner: Any
    bucket: str

    def source(self, key: dict[str, str] | None = None, **given: Any) -> S3Bucket:
        used = key or self.key
        secret = {"access_key_id": used["access_key"], "secret_access_key": used["secret_key"]}
        told = {
            "bucket": self.bucket,
            "endpoint": self.endpoint,
            "region": lab.REGION,
            "credential": Secret.of(secret),
        }
        return S3Bucket(name="docs", **{**told, **given})

    def put(self, key: str, content: bytes = b"", **extra: Any) -> None:
        self.owner.put_object(Bucket=self.bucket, Key=key, Body=content, **extra)

    def keys(self) -> list[str]:
        pages = self.owner.get_paginator("list_objects_v2").paginate(Bucket=self.bucket)
        return [found["Key"] for page in pages for found in page.get("Contents", [])]

    def remove(self, *keys: str) -> None:
        for key in keys:
            self.owner.delete_object(Bucket=self.bucket, Key=key)

    def look(self) -> dict[str, Any]:
        """Each object as a user of the bucket sees it."""
        return {key: self.one(key) for key in self.keys()}

    def one(self, key: str) -> tuple[Any, ...]:
        at = {"Bucket": self.bucket, "Key": key}
        found = self.owner.get_object(**at)
        tags = self.owner.get_object_tagging(**at)["TagSet"]
        names = ("ContentType", "CacheControl", "ContentDisposition", "ContentLanguage")
        return (
            found["Body"].read(),
            tuple(found.get(name) for name in names),
            tuple(sorted(found["Metadata"].items())),
            tuple(sorted((one["Key"], one["Value"]) for one in tags)),
        )

    def another(self, name: str = "") -> Place:
        """Another bucket of the same server."""
        made = Place(self.endpoint, self.key, self.owner, name or "b-" + secrets.token_hex(6))
        self.owner.create_bucket(Bucket=made.bucket)
        return made


@pytest.fixture
def on_gateway(gateway: lab.Server) -> Place:  # noqa: F811
    """versitygw, whose objects are files, or radosgw: tags and policies are real."""
    owner = lab.client(gateway.endpoint, gateway.root)
    return Place(gateway.endpoint, gateway.root, owner, "").another()


@pytest.fixture
def on_moto(moto: str, moto_root: dict[str, str]) -> Place:  # noqa: F811
    """moto: objects are only names, so that any key is possible; versions."""
    return Place(moto, moto_root, client_of("s3", moto, moto_root), "").another()
