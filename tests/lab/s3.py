"""Start the lab's S3 server, and give it a bucket, users and a policy that it enforces.

As a module:  with s3.Server(folder) as server: s3.provision(server.endpoint, server.root, layout)
As a program: s3.py provision LAYOUT.json   (endpoint and root credentials in the file)
              s3.py prove LAYOUT.json       what the policy allows works, what it does not is denied

There are two servers behind one contract: versitygw, and Ceph's radosgw where versitygw cannot be had.
LIFEBOAT_TEST_S3=versitygw|radosgw names one.

A layout: {"endpoint": URL, "root": CREDENTIALS, "bucket": NAME, "versioning": false,
"users": {NAME: {**CREDENTIALS, "read": [PREFIX], "write": [PREFIX], "delete": [PREFIX]}}},
where CREDENTIALS is {"access_key": …, "secret_key": …}.
"""

from __future__ import annotations

import functools
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.client import BaseClient
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from botocore.httpsession import URLLib3Session

LAB = Path(__file__).resolve().parent
REGION = "us-east-1"


VERSITYGW, RADOSGW = "versitygw", "radosgw"
_OF_CEPH = ("ceph-mon", "ceph-osd", "radosgw")


class Unavailable(Exception):
    """No server can be had here; says which, so that a test can skip by it."""


@functools.cache
def binary() -> str:
    """Path of versitygw's program, built now if it was not."""
    built = subprocess.run([str(LAB / "versitygw")], check=False, stdout=subprocess.PIPE, text=True)
    if built.returncode != 0:
        raise Unavailable("versitygw is not built, and could not be")
    return built.stdout.strip()


def kind() -> str:
    """The server that tests use here."""
    named = os.environ.get("LIFEBOAT_TEST_S3", "")
    if named not in ("", VERSITYGW, RADOSGW):
        raise ValueError(f"LIFEBOAT_TEST_S3 is {named}, and neither {VERSITYGW} nor {RADOSGW}")
    ceph = all(shutil.which(program) for program in _OF_CEPH)
    if named == RADOSGW and not ceph:
        raise Unavailable("radosgw is not installed")
    if named == RADOSGW:
        return RADOSGW
    try:
        binary()
    except Unavailable:
        if named or not ceph:
            raise
        return RADOSGW
    return VERSITYGW


class Server:
    """A server on a free loopback port over a folder; ends when the block does."""

    def __init__(
        self, folder: Path, *, port: int = 0, keep_alive: bool = False, of: str = ""
    ) -> None:
        self._more = ["--keep-alive"] if keep_alive else []
        self.kind = of or kind()
        self.folder = folder.resolve()
        self.port = port or _free_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.root = {"access_key": "root", "secret_key": secrets.token_hex(16)}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def objects(self) -> Path:
        """Where objects lie as plain files, one folder a bucket: on versitygw."""
        if self.kind != VERSITYGW:
            raise NotImplementedError(f"objects are no plain files on {self.kind}")
        return self.folder / "objects"

    def folder_of(self, bucket: str) -> Path | None:
        """Where the bucket's objects lie as plain files, if they do."""
        return self.objects / bucket if self.kind == VERSITYGW else None

    def start(self) -> Server:
        if self._process is not None:  # killed, with what was stored in the programs behind it
            self._process.send_signal(signal.SIGHUP)
            _wait_until_open(self.port, self._process)
            return self
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self.folder / "server.log", "ab") as log:
            self._process = subprocess.Popen(
                self._versitygw() if self.kind == VERSITYGW else self._radosgw(),
                env={
                    **os.environ,
                    "ROOT_ACCESS_KEY_ID": self.root["access_key"],
                    "ROOT_SECRET_ACCESS_KEY": self.root["secret_key"],
                },
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        _wait_until_open(self.port, self._process)
        return self

    def _versitygw(self) -> list[str]:
        for name in ("objects", "versions", "users"):
            (self.folder / name).mkdir(exist_ok=True)
        return [
            binary(),
            f"--port=127.0.0.1:{self.port}",
            f"--region={REGION}",
            f"--iam-dir={self.folder / 'users'}",
            "--iam-cache-disable",
            "--quiet",
            *self._more,
            "posix",
            f"--versioning-dir={self.folder / 'versions'}",
            str(self.objects),
        ]

    def _radosgw(self) -> list[str]:
        return [str(LAB / "radosgw"), str(self.folder / "ceph"), f"127.0.0.1:{self.port}"]

    def _pid(self) -> int:
        """Of the program that answers requests."""
        assert self._process is not None
        if self.kind == VERSITYGW:
            return self._process.pid
        return int((self.folder / "ceph" / "gateway.pid").read_text())

    def kill(self) -> None:
        """As a crash does; `start` goes on with what was stored."""
        assert self._process is not None
        os.kill(self._pid(), signal.SIGKILL)
        if self.kind == VERSITYGW:
            self._process.wait(timeout=10)
            self._process = None
        _wait_until_closed(self.port)

    def pause(self) -> None:
        """Leave every request without an answer, until `resume`."""
        os.kill(self._pid(), signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self._pid(), signal.SIGCONT)

    def collect(self) -> None:
        """Remove now what radosgw removes when two hours have passed: of aborted uploads, and of objects that
        were deleted."""
        if self.kind == RADOSGW:
            subprocess.run(
                ["radosgw-admin", "gc", "process", "--include-all"],
                env={**os.environ, "CEPH_CONF": str(self.folder / "ceph" / "ceph.conf")},
                check=True,
                timeout=60,
            )

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=30)
            self._process = None

    def __enter__(self) -> Server:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


