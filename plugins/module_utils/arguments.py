# SPDX-License-Identifier: GPL-3.0-or-later
"""The options that modules share: one function a doc fragment, of the same name."""

from __future__ import annotations

from typing import Any

Spec = dict[str, dict[str, Any]]


def scope() -> Spec:
    """Whose lifeboat is meant."""
    return {
        "scope": {"type": "str", "choices": ["system", "user"], "default": "system"},
        "root": {"type": "path"},
    }
