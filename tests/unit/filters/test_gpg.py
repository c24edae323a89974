# SPDX-License-Identifier: GPL-3.0-or-later
"""Promises of the gpg filter."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from functools import lru_cache
from pathlib import Path

import pytest
from lifeboat.errors import (
    ConfigError,
    LifeboatError,
    MissingDependency,
    ProcessError,
    UsageError,
)
from lifeboat.filters import gpg_home
from lifeboat.filters.gpg import Gpg
from lifeboat.process import run

from tests.unit.contracts.encryptor_contract import PLAIN, EncryptorContract

GPG = ("gpg", "--batch", "--quiet", "--pinentry-mode", "loopback")
HOSTILE = "Eve \x1b[31m(--output /tmp/x) <eve@example.org>"


def make_pair(name: str, passphrase: str = "", expire: str = "never") -> tuple[bytes, str, str]:
    """(private key, armoured public key, fingerprint), made in a directory that goes away."""
    with tempfile.TemporaryDirectory(prefix="gpg-") as home:
        env = {**os.environ, "GNUPGHOME": home}
        (Path(home) / "gpg-agent.conf").write_text(
            "s2k-count 65536\n"
        )  # else it measures for seconds

        def gpg(*words: str) -> bytes:
            done = subprocess.run(
                [*GPG, "--passphrase", passphrase, *words], env=env, check=True, capture_output=True
            )
            return done.stdout

        gpg("--quick-generate-key", name, "ed25519", "cert", expire)
        told = gpg("--with-colons", "--list-keys").decode()
        fingerprint = next(one.split(":")[9] for one in told.splitlines() if one[:3] == "fpr")
        gpg("--quick-add-key", fingerprint, "cv25519", "encr", expire)
        public = gpg("--armor", "--export", fingerprint).decode()
        private = gpg("--armor", "--export-secret-keys", fingerprint)
        subprocess.run(["gpgconf", "--kill", "all"], env=env, check=False)
        return private, public, fingerprint


@lru_cache
def pair_of(number: int) -> tuple[bytes, str, str]:
    return make_pair(f"operator {number}")


@lru_cache
def expired() -> tuple[bytes, str, str]:
    made = make_pair("expired", expire="seconds=1")
    time.sleep(2)
    return made


def gpg_to(*keys: tuple[bytes, str, str]) -> Gpg:
    return Gpg([one[2] for one in keys], [one[1] for one in keys])


def agents(home: str) -> list[str]:
    """Processes that name this directory."""
    found = []
    for one in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = one.read_bytes()
        except OSError:
            continue
        if home.encode() in words:
            found.append(words.replace(b"\0", b" ").decode())
    return found


def gone(home: str, within_s: float = 10.0) -> bool:
    until = time.monotonic() + within_s
    while Path(home).exists() or agents(home):
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


class TestGpg(EncryptorContract):
    kind = Gpg

    def pair(self, number):
        private, public, fingerprint = pair_of(number)
        return private, (public, fingerprint)

    def make(self, *public):
        return Gpg([fingerprint for _key, fingerprint in public], [key for key, _one in public])


def test_it_is_aes_256_with_an_integrity_check_and_not_compressed_twice():
    sealed = run(gpg_to(pair_of(1)).encode(), stdin=b"a" * 100_000)
    assert len(sealed) > 100_000
    key = Gpg().decode(pair_of(1)[0])
    shown = []
    command = type(key)(
        key.argv[:-3] + ("--show-session-key", "--verbose", "--decrypt", "--output", "-"),
        secret=key.secret,
        within=key.within,
        hear=lambda lines: shown.extend(lines),
    )
    from lifeboat.process import Started

    with Started(command, subprocess.PIPE, subprocess.PIPE) as started:
        started.process.communicate(sealed)
        shown = list(started.lines())
    assert any("AES256" in line for line in shown)
    assert any("session key: '9:" in line for line in shown)  # 9 is AES-256
    listed = subprocess.run(["gpg", "--list-packets"], input=sealed, capture_output=True).stdout
    assert b"mdc_method: 2" in listed


def test_a_message_without_an_integrity_check_is_refused(tmp_path):
    private, public, fingerprint = pair_of(1)
    with gpg_home.home(True) as env:
        full = {**os.environ, **env}
        subprocess.run(["gpg", "--batch", "--quiet", "--import"], input=public.encode(), env=full)
        made = subprocess.run(
            ["gpg", "--batch", "--trust-model", "always", "--rfc2440", "--disable-mdc", "-r"]
            + [fingerprint, "--cipher-algo", "3DES", "--encrypt"],
            input=PLAIN,
            env=full,
            capture_output=True,
        )
    if (
        b"mdc_method"
        in subprocess.run(["gpg", "--list-packets"], input=made.stdout, capture_output=True).stdout
    ):
        made = subprocess.CompletedProcess((), 0, without_mdc(made.stdout))
    with pytest.raises(ProcessError):
        run(Gpg().decode(private), stdin=made.stdout)


def without_mdc(message: bytes) -> bytes:
    """The same message with its tag 18 (with integrity) written as tag 9 (without)."""
    place = message.index(b"\xd2")
    return message[:place] + b"\xc9" + message[place + 1 :]


def test_nothing_is_left_after_encoding_and_decoding():
    sealed = run(gpg_to(pair_of(1)).encode(), stdin=PLAIN)
    command = Gpg().decode(pair_of(1)[0])
    used = []

    def spied():
        made = command.within()

        class Spy:
            def __enter__(self):
                found = made.__enter__()
                used.append(found["GNUPGHOME"])
                return found

            def __exit__(self, *exc):
                return made.__exit__(*exc)

        return Spy()

    assert run(type(command)(command.argv, within=spied), stdin=sealed) == PLAIN
    assert gone(used[0])


def test_the_private_key_lies_in_memory_where_nobody_else_reads():
    with gpg_home.home(True) as env:
        place = Path(env["GNUPGHOME"])
        assert gpg_home.in_memory(place)
        assert place.stat().st_mode & 0o777 == 0o700
    assert not place.exists()


def test_a_disk_is_no_place_for_a_private_key(monkeypatch, tmp_path):
    monkeypatch.setattr(gpg_home, "candidates", lambda: [tmp_path])
    monkeypatch.setattr(gpg_home, "in_memory", lambda path: False)
    with pytest.raises(LifeboatError, match="no place in memory"), gpg_home.home(True):
        pass
    assert list(tmp_path.iterdir()) == []


def test_what_is_memory_is_read_off_the_mounts():
    mounts = (
        "22 1 0:20 / / rw - ext4 /dev/sda1 rw\n"
        "25 22 0:23 / /run rw - tmpfs tmpfs rw\n"
        "26 25 0:24 / /run/disk rw - ext4 /dev/sdb rw\n"
    )
    assert gpg_home.in_memory(Path("/run/lifeboat"), mounts)
    assert not gpg_home.in_memory(Path("/run/disk/x"), mounts)
    assert not gpg_home.in_memory(Path("/runner"), mounts)


KILLED = """
import importlib.util, os, signal, sys
engine = {engine!r}
spec = importlib.util.spec_from_file_location(
    "lifeboat", engine + "/__init__.py", submodule_search_locations=[engine])
