# SPDX-License-Identifier: GPL-3.0-or-later
"""A mapping whose values are imported when they are asked for: a start takes part of every run.

The imports are statements, so that whoever collects the files that belong together finds them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


class Entries(Mapping[str, Any]):
    """{name: what its method returns}; each method of a subclass without an underscore is an entry."""

    def __getitem__(self, name: str) -> Any:
        if name not in self._names():
            raise KeyError(name)
        return getattr(self, name)()

    def __iter__(self) -> Iterator[str]:
        return iter(self._names())

    def __len__(self) -> int:
        return len(self._names())

    def _names(self) -> list[str]:
        return [name for name in type(self).__dict__ if not name.startswith("_")]
