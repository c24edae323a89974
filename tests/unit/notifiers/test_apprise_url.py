# SPDX-License-Identifier: GPL-3.0-or-later
"""What a failed notification says of its URL: nothing that may be secret."""

from __future__ import annotations

import pytest
from lifeboat.notifiers.apprise_url import hidden


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("mailtos://ops:p%40ssw0rd%21x@mail.example", "p@ssw0rd!x"),
        ("mailtos://ops:p%40ssw0rd%21x@mail.example", "p%40ssw0rd%21x"),
        ("mailtos://ops:long%3Asecret%2Fword@mail.example", "secret"),
        ("mailtos://ops:long+secret@mail.example?pass=two+words", "two words"),
        ("json://mail.example/?token=a%2Bsafe%2Btoken", "a+safe+token"),
    ],
)
def test_a_secret_of_the_url_is_hidden_as_written_and_as_decoded(url: str, told: str) -> None:
    assert hidden(f"login as ops with {told} failed", url) == "login as ops with *** failed"
