# SPDX-License-Identifier: GPL-3.0-or-later
"""A throw-away Redis server with keys of about the asked size, and a second one for the floor of a restore."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

# Values of 520 bytes, hexadecimal: the server does not compress them, and zstd halves them.
_FILL = """
for number = 1, tonumber(ARGV[1]) do
  local parts = {}
  for part = 1, 13 do parts[part] = redis.sha1hex(ARGV[2] .. ':' .. number .. ':' .. part) end
  redis.call('SET', 'session:' .. ARGV[2] .. ':' .. number, table.concat(parts))
end
"""
_ROUND_KEYS = 20_000
_START = (
    'redis-server --daemonize yes --port 0 --unixsocket "$PWD/s" --pidfile "$PWD/pid" --save ""'
)
# As a service manager would: what is there is saved when it stops, and kept; then the new file is loaded.
_RESTORE = f"""cd "$1" && redis-cli -s s SHUTDOWN SAVE && mv dump.rdb before.rdb &&
dd bs=1M status=none conv=fsync of=dump.rdb && {_START} >/dev/null || exit 1
until [ "$(redis-cli -s s PING 2>/dev/null)" = PONG ]; do sleep 0.02; done"""


class Redis:
    """Restored in place: the server of the floor is stopped for it, ours runs on."""

    secrets: Mapping[str, Mapping[str, str]] = {}

    def __init__(self, size_mb: int) -> None:
        self.size_mb = size_mb
        self._folder = Path(tempfile.mkdtemp(prefix="lb-re-"))  # a short path: sockets have a limit
        self._ours, self._floor = self._folder / "ours", self._folder / "floor"
        self.source: dict[str, object] = {"type": "redis", "socket": str(self._ours / "s")}

    def __enter__(self) -> Redis:
        self._serve(self._ours)
        for part in range(max(1, self.size_mb * 2000 // _ROUND_KEYS)):
            self._ask(self._ours, "EVAL", _FILL, "0", str(_ROUND_KEYS), str(part))
        return self

    def __exit__(self, *exc: object) -> None:
        for folder in (self._ours, self._floor):
            if (folder / "s").exists():
                self._ask(folder, "SHUTDOWN", "NOSAVE")
        shutil.rmtree(self._folder, ignore_errors=True)

    def dump(self) -> tuple[list[str], dict[str, str]]:
        return ["redis-cli", "-s", str(self._ours / "s"), "--rdb", "-"], dict(os.environ)

    def load(self, name: str) -> tuple[list[str], dict[str, str]]:
        if not self._floor.exists():
            self._floor.mkdir()
            self._ask(self._ours, "--rdb", str(self._floor / "dump.rdb"))
            self._serve(self._floor)
        return ["sh", "-c", _RESTORE, "-", str(self._floor)], dict(os.environ)

    def into(self, name: str) -> str:
        return ""

    def drop(self, name: str) -> None:
        pass

    def _serve(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        words = "--repl-diskless-sync-delay 0 > log"
        subprocess.run(["sh", "-c", f"{_START} {words}"], cwd=folder, check=True)
        while subprocess.run(self._client(folder, "PING"), capture_output=True).stdout != b"PONG\n":
            time.sleep(0.02)

    def _client(self, folder: Path, *words: str) -> list[str]:
        return ["redis-cli", "-s", str(folder / "s"), *words]

    def _ask(self, folder: Path, *words: str) -> None:
        subprocess.run(self._client(folder, *words), capture_output=True, check=True)
