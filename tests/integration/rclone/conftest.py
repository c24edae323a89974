"""The S3 servers of the S3 destination's own tests."""

from tests.integration.s3.conftest import _no_chain, bucket, gateway

__all__ = ["_no_chain", "bucket", "gateway"]
