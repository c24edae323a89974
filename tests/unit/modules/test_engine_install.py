# SPDX-License-Identifier: GPL-3.0-or-later
"""engine_install: complete or not at all, repeatable, never backwards unasked, never outside its directory."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.lifeboat.backup.plugins.module_utils import delivery
from lifeboat.paths import paths

ENGINE = Path(__file__).resolve().parents[3] / "plugins" / "module_utils" / "engine"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "a place"  # with a blank, as home directories may have


def install(door: Any, root: Path, **options: Any) -> dict[str, Any]:
    result: dict[str, Any] = door("engine_install", scope="user", root=str(root), **options)
    return result


def tree(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


def test_an_installed_command_runs_and_has_every_engine_file(door: Any, root: Path) -> None:
    result = install(door, root)
    assert result["changed"]
    assert subprocess.run([result["command"], "--help"], stdout=subprocess.DEVNULL).returncode == 0
    installed = root / "software" / "current" / "lifeboat"
    assert {path.relative_to(installed): path.read_bytes() for path in installed.rglob("*.py")} == {
        path.relative_to(ENGINE): path.read_bytes() for path in ENGINE.rglob("*.py")
    }


def test_check_mode_says_the_same_and_touches_nothing(door: Any, root: Path) -> None:
    planned = install(door, root, check=True)
    assert planned["changed"]
    assert not root.exists()
    done = install(door, root)
    assert planned["diff"] == done["diff"]


def test_the_second_time_nothing_changes(door: Any, root: Path) -> None:
    install(door, root)
    before = tree(root)
    again = install(door, root)
    assert not again["changed"]
    assert again["diff"]["before"] == again["diff"]["after"]
    assert tree(root) == before


def test_files_are_readable_for_the_jobs_user_whatever_the_umask(door: Any, root: Path) -> None:
    install(door, root, umask=0o077)
    closed = [
        path
        for path in (root / "software" / "releases").rglob("*")
        if path.suffix != ".pyc" and path.name != "__pycache__" and not path.stat().st_mode & 0o004
    ]
    assert closed == []


def test_a_changed_file_of_the_release_is_put_right(door: Any, root: Path) -> None:
    install(door, root)
    broken = root / "software" / "current" / "lifeboat" / "errors.py"
    broken.write_text("# somebody was here\n")
    assert install(door, root)["changed"]
    assert broken.read_bytes() == (ENGINE / "errors.py").read_bytes()
    assert not install(door, root)["changed"]


def test_a_downgrade_is_refused_unless_asked(door: Any, root: Path) -> None:
    install(door, root)
    (root / "software" / "current" / "VERSION").write_text("99.0.0\n")
    refused = install(door, root)
    assert refused["failed"]
    assert "99.0.0" in refused["msg"]
    assert refused["exit_code"] == 2
    allowed = install(door, root, allow_downgrade=True)
    assert allowed["changed"]
    assert allowed["previous_version"] == "99.0.0"


@pytest.mark.parametrize(
    ("older", "newer"),
    [("0.9.0", "0.10.0"), ("1.0.0-rc.1", "1.0.0"), ("1.0.0-beta.1", "1.0.0-rc.1")],
)
def test_versions_are_compared_as_versions(older: str, newer: str) -> None:
    assert delivery._order(older) < delivery._order(newer)


def test_the_two_releases_before_the_current_one_stay(tmp_path: Path) -> None:
    where = paths("user", str(tmp_path))
    releases = where.software / "releases"
    python = delivery.interpreter(None)
    true = delivery.carried(_entry())
    made = []
    for number in range(5):
        release = delivery.Release({**true.files, "extra.py": b"# %d\n" % number})
        delivery.apply(delivery.plan(where, release, python, root=str(tmp_path)))
        os.utime(releases / release.digest, (number, number))
        made.append(release.digest)
    assert sorted(one.name for one in releases.iterdir()) == sorted(made[-3:])
    assert (where.software / "current").resolve().name == made[-1]


def test_a_release_that_does_not_start_is_never_current(tmp_path: Path) -> None:
    where = paths("user", str(tmp_path))
    python = delivery.interpreter(None)
    true = delivery.carried(_entry())
    delivery.apply(delivery.plan(where, true, python, root=str(tmp_path)))
    broken = delivery.Release({**true.files, "cli/main.py": b"import nothing_of_that_name\n"})
    with pytest.raises(Exception, match="does not start") as caught:
        delivery.apply(delivery.plan(where, broken, python, root=str(tmp_path)))
    assert "nothing_of_that_name" in caught.value.detail
    assert (where.software / "current").resolve().name == true.digest
    assert [one.name for one in (where.software / "releases").iterdir()] == [true.digest]


def test_a_process_keeps_its_release_while_another_is_installed(tmp_path: Path) -> None:
    """The launcher resolves `current` once; modules loaded later still come from the same release."""
    where = paths("user", str(tmp_path))
    true = delivery.carried(_entry())
    slow = (
        b"import sys\ndef main(**_given):\n"
        b"    sys.stdin.read()\n    import lifeboat.late\n    return lifeboat.late.N\n"
    )
    for number in (1, 2):
        files = {**true.files, "cli/main.py": slow, "late.py": b"N = %d\n" % number}
        release = delivery.Release(files)
        plan = delivery.plan(where, release, delivery.interpreter(None), root=str(tmp_path))
        if number == 2:
            running = subprocess.Popen([str(where.command)], stdin=subprocess.PIPE)
            with pytest.raises(subprocess.TimeoutExpired):
                running.wait(1)  # it has started, and waits for its input
        delivery.apply(plan)
    running.communicate()
    assert running.returncode == 1
    assert subprocess.run([str(where.command)], stdin=subprocess.DEVNULL).returncode == 2


def test_a_python_with_a_blank_in_its_path_starts_too(
    door: Any, root: Path, tmp_path: Path
) -> None:
    import sys

    (tmp_path / "my pythons").mkdir()
    python = tmp_path / "my pythons" / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    result = install(door, root, python=str(python))
    told = subprocess.run([result["command"], "--version"], capture_output=True, text=True)
    assert told.stdout.startswith("lifeboat ")


@pytest.mark.parametrize("folder", ["python", "my python"])
def test_paths_are_utf_8_whatever_the_locale_of_who_types(
    door: Any, root: Path, tmp_path: Path, folder: str
) -> None:
    import sys

    (tmp_path / folder).mkdir()
    python = tmp_path / folder / "python3"
    python.symlink_to(sys.executable)
    command = Path(install(door, root, python=str(python))["command"])
    first = command.read_text().split("import os")[0]  # with it Python starts
    command.write_text(first + "import sys\nprint(sys.flags.utf8_mode, sys.flags.isolated)\n")
    told = subprocess.run([command], capture_output=True, text=True, env={"LC_ALL": "C.UTF-8"})
    assert told.stdout == "1 1\n"


@pytest.mark.parametrize("python", ["/nowhere/python", "/bin/true"])
def test_what_is_not_a_python_is_refused(door: Any, root: Path, python: str) -> None:
    result = install(door, root, python=python)
    assert result["failed"]
    assert python in result["msg"]
    assert not root.exists()


def vendor(archive: Path, members: dict[str, bytes], kind: bytes = tarfile.REGTYPE) -> Path:
    with tarfile.open(archive, "w:gz") as out:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            member.type = kind
            member.linkname = "/etc/passwd"
            out.addfile(member, io.BytesIO(content))
    return archive


def test_libraries_are_found_by_the_command(door: Any, root: Path, tmp_path: Path) -> None:
    archive = vendor(tmp_path / "v.tgz", {"jmespath/__init__.py": b"VENDORED = True\n"})
    result = install(door, root, vendor_archive=str(archive), vendor_digest="abc")
    link = root / "software" / "vendor" / result["python_tag"]
    assert os.readlink(link) == f"abc-{result['python_tag']}"
    launcher = Path(result["command"]).read_text()
    told = launcher.replace("from lifeboat.cli.main import main", "import jmespath").split("raise")[
        0
    ]
    code = told + "print(jmespath.VENDORED)"
    found = subprocess.run([result["python"], "-I", "-c", code], capture_output=True, text=True)
    assert found.stdout == "True\n"


def test_libraries_that_are_there_need_no_archive(door: Any, root: Path, tmp_path: Path) -> None:
    archive = vendor(tmp_path / "v.tgz", {"one.py": b""})
    install(door, root, vendor_archive=str(archive), vendor_digest="abc")
    archive.unlink()
    again = install(door, root, vendor_archive=str(archive), vendor_digest="abc")
    assert not again["changed"]


@pytest.mark.parametrize("name", ["../out.py", "/tmp/out.py", "a/../../out.py"])
def test_libraries_never_leave_their_directory(
    door: Any, root: Path, tmp_path: Path, name: str
) -> None:
    archive = vendor(tmp_path / "v.tgz", {"fine.py": b"", name: b""})
    result = install(door, root, vendor_archive=str(archive), vendor_digest="abc")
    assert result["failed"]
    assert name in result["msg"]
    assert list((root / "software" / "vendor").iterdir()) == []


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_libraries_hold_files_only(door: Any, root: Path, tmp_path: Path, kind: bytes) -> None:
    archive = vendor(tmp_path / "v.tgz", {"link": b""}, kind)
    assert install(door, root, vendor_archive=str(archive), vendor_digest="abc")["failed"]


def test_a_truncated_archive_leaves_nothing(door: Any, root: Path, tmp_path: Path) -> None:
    archive = vendor(tmp_path / "v.tgz", {"big.py": os.urandom(100_000)})
    archive.write_bytes(archive.read_bytes()[:50_000])
    result = install(door, root, vendor_archive=str(archive), vendor_digest="abc")
    assert result["failed"]
    assert str(archive) in result["msg"]
    assert list((root / "software" / "vendor").iterdir()) == []


def _entry() -> Any:
    from ansible_collections.lifeboat.backup.plugins.module_utils.engine.cli.main import main

    return main
