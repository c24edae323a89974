# SPDX-License-Identifier: GPL-3.0-or-later
"""Say which commit an application's working tree is at, and whether its remote has that commit.

The tree is another user's, so no git program runs in it (its configuration may name programs): HEAD is
read as a file. The remote is asked from an empty directory; gitrepository-layout(5), git-ls-remote(1).
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .errors import LifeboatError, ProcessError, SourceError
from .files import read_small
from .fleeting import fleeting
from .job import Repository
from .model import Command
from .process import run

_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_REF = re.compile(r"ref: (refs/[\w./+@-]+)", re.ASCII)
_QUIET = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "true",
    "GIT_SSH_COMMAND": "ssh -o BatchMode=yes",
    "LC_ALL": "C",
}
_TIMEOUT_S = 30.0


def look(repository: Repository) -> dict[str, Any]:
    """{"path", "remote", "commit", "branch", "pushed", "problem"}: what a manifest says of it; never fails.

    pushed: whether the remote has the commit; None where there is no remote, or nobody could tell.
    """
    found: dict[str, Any] = {"path": repository.path, "remote": repository.remote}
    found.update(commit="", branch="", pushed=None, problem="")
    try:
        found["commit"], found["branch"] = head(Path(repository.path))
        if repository.remote:
            found["pushed"] = has(repository.remote, found["commit"])
    except LifeboatError as exc:
        told = str(exc)  # with names, and words of the remote's, that anybody may have chosen
        found["problem"] = "".join(one if one.isprintable() else "?" for one in told)
    return found


def complaint(found: Mapping[str, Any]) -> str:
    """What is wrong with that, in words; "" if nothing is."""
    if found["problem"]:
        return str(found["problem"])
    if found["pushed"] is False:
        branch = f" (branch {found['branch']})" if found["branch"] else ""
        return f"{found['remote']} does not have commit {found['commit'][:12]}{branch} of {found['path']}: push it"
    return ""


def head(tree: Path) -> tuple[str, str]:
    """(commit, branch or "") that a working tree is at. Raises SourceError."""
    try:
        owner = os.lstat(tree / ".git")
        folder = _folder(tree, owner)
        text = _text(folder / "HEAD", owner)
        named = _REF.fullmatch(text)
        commit = _resolve(folder, named.group(1), owner) if named else text
    except (OSError, ValueError, LifeboatError) as exc:  # ValueError: no name can hold that
        why = exc.strerror if isinstance(exc, OSError) else exc
        raise SourceError(f"the commit of {tree} cannot be read: {why}") from None
    if not _COMMIT.fullmatch(commit):
        raise SourceError(f"the commit of {tree} cannot be read: it has none, or not in files")
    return commit, named.group(1).rpartition("refs/heads/")[2] if named else ""


def has(remote: str, commit: str) -> bool:
    """Whether a remote has a commit: at the tip of a branch or tag, or behind one. Raises LifeboatError."""
    with fleeting(Path(tempfile.gettempdir())) as made:
        folder = str(made)
        try:
            tips = _git(folder, "ls-remote", "--", remote)
        except ProcessError as exc:
            why = (exc.detail or str(exc)).strip().splitlines()[-1:]
            raise SourceError(f"{remote} cannot be asked: {''.join(why)}") from None
        if commit in {line.split("\t")[0] for line in tips.splitlines()}:
            return True
        _git(folder, "init", "-q", "--bare", ".")
        try:  # the commit alone, without its files where the server can do that
            _git(folder, "fetch", "-q", "--depth=1", "--filter=tree:0", "--", remote, commit)
        except ProcessError:
            return False
        return True


def _git(folder: str, *words: str) -> str:
    argv = ("git", "-C", folder, *words)
    return run(Command(argv, env=_QUIET), timeout_s=_TIMEOUT_S).decode("utf-8", "replace")


def _folder(tree: Path, owner: os.stat_result) -> Path:
    """Where git keeps what it knows of a tree: `.git`, or what the file `.git` of a worktree names."""
    folder = tree / ".git"
    if folder.is_file():
        folder = tree / _text(folder, owner).partition("gitdir: ")[2]
    return folder


def _resolve(folder: Path, ref: str, owner: os.stat_result) -> str:
    """The commit that a ref names; "" if there is none."""
    shared = folder
    if (folder / "commondir").is_file():  # of a worktree: its branches lie with the first tree
        shared = folder / _text(folder / "commondir", owner)
    if ".." in ref.split("/"):
        return ""
    if (shared / ref).is_file():
        return _text(shared / ref, owner)
    if not os.path.exists(shared / "packed-refs"):
        return ""
    for line in _text(shared / "packed-refs", owner).splitlines():
        commit, _space, name = line.partition(" ")
        if name == ref:
            return commit
    return ""


def _text(path: Path, owner: os.stat_result) -> str:
    """Whoever owns the tree leads us anywhere: a secret of 64 hexadecimal digits looks like a commit."""
    return read_small(path, 16 << 20, for_=owner).decode("utf-8", "replace").strip()
