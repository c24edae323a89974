# SPDX-License-Identifier: GPL-3.0-or-later
"""Install the engine that AnsiballZ carried here: a release beside the others, then a swapped symlink.

    <software>/releases/<digest>/lifeboat/...   the engine; VERSION beside it
    <software>/current -> releases/<digest>
    <software>/vendor/<digest>-<cpXY>-<arch>/   libraries; <cpXY>-<arch> points to the one in use
    <command>                                   the launcher

A process that is running keeps its release: the launcher resolves the symlinks once, and the two
releases before the current one stay.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import sys
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from .engine.errors import LifeboatError, UsageError
from .engine.files import lock, make_private, remove, sync_directory, write
from .engine.model import Command
from .engine.paths import Paths
from .engine.process import run
from .engine.version import VERSION
from .vendor import Vendor, unpack

_KEPT = 2  # releases beside the current one
_MINIMUM = (3, 9)
_ENTRY = ".cli.main"


@dataclass(frozen=True)
class Release:
    """The engine's files by relative name, and what identifies them."""

    files: Mapping[str, bytes]
    version: str = VERSION

    @property
    def digest(self) -> str:
        total = hashlib.sha256()
        for name in sorted(self.files):
            total.update(b"%s\0%d\0" % (name.encode(), len(self.files[name])))
            total.update(self.files[name])
        return total.hexdigest()[:16]


@dataclass(frozen=True)
class Interpreter:
    """The Python that the launcher starts."""

    path: str
    tag: str  # "cp311-x86_64": what its libraries are built for


@dataclass(frozen=True)
class Plan:
    """What an installation would change."""

    paths: Paths
    release: Release
    interpreter: Interpreter
    launcher: bytes
    vendor: Vendor | None
    previous_version: str
    before: tuple[str, ...]
    after: tuple[str, ...]

    @property
    def changed(self) -> bool:
        return self.before != self.after


def carried(entry: Callable[..., int]) -> Release:
    """The engine that `entry` (its cli.main.main) was loaded from: a zip file, or a directory."""
    name = entry.__module__[: -len(_ENTRY)]
    package = sys.modules[name]
    folder = Path(next(iter(package.__path__)))
    archive = getattr(package.__spec__.loader, "archive", None) if package.__spec__ else None
    if archive is None:
        found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*.py")}
        return Release({name: path.read_bytes() for name, path in found.items()})
    prefix = folder.relative_to(archive).as_posix() + "/"
    with zipfile.ZipFile(archive) as zipped:
        return Release(
            {
                member[len(prefix) :]: zipped.read(member)
                for member in zipped.namelist()
                if member.startswith(prefix) and member.endswith(".py")
            }
        )


def interpreter(path: str | None) -> Interpreter:
    """The Python at `path`, asked what it is; raises UsageError if the engine cannot run on it."""
    path = path or sys.executable
    if not path.startswith("/") or "'" in path:
        raise UsageError(f"python {path!r} is not the absolute path of a Python")
    asked = "import os, sys; print(*sys.version_info[:2], os.uname().machine)"
    try:
        told = run(Command((path, "-I", "-c", asked))).decode().split()
        major, minor, machine = int(told[0]), int(told[1]), told[2]
    except (LifeboatError, ValueError, IndexError) as exc:
        raise UsageError(f"{path} is not a Python that can be started: {exc}") from exc
    if (major, minor) < _MINIMUM:
        raise UsageError(
            f"{path} is Python {major}.{minor}, lifeboat needs {_MINIMUM[0]}.{_MINIMUM[1]} or newer",
            hint="name a newer one with the option `python`",
        )
    return Interpreter(path, f"cp{major}{minor}-{machine}")


def plan(
    paths: Paths,
    release: Release,
    python: Interpreter,
    *,
    root: str | None = None,
    vendor: Vendor | None = None,
    allow_downgrade: bool = False,
) -> Plan:
    """Compare what is installed with what shall be; changes nothing. A downgrade raises UsageError."""
    current = paths.software / "current"
    previous = _text(current / "VERSION").strip()
    if previous and _order(release.version) < _order(previous) and not allow_downgrade:
        raise UsageError(
            f"lifeboat {previous} is installed here, this collection has the older {release.version}",
            hint="use a newer collection, or set allow_downgrade if the older one is wanted",
        )
    launcher = _launcher(paths, python, root)
    installed = Release(_tree(current / "lifeboat"), previous)
    before = ["release: " + (f"{installed.digest} ({previous})" if installed.files else "none")]
    after = [f"release: {release.digest} ({release.version})"]
    if vendor:
        link = paths.software / "vendor" / vendor.tag
        before.append("libraries: " + (os.readlink(link) if link.is_symlink() else "none"))
        after.append("libraries: " + vendor.name)
    executable = os.access(paths.command, os.X_OK)
    before += (
        ["launcher:", *_text(paths.command).splitlines()] if executable else ["launcher: none"]
    )
    after += ["launcher:", *launcher.decode().splitlines()]
    return Plan(paths, release, python, launcher, vendor, previous, tuple(before), tuple(after))


