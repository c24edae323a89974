# SPDX-License-Identifier: GPL-3.0-or-later
"""Google Cloud Storage, as a server that speaks its API has it: the contract, and a host's whole round."""

from __future__ import annotations

import json
import secrets
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from lifeboat.destinations.rclone.destination import Rclone

from tests.integration.rescue.host import Host
from tests.lab.sftp import free_port
from tests.unit.contracts.destination_contract import DestinationContract

LAB = Path(__file__).resolve().parents[2] / "lab"
pytestmark = [
    pytest.mark.nightly,  # its server is built with Go, which takes minutes
    pytest.mark.skipif(not shutil.which("rclone"), reason="no rclone here"),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    built = subprocess.run([str(LAB / "fakegcs")], capture_output=True, text=True)
    if built.returncode != 0:
        pytest.skip(f"fakegcs cannot be built here: {built.stderr.strip()[-200:]}")
    folder, port = tmp_path_factory.mktemp("google"), free_port()
    url = f"http://127.0.0.1:{port}"
    where = ["-scheme=http", "-host=127.0.0.1", f"-port={port}", f"-filesystem-root={folder}"]
    names = [f"-public-host=127.0.0.1:{port}", f"-external-url={url}"]
    with open(folder.with_suffix(".log"), "wb") as log:
        running = subprocess.Popen([built.stdout.strip(), *where, *names], stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 20
        while not answers(url) and running.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        yield url
    finally:
        running.terminate()
        running.wait(10)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/storage/v1/b", timeout=5):
            return True
    except (OSError, urllib.error.URLError):
        return False


@pytest.fixture
def bucket(server: str) -> str:
    """A new one, by its name."""
    name = f"acme-{secrets.token_hex(4)}"
    asked = urllib.request.Request(
        f"{server}/storage/v1/b", json.dumps({"name": name}).encode(), {"Content-Type": "text/json"}
    )
    with urllib.request.urlopen(asked, timeout=10):
        return name


def settings(server: str) -> dict[str, str]:
    return {"endpoint": f"{server}/storage/v1/", "anonymous": "true", "bucket_policy_only": "true"}


class TestRcloneGoogle(DestinationContract):
    @pytest.fixture
    def place(self, server: str, bucket: str) -> Rclone:
        return Rclone(
            name="google",
            backend="google cloud storage",
            path=f"{bucket}/db1",
            settings=settings(server),
        )

    def unfinished(self, place: Rclone) -> list[str]:
        """An upload is no object before its end; a part would be one."""
        return [one.key for one in place.list("") if ".part-" in one.key]


def test_what_is_left_at_google_alone_brings_everything_back(
    tmp_path: Path, server: str, bucket: str
) -> None:
    host = Host(tmp_path)
    host.configuration["destinations"]["google"] = {
        "type": "rclone",
        "backend": "google cloud storage",
        "path": f"{bucket}/h1",
        "settings": settings(server),
    }
    host.job["destinations"] = ["google"]
    host.job["keep"] = {"last": 1}
    host.configure()
    host.fill(1000)
    host.run()
    newest = host.run()
    pruned = host.lifeboat("prune", "shop", "--apply")
    assert pruned.returncode == 0, pruned.stderr
    told = json.loads(host.lifeboat("list", "shop", "--json").stdout)
    assert [one["id"] for one in told if one["copies"] == {"google": "intact"}] == [newest]
    host.database.unlink()
    done = host.restore(newest)
    assert done.returncode == 0, done.stderr
    assert host.rows() == 1000
