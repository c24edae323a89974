"""The contract of destinations, on real S3 servers that enforce rights."""

from __future__ import annotations

import pytest
from lifeboat.destinations.s3.destination import S3

from tests.integration.s3.conftest import MIB, Bucket, s3_at
from tests.unit.contracts.destination_contract import DestinationContract


class TestGateway(DestinationContract):
    """An archive that is one object from the start."""

    @pytest.fixture
    def place(self, bucket: Bucket) -> S3:
        self.bucket = bucket
        return s3_at(bucket)

    def unfinished(self, place: S3) -> list[str]:
        return self.bucket.open_uploads()


class TestGatewayInParts(TestGateway):
    """An archive of three parts, below a prefix."""

    blocks = 48  # 12 MiB

    @pytest.fixture
    def place(self, bucket: Bucket) -> S3:
        self.bucket = bucket
        return s3_at(bucket, prefix="/hosts/one/", part_size=5 * MIB, max_concurrency=2)


class TestMoto(DestinationContract):
    @pytest.fixture
    def place(self, moto_bucket: Bucket) -> S3:
        self.bucket = moto_bucket
        return s3_at(moto_bucket, checksums="when_supported")

    def unfinished(self, place: S3) -> list[str]:
        return self.bucket.open_uploads()


class TestMotoInParts(TestMoto):
    blocks = 48

    @pytest.fixture
    def place(self, moto_bucket: Bucket) -> S3:
        self.bucket = moto_bucket
        return s3_at(moto_bucket, prefix="hosts/one", part_size=5 * MIB)
