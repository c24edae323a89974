"""A bundle is read without being trusted: one backup, the format's names, plain files, whole."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
from lifeboat.destinations.bundle import Bundle
from lifeboat.errors import DestinationError, UsageError, VerifyError

ID = "20261121T020000Z-daily-7f3a"
MANIFEST = f"catalog/h1/shop/{ID}.json"
ARCHIVE = f"archives/h1/shop/{ID}/db.database.sqlite.zst"
CONTENT = bytes(range(256)) * 200


def tar_of(path: Path, *members: tuple[str, bytes, bytes]) -> Path:
    """(name, type, content) each."""
    with tarfile.open(path, "w") as tar:
        for name, kind, content in members:
            member = tarfile.TarInfo(name)
            member.type, member.linkname, member.size = kind, "/etc/passwd", len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    members = [(MANIFEST, tarfile.REGTYPE, b"{}"), (ARCHIVE, tarfile.REGTYPE, CONTENT)]
    return tar_of(tmp_path / "shop.tar", *members)


def test_its_members_are_objects(path: Path) -> None:
    place = Bundle(str(path))
    assert (place.host, place.job, place.id) == ("h1", "shop", ID)
    assert [(one.key, one.size_bytes) for one in place.list("")] == [
        (ARCHIVE, len(CONTENT)),
        (MANIFEST, 2),
    ]
    assert [one.key for one in place.list("catalog/h1/shop/")] == [MANIFEST]
    with place.open(ARCHIVE) as stored:
        assert stored.read() == CONTENT
    with place.open_at(ARCHIVE, 300) as stored:
        assert stored.read(4) == CONTENT[300:304]
    with pytest.raises(DestinationError) as caught, place.open(ARCHIVE + "x"):
        pass
    assert caught.value.missing


def test_nothing_is_written_to_it(path: Path) -> None:
    before, place = path.read_bytes(), Bundle(str(path))
    place.put(MANIFEST.replace(".json", ".intact-20261121T020102Z"), b"")
    for action in (lambda: place.put(MANIFEST, b"x"), lambda: place.delete(MANIFEST), place.check):
        with pytest.raises(DestinationError, match="nothing is written"):
            action()
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("../../etc/cron.d/x", tarfile.REGTYPE),
        ("/etc/passwd", tarfile.REGTYPE),
        ("readme.txt", tarfile.REGTYPE),
        ("catalog", tarfile.REGTYPE),
        (f"archives/h1/shop/{ID}/../x", tarfile.REGTYPE),
        (f"archives/h1/shop/{ID}/a/b", tarfile.REGTYPE),
        (f"archives/h1/shop/{ID}/link", tarfile.SYMTYPE),
        (f"archives/h1/shop/{ID}/hard", tarfile.LNKTYPE),
        (f"archives/h1/shop/{ID}/pipe", tarfile.FIFOTYPE),
        (f"archives/h1/shop/{ID}/disk", tarfile.BLKTYPE),
        (ARCHIVE, tarfile.REGTYPE),  # twice
        (MANIFEST.replace("7f3a", "0000"), tarfile.REGTYPE),  # two backups
        (MANIFEST.replace("h1", ".."), tarfile.REGTYPE),
    ],
)
def test_a_hostile_member_is_refused(tmp_path: Path, name: str, kind: bytes) -> None:
    ours = [(MANIFEST, tarfile.REGTYPE, b"{}"), (ARCHIVE, tarfile.REGTYPE, CONTENT)]
    path = tar_of(tmp_path / "shop.tar", *ours, (name, kind, b""))
    with pytest.raises(VerifyError, match="is not a bundle that can be used"):
        Bundle(str(path))


def test_directories_of_a_tar_made_anew_are_passed_over(tmp_path: Path) -> None:
    members = [("./catalog", tarfile.DIRTYPE, b""), ("./" + MANIFEST, tarfile.REGTYPE, b"{}")]
    assert Bundle(str(tar_of(tmp_path / "x.tar", *members))).id == ID


def test_one_that_was_cut_short_is_refused(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: content.index(CONTENT[:512]) + 1000])
    with pytest.raises(VerifyError, match=r"cut short|cannot be read"):
        Bundle(str(path))


@pytest.mark.parametrize("content", [b"hello" * 1000, b"", bytes(10240)])
def test_what_holds_no_backup_is_told(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.tar"
    path.write_bytes(content)
    with pytest.raises(VerifyError, match=r"cannot be read as tar|holds no backup"):
        Bundle(str(path))


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        Bundle(str(tmp_path / "none.tar"))


def test_a_header_that_wants_all_memory_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    member = tarfile.TarInfo("pax")
    member.type, member.size = tarfile.XHDTYPE, 1 << 30
    with open(path, "wb") as out:
        out.write(member.tobuf())
        out.truncate((1 << 30) + 20480)
    with pytest.raises(VerifyError, match="larger than any name"):
        Bundle(str(path))