def client(endpoint: str, credentials: dict[str, Any]) -> BaseClient:
    """A boto3 client that fails at once instead of trying again."""
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id=credentials["access_key"],
        aws_secret_access_key=credentials["secret_key"],
        config=Config(
            retries={"max_attempts": 1},
            s3={"addressing_style": "path"},
            # radosgw 16 takes no trailers, and stores their framing
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )


def drop(s3: BaseClient, bucket: str) -> None:
    """Delete a bucket without versions, with all that it holds."""
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for one in page.get("Contents", []):
            s3.delete_object(Bucket=bucket, Key=one["Key"])
    s3.delete_bucket(Bucket=bucket)


def provision(endpoint: str, root: dict[str, str], layout: dict[str, Any]) -> bool:
    """Make the layout true; says whether anything had to change."""
    users = _users(endpoint, root)
    missing = [user for user in layout["users"].values() if not users.has(user["access_key"])]
    for user in missing:
        users.add(user["access_key"], user["secret_key"])
    s3 = client(endpoint, root)
    bucket = layout["bucket"]
    changed = bool(missing)
    if bucket not in [item["Name"] for item in s3.list_buckets()["Buckets"]]:
        s3.create_bucket(Bucket=bucket)
        changed = True
    wanted = "Enabled" if layout.get("versioning") else None
    if wanted and s3.get_bucket_versioning(Bucket=bucket).get("Status") != wanted:
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": wanted})
        changed = True
    document = json.dumps(policy(bucket, layout["users"], users.principal), sort_keys=True)
    if _current_policy(s3, bucket) != document:
        s3.put_bucket_policy(Bucket=bucket, Policy=document)
        changed = True
    return changed


def remove_user(endpoint: str, root: dict[str, str], access_key: str) -> None:
    _users(endpoint, root).remove(access_key)


def principal(endpoint: str, access_key: str) -> str:
    """What a bucket policy of that server calls the user."""
    return _kind_at(endpoint).principal(access_key)


