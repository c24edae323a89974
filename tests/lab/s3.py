"""Start the lab's S3 server, and give it a bucket, users and a policy that it enforces.

As a module:  with s3.Server(folder) as server: s3.provision(server.endpoint, server.root, layout)
As a program: s3.py provision LAYOUT.json   (endpoint and root credentials in the file)
              s3.py prove LAYOUT.json       what the policy allows works, what it does not is denied

A layout: {"endpoint": URL, "root": CREDENTIALS, "bucket": NAME, "versioning": false,
"users": {NAME: {**CREDENTIALS, "read": [PREFIX], "write": [PREFIX], "delete": [PREFIX]}}},
where CREDENTIALS is {"access_key": …, "secret_key": …}.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import boto3
from botocore.client import BaseClient
from botocore.config import Config
from botocore.exceptions import ClientError

LAB = Path(__file__).resolve().parent
REGION = "us-east-1"


def binary() -> str:
    """Path of the server's program, built now if it was not."""
    return subprocess.run(
        [str(LAB / "versitygw")], check=True, stdout=subprocess.PIPE, text=True
    ).stdout.strip()


class Server:
    """A server on a free loopback port over a folder; ends when the block does."""

    def __init__(self, folder: Path, *, port: int = 0, keep_alive: bool = False) -> None:
        self._more = ["--keep-alive"] if keep_alive else []
        self.folder = folder.resolve()
        self.port = port or _free_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.root = {"access_key": "root", "secret_key": secrets.token_hex(16)}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def objects(self) -> Path:
        """Where objects lie as plain files, one folder a bucket."""
        return self.folder / "objects"

    def start(self) -> Server:
        for name in ("objects", "versions", "users"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        with open(self.folder / "server.log", "ab") as log:
            self._process = subprocess.Popen(
                [
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
                ],
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

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=10)
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
        config=Config(retries={"max_attempts": 1}, s3={"addressing_style": "path"}),
    )


def provision(endpoint: str, root: dict[str, str], layout: dict[str, Any]) -> bool:
    """Make the layout true; says whether anything had to change."""
    before = _accounts(endpoint, root)
    missing = [user for user in layout["users"].values() if user["access_key"] not in before]
    for user in missing:
        _admin(
            endpoint,
            root,
            "create-user",
            f"--access={user['access_key']}",
            f"--secret={user['secret_key']}",
            "--role=user",
        )
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
    document = json.dumps(policy(bucket, layout["users"]), sort_keys=True)
    if _current_policy(s3, bucket) != document:
        s3.put_bucket_policy(Bucket=bucket, Policy=document)
        changed = True
    return changed


def policy(bucket: str, users: dict[str, Any]) -> dict[str, Any]:
    """One bucket policy: each user reads, writes and deletes under its own prefixes only."""
    statements = []
    for user in users.values():
        who = {"AWS": [user["access_key"]]}
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


def _accounts(endpoint: str, root: dict[str, str]) -> set[str]:
    return {line.split()[0] for line in _admin(endpoint, root, "list-users").splitlines() if line}


def _admin(endpoint: str, root: dict[str, str], *words: str) -> str:
    return subprocess.run(
        [binary(), "admin", f"--endpoint-url={endpoint}", *words],
        env={
            **os.environ,
            "ADMIN_ACCESS_KEY_ID": root["access_key"],
            "ADMIN_SECRET_ACCESS_KEY": root["secret_key"],
            "ADMIN_REGION": REGION,
        },
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout


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


def _wait_until_open(port: int, process: subprocess.Popen[bytes], timeout_s: float = 20) -> None:
    deadline = time.monotonic() + timeout_s
    while process.poll() is None and time.monotonic() < deadline:
        with socket.socket() as attempt:
            if attempt.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    if process.poll() is None:
        process.kill()
    raise RuntimeError(f"the S3 server did not open port {port} (status {process.poll()})")


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
