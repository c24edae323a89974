# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong between a host and an SFTP server costs no byte, leaves nothing, and is told."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from lifeboat.destinations.sftp import session as sftp_session
from lifeboat.destinations.sftp import stream as sftp_stream
from lifeboat.destinations.sftp.destination import SFTP
from lifeboat.destinations.sftp.errors import Dropped
from lifeboat.errors import ConfigError, DestinationError
from lifeboat.model import Secret
from lifeboat.spool import Spool

from tests.integration.rescue.host import ENGINE, PRELUDE
from tests.integration.sftp.places import options, parts, place_at
from tests.lab import sftp as lab
from tests.unit.contracts.destination_contract import ARCHIVE, BLOCK, content_of, finished, keys

MANIFEST = "catalog/h/j/20261121T020000Z-daily-7f3a.json"


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (sftp_session, sftp_stream):
        monkeypatch.setattr(module, "PAUSES_S", (0.1, 0.2, 0.4, 0.8, 1.6))


class Storing(threading.Thread):
    """Stores a spool that the test writes, and remembers how that ended."""

    def __init__(self, place: SFTP, folder: Path) -> None:
        super().__init__(daemon=True)
        self.place, self.spool = place, Spool(folder / "spool")
        self.failure: Any = None
        self.content = b""
        self.start()

    def run(self) -> None:
        try:
            self.place.store(ARCHIVE, self.spool)
        except Exception as exc:
            self.failure = exc

    def write(self, blocks: int) -> None:
        for _number in range(blocks):
            self.content += BLOCK
            self.spool.write(BLOCK)

    def part(self, more_than: int = 0) -> os.stat_result:
        """The part, once more than so many bytes have arrived."""
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            for one in behind_of(self.place).rglob(".part-*"):
                if one.stat().st_size > more_than:
                    return one.stat()
            time.sleep(0.02)
        raise AssertionError("nothing arrived")

    def end(self) -> None:
        self.spool.commit()
        self.join(60)
        assert not self.is_alive()


def behind_of(place: Any) -> Path:
    folder: Path = place.behind
    return folder


# -- the connection