def policy(bucket: str, users: dict[str, Any], principal: Callable[[str], str]) -> dict[str, Any]:
    """One bucket policy: each user reads, writes and deletes under its own prefixes only."""
    statements = []
    for user in users.values():
        who = {"AWS": [principal(user["access_key"])]}
        statements.append(
            {
                "Effect": "Allow",
                "Principal": who,
                "Action": [
                    "s3:ListBucket",
                    "s3:ListBucketVersions",
                    "s3:ListBucketMultipartUploads",
                    "s3:GetBucketVersioning",
                    "s3:GetBucketLocation",
                ],
                "Resource": [f"arn:aws:s3:::{bucket}"],
            }
        )
        for right, actions in _ACTIONS.items():
            resources = [f"arn:aws:s3:::{bucket}/{prefix}*" for prefix in user.get(right, [])]
            if resources:
                statements.append(
                    {
                        "Effect": "Allow",
                        "Principal": who,
                        "Action": actions,
                        "Resource": resources,
                    }
                )
    return {"Version": "2012-10-17", "Statement": statements}


_ACTIONS = {
    "read": ["s3:GetObject", "s3:GetObjectVersion", "s3:GetObjectRetention"],
    "write": ["s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"],
    "delete": ["s3:DeleteObject", "s3:DeleteObjectVersion"],
}


def prove(endpoint: str, layout: dict[str, Any], probe: str = "zz-probe") -> list[str]:
    """Try what each user may and may not do; returns what was not as the layout says.

    A lab whose server enforces nothing would let every test about rights pass.
    """
    bucket, wrong = layout["bucket"], []

    def expect(allowed: bool, what: str, action: Any) -> None:
        try:
            action()
            outcome = True
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] != 403:
                raise
            outcome = False
        if outcome is not allowed:
            wrong.append(f"{what}: {'allowed' if outcome else 'denied'}")

    root = client(endpoint, layout["root"])
    for name, user in layout["users"].items():
        s3 = client(endpoint, user)
        keys = [f"{prefix}{probe}" for prefix in user.get("write", [])]
        keys += [f"{prefix}{probe}" for prefix in user.get("read", [])] + [probe]
        for key in dict.fromkeys(keys):
            root.put_object(Bucket=bucket, Key=key, Body=b"probe")

            def may(right: str, user: dict[str, Any] = user, key: str = key) -> bool:
                return any(key.startswith(prefix) for prefix in user.get(right, []))

            target = {"Bucket": bucket, "Key": key}
            expect(
                may("write"),
                f"{name} puts {key}",
                lambda s3=s3, target=target: s3.put_object(**target, Body=b"probe"),
            )
            expect(
                may("read"),
                f"{name} gets {key}",
                lambda s3=s3, target=target: s3.get_object(**target)["Body"].read(),
            )
            expect(
                may("delete"),
                f"{name} deletes {key}",
                lambda s3=s3, target=target: s3.delete_object(**target),
            )
            _forget(root, bucket, key)
        forged = client(endpoint, {**user, "secret_key": "not-the-secret"})
        expect(
            False,
            f"{name} with a wrong secret lists",
            lambda forged=forged: forged.list_objects_v2(Bucket=bucket),
        )
        expect(
            False,
            f"{name} changes the policy",
            lambda s3=s3: s3.put_bucket_policy(Bucket=bucket, Policy="{}"),
        )
    return wrong


def _forget(root: BaseClient, bucket: str, key: str) -> None:
    """Remove the key, with its versions where the bucket keeps them."""
    listed = root.list_object_versions(Bucket=bucket, Prefix=key)
    versions = listed.get("Versions", []) + listed.get("DeleteMarkers", [])
    for version in versions:
        root.delete_object(Bucket=bucket, Key=version["Key"], VersionId=version["VersionId"])
    root.delete_object(Bucket=bucket, Key=key)


