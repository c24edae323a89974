# SPDX-License-Identifier: GPL-3.0-or-later
"""The only list of kinds. Adding one = its file or package, its line here, and its documented choice."""

from __future__ import annotations

from .destinations.bundle import Bundle
from .destinations.governed import Governed
from .destinations.local import Local
from .destinations.rclone import Rclone
from .destinations.s3 import S3
from .destinations.sftp import SFTP
from .filters.age import Age
from .filters.gpg import Gpg
from .filters.zstd import Zstd
from .notifiers.apprise_url import AppriseUrl
from .notifiers.ping import Ping
from .sources.command.source import CommandSource
from .sources.files import Files
from .sources.mariadb.source import MariaDB, MySQL
from .sources.mongodb.source import MongoDB
from .sources.postgresql.source import PostgreSQL
from .sources.redis.source import Redis, Valkey
from .sources.s3_bucket.source import S3Bucket
from .sources.sqlite.source import SQLite
from .sources.volume.source import Volume

SOURCES = {
    "command": CommandSource,
    "files": Files,
    "mariadb": MariaDB,
    "mongodb": MongoDB,
    "mysql": MySQL,
    "postgresql": PostgreSQL,
    "redis": Redis,
    "s3_bucket": S3Bucket,
    "sqlite": SQLite,
    "valkey": Valkey,
    "volume": Volume,
}
DESTINATIONS = {
    "local": Local,
    "rclone": Rclone,
    "s3": S3,
    "sftp": SFTP,
}
BUNDLE = Bundle  # a file is read as if it were a destination
GOVERNED = Governed  # around a destination of any kind
FILTERS = {  # kind in a manifest -> something that can decode
    "age": Age,
    "gpg": Gpg,
    "zstd": Zstd,
}
NOTIFIERS = (AppriseUrl, Ping)
