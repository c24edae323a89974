# SPDX-License-Identifier: GPL-3.0-or-later
"""The contract of sources, on the objects of real S3 servers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from lifeboat.sources.s3_bucket.source import S3Bucket

from tests.integration.s3_bucket.conftest import HOSTILE_KEYS, ODD_KEYS, Place
from tests.unit.contracts.source_contract import SourceContract


class TestGateway(SourceContract):
    keys = (*ODD_KEYS, "line\nend")

    @pytest.fixture(autouse=True)
    def _place(self, on_gateway: Place) -> None:
        self.place = on_gateway

    def prepare(self, ground: Path) -> None:
        for number, key in enumerate(self.keys):
            content = b"" if number == 1 else key.encode() * (number + 1) + bytes(3000)
            self.place.put(
                key,
                content,
                ContentType="text/x-%d" % number,
                CacheControl="max-age=%d" % number,
                ContentLanguage="fr",
                Metadata={"author": "somebody", "number": str(number)},
                Tagging="class=secret%20%2B&n=" + str(number) if number % 2 else "",
            )

    def make(self, ground: Path) -> S3Bucket:
        return self.place.source()

    def change(self, ground: Path) -> None:
        self.place.put("new/one", b"new")
        self.place.put("plain.txt", b"changed", ContentType="text/changed")
        self.place.remove(self.keys[2])

    def destroy(self, ground: Path) -> None:
        self.place.remove(*self.place.keys())

    def look(self, ground: Path) -> dict[str, Any]:
        return self.place.look()

    def leftovers(self, ground: Path) -> list[str]:
        return sorted(str(path) for path in ground.parent.glob("kept/*"))


class TestMoto(TestGateway):
    keys = ("plain.txt", *HOSTILE_KEYS)

    @pytest.fixture(autouse=True)
    def _place(self, on_moto: Place) -> None:
        self.place = on_moto