@pytest.mark.parametrize("kind", ["openssh", "poor"])
def test_an_upload_goes_on_in_the_same_file_where_the_connection_was_cut(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    server: lab.Server = request.getfixturevalue(kind)
    place = place_at(server)
    storing = Storing(place, tmp_path)
    seen, size = set(), 0
    for _cut in range(3):
        storing.write(12)
        part = storing.part(more_than=size)
        seen.add(part.st_ino)
        assert server.cut()
        size = storing.part().st_size
    storing.write(12)
    storing.end()
    assert storing.failure is None
    assert len(seen) == 1
    assert content_of(place, ARCHIVE) == storing.content
    assert parts(place) == []


def test_a_server_that_lets_nobody_go_on_leads_to_a_fresh_attempt(
    proftpd: lab.Server, tmp_path: Path
) -> None:
    place = place_at(proftpd)
    storing = Storing(place, tmp_path)
    storing.write(12)
    storing.part()
    proftpd.cut()
    storing.write(12)
    storing.end()
    assert "lets nobody go on with it" in str(storing.failure)
    assert not storing.failure.permanent
    assert parts(place) == []
    place.store(ARCHIVE, storing.spool)  # as a lane does
    assert content_of(place, ARCHIVE) == storing.content


def test_reading_goes_on_where_the_connection_was_cut(openssh: lab.Server, tmp_path: Path) -> None:
    place = place_at(openssh)
    place.store(ARCHIVE, finished(tmp_path, BLOCK * 40))
    with place.open(ARCHIVE) as stored:
        begun = stored.read(len(BLOCK))
        openssh.cut()
        assert begun + stored.read() == BLOCK * 40


def test_an_upload_survives_a_restart_of_the_server(area: Path, tmp_path: Path) -> None:
    server = lab.OpenSSH(area / "restarted")
    with server:
        place = place_at(server)
        storing = Storing(place, tmp_path)
        storing.write(12)
        storing.part()
    storing.write(12)
    time.sleep(0.5)
    with server:
        storing.end()
        assert storing.failure is None
        assert content_of(place, ARCHIVE) == storing.content


def test_a_server_that_no_longer_answers_is_left_for_a_new_connection(
    openssh: lab.Server, tmp_path: Path
) -> None:
    place = place_at(openssh, timeout=timedelta(seconds=1))
    storing = Storing(place, tmp_path)
    storing.write(12)
    storing.part()
    for pid in openssh.sessions():
        os.kill(pid, signal.SIGSTOP)
    storing.write(40)
    storing.end()
    openssh.cut()
    assert storing.failure is None
    assert content_of(place, ARCHIVE) == storing.content


def test_a_server_that_is_down_is_told_without_waiting_for_it(
    openssh: lab.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sftp_session, "PAUSES_S", (60.0,))
    place = place_at(openssh, port=lab.free_port())
    begun = time.monotonic()
    with pytest.raises(DestinationError, match=r"attic: cannot reach 127.0.0.1:\d+") as caught:
        place.check()
    assert not caught.value.permanent
    assert time.monotonic() - begun < 30


def test_a_server_that_says_nothing_is_waited_for_as_long_as_was_chosen(
    openssh: lab.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sftp_session, "PAUSES_S", ())
    with socket.create_server(("127.0.0.1", 0)) as mute:
        patience = timedelta(seconds=1)
        place = place_at(openssh, port=mute.getsockname()[1], connect_timeout=patience)
        begun = time.monotonic()
        with pytest.raises(DestinationError, match="no answer in 1 seconds"):
            place.check()
    assert 1 <= time.monotonic() - begun < 10


def test_a_connection_that_is_lost_for_good_ends_the_upload(area: Path, tmp_path: Path) -> None:
    with lab.OpenSSH(area / "lost") as server:
        place = place_at(server)
        storing = Storing(place, tmp_path)
        storing.write(12)
        storing.part()
    storing.write(12)
    storing.end()
    assert isinstance(storing.failure, DestinationError)
    assert not storing.failure.permanent


def test_a_rename_whose_answer_was_lost_is_seen_to_be_done(
    openssh: lab.Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = place_at(openssh)
    run = place._session.run

    def lose_the_answer(step: Any, answers: int = 1) -> Any:
        result = run(step, answers)
        if "rename" in step.__code__.co_names:
            raise Dropped("lost")
        return result

    monkeypatch.setattr(place._session, "run", lose_the_answer)
    place.store(ARCHIVE, finished(tmp_path, BLOCK))
    assert content_of(place, ARCHIVE) == BLOCK


# -- who is who


def fingerprint(server: lab.Server, name: str) -> str:
    told = subprocess.run(
        ["ssh-keygen", "-lf", str(server.folder / name)], check=True, capture_output=True, text=True
    )
    return told.stdout.split()[1]


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa"])
def test_a_host_key_that_is_not_pinned_is_refused_and_shown(
    openssh: lab.Server, tmp_path: Path, kind: str
) -> None:
    pinned = tmp_path / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", str(pinned)], check=True)
    place = place_at(openssh, host_key=pinned.with_suffix(".pub").read_text())
    with pytest.raises(DestinationError, match="host key that is not pinned") as caught:
        place.check()
    assert caught.value.permanent
    assert fingerprint(openssh, "host_key.pub") in str(caught.value)
    assert openssh.host_key in caught.value.hint


def test_a_host_that_known_hosts_does_not_name_is_refused(openssh: lab.Server) -> None:
    place = place_at(openssh, host_key=f"other.example.org {openssh.host_key}")
    with pytest.raises(DestinationError, match="host key that is not pinned"):
        place.check()


def test_lines_of_known_hosts_pin_as_well(openssh: lab.Server) -> None:
    line = f"[127.0.0.1]:{openssh.port} {openssh.host_key} a comment"
    place_at(openssh, host_key=f"# mine\n{line}\n").check()


def test_a_key_that_the_server_does_not_know_is_told_with_what_to_add(
    openssh: lab.Server, tmp_path: Path
) -> None:
    other = lab.make_key(tmp_path / "other")
    place = place_at(openssh, credential=Secret.of(other))
    with pytest.raises(DestinationError, match=r"of .* is refused") as caught:
        place.check()
    assert caught.value.permanent
    assert " ".join((tmp_path / "other.pub").read_text().split()[:2]) in caught.value.hint
    assert "PRIVATE" not in str(caught.value) + caught.value.hint


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("not a key", "is no private key"),
        ({"secret": "x"}, "is no SSH login"),
        ("", "no SSH login"),
    ],
)
def test_a_credential_that_is_no_key_is_told_without_showing_it(
    openssh: lab.Server, value: Any, why: str
) -> None:
    with pytest.raises(ConfigError, match=why) as caught:
        place_at(openssh, credential=Secret(lambda: value, "attic_key")).check()
    assert "attic_key" in str(caught.value)
    assert "not a key" not in str(caught.value)


