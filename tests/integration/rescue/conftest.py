# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from pathlib import Path

import pytest

from .host import Host


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A host with a database of 1000 books and no backup yet."""
    made = Host(tmp_path)
    made.fill(1000)
    return made
