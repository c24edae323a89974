# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure a dump to three destinations at once over a slow network, beside doing one after the other.

    python tests/bench/copies.py [--size-mb 186] [--rate-mb 30]     also: python tests/bench --copies

A program gives random bytes at the rate of the network; three buckets of a real S3 server lie behind
proxies of this test, each of which passes that many bytes a second to the server, and as many as there
are back.
    dump     the program | zstd | age > FILE
    upload   FILE to one bucket by boto3, alone
    stored   the whole `lifeboat run` to all three, until the last archive is stored
    run      the same until its end: manifest, and every byte of every copy read back
Exit status 1 when a promise does not hold: stored <= 1.30 x max(dump, upload), <= 0.70 x (dump + upload),
memory of lifeboat's own process <= 150 MB, spool <= 1.02 x the archive.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.bench.running import LIBRARIES, PRELUDE, PYTHON  # noqa: E402
from tests.lab import s3 as lab  # noqa: E402

MB = 1_000_000
LIMIT_RSS_MB = 150
SOURCE = """
import os, sys, time
size, rate = int(sys.argv[1]), int(sys.argv[2])
begun, sent = time.monotonic(), 0
while sent < size:
    sent += sys.stdout.buffer.write(os.urandom(min(1 << 20, size - sent)))
    time.sleep(max(0, sent / rate - (time.monotonic() - begun)))
"""


def slow_proxy(ready: multiprocessing.Queue, target: int, rate: int) -> None:  # type: ignore[type-arg]
    """Pass `rate` bytes a second to `target`, of all connections together; answers as they come."""
    guard, free_at = threading.Lock(), [time.monotonic()]

    def wait_for(count: int) -> None:
        with guard:
            now = time.monotonic()
            free_at[0] = max(free_at[0], now - 0.05) + count / rate
            pause = free_at[0] - now
        if pause > 0:
            time.sleep(pause)

    def carry(one: socket.socket, other: socket.socket, limited: bool) -> None:
        try:
            while block := one.recv(1 << 16):
                if limited:
                    wait_for(len(block))
                other.sendall(block)
        except OSError:
            pass
        finally:
            for end in (one, other):
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    listener = socket.create_server(("127.0.0.1", 0))
    ready.put(listener.getsockname()[1])
    while True:
        client, _address = listener.accept()
        server = socket.create_connection(("127.0.0.1", target))
        for pair in ((client, server, True), (server, client, False)):
            threading.Thread(target=carry, args=pair, daemon=True).start()


def timed_lines(argv: list[str]) -> tuple[float, float]:
    """(seconds until the last archive was stored, seconds in all) of a run."""
    begun, stored = time.monotonic(), 0.0
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    said = []
    for line in process.stderr:
        said.append(line)
        if line.startswith("store "):
            stored = time.monotonic() - begun
    if process.wait():
        raise SystemExit("".join(said))
    return stored, time.monotonic() - begun


class Largest(threading.Thread):
    """The most that ever lay in a directory."""

    def __init__(self, folder: Path) -> None:
        super().__init__(daemon=True)
        self.folder, self.size, self.ended = folder, 0, threading.Event()

    def run(self) -> None:
        while not self.ended.wait(0.05):
            there = 0
            for one in self.folder.rglob("*"):
                try:
                    there += one.lstat().st_size if one.is_file() else 0
                except FileNotFoundError:
                    pass
            self.size = max(self.size, there)


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size-mb", type=int, default=186)
    parser.add_argument("--rate-mb", type=int, default=30)
    asked = parser.parse_args(words)
    with tempfile.TemporaryDirectory(prefix="lifeboat-bench-") as name:
        return measure(Path(name), asked.size_mb * MB, asked.rate_mb * MB)


