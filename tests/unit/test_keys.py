# SPDX-License-Identifier: GPL-3.0-or-later
"""Promises of the judgement of keys."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from lifeboat.errors import MissingDependency
from lifeboat.filters.age import Age
from lifeboat.filters.zstd import Zstd
from lifeboat.job import Job
from lifeboat.keys import key_findings
from lifeboat.model import PublicKey

NOW = datetime(2026, 11, 21, 2, 0, tzinfo=timezone.utc)


def job(*filters):
    return Job("shop", "db1", "dev", (), filters, ())


class Ending(Age):
    """Recipients of which each may end."""

    def __init__(self, *keys):
        super().__init__([one.fingerprint for one in keys])
        self._keys = keys

    def public_keys(self):
        return [*self._keys, PublicKey("of nobody", NOW)]


def levels(*filters):
    return [one.level for one in key_findings(job(*filters), NOW)]


def test_two_keys_without_an_end_are_fine():
    assert levels(Zstd(), Age(["age1a", "age1b"])) == []


def test_no_encryption_at_all_was_said_explicitly():
    assert levels(Zstd()) == []


@pytest.mark.parametrize("recipients", [["age1a"], ["age1a", "age1a"]])
def test_one_key_alone_is_a_warning(recipients):
    assert levels(Zstd(), Age(recipients)) == ["warning"]


@pytest.mark.parametrize(
    ("left", "expected"),
    [(timedelta(days=31), []), (timedelta(days=29), ["warning"]), (timedelta(0), ["critical"])],
)
def test_a_key_is_told_of_below_30_days(left, expected):
    assert levels(Ending(PublicKey("a", NOW + left), PublicKey("b", None))) == expected


def test_a_broken_key_is_critical_and_comes_first():
    found = key_findings(job(Ending(PublicKey("a", None, "is revoked"))), NOW)
    assert [one.level for one in found] == ["critical", "warning"]
    assert "the key a is revoked" in found[0].line


def test_what_cannot_be_asked_is_critical():
    class Gone(Age):
        def public_keys(self):
            raise MissingDependency("the program gpg is not on this machine")

    assert levels(Gone(["age1a", "age1b"])) == ["critical"]
