"""What the rclone destination does with its secrets, and with an rclone that fails."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from lifeboat.destinations.rclone.destination import Rclone
from lifeboat.errors import ConfigError, DestinationError
from lifeboat.model import Secret

KEY = "s3cr3t-k3y"


def rclone(folder: Path, script: str) -> Rclone:
    """Behind a program that is told to fail: no backend at hand fails so when it should."""
    program = folder / "rclone"
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$*" >> {folder}/argv\n{script}\n')
    program.chmod(0o755)
    settings = {"account": "acme", "sas_url": Secret.of("https://sas/" + KEY)}
    more = Secret.of({"key": KEY, "service_account_credentials": {"private_key": KEY}})
    return Rclone(
        name="cloud",
        backend="azureblob",
        path="box/db1",
        settings=settings,
        credential=more,
        program=str(program),
    )


def test_secrets_are_in_the_environment_and_nowhere_else(tmp_path: Path) -> None:
    place = rclone(tmp_path, f"env | grep RCLONE_CONFIG > {tmp_path}/env; exit 3")
    with pytest.raises(DestinationError), place.open("catalog/a"):
        pass
    assert KEY not in (tmp_path / "argv").read_text()
    seen = dict(line.split("=", 1) for line in (tmp_path / "env").read_text().splitlines())
    assert seen["RCLONE_CONFIG_LIFEBOAT_TYPE"] == "azureblob"
    assert seen["RCLONE_CONFIG_LIFEBOAT_KEY"] == KEY
    assert (
        seen["RCLONE_CONFIG_LIFEBOAT_SERVICE_ACCOUNT_CREDENTIALS"] == f'{{"private_key": "{KEY}"}}'
    )


def test_an_error_never_shows_a_secret(tmp_path: Path) -> None:
    place = rclone(tmp_path, f'echo "Failed to cat: bad key {KEY}: 403 Forbidden" >&2; exit 1')
    with pytest.raises(DestinationError) as caught, place.open("catalog/a"):
        pass
    told = "\n".join(caught.value.lines())
    assert KEY not in told
    assert "bad key ***" in told
    assert caught.value.permanent


@pytest.mark.parametrize(
    ("said", "permanent"),
    [
        ("no space left on device", True),
        ("storage quota exceeded", True),
        ("dial tcp: connection refused", False),
        ("503 Service Unavailable", False),
    ],
)
def test_what_cannot_get_better_is_not_tried_again(
    tmp_path: Path, said: str, permanent: bool
) -> None:
    place = rclone(tmp_path, f'echo "Failed to rcat: {said}" >&2; exit 1')
    with pytest.raises(DestinationError, match=said) as caught:
        place.check()
    assert caught.value.permanent is permanent


def test_bytes_before_a_failure_are_not_taken_for_the_whole(tmp_path: Path) -> None:
    place = rclone(tmp_path, 'printf half; echo "Failed to cat: reset" >&2; exit 1')
    with pytest.raises(DestinationError, match="reset"), place.open("catalog/a") as stored:
        stored.read()


def test_a_host_without_rclone_is_told() -> None:
    place = Rclone(name="cloud", backend="local", path="/x", program="/nowhere/rclone")
    with pytest.raises(DestinationError, match="not on this machine") as caught:
        place.check()
    assert caught.value.permanent
    assert "install rclone" in caught.value.hint


def test_a_path_that_names_a_remote_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"destinations\.cloud\.path"):
        Rclone(name="cloud", backend="s3", path="remote:bucket")


def test_an_upload_does_not_outlive_us(tmp_path: Path) -> None:
    """The end of its input is what rclone takes for the end of the archive."""
    stored = tmp_path / "stored"
    begun, ended = tmp_path / "begun", tmp_path / "ended"
    script = (
        f"head -c 1 > {begun}.part; mv {begun}.part {begun}; cat > {stored}; sleep 1; touch {ended}"
    )
    place = rclone(tmp_path, script)
    killed = os.fork()
    if killed == 0:

        def blocks() -> Iterator[bytes]:
            yield b"cut"
            time.sleep(60)

        try:
            place._remote.put("a", "lifeboat:box/a", blocks(), lambda: None)
        finally:
            os._exit(1)
    try:
        until = time.monotonic() + 30
        while not begun.exists() and time.monotonic() < until:
            time.sleep(0.05)
        assert begun.exists()
    finally:
        os.kill(killed, signal.SIGKILL)
        os.waitpid(killed, 0)
    time.sleep(2)
    assert not ended.exists()
