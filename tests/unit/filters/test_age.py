# SPDX-License-Identifier: GPL-3.0-or-later
"""Promises of the age filter."""

from __future__ import annotations

import os
import re
import subprocess

import pytest
from lifeboat.errors import ConfigError, MissingDependency, ProcessError, UsageError
from lifeboat.filters import age as age_module
from lifeboat.filters.age import Age
from lifeboat.process import run

PLAIN = os.urandom(300_000)


@pytest.fixture
def identity():
    return subprocess.run(["age-keygen"], check=True, capture_output=True).stdout


def public(identity: bytes) -> str:
    return re.search(rb"public key: (\S+)", identity).group(1).decode()


def test_a_decoder_without_configuration_opens_with_the_private_key(identity):
    sealed = run(Age((public(identity),)).encode(), stdin=PLAIN)
    assert PLAIN[:100] not in sealed
    assert run(Age().decode(identity), stdin=sealed) == PLAIN


def test_the_private_key_is_not_in_argv_nor_in_the_repr(identity):
    command = Age().decode(identity)
    assert "SECRET-KEY" not in repr(command)
    assert "SECRET-KEY" not in " ".join(command.argv)


def test_each_of_two_recipients_can_open(identity):
    other = subprocess.run(["age-keygen"], check=True, capture_output=True).stdout
    sealed = run(Age((public(identity), public(other))).encode(), stdin=PLAIN)
    assert run(Age().decode(identity), stdin=sealed) == PLAIN
    assert run(Age().decode(other), stdin=sealed) == PLAIN


def test_an_ssh_key_is_a_recipient(tmp_path):
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    age = Age(((tmp_path / "key.pub").read_text(),))
    age.check()
    assert run(Age().decode(key.read_bytes()), stdin=run(age.encode(), stdin=PLAIN)) == PLAIN


def test_reading_without_the_private_key_says_how_to_give_it():
    with pytest.raises(UsageError, match="needs the private key") as told:
        Age().decode(None)
    assert "--identity" in told.value.hint


def test_the_wrong_private_key_is_an_error(identity):
    other = subprocess.run(["age-keygen"], check=True, capture_output=True).stdout
    sealed = run(Age((public(identity),)).encode(), stdin=PLAIN)
    with pytest.raises(ProcessError):
        run(Age().decode(other), stdin=sealed)


def test_a_truncated_archive_is_an_error(identity):
    sealed = run(Age((public(identity),)).encode(), stdin=PLAIN)
    with pytest.raises(ProcessError):
        run(Age().decode(identity), stdin=sealed[:-1])


def test_a_key_under_a_passphrase_is_refused_instead_of_waiting_at_a_terminal():
    with pytest.raises(UsageError, match="passphrase"):
        Age().decode(b"-----BEGIN AGE ENCRYPTED FILE-----\n...")


def test_good_recipients_pass_the_check(identity):
    Age((public(identity),)).check()


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


def test_no_recipient_at_all_is_refused():
    with pytest.raises(ConfigError, match="no recipient"):
        Age().check()


def test_a_missing_program_is_named(monkeypatch, tmp_path, identity):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingDependency, match="age"):
        Age((public(identity),)).check()


def test_the_record_names_who_can_open(identity):
    assert Age((public(identity),)).record() == {"kind": "age", "recipients": [public(identity)]}


def test_a_key_is_known_not_to_fit_before_anything_is_opened(identity):
    other = subprocess.run(["age-keygen"], check=True, capture_output=True).stdout
    record = Age((public(identity), "ssh-ed25519 AAAA")).record()
    assert Age().opens(identity, record)
    assert Age().opens(other + identity, record)
    assert not Age().opens(other, record)


def test_of_other_keys_only_age_itself_can_tell(identity):
    record = Age((public(identity),)).record()
    assert Age().opens(b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n", record)
    assert Age().opens(b"AGE-PLUGIN-YUBIKEY-1QQQQ\n", record)


def test_a_private_key_is_judged_without_being_in_any_argv(identity, monkeypatch):
    started = []
    monkeypatch.setattr(age_module, "run", lambda command, **how: started.append(command) or b"")
    Age().opens(identity, Age((public(identity),)).record())
    assert [command.argv for command in started] == [("age-keygen", "-y")]
