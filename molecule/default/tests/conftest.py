"""The lab's hosts as testinfra sees them: from outside, through `podman exec`."""

from __future__ import annotations

import pytest
import testinfra
from testinfra.host import Host


@pytest.fixture(scope="session")
def db() -> Host:
    return testinfra.get_host("podman://lifeboat-db")


@pytest.fixture(scope="session")
def fresh() -> Host:
    return testinfra.get_host("podman://lifeboat-fresh")


@pytest.fixture(scope="session")
def s3() -> Host:
    return testinfra.get_host("podman://lifeboat-s3")
