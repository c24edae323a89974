"""Real S3 servers on loopback, one of each kind for a worker; a bucket and identities for each test."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from lifeboat.destinations.s3.destination import S3
from lifeboat.model import Secret

from tests.lab import s3 as lab

MIB = 1 << 20


@dataclass
class Bucket:
    """One test's bucket: the identity a host would have, and the owner's client to look behind it."""

    endpoint: str
    name: str
    host: dict[str, str]  # access_key, secret_key
    owner: Any  # a boto3 client that may do everything
    folder: Path | None = None  # where objects lie as plain files, if they do
    others: dict[str, dict[str, str]] = field(default_factory=dict)

    def open_uploads(self) -> list[str]:
        listed = self.owner.list_multipart_uploads(Bucket=self.name)
        return [upload["Key"] for upload in listed.get("Uploads", [])]

    def fill(self, keys: list[str]) -> None:
        """Empty objects, as fast as this server takes them."""
        if self.folder is None:
            with ThreadPoolExecutor(8) as pool:
                list(pool.map(lambda key: self.owner.put_object(Bucket=self.name, Key=key), keys))
            return
        for key in keys:
            (self.folder / key).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / key).write_bytes(b"")

    def flip(self, key: str, at: int) -> None:
        """Change a byte of an object: on the server's disk, or else as the bucket's owner."""
        if self.folder is None:
            content = bytearray(self.owner.get_object(Bucket=self.name, Key=key)["Body"].read())
            content[at] ^= 0xFF
            self.owner.put_object(Bucket=self.name, Key=key, Body=bytes(content))
            return
        with open(self.folder / key, "r+b") as stored:
            stored.seek(at)
            byte = stored.read(1)[0]
            stored.seek(at)
            stored.write(bytes([byte ^ 0xFF]))


def s3_at(bucket: Bucket, key: dict[str, str] | None = None, **options: Any) -> S3:
    used = key or bucket.host
    secret = {"access_key_id": used["access_key"], "secret_access_key": used["secret_key"]}
    given = {"bucket": bucket.name, "endpoint": bucket.endpoint, "credential": Secret.of(secret)}
    return S3(name="offsite", **{**given, **options})


@pytest.fixture(autouse=True)
def _no_chain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests may have AWS keys: they must not be found."""
    for name in [
        name for name in os.environ if name.startswith("AWS_") and name != "AWS_CA_BUNDLE"
    ]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[lab.Server]:
    """versitygw, else radosgw: the one that can be had here."""
    try:
        server = lab.Server(tmp_path_factory.mktemp("gateway"))
    except lab.Unavailable as why:
        pytest.skip(str(why))
    with server:
        yield server


@pytest.fixture
def bucket(gateway: lab.Server) -> Bucket:
    """On the gateway, with an identity that may do everything below any prefix but change the bucket."""
    return make_bucket(gateway, host={"read": [""], "write": [""], "delete": [""]})


def make_bucket(server: lab.Server, **rights: dict[str, list[str]]) -> Bucket:
    """A bucket with one user for each word; each with its own rights, enforced."""
    name = "b-" + secrets.token_hex(6)
    users = {
        user: {"access_key": f"{user}-{name}", "secret_key": secrets.token_hex(16), **allowed}
        for user, allowed in rights.items()
    }
    lab.provision(server.endpoint, server.root, {"bucket": name, "users": users})
    keys = {
        user: {word: str(one[word]) for word in ("access_key", "secret_key")}
        for user, one in users.items()
    }
    return Bucket(
        server.endpoint,
        name,
        keys["host"],
        lab.client(server.endpoint, server.root),
        server.folder_of(name),
        keys,
    )


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """moto with IAM enforced from the third request on: one to make a user, one for its policy."""
    with moto_at(tmp_path_factory.mktemp("moto"), INITIAL_NO_AUTH_ACTION_COUNT="3") as endpoint:
        yield endpoint


@contextmanager
def moto_at(folder: Path, **environment: str) -> Iterator[str]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    with open(folder / "server.log", "wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with socket.socket() as attempt:
                if attempt.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=10)


@pytest.fixture(scope="session")
def moto_root(moto: str) -> dict[str, str]:
    """An identity that may do everything; made while moto does not ask for one yet."""
    iam = client_of("iam", moto, {"access_key": "nobody", "secret_key": "nothing"})
    iam.create_user(UserName="root")
    allow = [{"Effect": "Allow", "Action": "*", "Resource": "*"}]
    document = json.dumps({"Version": "2012-10-17", "Statement": allow})
    iam.put_user_policy(UserName="root", PolicyName="all", PolicyDocument=document)
    made = iam.create_access_key(UserName="root")["AccessKey"]
    return {"access_key": made["AccessKeyId"], "secret_key": made["SecretAccessKey"]}


@pytest.fixture
def moto_bucket(moto: str, moto_root: dict[str, str]) -> Bucket:
    name = "b-" + secrets.token_hex(6)
    owner = client_of("s3", moto, moto_root)
    owner.create_bucket(Bucket=name)
    actions = [
        "s3:ListBucket",
        "s3:ListBucketMultipartUploads",
        "s3:GetObject",
        "s3:PutObject",
        "s3:AbortMultipartUpload",
        "s3:DeleteObject",
    ]
    host = moto_user(moto, moto_root, name, actions)
    return Bucket(moto, name, host, owner)


def moto_user(moto: str, root: dict[str, str], bucket: str, actions: list[str]) -> dict[str, str]:
    """An IAM user with these rights on one bucket, and its key."""
    iam = client_of("iam", moto, root)
    user = "u-" + secrets.token_hex(6)
    iam.create_user(UserName=user)
    resources = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    allow = [{"Effect": "Allow", "Action": actions, "Resource": resources}]
    document = json.dumps({"Version": "2012-10-17", "Statement": allow})
    iam.put_user_policy(UserName=user, PolicyName="host", PolicyDocument=document)
    made = iam.create_access_key(UserName=user)["AccessKey"]
    return {"access_key": made["AccessKeyId"], "secret_key": made["SecretAccessKey"]}


def client_of(service: str, endpoint: str, key: dict[str, str]) -> Any:
    return boto3.client(
        service,
        endpoint_url=endpoint,
        region_name=lab.REGION,
        aws_access_key_id=key["access_key"],
        aws_secret_access_key=key["secret_key"],
        config=Config(retries={"max_attempts": 1}, s3={"addressing_style": "path"}),
    )
