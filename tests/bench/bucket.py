# SPDX-License-Identifier: GPL-3.0-or-later
"""A bucket on a real S3 server of the lab; its floor is rclone, which also needs a directory in between."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.lab import s3

_DUMP = 'rclone sync -q --metadata --transfers 8 "$1" "$2" && tar -c -C "$2" . && rm -r "$2"'
_LOAD = 'mkdir "$2" && tar -x -C "$2" && rclone sync -q --metadata --transfers 8 "$2" "$1" && rm -r "$2"'


class Bucket:
    """Many small objects and some large ones; each fifth has tags, which the floor leaves behind."""

    def __init__(self, folder: Path, size_mb: int) -> None:
        if shutil.which("rclone") is None:
            raise SystemExit("the floor of a bucket is rclone: install the package rclone")
        self.size_mb, self.objects = size_mb, 0
        self._between = str(folder / "between")
        self._server = s3.Server(folder / "s3-source", keep_alive=True)  # as in the field

    def __enter__(self) -> Bucket:
        self._server.start()
        self._client = s3.client(self._server.endpoint, self._server.root)
        self._client.create_bucket(Bucket="bench")
        dice, left = random.Random(7), self.size_mb << 20
        wanted: list[tuple[str, bytes]] = []
        with ThreadPoolExecutor(4) as pool:
            while left > 0:
                size = int(10_000 * 300 ** dice.random())
                wanted.append((f"{len(wanted) % 40}/{len(wanted)}", dice.randbytes(size)))
                left -= size
            self.objects = len(list(pool.map(self._put, wanted)))
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.stop()

    @property
    def secrets(self) -> Mapping[str, Mapping[str, str]]:
        root = self._server.root
        keys = {"access_key_id": root["access_key"], "secret_access_key": root["secret_key"]}
        return {"bucket": keys}

    @property
    def source(self) -> dict[str, object]:
        place = {"endpoint": self._server.endpoint, "region": s3.REGION, "credential": "bucket"}
        return {"type": "s3_bucket", "bucket": "bench", **place}

    def dump(self) -> tuple[list[str], dict[str, str]]:
        return ["sh", "-c", _DUMP, "-", "lab:bench", self._between], self._environment()

    def load(self, name: str) -> tuple[list[str], dict[str, str]]:
        self.into(name)
        words = ["-", "lab:" + name.replace("_", "-"), self._between]
        return ["sh", "-c", _LOAD, *words], self._environment()

    def into(self, name: str) -> str:
        self._client.create_bucket(Bucket=name.replace("_", "-"))
        return name.replace("_", "-")

    def drop(self, name: str) -> None:
        s3.drop(self._client, name.replace("_", "-"))

    def _put(self, one: tuple[str, bytes]) -> None:
        tags = "" if int(one[0].partition("/")[2]) % 5 else "kind=invoice&year=2026"
        self._client.put_object(Bucket="bench", Key=one[0], Body=one[1], Tagging=tags)

    def _environment(self) -> dict[str, str]:
        given: dict[str, Any] = {
            "TYPE": "s3",
            "PROVIDER": "Other",
            "ENDPOINT": self._server.endpoint,
            "REGION": s3.REGION,
            "ACCESS_KEY_ID": self._server.root["access_key"],
            "SECRET_ACCESS_KEY": self._server.root["secret_key"],
        }
        settings = {"RCLONE_CONFIG": os.devnull}
        mine = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        return {
            **mine,
            **settings,
            **{"RCLONE_CONFIG_LAB_" + name: value for name, value in given.items()},
        }
