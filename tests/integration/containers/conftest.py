# SPDX-License-Identifier: GPL-3.0-or-later
"""Real containers under a podman of the tests' own; their root is this machine's /usr, so no image is fetched."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from lifeboat.model import Workspace

from tests.integration.rescue.host import Host

ROOT = Path(__file__).resolve().parents[3]
LABNS = str(ROOT / "tests" / "lab" / "labns")
IMAGE = "localhost/lb-test"
# What a container is made to do: nothing, and to end at once when it is asked to.
IDLE = ("sh", "-c", 'trap "exit 0" TERM; while :; do sleep 1 & wait $!; done')


def podman(*words: str, stdin: bytes = b"", check: bool = True) -> str:
    done = subprocess.run(
        ["podman", *words], input=stdin, capture_output=True, check=False, timeout=60
    )
    assert done.returncode == 0 or not check, done.stderr.decode()
    # what a container said comes on both
    return (done.stdout + (done.stderr if words[0] == "logs" else b"")).decode().strip()


def wait_for(wanted: Callable[[], object], timeout_s: float = 10.0) -> bool:
    until = time.monotonic() + timeout_s
    while time.monotonic() < until:
        if wanted():
            return True
        time.sleep(0.1)
    return False


@dataclass
class Container:
    name: str

    def run(self, *argv: str, stdin: str = "", user: str = "root") -> str:
        return podman("exec", "-i", "--user", user, self.name, *argv, stdin=stdin.encode())

    def processes(self, *words: str) -> list[str]:
        """Command lines inside that hold one of the words."""
        listed = self.run("ps", "-eo", "args").splitlines()
        return [line for line in listed if any(word in line for word in words)]

    @property
    def running(self) -> bool:
        return podman("container", "inspect", "-f", "{{.State.Running}}", self.name) == "true"


@pytest.fixture(scope="session")
def engines() -> Iterator[None]:
    """podman and docker on PATH: both are podman with a storage of its own."""
    if os.geteuid() != 0:
        pytest.skip("only root has the lab's podman")
    base = Path(tempfile.mkdtemp(prefix="lb-podman-", dir="/tmp"))
    base.chmod(0o755)
    real = shutil.which("podman")
    for name in ("podman", "docker"):
        path = base / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(
            f'#!/bin/sh\nexec {LABNS} {real} --root {base}/storage --runroot {base}/run "$@"\n'
        )
        path.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{base}/bin:{os.environ['PATH']}")
        podman("import", "-q", "-", IMAGE, stdin=packed(tiny_root(base / "root")))
        try:
            yield
        finally:
            podman("rm", "-f", "-a", "-t", "0", check=False)
            subprocess.run([LABNS, "umount", f"{base}/storage/overlay"], capture_output=True)
            shutil.rmtree(base, ignore_errors=True)


@pytest.fixture(autouse=True)
def _in_our_storage(engines: None) -> None:
    """No test here meets the podman of this machine."""


def tiny_root(root: Path) -> Path:
    """What a root needs beside this machine's /usr, which is mounted into each container."""
    for name in ("usr", "etc", "var/lib", "run", "root", "proc", "sys", "dev"):
        (root / name).mkdir(parents=True)
    for name in ("bin", "sbin", "lib", "lib64"):
        (root / name).symlink_to("usr/" + name)
    for name in ("passwd", "group", "ld.so.cache", "ld.so.conf", "nsswitch.conf"):
        shutil.copy(f"/etc/{name}", root / "etc")
    shutil.copytree("/etc/alternatives", root / "etc/alternatives", symlinks=True)
    (root / "var/run").symlink_to("/run")
    for name in ("tmp", "var/tmp", "run/postgresql", "var/lib/pg"):
        (root / name).mkdir(parents=True, exist_ok=True)
        (root / name).chmod(0o1777)
    return root


def packed(root: Path) -> bytes:
    return subprocess.run(
        ["tar", "-C", str(root), "-c", "."], capture_output=True, check=True
    ).stdout


@pytest.fixture(scope="session")
def make_container(engines: None) -> Callable[..., Container]:
    def make(
        *options: str,
        command: tuple[str, ...] = IDLE,
        image: str = IMAGE,
        network: str = "none",
    ) -> Container:
        name = "lb-test-" + secrets.token_hex(4)
        podman(
            "run", "-d", "--name", name, "--network", network, "-v", "/usr:/usr:ro",
            *options, image, *command,
        )  # fmt: skip
        return Container(name)

    return make


@pytest.fixture(scope="session")
def container(make_container: Callable[..., Container]) -> Container:
    return make_container()


class Watch:
    """Every argument list that is seen while it is open; of programs in containers too."""

    def __init__(self) -> None:
        self.seen: set[bytes] = set()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.05):
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    self.seen.add(path.read_bytes())
                except OSError:
                    pass


@pytest.fixture
def work(tmp_path: Path) -> Workspace:
    for name in ("bulk", "secret"):
        (tmp_path / name).mkdir(mode=0o700)
    return Workspace(tmp_path / "bulk", tmp_path / "secret")


@pytest.fixture
def volume(engines: None) -> Iterator[str]:
    name = "lb-vol-" + secrets.token_hex(4)
    podman("volume", "create", "--label", "project=wiki", name)
    yield name
    for one in podman("ps", "-aq", "--filter", f"volume={name}").split():
        podman("rm", "-f", "-t", "0", one)
    podman("volume", "rm", "-f", name, check=False)


@pytest.fixture
def user(volume: str, make_container: Callable[..., Container]) -> Container:
    """A container that runs and has written into the volume, as users of its own."""
    made = make_container("-v", f"{volume}:/data")
    made.run("sh", "-c", """
        echo one >/data/one; mkdir /data/below; echo two >/data/below/two; ln -s one /data/link
        chown 33:33 /data/below /data/below/two; chmod 0750 /data/below; truncate -s 1M /data/sparse
    """)  # fmt: skip
    return made


@pytest.fixture
def host(tmp_path: Path, volume: str) -> Host:
    made = Host(tmp_path)
    made.job["sources"] = {"files": {"type": "volume", "podman": volume}}
    made.configure()
    return made
