# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the inventory's variables of another host, as its own role would."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any


def merged(host: Mapping[str, Any], what: str) -> dict[str, Any]:
    """lifeboat_<what> and every lifeboat_<what>_<anything>, as the role backup_agent merges them."""
    merged: dict[str, Any] = {}
    for variable in sorted(host):
        if re.fullmatch(rf"lifeboat_{what}(_.+)?", variable):
            value = host[variable]
            if isinstance(value, Mapping):
                merged.update(
                    (name, one) for name, one in value.items() if isinstance(one, Mapping)
                )
    return merged
