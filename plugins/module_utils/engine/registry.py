# SPDX-License-Identifier: GPL-3.0-or-later
"""The only list of kinds. Adding one = its file or package, its entry here, and its documented choice."""

from __future__ import annotations

from typing import Any

from .entries import Entries


class _Sources(Entries):
    def command(self) -> Any:
        from .sources.command.source import CommandSource

        return CommandSource

    def files(self) -> Any:
        from .sources.files import Files

        return Files

    def mariadb(self) -> Any:
        from .sources.mariadb.source import MariaDB

        return MariaDB

    def mongodb(self) -> Any:
        from .sources.mongodb.source import MongoDB

        return MongoDB

    def mysql(self) -> Any:
        from .sources.mariadb.source import MySQL

        return MySQL

    def postgresql(self) -> Any:
        from .sources.postgresql.source import PostgreSQL

        return PostgreSQL

    def redis(self) -> Any:
        from .sources.redis.source import Redis

        return Redis

    def s3_bucket(self) -> Any:
        from .sources.s3_bucket.source import S3Bucket

        return S3Bucket

    def sqlite(self) -> Any:
        from .sources.sqlite.source import SQLite

        return SQLite

    def valkey(self) -> Any:
        from .sources.redis.source import Valkey

        return Valkey

    def volume(self) -> Any:
        from .sources.volume.source import Volume

        return Volume


class _Destinations(Entries):
    def local(self) -> Any:
        from .destinations.local import Local

        return Local

    def rclone(self) -> Any:
        from .destinations.rclone.destination import Rclone

        return Rclone

    def s3(self) -> Any:
        from .destinations.s3.destination import S3

        return S3

    def sftp(self) -> Any:
        from .destinations.sftp.destination import SFTP

        return SFTP


class _Filters(Entries):
    def age(self) -> Any:
        from .filters.age import Age

        return Age

    def gpg(self) -> Any:
        from .filters.gpg import Gpg

        return Gpg

    def zstd(self) -> Any:
        from .filters.zstd import Zstd

        return Zstd


class _Notifiers(Entries):
    def apprise_url(self) -> Any:
        from .notifiers.apprise_url import AppriseUrl

        return AppriseUrl

    def ping(self) -> Any:
        from .notifiers.ping import Ping

        return Ping


NOTIFIERS = _Notifiers()
SOURCES, DESTINATIONS = _Sources(), _Destinations()
FILTERS = _Filters()  # kind in a manifest -> something that can decode


def bundle(path: Any) -> Any:
    """A file that is read as if it were a destination."""
    from .destinations.bundle import Bundle

    return Bundle(path)


def governed(destination: Any, policy: Any) -> Any:
    """Around a destination of any kind."""
    from .destinations.governed import Governed

    return Governed(destination, policy)
