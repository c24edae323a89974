# SPDX-License-Identifier: GPL-3.0-or-later
"""Find a credential by name: as systemd hands it to a unit, or in the host's own store.

A credential is a JSON value, text or a mapping of texts, in a file of its name.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .errors import ConfigError, LifeboatError
from .model import Command, Secret
from .process import run

ENCRYPTED = ".cred"  # suffix of files made by systemd-creds


class Credentials:
    """The credentials that this process may read. `store` is Paths.credentials."""

    def __init__(self, store: Path | None) -> None:
        self._store = store

    def secret(self, name: str) -> Secret:
        """A Secret that is read when it is first shown to a program, not before."""
        return Secret(lambda: self._load(name), name)

    def _load(self, name: str) -> Any:
        content = self._read(name)
        if content is None:
            raise ConfigError(
                f"the credential {name!r} is not on this host",
                hint="define it in lifeboat_credentials and run site.yml again, or run this as root",
            )
        try:
            return json.loads(content.decode("utf-8"))
        except ValueError:
            raise ConfigError(f"the credential {name!r} is not JSON") from None

    def _read(self, name: str) -> bytes | None:
        given = os.environ.get("CREDENTIALS_DIRECTORY")
        attempts: list[Callable[[], bytes]] = []
        if given:
            attempts.append((Path(given) / name).read_bytes)
        if self._store is not None:
            store = self._store
            attempts.append(lambda: _private(store / name))
            attempts.append(lambda: _decrypt(store / (name + ENCRYPTED), name))
        for attempt in attempts:
            try:
                return attempt()
            except (FileNotFoundError, NotADirectoryError):
                continue
            except PermissionError as exc:
                raise LifeboatError(
                    f"the credential {name!r} may not be read by this user",
                    hint="run this as root, or through the job's unit",
                ) from exc
        return None


def _private(path: Path) -> bytes:
    if path.stat().st_mode & 0o077:
        raise ConfigError(
            f"the credential file {path} can be read by others",
            hint=f"chmod 600 {path}",
        )
    return path.read_bytes()


def _decrypt(path: Path, name: str) -> bytes:
    if not path.exists():
        raise FileNotFoundError(str(path))
    return run(Command(("systemd-creds", "decrypt", "--name=" + name, str(path), "-")))
