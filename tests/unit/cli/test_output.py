# SPDX-License-Identifier: GPL-3.0-or-later
"""What a command says in the end stands whole, on lines of its own, and in little memory."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from lifeboat.cli.output import Output, Rows, table
from lifeboat.errors import LifeboatError

from tests.typed import typed

_SAY = """
import sys
sys.path[:0] = %r
from ansible_collections.lifeboat.backup.plugins.module_utils.engine.cli.output import Output
sys.stderr.write("swap shop")
sys.stderr.flush()
Output().result({}, "restored")
""" % [one for one in sys.path if one]


def test_a_result_does_not_stand_behind_a_progress_line() -> None:
    assert "swap shop\r\x1b[Krestored" in typed([sys.executable, "-c", _SAY], {}, timeout_s=20)[1]


def told(count: int) -> Iterator[dict[str, Any]]:
    for number in range(count):
        yield {"id": f"b{number}", "why": 'a "new\nline"', "copies": {"disk": "intact"}, "tags": []}


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_list_told_one_by_one_is_the_document_that_it_would_be_as_a_whole(
    count: int, capsys: pytest.CaptureFixture[str]
) -> None:
    Output(as_json=True).results(told(count))
    whole = json.dumps(list(told(count)), indent=1, sort_keys=True)
    assert capsys.readouterr().out == whole + "\n"


def test_a_query_is_asked_of_all(capsys: pytest.CaptureFixture[str]) -> None:
    Output(query="[-1].id").results(told(3))
    assert capsys.readouterr().out == '"b2"\n'


def test_a_list_that_is_cut_off_is_no_json_also_with_the_error_below_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def broken() -> Iterator[dict[str, Any]]:
        yield from told(2)
        raise LifeboatError("the disk went away")

    out = Output(as_json=True)
    with pytest.raises(LifeboatError) as caught:
        out.results(broken())
    out.error(caught.value)
    said = capsys.readouterr().out
    assert "b1" in said
    with pytest.raises(ValueError, match="delimiter"):
        json.loads(said)


def test_columns_are_as_wide_as_their_widest_cell(capsys: pytest.CaptureFixture[str]) -> None:
    cells = [["a", "long cell", ""], ["longer", "b", "tag=odd\0one"]]
    lines = ["ID      WHAT", "a       long cell", "longer  b          tag=odd\0one"]
    assert table(["ID", "WHAT", ""], cells).split("\n") == lines
    Output().rows(["ID", "WHAT", ""], Rows(cells))
    assert capsys.readouterr().out.splitlines() == lines
    Output().rows(["ID"], Rows())
    assert capsys.readouterr().out == ""