def test_a_key_with_a_passphrase_is_told(openssh: lab.Server, tmp_path: Path) -> None:
    path = tmp_path / "locked"
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "abcde", "-f", str(path)], check=True
    )
    with pytest.raises(ConfigError, match="passphrase"):
        place_at(openssh, credential=Secret.of(path.read_text())).check()


@pytest.mark.skipif(not lab.ROOT, reason="only root may start it so")
def test_a_password_will_do_where_there_is_no_key(area: Path) -> None:
    made = ["openssl", "passwd", "-6", "open sesame"]
    crypted = subprocess.run(made, check=True, capture_output=True, text=True).stdout.strip()
    with lab.ProFTPD(area / "password", crypted) as server:
        place_at(server, credential=Secret.of({"password": "open sesame"})).check()
        wrong = place_at(server, credential=Secret.of({"password": "shut sesame"}))
        with pytest.raises(DestinationError, match="the password of client is refused") as caught:
            wrong.check()
    assert caught.value.permanent
    assert "sesame" not in str(caught.value) + caught.value.hint


def test_jump_hosts_are_passed_and_each_proves_its_key(
    openssh: lab.Server, poor: lab.Server
) -> None:
    known = [f"[127.0.0.1]:{one.port} {one.host_key}" for one in (openssh, poor)]
    jumps = [f"{openssh.user}@127.0.0.1:{openssh.port}"]
    jump_key = Secret.of(openssh.key)
    place = place_at(poor, jump_hosts=jumps, jump_credential=jump_key, host_key="\n".join(known))
    before = set(poor.sessions())
    place.check()
    through = set(poor.sessions()) - before
    assert through
    openssh.cut()  # what goes through it ends with it
    deadline = time.monotonic() + 10
    while through & set(poor.sessions()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not through & set(poor.sessions())

    wrong = place_at(poor, jump_hosts=jumps, jump_credential=jump_key, host_key=known[1])
    with pytest.raises(DestinationError, match=f":{openssh.port}: it shows a host key"):
        wrong.check()


def test_a_server_without_sftp_is_told(area: Path) -> None:
    with (
        lab.OpenSSH(area / "without", subsystem="/nowhere/sftp-server") as server,
        pytest.raises(DestinationError, match="gives no SFTP to") as caught,
    ):
        place_at(server).check()
    assert caught.value.permanent


# -- what the server refuses


def test_a_directory_that_may_not_be_written_to_is_told(
    openssh: lab.Server, tmp_path: Path
) -> None:
    place = place_at(openssh)
    place.put(MANIFEST, b"{}")
    for one in [behind_of(place), *behind_of(place).rglob("*")]:
        one.chmod(0o555 if one.is_dir() else 0o444)
    for attempt in (
        lambda: place.put(MANIFEST + "x", b"{}"),
        lambda: place.store(ARCHIVE, finished(tmp_path, BLOCK)),
        lambda: place.delete(MANIFEST),
        place.check,
    ):
        with pytest.raises(DestinationError, match="permission denied") as caught:
            attempt()
        assert caught.value.permanent
    assert content_of(place, MANIFEST) == b"{}"


def test_a_file_in_a_directorys_place_is_told(openssh: lab.Server) -> None:
    place = place_at(openssh)
    (behind_of(place) / "catalog").write_text("x")
    with pytest.raises(DestinationError, match="attic: cannot store catalog/h/j"):
        place.put(MANIFEST, b"{}")


def test_a_directory_that_nobody_made_is_told(openssh: lab.Server) -> None:
    given = options(openssh, "no/where", credential=Secret.of(openssh.key))
    place = SFTP(name="attic", **given)
    for attempt in (place.check, lambda: keys(place)):
        with pytest.raises(DestinationError, match="no/where: it does not exist") as caught:
            attempt()
        assert caught.value.permanent


@pytest.fixture
def small_disk(area: Path) -> Iterator[Path]:
    """A folder for a server on a disk of 4 MiB."""
    folder = area / f"small-{time.monotonic_ns()}"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m,mode=755", "tmpfs", str(folder)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("only root may mount a small file system")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)  # a session may just be ending


@pytest.mark.parametrize(
    ("denied", "why"), [("", "no space left"), (f" -P {lab.POOR}", "takes no more bytes")]
)
def test_a_full_disk_is_told_at_once_and_leaves_nothing(
    small_disk: Path, tmp_path: Path, denied: str, why: str
) -> None:
    with lab.OpenSSH(small_disk, f"internal-sftp{denied}") as server:
        place = place_at(server)
        place.put(MANIFEST, b"{}")
        with pytest.raises(DestinationError, match=why) as caught:
            place.store(ARCHIVE, finished(tmp_path, BLOCK * 32))
        assert caught.value.permanent
        assert "make room" in caught.value.hint
        assert keys(place) == [MANIFEST]
        assert parts(place) == []


def test_a_disk_that_is_full_with_the_last_block_is_told(small_disk: Path, tmp_path: Path) -> None:
    with lab.OpenSSH(small_disk) as server:
        place = place_at(server)
        room = os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize
        with pytest.raises(DestinationError, match=r"no space left|takes no more"):
            place.store(ARCHIVE, finished(tmp_path, b"x" * (room + 6000)))
        assert parts(place) == []


def test_a_limit_on_the_size_of_files_is_told_and_leaves_nothing(
    area: Path, tmp_path: Path
) -> None:
    with lab.OpenSSH(area / "limited", limits=("prlimit", "--fsize=1000000")) as server:
        place = place_at(server)
        with pytest.raises(DestinationError, match="takes no more bytes") as caught:
            place.store(ARCHIVE, finished(tmp_path, BLOCK * 8))
        assert caught.value.permanent
        assert keys(place) == []
        assert parts(place) == []


# -- what lies there already


def test_names_and_links_of_others_do_no_harm(openssh: lab.Server, tmp_path: Path) -> None:
    place = place_at(openssh)
    odd = "catalog/h/j/ä b'\"$(x);\n*?[.json"
    place.put(odd, b"odd")
    place.put(MANIFEST, b"{}")
    folder = behind_of(place) / "catalog/h/j"
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff\xfe")).write_text("foreign")
    (folder / "loop").symlink_to(behind_of(place))
    (folder / "away").symlink_to("/etc/passwd")
    os.mkfifo(folder / "pipe")
    assert content_of(place, odd) == b"odd"
    assert sorted(keys(place, "catalog/")) == sorted(
        [MANIFEST, odd, "catalog/h/j/" + os.fsdecode(b"\xff\xfe")]
    )
    place.delete(odd)
    assert odd not in keys(place)


@pytest.mark.parametrize(
    "key", ["../x", "/etc/passwd", "a//b", "a/./b", ".part-x", "a/.part-1", ""]
)
def test_keys_that_lead_elsewhere_are_refused(openssh: lab.Server, key: str) -> None:
    with pytest.raises(DestinationError, match="not a key"):
        place_at(openssh).put(key, b"x")


def test_what_a_killed_upload_left_is_swept_and_nothing_younger(
    openssh: lab.Server, tmp_path: Path
) -> None:
    place = place_at(openssh)
    given = options(openssh, behind_of(place).name)
    code = PRELUDE.split("{before}")[0].format(engine=str(ENGINE)) + (
        "from lifeboat.destinations.sftp.destination import SFTP\n"
        "from lifeboat.model import Secret\n"
        "from lifeboat.spool import Spool\n"
        "from pathlib import Path\n"
        f"spool = Spool(Path({str(tmp_path / 'spool')!r}))\n"
        "spool.write(bytes(4 << 20))\n"
        f"place = SFTP(name='attic', credential=Secret.of(sys.stdin.read()), **{given!r})\n"
        f"place.store({ARCHIVE!r}, spool)\n"
    )
    killed = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, text=True)
    assert killed.stdin is not None
    killed.stdin.write(openssh.key)
    killed.stdin.close()
    deadline = time.monotonic() + 20
    while not parts(place) and time.monotonic() < deadline:
        time.sleep(0.05)
    killed.send_signal(signal.SIGKILL)
    killed.wait(10)
    assert len(parts(place)) == 1
    assert keys(place) == []

    now = datetime.now(timezone.utc)
    below = ARCHIVE.rpartition("/")[0] + "/"
    assert list(place.sweep(below, now - timedelta(minutes=5))) == []
    for other in ("archives/other/", below + "x"):
        assert list(place.sweep(other, now + timedelta(minutes=5))) == []
    (swept,) = place.sweep(below, now + timedelta(minutes=5))
    assert re.fullmatch(re.escape(below) + r"\.part-[0-9a-f]{16}", swept)
    assert parts(place) == []