sys.modules["lifeboat"] = package = importlib.util.module_from_spec(spec)
spec.loader.exec_module(package)
from lifeboat.filters.gpg import Gpg
from lifeboat.process import Started
import subprocess
command = Gpg().decode(open({key!r}, "rb").read())
with Started(command, subprocess.PIPE, subprocess.PIPE) as started:
    started.process.stdin.write(open({sealed!r}, "rb").read()[:50_000])
    started.process.stdout.read(1)
    home = [one for one in open("/proc/%d/environ" % started.process.pid).read().split("\\0")
            if one.startswith("GNUPGHOME=")][0][10:]
    sys.stdout.write(home + "\\n")
    sys.stdout.flush()
    sys.stdin.read()
"""


def killed_restore(tmp_path: Path) -> tuple[str, subprocess.Popen]:
    """A process that decodes with the key, and stands still in the middle."""
    engine = Path(__file__).resolve().parents[3] / "plugins/module_utils/engine"
    (tmp_path / "key").write_bytes(pair_of(1)[0])
    (tmp_path / "sealed").write_bytes(run(gpg_to(pair_of(1)).encode(), stdin=PLAIN))
    code = KILLED.format(
        engine=str(engine), key=str(tmp_path / "key"), sealed=str(tmp_path / "sealed")
    )
    started = subprocess.Popen(
        [os.sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    home = started.stdout.readline().decode().strip()
    assert any("gpg-agent" in one for one in agents(home))
    return home, started


def test_key_and_agent_are_gone_after_the_engine_was_killed(tmp_path):
    home, started = killed_restore(tmp_path)
    started.kill()
    started.communicate()
    assert gone(home), agents(home)


def test_where_the_keeper_was_killed_too_the_next_use_clears_up(tmp_path, monkeypatch):
    home, started = killed_restore(tmp_path)
    keeper = [
        int(one.parent.name)
        for one in Path("/proc").glob("[0-9]*/cmdline")
        if home.encode() in one.read_bytes() and b"flock" in one.read_bytes()
    ]
    os.kill(keeper[0], 9)
    started.kill()
    started.communicate()
    until = time.monotonic() + 10  # on a busy machine it dies later, and what it holds is not swept
    while any("flock" in one for one in agents(home)) and time.monotonic() < until:
        time.sleep(0.01)
    assert Path(home).exists()
    gpg_home.sweep()
    assert Path(home).exists()  # it might be one that has just been made
    monkeypatch.setattr(gpg_home, "_YOUNG_S", 0.0)
    gpg_home.sweep()
    assert gone(home), agents(home)


def test_a_home_in_use_is_never_swept(monkeypatch):
    monkeypatch.setattr(gpg_home, "_YOUNG_S", 0.0)
    with gpg_home.home(True) as env:
        gpg_home.sweep()
        assert Path(env["GNUPGHOME"]).is_dir()


def test_a_key_under_a_passphrase_opens_with_the_passphrase_before_it():
    protected = make_pair("protected", passphrase="correct horse: battery")
    sealed = run(gpg_to(protected).encode(), stdin=PLAIN)
    identity = b"passphrase: correct horse: battery\n" + protected[0]
    assert b"battery" not in repr(Gpg().decode(identity)).encode()
    assert run(Gpg().decode(identity), stdin=sealed) == PLAIN
    assert Gpg().opens(identity, gpg_to(protected).record())
    for wrong in (protected[0], b"passphrase: wrong\n" + protected[0]):
        with pytest.raises(ProcessError):
            run(Gpg().decode(wrong), stdin=sealed)


def test_a_machine_without_an_agent_is_told_what_to_install(tmp_path, monkeypatch):
    """Debian's package gpg comes without one, and encrypts all the same."""
    sealed = run(gpg_to(pair_of(1)).encode(), stdin=PLAIN)
    for program in ("gpg", "gpgconf"):
        (tmp_path / program).symlink_to(shutil.which(program))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert run(gpg_to(pair_of(1)).encode(), stdin=PLAIN)
    with pytest.raises(MissingDependency, match="gpg-agent is not on this machine") as caught:
        run(Gpg().decode(pair_of(1)[0]), stdin=sealed)
    assert caught.value.hint == "install the package gpg-agent"


