# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep the credentials of a host: one file each, encrypted by systemd where it can, else private.

Read by engine/credentials.py. No value of a credential ever leaves here, except into its file.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .engine.credentials import ENCRYPTED, Credentials
from .engine.errors import ConfigError, LifeboatError, ProcessError, UsageError
from .engine.files import make_private, remove, write
from .engine.model import Command
from .engine.naming import check_name
from .engine.paths import Paths
from .engine.process import run

_SINCE = 250  # of systemd: LoadCredentialEncrypted=
_HOST_KEY = Path("/var/lib/systemd/credential.secret")


@dataclass(frozen=True)
class Plan:
    """Which files would be written and removed. Values are private to it."""

    folder: Path
    encrypt: bool
    values: Mapping[str, bytes]
    write: tuple[str, ...]
    remove: tuple[Path, ...]
    before: tuple[str, ...]
    after: tuple[str, ...]

    @property
    def changed(self) -> bool:
        return bool(self.write or self.remove)

    def __repr__(self) -> str:
        return f"Plan({sorted(self.values)})"


def stored(paths: Paths, name: str) -> str:
    """How a credential is stored: "encrypted", "plain", or "" when it is not there."""
    if (paths.credentials / (name + ENCRYPTED)).is_file():
        return "encrypted"
    return "plain" if (paths.credentials / name).is_file() else ""


def key_ids(paths: Paths, names: Iterable[str]) -> dict[str, str]:
    """The public half of each stored credential that is a key of S3; those that are none are left out."""
    found = {}
    for name in names:
        try:
            value = Credentials(paths.credentials).secret(check_name("credential", name)).reveal()
        except (ConfigError, ProcessError):  # not there; or of another machine's key
            continue
        if isinstance(value, Mapping) and value.get("access_key_id"):
            found[name] = str(value["access_key_id"])
    return found


def plan(
    paths: Paths,
    credentials: Mapping[str, Any],
    purge: bool,
    dry_run: bool,
    keep: Iterable[str] = (),
) -> Plan:
    """Compare what is stored with `credentials` (name -> text, or mapping of texts); changes nothing.

    purge: remove what is not among them, and not in `keep`.
    """
    values = {name: _encode(name, value) for name, value in credentials.items()}
    encrypt = bool(values) and _can_encrypt(paths, dry_run)
    there = {one.name for one in _files(paths.credentials)}
    wanted = {name + (ENCRYPTED if encrypt else "") for name in values}
    writes = [name for name in values if not _same(paths, name, values[name], encrypt)]
    others = {name + ("" if encrypt else ENCRYPTED) for name in values}
    gone = there & others
    if purge:
        gone |= there - wanted - {name + suffix for name in keep for suffix in ("", ENCRYPTED)}
    return Plan(
        folder=paths.credentials,
        encrypt=encrypt,
        values=values,
        write=tuple(sorted(writes)),
        remove=tuple(paths.credentials / name for name in sorted(gone)),
        before=tuple(sorted(there)),
        after=tuple(
            f"{name} (new content)" if name.split(".")[0] in writes and name in there else name
            for name in sorted((there | wanted) - gone)
        ),
    )


def apply(planned: Plan) -> None:
    """Carry out a plan: first what is new, then away with what is old."""
    make_private(planned.folder, 0o700)
    for name in planned.write:
        content, path = planned.values[name], planned.folder / name
        if planned.encrypt:
            argv = ("systemd-creds", "encrypt", "--name=" + name, "-", "-")
            content, path = run(Command(argv), stdin=content), path.with_name(name + ENCRYPTED)
        write(path, content, 0o600)
    for path in planned.remove:
        remove(path)


def _encode(name: str, value: Any) -> bytes:
    """The JSON value that engine/credentials.py reads; the same bytes for the same value."""
    check_name("credential", name)
    texts = list(value.values()) if isinstance(value, Mapping) else [value]
    if not texts or not all(isinstance(one, str) and one for one in texts):
        raise UsageError(
            f"the credential {name!r} is neither a text nor a mapping of texts",
            hint="quote numbers, and leave nothing empty",
        )
    return json.dumps(value, sort_keys=True).encode()


def _files(folder: Path) -> list[Path]:
    """The files in `folder` that are credentials by their name."""
    pattern = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}(\.cred)?")
    try:
        return [one for one in folder.iterdir() if one.is_file() and pattern.fullmatch(one.name)]
    except FileNotFoundError:
        return []


def _same(paths: Paths, name: str, wanted: bytes, encrypt: bool) -> bool:
    path = paths.credentials / (name + (ENCRYPTED if encrypt else ""))
    try:
        if path.stat().st_mode & 0o077:
            return False
        if not encrypt:
            return path.read_bytes() == wanted
        argv = ("systemd-creds", "decrypt", "--name=" + name, str(path), "-")
        return run(Command(argv)) == wanted
    except (FileNotFoundError, ProcessError):  # not there; or of another machine's key
        return False


def _can_encrypt(paths: Paths, dry_run: bool) -> bool:
    """Whether systemd encrypts credentials here, found by doing it."""
    if paths.scope != "system" or os.geteuid() != 0:
        return False
    if dry_run and not _HOST_KEY.exists():
        # trying would make the host's key; then nothing here is encrypted yet either way
        return False
    try:
        version = re.search(rb"systemd (\d+)", run(Command(("systemctl", "--version"))))
        if version is None or int(version.group(1)) < _SINCE:
            return False
        made = run(Command(("systemd-creds", "encrypt", "--name=probe", "-", "-")), stdin=b"probe")
        argv = ("systemd-creds", "decrypt", "--name=probe", "-", "-")
        return run(Command(argv), stdin=made) == b"probe"
    except LifeboatError:
        return False