class _OfVersitygw:
    """Users, by its program's own commands."""

    def __init__(self, endpoint: str, root: dict[str, str]) -> None:
        self._endpoint, self._root = endpoint, root

    @staticmethod
    def principal(access_key: str) -> str:
        return access_key

    def has(self, access_key: str) -> bool:
        lines = self._admin("list-users").splitlines()
        return access_key in {line.split()[0] for line in lines if line}

    def add(self, access_key: str, secret_key: str) -> None:
        self._admin(
            "create-user", f"--access={access_key}", f"--secret={secret_key}", "--role=user"
        )

    def remove(self, access_key: str) -> None:
        self._admin("delete-user", f"--access={access_key}")

    def _admin(self, *words: str) -> str:
        return subprocess.run(
            [binary(), "admin", f"--endpoint-url={self._endpoint}", *words],
            env={
                **os.environ,
                "ADMIN_ACCESS_KEY_ID": self._root["access_key"],
                "ADMIN_SECRET_ACCESS_KEY": self._root["secret_key"],
                "ADMIN_REGION": REGION,
            },
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        ).stdout


class _OfRadosgw:
    """Users, by its administration over HTTP; each is called as its key, so that policies can name it."""

    def __init__(self, endpoint: str, root: dict[str, str]) -> None:
        self._endpoint = endpoint
        self._root = Credentials(root["access_key"], root["secret_key"])

    @staticmethod
    def principal(access_key: str) -> str:
        return f"arn:aws:iam:::user/{access_key}"

    def has(self, access_key: str) -> bool:
        return self._admin("GET", uid=access_key) == 200

    def add(self, access_key: str, secret_key: str) -> None:
        named = {"uid": access_key, "display-name": access_key, "access-key": access_key}
        self._done(  # without buckets of its own, as on versitygw
            self._admin("PUT", **named, **{"secret-key": secret_key, "max-buckets": "-1"})
        )

    def remove(self, access_key: str) -> None:
        self._done(self._admin("DELETE", uid=access_key))

    def _admin(self, method: str, **query: str) -> int:
        """The answer's status."""
        url = f"{self._endpoint}/admin/user?{urllib.parse.urlencode(query)}"
        request = AWSRequest(method=method, url=url)
        S3SigV4Auth(self._root, "s3", REGION).add_auth(request)
        status: int = URLLib3Session(timeout=30).send(request.prepare()).status_code
        return status

    @staticmethod
    def _done(status: int) -> None:
        if status != 200:
            raise RuntimeError(f"radosgw answered {status} to what its administrator asked")


@functools.cache
def _kind_at(endpoint: str) -> type[_OfVersitygw | _OfRadosgw]:
    """Which server answers there: each request of Ceph's has an id of this form."""
    said = URLLib3Session(timeout=30).send(AWSRequest(method="GET", url=endpoint).prepare()).headers
    ceph = said.get("x-amz-request-id", "").startswith("tx0")
    return _OfRadosgw if ceph else _OfVersitygw


def _users(endpoint: str, root: dict[str, str]) -> _OfVersitygw | _OfRadosgw:
    return _kind_at(endpoint)(endpoint, root)


def _current_policy(s3: BaseClient, bucket: str) -> str | None:
    try:
        document = s3.get_bucket_policy(Bucket=bucket)["Policy"]
    except ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchBucketPolicy":
            return None
        raise
    return json.dumps(json.loads(document), sort_keys=True)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _wait_until_open(port: int, process: subprocess.Popen[bytes], timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while process.poll() is None and time.monotonic() < deadline:
        with socket.socket() as attempt:
            if attempt.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    if process.poll() is None:
        process.kill()
    raise RuntimeError(f"the S3 server did not open port {port} (status {process.poll()})")


def _wait_until_closed(port: int, timeout_s: float = 10) -> None:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        with socket.socket() as attempt:
            if attempt.connect_ex(("127.0.0.1", port)) != 0:
                return
        time.sleep(0.02)
    raise RuntimeError(f"something still listens on port {port}")


def main(words: list[str]) -> int:
    command, path = words
    layout = json.loads(Path(path).read_text()) if path != "-" else json.load(sys.stdin)
    if command == "provision":
        changed = provision(layout["endpoint"], layout["root"], layout)
        print("changed" if changed else "as it should be")
        return 0
    wrong = prove(layout["endpoint"], layout)
    print("\n".join(wrong) or "enforced")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
