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


def choice() -> Spec:
    """Which backup is meant."""
    return {
        "backup": {"type": "str", "default": "latest"},
        "tag": {"type": "str"},
        "type": {"type": "str"},
        "index": {"type": "int", "default": 1},
        "as_of": {"type": "str"},
        "at": {"type": "str"},
        "from_host": {"type": "str"},
    }


def credentials() -> Spec:
    """Secrets for what the options of a module describe, without an installed configuration."""
    return {"credentials": {"type": "dict", "default": {}, "no_log": True}}


def database() -> Spec:
    """What to protect."""
    return {"sources": {"type": "dict"}}


def destination() -> Spec:
    """One place where copies live, described here instead of in an installed configuration."""
    return {"destination": {"type": "dict"}}


def encryption() -> Spec:
    """How archives are written."""
    return {
        "encryption": {
            "type": "dict",
            "required": True,
            "options": {
                "age_recipients": {"type": "list", "elements": "str"},
                "gpg_recipients": {"type": "list", "elements": "str"},
                "gpg_keys": {"type": "list", "elements": "str", "no_log": False},
                "none": {"type": "bool", "default": False},
            },
        },
        "compression": {
            "type": "dict",
            "options": {
                "level": {"type": "int", "default": 3},
                "threads": {"type": "int", "default": 0},
            },
        },
    }


def push() -> Spec:
    """Which backup is pushed, and where it lies."""
    return {
        "job": {"type": "str", "required": True},
        "path": {"type": "path", "required": True},
        "backup": {"type": "str", "default": "latest"},
        "host": {"type": "str"},
        "spool_path": {"type": "path"},
    }


def retention() -> Spec:
    """What retention keeps."""
    counts = ("last", "hourly", "daily", "weekly", "monthly", "yearly")
    options: Spec = {"all": {"type": "bool", "default": False}}
    options.update({name: {"type": "int"} for name in counts})
    options.update({"within": {"type": "str"}, "tagged": {"type": "str"}})
    options["minimum"] = {"type": "int"}
    return {"keep": {"type": "dict", "options": options}}
