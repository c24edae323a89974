# SPDX-License-Identifier: GPL-3.0-or-later
"""Django's dumpdata and loaddata through the whole command: lost, brought back, taken back, killed."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
from pathlib import Path

import pytest

from tests.integration.command.conftest import Shop, manage
from tests.integration.rescue.host import PHRASE

GATE = ("--confirm", PHRASE, "--target-host", "h1")
EVERYTHING = "from shop.models import Book; Book.objects.filter(pk__gt=10).delete()"
SECRET = "not-in-any-argument"


def lose_most(shop: Shop) -> str:
    """Delete nearly all; what is seen then."""
    manage(shop.folder, "shell", "-c", EVERYTHING)
    return shop.seen()


def test_what_the_application_held_comes_back_and_goes_again(shop: Shop) -> None:
    before = shop.seen()
    id_ = shop.host.run()
    manifest = json.loads((shop.host.disk / f"catalog/h1/shop/{id_}.json").read_text())
    key = ("--identity", str(shop.host.key))
    verified = shop.host.lifeboat("verify", id_, "--level", "content", *key)
    lost = lose_most(shop)

    restored = shop.host.restore(id_)
    seen = shop.seen()
    undone = shop.host.lifeboat("undo", "shop", id_, *GATE)

    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert manifest["sources"][0]["totals"]["tables"] == 6
    assert manifest["sources"][0]["totals"]["rows"] > 300
    assert restored.returncode == 0, restored.stderr
    assert seen == before
    assert len(json.loads(before)) == 303
    assert undone.returncode == 0, undone.stderr
    assert shop.seen() == lost
    assert shop.host.lifeboat("confirm", "shop").returncode == 0
    assert list((shop.host.root / "state" / "restores").rglob("*")) == []


def test_an_application_without_any_data_gets_it_all(shop: Shop) -> None:
    before = shop.seen()
    id_ = shop.host.run()
    (shop.folder / "shop.sqlite").unlink()
    manage(shop.folder, "migrate")

    restored = shop.host.restore(id_)

    assert restored.returncode == 0, restored.stderr
    assert shop.seen() == before


_MOMENTS = {
    "after what is there is kept": "in_place.write = lambda *words: kill()",
    "while it is loaded": """
class Cut(programs.Started):
    def start(self):
        super().start()
        if "loaddata" in self.command.argv:
            import time
            time.sleep(0.1)
            kill()
programs.Started = Cut
""",
}
_PLACED = """
import os
import lifeboat.sources.in_place as in_place, lifeboat.sources.command.source as command
import lifeboat.sources.command.programs as programs
def kill():
    os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize("moment", sorted(_MOMENTS))
def test_a_killed_restore_leaves_the_old_state_after_recovery(shop: Shop, moment: str) -> None:
    id_ = shop.host.run()
    lost = lose_most(shop)

    killed = shop.host.restore(id_, before=_PLACED + _MOMENTS[moment])
    recovered = shop.host.lifeboat("recover")

    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert recovered.returncode == 0, recovered.stderr
    assert "the old state is in place" in recovered.stdout
    assert shop.seen() == lost
    assert list((shop.host.root / "state" / "restores").rglob("*")) == []


def test_a_restore_that_fails_in_its_middle_is_taken_back(shop: Shop) -> None:
    id_ = shop.host.run()
    lost = lose_most(shop)
    # loaddata takes it back itself; the flush before it is what would be lost
    failing = "import sys; sys.stdin.read(1000); sys.exit('no more memory')"
    restore = shop.source["restore"]
    shop.source["restore"] = ["/bin/sh", str(_once(shop, failing)), *restore]  # type: ignore[misc]
    shop.host.configure()

    done = shop.host.restore(id_)

    assert done.returncode == 1
    assert "its `restore` failed" in done.stderr
    assert "no more memory" in done.stderr
    assert "the old state is in place" in done.stderr
    assert shop.seen() == lost


def _once(shop: Shop, code: str) -> Path:
    """A script that fails the first time, and runs its words afterwards."""
    script, failed = shop.host.base / "once", shop.host.base / "failed"
    script.write_text(f'[ -e "{failed}" ] && exec "$@"\ntouch "{failed}"\nexec "$1" -c "{code}"\n')
    return script


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("trailer", "}", "does not end with its `trailer`"),
        ("env", {}, "KeyError: 'SHOP_KEY'"),
    ],
)
def test_a_dump_that_cannot_be_made_fails_the_run(
    shop: Shop, option: str, value: object, told: str
) -> None:
    shop.source[option] = value
    shop.host.configure()

    done = shop.host.lifeboat("run", "shop")

    assert done.returncode == 1
    assert told in done.stderr
    assert shop.host.stored() == []
    assert [one for one in shop.host.left_over() if str(shop.folder) not in one] == []


def test_no_secret_is_in_any_argument_or_message(shop: Shop) -> None:
    seen: set[bytes] = set()
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.05):
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    seen.add(path.read_bytes())
                except OSError:
                    continue

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        done = shop.host.lifeboat("run", "shop", "--json")
        id_ = json.loads(done.stdout)["id"]
        restored = shop.host.restore(id_)
        undone = shop.host.lifeboat("undo", "shop", id_, *GATE)
    finally:
        ended.set()
        watcher.join()

    assert any(b"dumpdata" in one for one in seen), "the watch saw nothing: it proves nothing"
    assert any(b"loaddata" in one for one in seen)
    assert not [one for one in seen if SECRET.encode() in one]
    told = [one.stdout + one.stderr for one in (done, restored, undone)]
    assert not [one for one in told if SECRET in one]
    stored = [path.read_bytes() for path in shop.host.disk.rglob("*") if path.is_file()]
    assert not [one for one in stored if SECRET.encode() in one]


def test_the_note_beside_the_backup_says_how_to_restore_by_hand(shop: Shop) -> None:
    before = shop.seen()
    shop.host.run()
    lose_most(shop)
    folder = shop.host.archive("app.stream").parent
    note = (folder / "RESTORE.md").read_text()
    archive = shop.host.archive("app.stream")

    age = ["age", "-d", "-i", str(shop.host.key), str(archive)]
    packed = subprocess.run(age, check=True, capture_output=True).stdout
    zstd = ["zstd", "-d", "-q", "-c"]
    plain = subprocess.run(zstd, input=packed, check=True, capture_output=True).stdout
    manage(shop.folder, "flush", "--no-input")
    (shop.host.base / "app.json").write_bytes(plain)
    manage(shop.folder, "loaddata", str(shop.host.base / "app.json"))

    assert "loaddata --format=json -" in note
    assert "flush --no-input" in note
    assert shop.seen() == before
