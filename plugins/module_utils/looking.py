# SPDX-License-Identifier: GPL-3.0-or-later
"""A destination that is only looked at: it reads, and passes over small writes, for check mode."""

from __future__ import annotations

from typing import Any

from .engine.ports import Destination


class Looking:
    """ports.Destination around another one."""

    def __init__(self, destination: Destination) -> None:
        self._destination = destination

    def __getattr__(self, name: str) -> Any:
        if name in ("store", "delete", "sweep"):
            raise AttributeError(f"{name} of a destination that is only looked at")
        return getattr(self._destination, name)

    def put(self, key: str, content: bytes) -> None:
        """Marks are not written."""
