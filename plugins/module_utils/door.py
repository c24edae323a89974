# SPDX-License-Identifier: GPL-3.0-or-later
"""The only file that knows AnsibleModule: build it, translate errors, show a plan as a diff."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from . import vendor
from .engine.errors import LifeboatError, UsageError
from .engine.paths import Paths, paths

Spec = Mapping[str, Mapping[str, Any]]


@contextmanager
def module(
    *families: Spec, supports_check_mode: bool = True, **rules: Any
) -> Iterator[AnsibleModule]:
    """An AnsibleModule with these options; whatever the engine raises inside fails the task.

    rules: what AnsibleModule takes besides (required_if, mutually_exclusive, ...).
    """
    spec = {name: option for family in families for name, option in family.items()}
    made = AnsibleModule(argument_spec=spec, supports_check_mode=supports_check_mode, **rules)
    try:
        vendor.use(places(made).software)
        yield made
    except LifeboatError as exc:
        fail(made, exc)
    except OSError as exc:
        where = f"{exc.filename}: " if exc.filename else ""
        made.fail_json(
            msg=where + (exc.strerror or str(exc)),
            hint="in system scope this needs root: set `become: true`",
            detail="",
            exit_code=1,
        )


def fail(made: AnsibleModule, exc: LifeboatError, **facts: Any) -> None:
    """Fail the task with what the engine said; `facts` are returned as well."""
    made.fail_json(
        msg=exc.message + (f". To mend it: {exc.hint}" if exc.hint else ""),
        hint=exc.hint,
        detail=exc.detail,
        exit_code=exc.exit_code,
        **facts,
    )


def places(made: AnsibleModule) -> Paths:
    """The paths that the options of arguments.scope() name."""
    root = made.params.get("root")
    if root is not None and not root.startswith("/"):
        raise UsageError(f"root {root!r} is not an absolute path")
    return paths(made.params.get("scope", "system"), root)


def diff(before: Sequence[str], after: Sequence[str], header: str = "") -> dict[str, str]:
    """The `diff` of a result, from lines."""
    told = {
        "before": "".join(line + "\n" for line in before),
        "after": "".join(line + "\n" for line in after),
    }
    if header:
        told.update(before_header=header, after_header=header)
    return told
