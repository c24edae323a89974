"""The host of the scenario and the reader of the guide, for the story and for the tests after it."""

from __future__ import annotations

import pytest
from testinfra.host import Host

from tests.lab import hosts
from tests.lab.guide import Guide


@pytest.fixture(scope="session")
def web1() -> Host:
    return hosts.host("web1")


@pytest.fixture(scope="session")
def guide() -> Guide:
    return Guide("bolibana")
