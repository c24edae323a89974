# SPDX-License-Identifier: GPL-3.0-or-later
"""Promises of the age filter."""

from __future__ import annotations

import re
import subprocess
from functools import lru_cache
from pathlib import Path

import pytest
from lifeboat.errors import ConfigError, ProcessError, UsageError
from lifeboat.filters import age as age_module
from lifeboat.filters.age import Age
from lifeboat.process import run

from tests.unit.contracts.encryptor_contract import PLAIN, EncryptorContract

LAB = Path(__file__).resolve().parents[2] / "lab"


@lru_cache
def key(number: int) -> bytes:
    return subprocess.run(["age-keygen"], check=True, capture_output=True).stdout


class TestAge(EncryptorContract):
    kind = Age

    def pair(self, number):
        return key(number), public(key(number))

    def make(self, *public):
        return Age(public)


@lru_cache
def modern() -> Path:
    """The directory of an age that knows post-quantum keys."""
    built = subprocess.run([str(LAB / "age")], stdout=subprocess.PIPE, text=True)
    if built.returncode:
        pytest.skip("age 1.3 is not built, and could not be")
    return Path(built.stdout.strip())


@lru_cache
def modern_key(number: int) -> bytes:
    argv = [str(modern() / "age-keygen"), "-pq"]
    return subprocess.run(argv, check=True, capture_output=True).stdout


class TestPostQuantumAge(TestAge):
    @pytest.fixture(autouse=True)
    def modern_age(self, monkeypatch):
        monkeypatch.setenv("PATH", str(modern()), prepend=":")

    def pair(self, number):
        return modern_key(number), public(modern_key(number))

    def test_the_keys_are_post_quantum(self):
        assert self.pair(1)[1].startswith("age1pq1")
        assert self.make(self.pair(1)[1]).record()["recipients"] == [self.pair(1)[1]]

    def test_they_are_not_mixed_with_classic_ones(self):
        with pytest.raises(ConfigError, match="cannot be mixed"):
            Age((public(key(1)), self.pair(1)[1])).check()
        with pytest.raises(ProcessError):  # nor would age
            run(Age((public(key(1)), self.pair(1)[1])).encode(), stdin=PLAIN)


def test_an_age_that_is_too_old_for_a_post_quantum_key_is_told():
    old = subprocess.run(["age", "--version"], capture_output=True, text=True).stdout
    if not re.match(r"v?1\.[012]\.", old):
        pytest.skip("the system's age knows post-quantum keys")
    with pytest.raises(ConfigError, match="entry 1") as told:
        Age((public(modern_key(1)),)).check()
    assert "1.3" in told.value.hint


@pytest.fixture
def identity():
    return subprocess.run(["age-keygen"], check=True, capture_output=True).stdout


def public(identity: bytes) -> str:
    return re.search(rb"public key: (\S+)", identity).group(1).decode()


def test_an_ssh_key_is_a_recipient(tmp_path):
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    age = Age(((tmp_path / "key.pub").read_text(),))
    age.check()
    assert run(Age().decode(key.read_bytes()), stdin=run(age.encode(), stdin=PLAIN)) == PLAIN


def test_a_key_under_a_passphrase_is_refused_instead_of_waiting_at_a_terminal():
    with pytest.raises(UsageError, match="passphrase"):
        Age().decode(b"-----BEGIN AGE ENCRYPTED FILE-----\n...")


def test_a_malformed_recipient_is_named_by_its_place(identity):
    with pytest.raises(ConfigError, match="entry 2: age does not take 'age1xyz'"):
        Age((public(identity), "age1xyz")).check()


def test_what_was_pasted_as_a_recipient_is_never_shown_whole():
    with pytest.raises(ConfigError) as told:
        Age(("correct-horse-battery-staple",)).check()
    assert "battery" not in "\n".join(told.value.lines())


def test_a_private_key_as_a_recipient_is_refused_without_showing_it(identity):
    secret = re.search(rb"AGE-SECRET-KEY-\S+", identity).group().decode()
    with pytest.raises(ConfigError, match="private key") as told:
        Age((secret,))
    assert secret[20:] not in "\n".join(told.value.lines())


def test_post_quantum_and_classic_recipients_do_not_mix(identity):
    with pytest.raises(ConfigError, match="cannot be mixed"):
        Age((public(identity), "age1pq1" + "q" * 1900)).check()


def test_the_record_names_who_can_open(identity):
    assert Age((public(identity),)).record() == {"kind": "age", "recipients": [public(identity)]}


def test_a_key_is_known_not_to_fit_before_anything_is_opened(identity):
    other = subprocess.run(["age-keygen"], check=True, capture_output=True).stdout
    record = Age((public(identity), "ssh-ed25519 AAAA")).record()
    assert Age().opens(identity, record)
    assert Age().opens(other + identity, record)
    assert not Age().opens(other, record)


def test_a_private_key_is_judged_without_being_in_any_argv(identity, monkeypatch):
    started = []
    monkeypatch.setattr(age_module, "run", lambda command, **how: started.append(command) or b"")
    Age().opens(identity, Age((public(identity),)).record())
    assert [command.argv for command in started] == [("age-keygen", "-y")]


def ssh_pair(tmp_path, name, kind="ed25519", passphrase=""):
    path = tmp_path / name
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-f", str(path)], check=True)
    return path.read_bytes(), path.with_suffix(".pub").read_text()


@pytest.mark.parametrize("kind", ["ed25519", "rsa"])
def test_an_ssh_key_that_fits_is_known_and_opens(tmp_path, kind):
    private, told = ssh_pair(tmp_path, "one", kind)
    other, _told = ssh_pair(tmp_path, "other", kind)
    age = Age((told,))
    age.check()
    assert Age().opens(private, Age((told.replace("root@", "else@"),)).record())
    assert not Age().opens(other, age.record())
    assert run(Age().decode(private), stdin=run(age.encode(), stdin=PLAIN)) == PLAIN


def test_an_ssh_key_under_a_passphrase_is_refused_with_what_to_do(tmp_path):
    private, told = ssh_pair(tmp_path, "one", passphrase="correct horse")
    assert Age().opens(private, Age((told,)).record())
    with pytest.raises(UsageError, match="SSH key is protected") as refused:
        Age().decode(private)
    assert "ssh-keygen -p" in refused.value.hint


def test_of_a_plugins_key_only_age_itself_can_tell(identity):
    assert Age().opens(b"AGE-PLUGIN-YUBIKEY-1QQQQ\n", Age((public(identity),)).record())
