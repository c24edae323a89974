"""What takes minutes runs in `make nightly` alone, in a story as elsewhere."""

from __future__ import annotations

import os

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    late = [one for one in items if one.get_closest_marker("nightly")]
    if late and "LIFEBOAT_NIGHTLY" not in os.environ:
        items[:] = [one for one in items if not one.get_closest_marker("nightly")]
        config.hook.pytest_deselected(items=late)
