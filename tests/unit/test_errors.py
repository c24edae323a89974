# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors tell a person what failed and what to do, and carry the documented exit codes."""

from __future__ import annotations

import inspect

import pytest
from lifeboat import errors

FAMILIES = [
    kind
    for _name, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, errors.LifeboatError)
]


def test_exit_codes_are_those_that_the_interface_documents() -> None:
    codes = {kind.__name__: kind.exit_code for kind in FAMILIES if kind.exit_code != 1}
    assert codes == {
        "UsageError": 2,
        "ConfigError": 2,
        "MissingDependency": 2,
        "ReadBackError": 4,
        "LockedError": 5,
        "GateRefused": 6,
        "PruneRefused": 6,
        "UnsignedError": 6,
        "Interrupted": 130,
    }


@pytest.mark.parametrize("kind", FAMILIES)
def test_every_error_tells_message_detail_and_next_step(kind: type[errors.LifeboatError]) -> None:
    made = kind("it failed", detail="\nline one\nline two\n\n", hint="do this")
    assert str(made) == "it failed"
    assert made.lines() == [
        "it failed",
        "  | line one",
        "  | line two",
        "  hint: do this",
    ]
    assert kind("it failed").lines() == ["it failed"]


def test_a_destination_error_says_whether_to_try_again() -> None:
    assert not errors.DestinationError("x").permanent
    assert errors.DestinationError("x", missing=True).missing


def test_a_process_error_keeps_the_status() -> None:
    assert errors.ProcessError("x", status=-9).status == -9
