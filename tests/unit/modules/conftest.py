# SPDX-License-Identifier: GPL-3.0-or-later
"""Call a module's main() in this process, as Ansible would on a host."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args

PACKAGE = "ansible_collections.lifeboat.backup.plugins"
Door = Callable[..., dict[str, Any]]


@pytest.fixture
def door(capsys: pytest.CaptureFixture[str]) -> Door:
    """door("engine_install", scope="user", check=True) -> the result, with `failed` and `changed`."""

    def call(name: str, *, check: bool = False, **options: Any) -> dict[str, Any]:
        module = importlib.import_module(f"{PACKAGE}.modules.{name}")
        given = dict(options, _ansible_check_mode=check, _ansible_diff=True)
        capsys.readouterr()
        with patch_module_args(given), pytest.raises(SystemExit):
            module.main()
        result: dict[str, Any] = json.loads(capsys.readouterr().out)
        return dict({"failed": False, "changed": False}, **result)

    return call
