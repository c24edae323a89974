"""One backup in one file: out of a host, and back in on another that knows nothing but the job."""

from __future__ import annotations

import fcntl
import json
import signal
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.integration.rescue.host import Host


@pytest.fixture
def host(tmp_path: Path) -> Host:
    made = Host(tmp_path)
    made.fill(200)
    return made


@pytest.fixture
def bundle(host: Host) -> Path:
    path = host.base / "shop.tar"
    host.run("--tag", "v1.2")
    done = host.lifeboat("bundle", "shop", str(path))
    assert done.returncode == 0, done.stderr
    return path


def test_a_bundle_restores_on_another_host(host: Host, bundle: Path) -> None:
    other = Host(host.base, "h2", host.base / "empty")
    [id_] = [one["id"] for one in json.loads(host.lifeboat("list", "--json").stdout)]
    done = other.restore(id_, "--from", str(bundle), "--from-host", "h1")
    assert done.returncode == 0, done.stderr
    assert other.rows() == 200
    assert list(other.disk.iterdir()) == []


def test_a_bundle_of_another_host_is_not_restored_unnamed(host: Host, bundle: Path) -> None:
    other = Host(host.base, "h2", host.base / "empty")
    done = other.restore("latest", "--from", str(bundle))
    assert done.returncode == 6
    assert not other.database.exists()


def test_a_bundle_restores_nothing_in_production_whose_id_nobody_named(
    host: Host, bundle: Path
) -> None:
    host.fill(3)
    done = host.restore("latest", "--from", str(bundle))
    assert done.returncode == 6
    assert "explicit backup id" in done.stderr
    assert host.rows() == 3


def test_a_bundle_is_verified_where_its_job_is_unknown(host: Host, bundle: Path) -> None:
    other = Host(host.base, "h2", host.base / "empty")
    other.configuration["jobs"]["another"] = other.configuration["jobs"].pop("shop")
    other.configure()
    done = other.lifeboat("verify", str(bundle), "--json")
    assert done.returncode == 0, done.stderr
    (finding,) = json.loads(done.stdout)
    assert finding["state"] == "intact"
    assert finding["destination"] == "shop.tar"


def test_content_of_a_bundle_is_verified_with_the_key(host: Host, bundle: Path) -> None:
    done = host.lifeboat("verify", str(bundle), "--level", "content", "--identity", str(host.key))
    assert done.returncode == 0, done.stderr
    assert "readable" in done.stdout


def test_a_bundle_opens_with_standard_programs(bundle: Path, tmp_path: Path) -> None:
    subprocess.run(["sha256sum", "-c", "shop.tar.sha256"], cwd=bundle.parent, check=True)
    out = tmp_path / "out"
    out.mkdir()
    subprocess.run(["tar", "-xf", str(bundle), "-C", str(out)], check=True)
    (sums,) = out.rglob("SHA256SUMS")
    subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=sums.parent, check=True)
    host = Host(tmp_path, "h3", out)  # extracted, it is a destination
    (one,) = json.loads(host.lifeboat("list", "shop", "--from-host", "h1", "--json").stdout)
    assert one["tags"] == ["v1.2"]
    assert one["good"]


def test_no_file_is_replaced(host: Host, bundle: Path) -> None:
    before = bundle.read_bytes()
    done = host.lifeboat("bundle", "shop", str(bundle))
    assert done.returncode == 2
    assert "is there already" in done.stderr
    assert bundle.read_bytes() == before
    assert bundle.stat().st_mode & 0o777 == 0o600


def test_a_bad_copy_makes_no_bundle(host: Host, tmp_path: Path) -> None:
    id_ = host.run()
    (archive,) = (host.disk / "archives/h1/shop" / id_).glob("db.database.*")
    archive.write_bytes(b"\0" * archive.stat().st_size)
    done = host.lifeboat("bundle", id_, str(tmp_path / "x.tar"))
    assert done.returncode == 1
    assert "missing or corrupt" in done.stderr
    assert [one.name for one in tmp_path.glob("*x.tar*")] == []


@pytest.mark.parametrize("name", ["x.tar", "x.tar.sha256"])
def test_a_link_that_leads_nowhere_is_something_too(host: Host, tmp_path: Path, name: str) -> None:
    host.run()
    link, elsewhere = tmp_path / name, tmp_path / "unmounted" / "x.tar"
    link.symlink_to(elsewhere)
    done = host.lifeboat("bundle", "shop", str(tmp_path / "x.tar"))
    assert done.returncode == 2, done.stderr
    assert f"{link} is there already" in done.stderr
    assert link.is_symlink()
    assert [one.name for one in tmp_path.glob("*x.tar*")] == [name]


