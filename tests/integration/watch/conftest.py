# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.rescue.host import Host

from . import listeners
from .listeners import Heard


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A host with a database, a directory for metrics, and no backup yet."""
    made = Host(tmp_path)
    made.fill(100)
    (tmp_path / "textfile").mkdir()
    (made.root / "config").chmod(0o700)
    (made.root / "config" / "config.json").chmod(0o600)
    made.configuration["textfile_path"] = str(tmp_path / "textfile")
    made.configure()
    return made


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the lab CA."""
    folder = tmp_path_factory.mktemp("ca")
    listeners.authority(folder)
    return folder


@pytest.fixture
def services(lab: Path, heard: Heard) -> Iterator[int]:
    with listeners.https(lab, heard) as port:
        yield port


@pytest.fixture
def tell(host: Host, lab: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """tell({name: url}) configures the URLs; tell(None, *words, port=…) runs lifeboat, names leading there."""

    def call(
        urls: dict[str, str] | None, *words: str, port: int = 9, ping: str = ""
    ) -> subprocess.CompletedProcess[str]:
        if urls is not None:
            store = host.root / "config" / "credentials"
            store.mkdir(mode=0o700, exist_ok=True)
            for name, url in {**urls, **({"ping": ping} if ping else {})}.items():
                (store / f"url_{name}").write_text(json.dumps(url))
                (store / f"url_{name}").chmod(0o600)
            notify = {"urls": {one: {"credential": f"url_{one}"} for one in urls}}
            host.configuration["notify"] = {
                **notify,
                **({"ping": {"credential": "url_ping"}} if ping else {}),
            }
            host.configure()
        return host.lifeboat(
            *words,
            before=listeners.names(port),
            env={"REQUESTS_CA_BUNDLE": str(lab / "ca.pem"), "SSL_CERT_FILE": str(lab / "ca.pem")},
        )

    return call
