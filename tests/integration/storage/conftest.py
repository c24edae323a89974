# SPDX-License-Identifier: GPL-3.0-or-later
"""Buckets whose identities have the policies that the role gives them, on servers that enforce them."""

from __future__ import annotations

import importlib
import json
import secrets
from collections.abc import Callable
from typing import Any

import pytest

from tests.integration.s3.conftest import (  # noqa: F401
    Bucket,
    _no_chain,
    client_of,
    gateway,
    moto,
    moto_root,
)
from tests.integration.sftp.conftest import area, openssh  # noqa: F401
from tests.lab import s3 as lab

policies = importlib.import_module(
    "ansible_collections.lifeboat.backup.plugins.filter.storage_policies"
)
# identity -> (kind of policy, host)
IDENTITIES = {
    "db1": ("append_only", "db1"),
    "db2": ("append_only", "db2"),
    "pruner": ("pruner", ""),
    "restorer": ("restorer", ""),
}
DRILLED = {"db1": ("append_only", "db1"), "drill": ("drill", "db1")}  # db1's job shop is
# Condition keys that versitygw refuses a policy for, so its rules are without them: there a second put is
# no refusal, but leaves the first one as a version. tests/unit/filter_plugins has the whole texts.
UNKNOWN_TO_VERSITYGW = ("s3:if-none-match", "s3:ObjectCreationOperation")


@pytest.fixture
def kept(gateway: lab.Server) -> Bucket:  # noqa: F811
    """A versioned bucket on the gateway with an identity of each kind."""
    return on_a_gateway(gateway, IDENTITIES)


def on_a_gateway(
    server: lab.Server,
    identities: dict[str, tuple[str, str]],
    versioning: bool = True,
    lock: dict[str, str] | None = None,
) -> Bucket:
    name = "b-" + secrets.token_hex(4)
    keys = {
        who: {"access_key": f"{who}-{name}", "secret_key": secrets.token_hex(16)}
        for who in identities
    }
    layout = {"bucket": name, "versioning": versioning, "users": keys}
    owner = lab.client(server.endpoint, server.root)
    if lock:
        owner.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    lab.provision(server.endpoint, server.root, layout)
    statements = [
        {
            **(_known(statement) if server.kind == lab.VERSITYGW else statement),
            "Principal": {"AWS": [lab.principal(server.endpoint, keys[who]["access_key"])]},
        }
        for who, (kind, host) in identities.items()
        for statement in policy(name, kind, host, lock)["Statement"]
    ]
    document = json.dumps({"Version": "2012-10-17", "Statement": statements}, separators=(",", ":"))
    owner.put_bucket_policy(Bucket=name, Policy=document)
    return Bucket(server.endpoint, name, next(iter(keys.values())), owner, None, keys)


def policy(bucket: str, kind: str, host: str, lock: dict[str, str] | None = None) -> dict[str, Any]:
    place = {"bucket": bucket, "object_lock": lock}
    made: dict[str, Any] = policies.storage_identity_policy(
        place, kind, host=host, drilled={host: ["shop"]}
    )
    return made


def _known(statement: dict[str, Any]) -> dict[str, Any]:
    condition = {
        operator: keys
        for operator, keys in statement.get("Condition", {}).items()
        if not set(keys) & set(UNKNOWN_TO_VERSITYGW)
    }
    # its policies are file attributes of 4 KiB at most, so what can be left out is left out
    rest = {name: value for name, value in statement.items() if name not in ("Condition", "Sid")}
    return {**rest, "Condition": condition} if condition else rest


@pytest.fixture
def on_moto(moto: str, moto_root: dict[str, str]) -> Callable[..., Bucket]:  # noqa: F811
    """A bucket on moto, which enforces IAM's policies but passes over their conditions."""

    def make(identities: dict[str, tuple[str, str]] = IDENTITIES) -> Bucket:
        name = "b-" + secrets.token_hex(6)
        owner = client_of("s3", moto, moto_root)
        owner.create_bucket(Bucket=name)
        owner.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        iam, keys = client_of("iam", moto, moto_root), {}
        for who, (kind, host) in identities.items():
            user = f"{who}-{name}"
            iam.create_user(UserName=user)
            document = json.dumps(policy(name, kind, host))
            iam.put_user_policy(UserName=user, PolicyName="lifeboat", PolicyDocument=document)
            made = iam.create_access_key(UserName=user)["AccessKey"]
            keys[who] = {"access_key": made["AccessKeyId"], "secret_key": made["SecretAccessKey"]}
        return Bucket(moto, name, next(iter(keys.values())), owner, None, keys)

    return make