@pytest.mark.parametrize("where", [0.2, 0.9], ids=["manifest", "archive"])
def test_a_flipped_bit_is_noticed(host: Host, bundle: Path, where: float) -> None:
    content = bytearray(bundle.read_bytes())
    with tarfile.open(bundle) as tar:
        members = [one for one in tar if one.size > 100]
    chosen = members[0] if where < 0.5 else max(members, key=lambda one: one.size)
    content[chosen.offset_data + 40] ^= 1
    bundle.write_bytes(bytes(content))
    assert host.lifeboat("verify", str(bundle)).returncode == 1
    Path(f"{bundle}.sha256").unlink()  # the hashes inside tell as well
    assert host.lifeboat("verify", str(bundle)).returncode == 1
    assert host.restore("latest", "--from", str(bundle)).returncode in (1, 2)


def test_files_are_fetched_as_they_were_stored(host: Host, tmp_path: Path) -> None:
    id_ = host.run()
    there = tmp_path / "rescue"
    done = host.lifeboat("fetch", id_, str(there))
    assert done.returncode == 0, done.stderr
    subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=there, check=True)
    assert (there / "RESTORE.md").exists()
    assert (there / f"{id_}.json").exists()
    again = host.lifeboat("fetch", id_, str(there))
    assert again.returncode == 2
    assert "is not empty" in again.stderr


CUT_OFF = {
    "in an archive": "bundle._archive = lambda *_words: cut()",
    "before it has its name": "os.link = lambda *_words: cut()",
    "after it has its name": "real = os.link; os.link = lambda *words: (real(*words), cut())",
}


@pytest.mark.parametrize("moment", CUT_OFF)
def test_where_a_bundle_was_killed_the_same_command_makes_it(
    host: Host, tmp_path: Path, moment: str
) -> None:
    id_, path = host.run(), tmp_path / "shop.tar"
    before = "import os\nimport lifeboat.operations.copies.bundle as bundle\n"
    before += f"cut = lambda: os.kill(os.getpid(), 9)\n{CUT_OFF[moment]}"
    killed = host.lifeboat("bundle", id_, str(path), before=before)
    assert killed.returncode == -signal.SIGKILL, killed.stderr

    again = host.lifeboat("bundle", id_, str(path))

    whole = moment == "after it has its name"
    assert again.returncode == (2 if whole else 0), again.stderr
    assert sorted(one.name for one in tmp_path.glob("*shop.tar*")) == [
        "shop.tar",
        "shop.tar.sha256",
    ]
    subprocess.run(["sha256sum", "-c", "shop.tar.sha256"], cwd=tmp_path, check=True)


def test_a_bundle_that_is_being_written_is_left_alone(host: Host, tmp_path: Path) -> None:
    id_, part = host.run(), tmp_path / ".shop.tar.part"
    with open(part, "wb") as held:
        held.write(b"of another")
        held.flush()
        fcntl.flock(held, fcntl.LOCK_EX)
        refused = host.lifeboat("bundle", id_, str(tmp_path / "shop.tar"))
    assert (refused.returncode, part.read_bytes()) == (1, b"of another")
    assert "is being written" in refused.stderr


def test_where_a_fetch_was_killed_the_same_command_fetches(host: Host, tmp_path: Path) -> None:
    id_, into = host.run(), tmp_path / "rescue"
    before = """
import os
import lifeboat.operations.copies.fetching as fetching
real = fetching.write
def write(path, content):
    if path.name == "SHA256SUMS":
        os.kill(os.getpid(), 9)
    real(path, content)
fetching.write = write
"""
    killed = host.lifeboat("fetch", id_, str(into), before=before)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    (into / ".SHA256SUMS.abcdefgh").touch()  # killed between its two names

    again = host.lifeboat("fetch", id_, str(into))
    assert again.returncode == 0, again.stderr
    subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=into, check=True)
    assert [one.name for one in into.iterdir() if one.name.startswith(".")] == []

    (into / ".lifeboat-fetching").touch()
    (into / "mine").touch()
    refused = host.lifeboat("fetch", id_, str(into))
    assert (refused.returncode, "is not empty" in refused.stderr) == (2, True)
