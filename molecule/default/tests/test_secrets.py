"""No secret lies, runs or is told anywhere it need not be. The story has backed up and restored before."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.lab import hosts, stored
from tests.lab.hosts import on, watched

S3_SECRETS = {"db": "db-secret-of-the-lab", "fresh": "fresh-secret-of-the-lab"}


@pytest.mark.parametrize("host", ["db", "fresh"])
def test_the_private_keys_are_nowhere_on_a_host(host: str, keys: Path) -> None:
    for name in ("operator", "escrow"):
        assert holding(host, secret_of(keys / f"{name}.key")) == []
    # the beginning of every key stands only in programs that read one: age itself, and our filter age
    named = {Path(one).name.partition(".")[0] for one in holding(host, "AGE-SECRET-KEY-1")}
    assert named == {"age", "age-keygen"}


@pytest.mark.parametrize("host", ["db", "fresh"])
def test_the_credential_is_nowhere_in_clear(host: str) -> None:
    assert holding(host, S3_SECRETS[host]) == []
    assert holding(host, "pruner-secret-of-the-lab") == []


@pytest.mark.parametrize("host", ["db", "fresh"])
def test_a_search_finds_what_is_there(host: str, keys: Path) -> None:
    """Without this the tests above might look in the wrong place."""
    recipient = (keys / "operator.pub").read_text().strip()
    assert "/etc/lifeboat/config.json" in holding(host, recipient)


@pytest.mark.parametrize("host", ["db", "fresh"])
def test_the_journal_tells_no_secret(host: str) -> None:
    told = on(host, "journalctl", "--no-pager", "-o", "export").stdout
    assert "lifeboat-run@" in told or host == "fresh"
    assert S3_SECRETS[host] not in told
    assert "AGE-SECRET-KEY-1" not in told


def test_a_run_shows_no_secret_to_those_who_list_processes() -> None:
    seen: set[str] = set()
    for _run in range(5):  # on a busy machine a look may miss a program that is soon done
        ran, programs = watched("db", "run", "shop", secrets=[S3_SECRETS["db"], "AGE-SECRET-KEY-1"])
        assert ran.returncode == 0, ran.stderr
        seen |= programs
        if {"pg_dump", "zstd", "age", "tar"} <= seen:  # it looked while they ran
            return
    pytest.fail(f"the watch saw too little: {sorted(seen)}")


def test_offsite_is_nothing_but_ciphertext_and_catalog() -> None:
    found = dict(stored.contents("lifeboat"))
    kinds = [key for key in found if key.startswith("archives/")]
    assert len(kinds) > 20
    plain = [key for key in kinds if not key.endswith(".age")]
    assert {Path(key).name for key in plain} <= {"SHA256SUMS", "RESTORE.md"}
    for told in ("Customer.17@", "photo 017", "reads; 見る"):
        assert [key for key, body in found.items() if told.encode() in body] == []


def secret_of(key: Path) -> str:
    return next(line for line in key.read_text().splitlines() if line.startswith("AGE-SECRET"))


def holding(host: str, text: str) -> list[str]:
    """Files with `text` on a host's disk (seen from outside, deleted by nobody) and in its memory."""
    with root_of(host) as root:
        disk = ["/" + path.relative_to(root).as_posix() for path in grep(root, text)]
    told = on(host, "grep", "-rlaF", "--devices=skip", "-f", "-", "/run", "/tmp", stdin=text)
    assert told.returncode in (0, 1), told.stderr
    return disk + told.stdout.split()


def grep(folder: Path, text: str) -> list[Path]:
    argv = ["grep", "--recursive", "--files-with-matches", "--text", "--fixed-strings"]
    argv += ["--devices=skip", "--file=-", str(folder)]
    told = subprocess.run(argv, input=text, capture_output=True, text=True, check=False)
    assert told.returncode in (0, 1), told.stderr
    return [Path(path) for path in told.stdout.splitlines()]


@contextmanager
def root_of(host: str) -> Iterator[Path]:
    """A host's whole disk, from outside."""
    name = hosts.container(host)
    root = subprocess.check_output(["podman", "mount", name], text=True).strip()
    try:
        yield Path(root)
    finally:
        subprocess.check_call(["podman", "umount", name], stdout=subprocess.DEVNULL)
