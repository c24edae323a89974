# SPDX-License-Identifier: GPL-3.0-or-later
"""A real node_exporter and a real Prometheus on loopback, which scrape and judge every second."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote
from urllib.request import urlopen

PROGRAMS = ("prometheus", "prometheus-node-exporter")


def missing() -> list[str]:
    return [one for one in PROGRAMS if shutil.which(one) is None]


class Prometheus:
    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}"

    def query(self, expr: str) -> list[Any]:
        found: list[Any] = self._get("/api/v1/query?query=" + quote(expr))["result"]
        return found

    def firing(self) -> set[tuple[str, str]]:
        """(alert, job_name) of all that fires."""
        alerts = self._get("/api/v1/alerts")["alerts"]
        return {
            (one["labels"]["alertname"], one["labels"].get("job_name", ""))
            for one in alerts
            if one["state"] == "firing"
        }

    def _get(self, path: str) -> Any:
        with urlopen(self._url + path, timeout=10) as answer:
            return json.load(answer)["data"]


@contextmanager
def prometheus(folder: Path, textfiles: Path, rules: Path) -> Iterator[Prometheus]:
    """`rules` without their waiting times, and with what was there a day ago looked for 15 s ago."""
    exporter, server = _free(), _free()
    quick = re.sub(r"^ *for: .*\n", "", rules.read_text(), flags=re.MULTILINE)
    (folder / "rules.yml").write_text(quick.replace("offset 1d", "offset 15s"))
    (folder / "prometheus.yml").write_text(
        "global: {scrape_interval: 1s, evaluation_interval: 1s}\n"
        "rule_files: [rules.yml]\n"
        "scrape_configs:\n"
        "  - job_name: node\n"
        f"    static_configs: [{{targets: ['127.0.0.1:{exporter}']}}]\n"
    )
    with ExitStack() as running:
        running.enter_context(
            _started(
                folder / "exporter.log",
                "prometheus-node-exporter",
                f"--web.listen-address=127.0.0.1:{exporter}",
                "--collector.disable-defaults",
                "--collector.textfile",
                f"--collector.textfile.directory={textfiles}",
            )
        )
        running.enter_context(
            _started(
                folder / "prometheus.log",
                "prometheus",
                f"--config.file={folder}/prometheus.yml",
                f"--storage.tsdb.path={folder}/tsdb",
                f"--web.listen-address=127.0.0.1:{server}",
            )
        )
        made = Prometheus(server)
        wait_for(lambda: made.query("up == 1"))
        yield made


def wait_for(what: Callable[[], Any], timeout_s: float = 60) -> Any:
    """What it gives once that is true; the last error or answer otherwise."""
    until, last = time.monotonic() + timeout_s, None
    while time.monotonic() < until:
        try:
            last = what()
        except OSError as exc:
            last = exc
        if last and not isinstance(last, OSError):
            return last
        time.sleep(0.3)
    raise AssertionError(f"it did not come true in {timeout_s} s: {last!r}")


def _free() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def _started(log: Path, *argv: str) -> Iterator[None]:
    with open(log, "wb") as out:
        process = subprocess.Popen(argv, stdout=out, stderr=subprocess.STDOUT)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