def measure(folder: Path, size: int, rate: int) -> int:
    key = folder / "key"
    subprocess.run(["age-keygen", "-o", str(key)], check=True, capture_output=True)
    recipient = subprocess.run(
        ["age-keygen", "-y", str(key)], check=True, capture_output=True, text=True
    ).stdout.strip()
    dump = [sys.executable, "-c", SOURCE, str(size), str(rate)]
    ready: multiprocessing.Queue[int] = multiprocessing.Queue()
    with lab.Server(folder / "server") as server:
        owner = lab.client(server.endpoint, server.root)
        proxies, destinations = [], {}
        try:
            for number in range(3):
                proxy = multiprocessing.Process(target=slow_proxy, args=(ready, server.port, rate))
                proxy.start()
                proxies.append(proxy)
                owner.create_bucket(Bucket=f"copy{number}")
                destinations[f"copy{number}"] = {
                    "type": "s3",
                    "bucket": f"copy{number}",
                    "endpoint": f"http://127.0.0.1:{ready.get(timeout=10)}",
                    "credential": "s3",
                }
            alone = _dump_alone(dump, recipient, folder / "archive")
            upload = _upload_alone(server, destinations["copy0"]["endpoint"], folder / "archive")
            argv, root = _command(folder, server, recipient, destinations, dump)
            watching = Largest(root / "state" / "spool")
            watching.start()
            stored, whole = timed_lines(argv)
            watching.ended.set()
        finally:
            for proxy in proxies:
                proxy.terminate()
                proxy.join()
    archive = (folder / "archive").stat().st_size
    memory = int((folder / "peak").read_text()) / 1024
    longest = max(alone, upload)
    promises = [
        ("stored / max(dump, upload)", stored / longest, 1.30),
        ("stored / (dump + upload)", stored / (alone + upload), 0.70),
        ("own memory, MB", memory, LIMIT_RSS_MB),
        ("spool / archive", watching.size / archive, 1.02),
    ]
    print(f"{size / MB:.0f} MB to 3 destinations at {rate / MB:.0f} MB/s each")
    print(f"dump {alone:.1f} s, upload {upload:.1f} s; stored {stored:.1f} s, run {whole:.1f} s")
    for what, value, limit in promises:
        print(f"{what:28} {value:7.2f}  at most {limit:g}  {'' if value <= limit else 'NOT KEPT'}")
    return 0 if all(value <= limit for _what, value, limit in promises) else 1


def _dump_alone(dump: list[str], recipient: str, to: Path) -> float:
    begun = time.monotonic()
    one = subprocess.Popen(dump, stdout=subprocess.PIPE)
    two = subprocess.Popen(
        ["zstd", "-q", "-3", "-T0", "-c"], stdin=one.stdout, stdout=subprocess.PIPE
    )
    with open(to, "wb") as out:
        three = subprocess.Popen(["age", "-r", recipient], stdin=two.stdout, stdout=out)
    one.stdout.close()
    two.stdout.close()
    if any(stage.wait() for stage in (three, two, one)):
        raise SystemExit("the dump alone failed")
    return time.monotonic() - begun


def _upload_alone(server: lab.Server, endpoint: object, path: Path) -> float:
    begun = time.monotonic()
    lab.client(str(endpoint), server.root).upload_file(str(path), "copy0", "alone")
    return time.monotonic() - begun


def _command(
    folder: Path,
    server: lab.Server,
    recipient: str,
    destinations: dict[str, dict[str, str]],
    dump: list[str],
) -> tuple[list[str], Path]:
    root = folder / "lifeboat"
    (root / "config/credentials").mkdir(parents=True, mode=0o700)
    secret = root / "config/credentials/s3"
    secret.touch(mode=0o600)
    keys = {
        "access_key_id": server.root["access_key"],
        "secret_access_key": server.root["secret_key"],
    }
    secret.write_text(json.dumps(keys))
    source = {"type": "command", "dump": dump, "extension": "bin"}
    configuration = {
        "version": 1,
        "host": "bench",
        "environment": "dev",
        "encryption": {"age_recipients": [recipient]},
        "destinations": destinations,
        "jobs": {"bench": {"sources": {"app": source}, "destinations": list(destinations)}},
    }
    (root / "config/config.json").write_text(json.dumps(configuration))
    code = PRELUDE.format(
        libraries=LIBRARIES,
        engine=str(ROOT / "plugins/module_utils/engine"),
        root=str(root),
        peak=str(folder / "peak"),
    )
    return [PYTHON, "-I", "-c", code, "run", "bench"], root


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
