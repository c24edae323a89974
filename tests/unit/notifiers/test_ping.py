# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever a URL is, that nobody took the call is told without it."""

from __future__ import annotations

import pytest
from lifeboat.errors import LifeboatError
from lifeboat.model import Secret
from lifeboat.notifiers import ping


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:9/secr\u00e9t",
        "http://a..b/secret",
        "http://127.0.0.1:9/se cret",
        "http://127.0.0.1:secret/x",
    ],
)
def test_a_url_that_cannot_be_asked_is_an_error_that_does_not_hold_it(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ping, "_PAUSE_S", 0.0)
    with pytest.raises(LifeboatError) as caught:
        ping.Ping(Secret.of(url)).send(True)
    assert "cret" not in "".join(caught.value.lines())