def test_a_public_key_is_no_identity():
    with pytest.raises(UsageError, match="no private key"):
        Gpg().decode(pair_of(1)[1].encode())


def test_an_expired_key_is_refused_by_its_place():
    with pytest.raises(ConfigError, match=r"entry 2: the key [0-9A-F]{40} has expired"):
        gpg_to(pair_of(1), expired()).check()


def test_when_a_key_ends_is_told():
    later = make_pair("later", expire="20d")
    [key] = gpg_to(later).public_keys()
    assert 19.5 * 86400 < key.expires_at.timestamp() - time.time() < 20.5 * 86400
    [key] = gpg_to(pair_of(1)).public_keys()
    assert (key.expires_at, key.broken) == (None, "")


def test_a_recipient_without_its_key_is_told():
    with pytest.raises(ConfigError, match="entry 1: gpg_keys has no primary key"):
        Gpg([pair_of(1)[2]], [pair_of(2)[1]]).check()


def test_a_key_that_is_no_recipient_cannot_open():
    """Whoever slips a second key into the block gets nothing."""
    one, other = pair_of(1), pair_of(2)
    sealed = run(Gpg([one[2]], [one[1], other[1]]).encode(), stdin=PLAIN)
    with pytest.raises(ProcessError):
        run(Gpg().decode(other[0]), stdin=sealed)


@pytest.mark.parametrize(
    "text", ["0xDEADBEEF", "eve@example.org", "--output=/etc/passwd", "A" * 39, ""]
)
def test_only_a_whole_fingerprint_is_a_recipient(text):
    with pytest.raises(ConfigError, match="entry 1: write a full fingerprint"):
        Gpg([text], [])


def test_a_fingerprint_may_be_written_as_gpg_shows_it():
    shown = pair_of(1)[2].lower()
    grouped = " ".join(shown[at : at + 4] for at in range(0, 40, 4))
    assert Gpg([grouped]).recipients == (pair_of(1)[2],)


def test_a_private_key_in_the_configuration_is_refused_without_showing_it():
    with pytest.raises(ConfigError, match="private key") as told:
        Gpg([pair_of(1)[2]], [pair_of(1)[0].decode()])
    assert pair_of(1)[0].decode()[200:240] not in "\n".join(told.value.lines())


def test_keys_are_also_read_from_files(tmp_path):
    path = tmp_path / "operator.asc"
    path.write_text(pair_of(1)[1])
    made = Gpg([pair_of(1)[2]], [str(path)])
    made.check()
    path.unlink()
    with pytest.raises(ConfigError, match=r"operator\.asc cannot be read"):
        made.check()


def test_a_file_whose_key_was_exchanged_encrypts_to_nobody_else(tmp_path):
    path = tmp_path / "operator.asc"
    path.write_text(pair_of(2)[1])
    with pytest.raises(ProcessError):
        run(Gpg([pair_of(1)[2]], [str(path)]).encode(), stdin=PLAIN)


def test_a_hostile_name_of_a_key_does_nothing():
    eve = make_pair(HOSTILE)
    made = gpg_to(eve)
    made.check()
    assert run(Gpg().decode(eve[0]), stdin=run(made.encode(), stdin=PLAIN)) == PLAIN
    with pytest.raises(ProcessError) as told:
        run(Gpg().decode(pair_of(1)[0]), stdin=run(made.encode(), stdin=PLAIN))
    assert "\x1b" not in "\n".join(told.value.lines())


def test_the_users_own_keyring_and_options_are_never_used(tmp_path, monkeypatch):
    own = tmp_path / "own"
    own.mkdir(mode=0o700)
    (own / "gpg.conf").write_text("encrypt-to 0123456789\nno-such-option\n")
    monkeypatch.setenv("GNUPGHOME", str(own))
    run(gpg_to(pair_of(1)).encode(), stdin=PLAIN)
    assert [one.name for one in own.iterdir()] == ["gpg.conf"]
