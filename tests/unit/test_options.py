# SPDX-License-Identifier: GPL-3.0-or-later
"""Environment variables as an option: names, texts, numbers and secrets."""

from __future__ import annotations

from typing import Any

import pytest
from lifeboat.errors import ConfigError
from lifeboat.model import Option, Secret
from lifeboat.options import check_options

KNOWN = (Option("env", "variables", default={}),)


def check(env: Any) -> dict[str, Any]:
    named = check_options("job", {"env": env}, KNOWN, lambda at, _value: Secret.of(at))
    return dict(named["env"])


def test_variables_are_texts_and_numbers_become_texts() -> None:
    assert check({"HOME": "/srv", "_PORT": 5432, "EMPTY": ""}) == {
        "HOME": "/srv",
        "_PORT": "5432",
        "EMPTY": "",
    }


def test_a_variable_may_be_a_secret() -> None:
    checked = check({"KEY": {"credential": "shop_key"}})
    assert repr(checked["KEY"]) == "***"
    assert checked["KEY"].reveal() == "job.env.KEY"


@pytest.mark.parametrize(
    ("env", "told"),
    [
        ({"A B": "x"}, "job.env.A B: 'A B' is not the name of a variable"),
        ({"A=": "x"}, "is not the name of a variable"),
        ({3: "x"}, "is not the name of a variable"),
        ({"A": True}, "job.env.A: write a text or {credential: NAME}, not true or false"),
        ({"A": ["x"]}, "not a list"),
        ({"A": "x\0"}, "job.env.A: write a text"),
        (["A=x"], "job.env: write a mapping, not a list"),
    ],
)
def test_what_is_no_variable_is_refused(env: Any, told: str) -> None:
    with pytest.raises(ConfigError, match=told.replace("{", "\\{").replace("}", "\\}")):
        check(env)