def test_what_is_written_is_not_for_others(openssh: lab.Server, proftpd: lab.Server) -> None:
    for server in (openssh, proftpd):
        place = place_at(server)
        place.put(MANIFEST, b"{}")
        found = list(behind_of(place).rglob("*"))
        assert found
        assert [one for one in found if one.stat().st_mode & 0o007] == []


def test_many_names_are_listed_in_order(openssh: lab.Server) -> None:
    place = place_at(openssh)
    folder = behind_of(place) / "catalog/h/j"
    folder.mkdir(parents=True)
    for number in range(3000):
        (folder / f"{number:05}.json").touch()
    assert keys(place, "catalog/h/j/") == [
        f"catalog/h/j/{number:05}.json" for number in range(3000)
    ]


# -- a server where renaming overwrites: none of those that can be started here does, so this one is made


class Overwriting(threading.Thread):
    """The library's own server, in a thread: whoever comes is let in, and a rename replaces."""

    def __init__(self, folder: Path) -> None:
        super().__init__(daemon=True)
        self.folder, self.ready = folder, threading.Event()
        self.loop = asyncio.new_event_loop()
        self.key = asyncssh.generate_private_key("ssh-ed25519")
        self.port = 0
        self.start()
        self.ready.wait(10)

    def run(self) -> None:
        class Replacing(asyncssh.SFTPServer):
            def rename(self, oldpath: bytes, newpath: bytes) -> None:
                os.replace(self.map_path(oldpath), self.map_path(newpath))

        class Open(asyncssh.SSHServer):
            def begin_auth(self, username: str) -> bool:
                return False

        async def listen() -> None:
            listening = await asyncssh.listen(
                "127.0.0.1",
                0,
                server_factory=Open,
                server_host_keys=[self.key],
                sftp_factory=lambda channel: Replacing(channel, chroot=os.fsencode(self.folder)),
            )
            self.port = listening.get_port()
            self.ready.set()

        self.loop.run_until_complete(listen())
        self.loop.run_forever()


def test_nothing_is_replaced_where_a_rename_would(tmp_path: Path) -> None:
    (tmp_path / "served").mkdir()
    server = Overwriting(tmp_path / "served")
    place = SFTP(
        name="attic",
        host="127.0.0.1",
        port=server.port,
        user="u",
        path="/",
        host_key=server.key.export_public_key().decode(),
        credential=Secret.of(lab.make_key(tmp_path / "login")),
    )
    place.store(ARCHIVE, finished(tmp_path, b"first"))
    with pytest.raises(DestinationError, match="there already"):
        place.store(ARCHIVE, finished(tmp_path, b"second", "other"))
    with pytest.raises(DestinationError, match="there already"):
        place.put(ARCHIVE, b"third")
    assert content_of(place, ARCHIVE) == b"first"
    server.loop.call_soon_threadsafe(server.loop.stop)
