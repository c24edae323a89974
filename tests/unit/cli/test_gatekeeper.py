# SPDX-License-Identifier: GPL-3.0-or-later
"""Who pastes something at the question for the key, unseen, is told at once when it is none."""

from __future__ import annotations

import sys

import pytest

from tests.typed import typed

KEY = "AGE-SECRET-KEY-1QQ"
_ASK = """
import sys
sys.path[:0] = %r
from ansible_collections.lifeboat.backup.plugins.module_utils.engine.cli.gatekeeper import ask_secret
from ansible_collections.lifeboat.backup.plugins.module_utils.engine.errors import LifeboatError
try:
    print(len(ask_secret("key? ")), flush=True)
except LifeboatError as exc:
    print(exc, exc.hint, flush=True)
"""


def told(pasted: str) -> str:
    script = _ASK % [one for one in sys.path if one]
    return typed([sys.executable, "-c", script], {"key? ": pasted}, timeout_s=20)[1]


@pytest.mark.parametrize(
    ("pasted", "expected"),
    [
        ("age1qq", "that is the public key, which opens nothing"),
        ("$ANSIBLE_VAULT;1.1;AES256", "ansible-vault view"),
        ("a password", "that is no private key"),
        (KEY, str(len(KEY) + 1)),
        (f"  {KEY}", str(len(KEY) + 1)),
        (f"# created: today\n# public key: age1qq\n\n{KEY}", "58"),
        ("passphrase: THE END IS\n-----BEGIN X-----\nabc\n-----END X-----", "61"),
    ],
)
def test_what_is_pasted_is_judged_line_by_line(pasted: str, expected: str) -> None:
    said = told(pasted)
    assert expected in said
    assert pasted.splitlines()[-1].strip() not in said.replace(expected, "")


def test_an_enter_too_early_is_asked_again() -> None:
    assert told("").count("key? ") == 2
