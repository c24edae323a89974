# SPDX-License-Identifier: GPL-3.0-or-later
"""A backup says which commit the application was at, and status whether its remote could give it again."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from lifeboat.errors import SourceError
from lifeboat.job import Repository
from lifeboat.revision import has, head, look

from tests.integration.rescue.host import Host

ME = {
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@x",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@x",
    "GIT_CONFIG_GLOBAL": "/dev/null",
}


def git(where: Path, *words: str) -> str:
    ran = subprocess.run(
        ["git", "-C", str(where), *words],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, **ME},
    )
    return ran.stdout.strip()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A working tree whose one commit was pushed to `remote.git` beside it."""
    made = tmp_path / "app"
    made.mkdir()
    git(tmp_path, "init", "-q", "--bare", "remote.git")
    git(made, "init", "-q", "-b", "main")
    commit(made)
    git(made, "push", "-q", str(tmp_path / "remote.git"), "main")
    return made


def commit(tree: Path) -> str:
    git(tree, "commit", "-q", "--allow-empty", "-m", "x")
    return git(tree, "rev-parse", "HEAD")


@pytest.fixture
def host(tmp_path: Path, tree: Path) -> Host:
    made = Host(tmp_path)
    made.fill(10)
    made.job["repository"] = {"path": str(tree), "remote": str(tmp_path / "remote.git")}
    made.configure()
    return made


def standing(host: Host) -> dict[str, Any]:
    told = json.loads(host.lifeboat("status", "--json").stdout)
    return next(one for one in told if one["source"] == "repository")


def manifest(host: Host) -> dict[str, Any]:
    newest = max(host.disk.glob("catalog/*/*/*.json"))
    read: dict[str, Any] = json.loads(newest.read_text())
    return read


def test_a_backup_names_the_commit_that_the_remote_has(host: Host, tree: Path) -> None:
    id_ = host.run()
    found = manifest(host)["repository"]
    assert (found["commit"], found["branch"]) == (git(tree, "rev-parse", "HEAD"), "main")
    assert (found["pushed"], found["problem"]) == (True, "")
    note = next(host.disk.glob(f"archives/*/*/{id_}/RESTORE.md")).read_text()
    assert found["commit"] in note
    plan = host.lifeboat("restore", "shop", id_, "--dry-run").stdout
    assert f"the application was at commit {found['commit']} then" in plan
    (past,) = json.loads(host.lifeboat("history", "--event", "backup", "--json").stdout)
    assert past["facts"]["commit"] == found["commit"]
    assert (standing(host)["state"], standing(host)["reason"][:9]) == ("good", "RPO 0 met")


def test_a_commit_that_was_never_pushed_is_told_and_fails_no_run(host: Host, tree: Path) -> None:
    newest = commit(tree)
    done = host.lifeboat("run", "shop", "--json")
    assert done.returncode == 0, done.stderr
    assert f"does not have commit {newest[:12]} (branch main)" in done.stderr
    assert json.loads(done.stdout)["repository"]["pushed"] is False
    assert standing(host)["state"] == "critical"
    assert "push it" in standing(host)["reason"]


def test_a_remote_that_cannot_be_asked_is_not_said_to_lack_it(host: Host, tmp_path: Path) -> None:
    host.job["repository"]["remote"] = str(tmp_path / "gone.git")
    host.configure()
    host.run()
    assert manifest(host)["repository"]["pushed"] is None
    assert standing(host)["state"] == "warning"
    assert "cannot be asked" in standing(host)["reason"]


def test_an_older_commit_is_found_behind_the_tip(tree: Path, tmp_path: Path) -> None:
    first = git(tree, "rev-parse", "HEAD")
    remote = f"file://{tmp_path}/remote.git"
    commit(tree)
    git(tree, "push", "-q", remote, "main")
    assert has(remote, first)
    assert not has(remote, "ab" * 20)


@pytest.mark.parametrize("how", ["packed", "detached", "worktree"])
def test_the_commit_is_read_however_git_keeps_it(tree: Path, tmp_path: Path, how: str) -> None:
    wanted, looked = (git(tree, "rev-parse", "HEAD"), "main"), tree
    if how == "packed":
        git(tree, "pack-refs", "--all")
    if how == "detached":
        git(tree, "checkout", "-q", "--detach")
        wanted = (wanted[0], "")
    if how == "worktree":
        looked = tmp_path / "other"
        git(tree, "worktree", "add", "-q", "-b", "side", str(looked))
        wanted = (wanted[0], "side")
    assert head(looked) == wanted


def test_what_is_no_commit_is_not_told_as_one(tree: Path, tmp_path: Path) -> None:
    """Who owns the tree may point anywhere; of what lies there nothing is shown."""
    secret = tmp_path / "secret"
    secret.write_text("correct horse")
    (tree / ".git" / "HEAD").unlink()
    (tree / ".git" / "HEAD").symlink_to(secret)
    with pytest.raises(SourceError) as caught:
        head(tree)
    assert "horse" not in str(caught.value)
    with pytest.raises(SourceError, match="cannot be read"):
        head(tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs files of two users")
@pytest.mark.parametrize("mode", [0o400, 0o640])
def test_a_secret_that_looks_like_a_commit_is_not_read_for_the_owner_of_the_tree(
    tree: Path, tmp_path: Path, mode: int
) -> None:
    """The secret key of some stores is 64 hexadecimal digits, as a commit may be."""
    closed = tmp_path / "credentials"
    closed.mkdir(0o700)
    (closed / "main").write_text("ab" * 32)
    (closed / "main").chmod(mode)
    heads = tree / ".git" / "refs" / "heads"
    shutil.rmtree(heads)
    heads.symlink_to(closed)
    os.chown(tree / ".git", 4321, 4321)
    found = look(Repository(str(tree), ""))
    assert found["commit"] == ""
    assert "Permission denied" in found["problem"]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs files of two users")
def test_what_root_pulled_into_a_tree_of_another_user_is_read(tree: Path) -> None:
    wanted = git(tree, "rev-parse", "HEAD")
    os.chown(tree / ".git", 4321, 4321)
    assert head(tree) == (wanted, "main")


def test_what_the_owner_of_the_tree_writes_fails_nothing_and_forges_no_line(tmp_path: Path) -> None:
    app, odd = tmp_path / "app", tmp_path / "x\nforged \x1b[31m"
    app.mkdir()
    (odd / "HEAD").mkdir(parents=True)
    (app / ".git").write_bytes(b"gitdir: a\0b")
    assert "cannot be read" in look(Repository(str(app), ""))["problem"]
    (app / ".git").write_text(f"gitdir: {odd}")
    problem = look(Repository(str(app), ""))["problem"]
    assert "not a regular file" in problem
    assert problem.isprintable()


@pytest.mark.parametrize(
    "remote",
    [
        "https://me:secret@x/y.git",
        "https://secret@x/y.git",
        "git+ssh://me:secret@x/y.git",
        "ext::sh -c id",
        "--upload-pack=x",
    ],
)
def test_a_remote_with_a_password_or_a_program_is_refused(host: Host, remote: str) -> None:
    host.job["repository"]["remote"] = remote
    host.configure()
    done = host.lifeboat("config", "check")
    assert done.returncode == 2
    assert "jobs.shop.repository.remote: write a URL without a password" in done.stderr
    assert "secret" not in done.stderr
