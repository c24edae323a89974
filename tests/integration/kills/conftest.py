# SPDX-License-Identifier: GPL-3.0-or-later
"""The real servers of every kind of source, of the tests beside."""

from __future__ import annotations

import pytest

from tests.integration.containers.conftest import engines, make_container, user, volume
from tests.integration.mariadb.conftest import make_server as make_mariadb
from tests.integration.mongodb.conftest import make_server as make_mongodb
from tests.integration.postgresql.conftest import make_server as make_postgresql
from tests.integration.redis.conftest import make_server as make_redis
from tests.integration.s3.conftest import _no_chain, bucket, gateway
from tests.integration.s3_bucket.conftest import on_gateway

pytest.register_assert_rewrite(
    *(f"tests.integration.kills.{name}" for name in ("campaign", "prunes", "upkeep"))
)

__all__ = [
    "_no_chain",
    "bucket",
    "engines",
    "gateway",
    "make_container",
    "make_mariadb",
    "make_mongodb",
    "make_postgresql",
    "make_redis",
    "on_gateway",
    "user",
    "volume",
]
