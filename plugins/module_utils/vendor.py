# SPDX-License-Identifier: GPL-3.0-or-later
"""Unpack the libraries that the controller built, beside those in use, then swap a symlink."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from .engine.errors import UsageError
from .engine.files import make_private, remove, sync_directory

_DIGEST = re.compile(r"[A-Za-z0-9][A-Za-z0-9._]{0,127}")


@dataclass(frozen=True)
class Vendor:
    """A set of libraries for one kind of Python."""

    archive: Path  # a tar.gz; read only if the set is not there yet
    digest: str
    tag: str  # "cp311-x86_64"

    def __post_init__(self) -> None:
        if not _DIGEST.fullmatch(self.digest):
            raise UsageError(f"vendor_digest {self.digest!r} cannot name a directory")

    @property
    def name(self) -> str:
        return f"{self.digest}-{self.tag}"


def use(software: Path) -> None:
    """Let this process import the libraries that are installed for its Python, as the launcher does."""
    tag = f"cp{sys.version_info[0]}{sys.version_info[1]}-{os.uname().machine}"
    folder = software / "vendor" / tag
    if folder.is_dir():
        sys.path.insert(0, os.path.realpath(folder))


def unpack(folder: Path, vendor: Vendor) -> None:
    """Have the set at `folder`/<name>; there already = nothing to do. An archive that would write
    anywhere else, or holds anything but files and directories, is refused and leaves nothing."""
    place = folder / vendor.name
    if place.is_dir():
        return
    beside = make_private(folder / f".{vendor.name}.{secrets.token_hex(4)}", 0o755)
    try:
        with tarfile.open(vendor.archive, "r:gz") as archive:
            for member in archive:
                _extract(archive, member, beside)
        os.sync()  # once for all: libraries have thousands of files
        os.rename(beside, place)
    except (tarfile.TarError, EOFError, OSError) as exc:
        raise UsageError(
            f"the archive of libraries {vendor.archive} cannot be unpacked: {exc}",
            hint="build it again on the controller",
        ) from exc
    finally:
        remove(beside)
    sync_directory(folder)


def _extract(archive: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    name = PurePosixPath(member.name)
    if name.is_absolute() or ".." in name.parts or not (member.isfile() or member.isdir()):
        raise UsageError(
            f"the archive of libraries holds {member.name!r}, which is not a plain file inside it"
        )
    path = folder / name
    if member.isdir():
        make_private(path, 0o755)
        return
    for parent in reversed(name.parents):
        make_private(folder / parent, 0o755)
    content = archive.extractfile(member)
    if content is not None:
        with content, open(path, "wb") as out:
            os.fchmod(out.fileno(), 0o755 if member.mode & 0o100 else 0o644)
            shutil.copyfileobj(content, out, 1 << 20)