def apply(planned: Plan) -> None:
    """Carry out a plan. The launcher comes last: what it starts is complete."""
    software = planned.paths.software
    for folder in (software, software / "releases", software / "vendor"):
        make_private(folder, 0o755)
    make_private(planned.paths.command.parent.resolve(), 0o755)  # ~/.local/bin may be a link
    with lock(software / "install.lock", "engine_install", wait=True):
        if planned.vendor:
            tag = planned.vendor.tag
            unpack(software / "vendor", planned.vendor)
            swap_link(software / "vendor" / tag, planned.vendor.name)
            tidy(software / "vendor", software / "vendor" / tag, _KEPT, tag)
        _install(software, planned.release, planned.interpreter)
        write(planned.paths.command, planned.launcher, 0o755)
        tidy(software / "releases", software / "current", _KEPT)


def swap_link(link: Path, target: str) -> None:
    """Let the symlink `link` name `target`, in one step."""
    if link.is_symlink() and os.readlink(link) == target:
        return
    beside = link.with_name(f".{link.name}.{secrets.token_hex(4)}")
    beside.symlink_to(target)
    os.replace(beside, link)
    sync_directory(link.parent)


def tidy(folder: Path, link: Path, keep: int, tag: str = "") -> None:
    """Remove all but the `keep` newest directories (with `tag` in their name) beside the one that `link` names."""
    used = link.resolve()
    others = [
        one
        for one in folder.iterdir()
        if one.is_dir() and tag in one.name and one.resolve() != used
    ]
    for old in sorted(others, key=lambda one: one.stat().st_mtime, reverse=True)[keep:]:
        remove(old)


def _install(software: Path, release: Release, python: Interpreter) -> None:
    place = software / "releases" / release.digest
    if _tree(place / "lifeboat") != release.files:
        beside = place.with_name(f".{place.name}.{secrets.token_hex(4)}")
        try:
            _write_release(beside, release)
            _try(beside, place, python)
            os.sync()  # once for all: a hundred files, each synced alone, take seconds
            remove(place)  # only if somebody changed it: a release is complete from its rename on
            os.rename(beside, place)
        finally:
            remove(beside)
        sync_directory(place.parent)
    os.utime(place)  # the newest are kept
    swap_link(software / "current", "releases/" + release.digest)


def _write_release(folder: Path, release: Release) -> None:
    make_private(folder, 0o755)
    contents = {"VERSION": release.version.encode() + b"\n"}
    contents.update({"lifeboat/" + name: content for name, content in release.files.items()})
    for name, content in contents.items():
        path = folder / name
        for parent in reversed(path.relative_to(folder).parents):
            make_private(folder / parent, 0o755)
        path.write_bytes(content)
        path.chmod(0o644)


def _try(folder: Path, place: Path, python: Interpreter) -> None:
    """A release that this Python cannot load never becomes the current one.

    It is compiled on the way: the user that jobs run as may not write here, and would compile each time.
    """
    asked = (
        "import compileall, sys; here, later = sys.argv[1:]; sys.path.insert(0, here)\n"
        "compileall.compile_dir(here, quiet=2, stripdir=here, prependdir=later)\n"
        "import lifeboat.cli.main"
    )
    try:
        run(Command((python.path, "-I", "-c", asked, str(folder), str(place))))
    except LifeboatError as exc:
        raise LifeboatError(
            f"this release does not start on {python.path}; nothing was changed", detail=exc.detail
        ) from exc


def _launcher(paths: Paths, python: Interpreter, root: str | None) -> bytes:
    # paths are UTF-8 in configurations and manifests, whatever the locale of whoever types
    first = f"#!{python.path} -IXutf8\n"
    if " " in python.path or len(first) > 120:
        # the kernel cuts such a line; a shell does not, and Python reads its command as a text
        first = f"#!/bin/sh\n'''exec' '{python.path}' -IXutf8 \"$0\" \"$@\"\n' '''\n"
    lines = (
        "# Written by lifeboat.backup.engine_install; changes are lost.",
        "import os",
        "import sys",
        "",
        f"software = {str(paths.software)!r}",
        'tag = "cp%d%d-%s" % (sys.version_info[0], sys.version_info[1], os.uname().machine)',
        'for place in ("vendor/" + tag, "current"):',
        "    # resolved, so that this process keeps its release while another is installed",
        "    sys.path.insert(0, os.path.realpath(os.path.join(software, place)))",
        "from lifeboat.cli.main import main  # noqa: E402",
        "",
        f"raise SystemExit(main(scope={paths.scope!r}, root={root!r}))",
    )
    return (first + "\n".join(lines) + "\n").encode()


def _order(version: str) -> tuple[list[int], bool, str]:
    """0.1.0-rc.1 comes before 0.1.0."""
    numbers, _dash, pre = version.partition("-")
    return [int(one) for one in re.findall(r"\d+", numbers)], not pre, pre


def _tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.py")}


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, NotADirectoryError):
        return ""
