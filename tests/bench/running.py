# SPDX-License-Identifier: GPL-3.0-or-later
"""Run lifeboat, or the programs that a floor is made of, once, and take the time."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

ROOT = Path(__file__).resolve().parents[2]
# As the launcher on a host: the system's own, isolated, no venv.
PYTHON = shutil.which("python3", path="/usr/bin") or os.path.join(sys.base_prefix, "bin", "python3")
LIBRARIES = sysconfig.get_path("purelib")
PRELUDE = """
import importlib.util, sys
sys.path.append({libraries!r})
spec = importlib.util.spec_from_file_location(
    "lifeboat", {engine!r} + "/__init__.py", submodule_search_locations=[{engine!r}])
sys.modules["lifeboat"] = package = importlib.util.module_from_spec(spec)
spec.loader.exec_module(package)
from lifeboat.cli.main import main
code = main(sys.argv[1:], scope="user", root={root!r})
peak = [line for line in open("/proc/self/status") if line.startswith("VmHWM")][0]
open({peak!r}, "w").write(peak.split()[1])
raise SystemExit(code)
"""

Program = tuple[list[str], dict[str, str]]


class Measured(Protocol):
    """One source with something in it, and its floor: what an administrator who knows it types."""

    secrets: Mapping[str, Mapping[str, str]]  # {credential: its content}

    @property
    def size_mb(self) -> int: ...

    @property
    def source(self) -> dict[str, object]: ...

    def dump(self) -> Program:
        """Writes plain data."""

    def load(self, name: str) -> Program:
        """Reads plain data; what is made for it beforehand takes no time. It ends when `name` is there."""

    def into(self, name: str) -> str:
        """The same for --into; "" where a restore is in place."""

    def drop(self, name: str) -> None: ...


class Bench:
    def __init__(self, folder: Path, database: Measured) -> None:
        self.folder, self.database = folder, database
        self.compared: list[float] = []  # seconds of each restore in which it counts and compares
        subprocess.run(["age-keygen", "-o", str(folder / "key")], check=True, capture_output=True)
        self.recipient = subprocess.run(
            ["age-keygen", "-y", str(folder / "key")], check=True, capture_output=True, text=True
        ).stdout.strip()

    def floor(self) -> float:
        target = self.folder / "floor.age"
        target.unlink(missing_ok=True)
        dump, environment = self.database.dump()
        begun = time.monotonic()
        one = subprocess.Popen(dump, stdout=subprocess.PIPE, env=environment)
        two = subprocess.Popen(
            ["zstd", "-q", "-3", "-T0", "-c"], stdin=one.stdout, stdout=subprocess.PIPE
        )
        with open(target, "wb") as out:
            three = subprocess.Popen(["age", "-r", self.recipient], stdin=two.stdout, stdout=out)
            one.stdout.close()
            two.stdout.close()
            statuses = [stage.wait() for stage in (three, two, one)]
            os.fsync(out.fileno())  # as ours does: what is not on disk is no backup
        if any(statuses):
            raise SystemExit(f"the floor failed: {statuses}")
        return time.monotonic() - begun

    def configure(
        self,
        name: str,
        destinations: dict[str, dict[str, object]],
        secrets: Mapping[str, Mapping[str, str]] | None = None,
    ) -> Path:
        root = self.folder / name
        (root / "config").mkdir(parents=True)
        credentials = root / "config/credentials"
        credentials.mkdir(mode=0o700)
        for one, content in {**self.database.secrets, **(secrets or {})}.items():
            (credentials / one).write_text(json.dumps(content))
            (credentials / one).chmod(0o600)
        source = self.database.source
        (root / "config/config.json").write_text(
            json.dumps(
                {
                    "version": 1,
                    "host": "bench",
                    "environment": "production",  # elsewhere a restore waits five seconds
                    "encryption": {"age_recipients": [self.recipient]},
                    "destinations": destinations,
                    "jobs": {
                        "bench": {"sources": {"db": source}, "destinations": list(destinations)}
                    },
                }
            )
        )
        return root

    def restore_floor(self) -> float:
        load, environment = self.database.load("bench_floor")
        begun = time.monotonic()
        decrypt = ["age", "-d", "-i", str(self.folder / "key"), str(self.folder / "floor.age")]
        one = subprocess.Popen(decrypt, stdout=subprocess.PIPE)
        two = subprocess.Popen(["zstd", "-q", "-d", "-c"], stdin=one.stdout, stdout=subprocess.PIPE)
        three = subprocess.Popen(load, stdin=two.stdout, env=environment)
        one.stdout.close()
        two.stdout.close()
        statuses = [stage.wait() for stage in (three, two, one)]
        if any(statuses):
            raise SystemExit(f"the floor of the restore failed: {statuses}")
        seconds = time.monotonic() - begun
        self.database.drop("bench_floor")
        return seconds

    def restoring(self, *words: str) -> tuple[str, ...]:
        """The words of a restore of the newest backup that passes the gate of production."""
        newest = max(path.stem for path in (self.folder / "disk").glob("catalog/*/bench/*.json"))
        gate = ("--target-host", "bench", "--confirm", "RESTORE PRODUCTION")
        return ("restore", "bench", newest, "--identity", str(self.folder / "key"), *gate, *words)

    def restore(self, root: Path) -> tuple[float, float]:
        """(seconds, own peak memory in MB) of a restore, and let go of it; see `compared`."""
        into = self.database.into("bench_new")
        words = self.restoring(*(("--into", into) if into else ()))
        begun = moment = time.monotonic()
        phase, compared = "", 0.0
        for line, at in self.heard(root, *words):
            compared += at - moment if phase == "compare" else 0.0
            moment, phase = at, line.partition(" ")[0]
        seconds = time.monotonic() - begun
        self.compared.append(compared)
        peak = int((self.folder / "peak").read_text()) / 1024
        self.lifeboat(root, "confirm", "bench")
        self.database.drop("bench_new")
        return seconds, peak

    def argv(self, root: Path, *words: str) -> list[str]:
        code = PRELUDE.format(
            libraries=LIBRARIES,
            engine=str(ROOT / "plugins/module_utils/engine"),
            root=str(root),
            peak=str(self.folder / "peak"),
        )
        return [PYTHON, "-I", "-c", code, *words]

    def heard(self, root: Path, *words: str) -> Iterator[tuple[str, float]]:
        """Each line that the command says while it works, and when (time.monotonic)."""
        with subprocess.Popen(
            self.argv(root, *words), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        ) as running:
            said = []
            for line in running.stderr or ():
                said.append(line)
                yield line.rstrip("\n"), time.monotonic()
        if running.returncode != 0:
            raise SystemExit(f"lifeboat {words} ended with {running.returncode}:\n{''.join(said)}")

    def lifeboat(self, root: Path, *words: str) -> tuple[float, float]:
        """(seconds, own peak memory in MB) of one backup, or of the command given."""
        peak = self.folder / "peak"
        begun = time.monotonic()
        done = subprocess.run(
            self.argv(root, *(words or ("run", "bench"))),
            capture_output=True,
            text=True,
            check=False,
        )
        seconds = time.monotonic() - begun
        if done.returncode != 0:
            raise SystemExit(f"lifeboat {words} ended with {done.returncode}:\n{done.stderr}")
        return seconds, int(peak.read_text()) / 1024

    def clean(self, place: Path) -> None:
        for folder in ("archives", "catalog"):
            shutil.rmtree(place / folder, ignore_errors=True)
