# SPDX-License-Identifier: GPL-3.0-or-later
"""What a command says in the end stands on a line of its own, also below a progress line."""

from __future__ import annotations

import sys

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
