"""A large backup that is read back by sample at first, and in full within the week."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.integration.rescue.host import Host

# Six days later: the clock of lifeboat's doors is put on.
LATER = """
from lifeboat.cli import session
from datetime import timedelta
real = session.now
session.now = lambda: real() + timedelta(days=6)
"""


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """With an archive of 40 MB, more than are sampled of it."""
    made = Host(tmp_path)
    uploads = tmp_path / "uploads"
    uploads.mkdir()
    (uploads / "noise").write_bytes(os.urandom(40 << 20))
    made.job["sources"] = {"up": {"type": "files", "paths": [str(uploads)]}}
    made.configuration["destinations"]["disk"]["readback"] = {"full_up_to": "10MiB"}
    made.configure()
    return made


def archive(host: Host, id_: str) -> Path:
    return next((host.disk / "archives/h1/shop" / id_).glob("up.tree.*"))


def states(host: Host) -> dict[str, Any]:
    told = json.loads(host.lifeboat("list", "shop", "--json").stdout)
    return {one["id"]: one["copies"]["disk"] for one in told}


def test_a_copy_is_stored_until_all_of_it_was_read(host: Host) -> None:
    done = host.lifeboat("run", "shop")
    assert done.returncode == 0, done.stderr
    assert "read back by sample" in done.stderr
    first = done.stdout.strip()
    assert states(host) == {first: "stored"}
    late = host.lifeboat("run", "shop", before=LATER)
    assert late.returncode == 0, late.stderr
    assert states(host)[first] == "intact"


def test_a_copy_that_proves_bad_in_the_end_is_told_with_4(host: Host) -> None:
    first = host.run()
    path = archive(host, first)
    os.chmod(path, 0o600)
    with open(path, "r+b") as stored:  # in one of the blocks that no sample need have met
        stored.seek(14 << 20)
        stored.write(bytes(8))
    late = host.lifeboat("run", "shop", before=LATER)
    assert late.returncode == 4
    assert first in late.stderr
    assert states(host)[first] == "corrupt"


@pytest.mark.parametrize("cut", [1, 5 << 20], ids=["a byte", "blocks"])
def test_a_copy_that_is_too_short_does_not_pass_a_sample(host: Host, cut: int) -> None:
    before = (
        "from lifeboat.destinations.local import Local\nreal = Local.store\n"
        "def short(self, key, growing):\n    real(self, key, growing)\n"
        f"    path = {str(host.disk)!r} + '/' + key\n    import os, shutil\n"
        "    shutil.copy(path, path + 'x')\n    os.replace(path + 'x', path)\n"
        f"    os.truncate(path, max(0, os.path.getsize(path) - {cut}))\n"
        "Local.store = short\n"
    )
    done = host.lifeboat("run", "shop", before=before)
    assert done.returncode == 4
    assert set(states(host).values()) == {"corrupt"}
