# SPDX-License-Identifier: GPL-3.0-or-later
"""Pack the locked libraries for one Python and one architecture: the same lock, the same bytes.

    vendor.py LOCK 3.11 x86_64 ARCHIVE.tar.gz

Run on the controller; pip of the running Python fetches wheels only, and each must have its locked hash.
"""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

# botocore describes 400 services; these are what s3 and its ways to log in need (24 of 39 MB less)
SERVICES = ("s3", "sso", "sso-oidc", "sts", "signin")


def main(lock: Path, python: str, machine: str, archive: Path) -> int:
    archive.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".vendor-", dir=archive.parent) as scratch:
        libraries = Path(scratch) / "libraries"
        status = fetch(lock, python, machine, libraries)
        if status != 0:
            return status
        trim(libraries)
        packed = Path(scratch) / "packed"
        pack(libraries, packed)
        os.replace(packed, archive)  # another play may look for it meanwhile
    return 0


def fetch(lock: Path, python: str, machine: str, folder: Path) -> int:
    """pip's exit status; it says itself what is wrong."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--no-compile", "--require-hashes", "--only-binary=:all:"]
    # plain 3.9 is 3.9.0 to pip, which cryptography excludes; the lock is for 3.9.2 as well
    release = "3.9.2" if python == "3.9" else python
    command += [f"--python-version={release}", "--implementation=cp"]
    for glibc in ("2_17", "2_28"):
        command.append(f"--platform=manylinux_{glibc}_{machine}")
    command += [f"--target={folder}", f"--requirement={lock}"]
    return subprocess.run(command, check=False).returncode


def trim(folder: Path) -> None:
    shutil.rmtree(folder / "bin", ignore_errors=True)  # their lines name the controller's Python
    described = folder / "botocore" / "data"
    for service in described.iterdir() if described.is_dir() else ():
        if service.is_dir() and service.name not in SERVICES:
            shutil.rmtree(service)


def pack(folder: Path, packed: Path) -> None:
    """Sorted, owned by root, dated 1970: only contents decide the bytes."""
    with (
        open(packed, "wb") as raw,
        gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as squeezed,
        tarfile.open(mode="w", fileobj=squeezed, format=tarfile.PAX_FORMAT) as out,
    ):
        for path in sorted(folder.rglob("*")):
            out.add(path, str(path.relative_to(folder)), recursive=False, filter=plainly)


def plainly(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    member.mtime = 0
    member.mode = 0o755 if member.isdir() else 0o644
    return member


if __name__ == "__main__":
    if len(sys.argv) != 5:
        raise SystemExit(__doc__)
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], Path(sys.argv[4])))
