# SPDX-License-Identifier: GPL-3.0-or-later
"""Instants as S3 servers write them are read as the SDK reads them, only faster."""

from __future__ import annotations

import pytest
from botocore.utils import parse_timestamp
from lifeboat.s3_identity import AS_GIVEN, _instant


@pytest.mark.parametrize(
    "told",
    [
        "2026-11-22T00:08:11Z",
        "2026-11-22T00:08:11.123Z",
        "2026-11-22T00:08:11+02:00",
        "Sun, 22 Nov 2026 00:04:38 GMT",
        "20261122T000811Z",
        1_800_000_000,
        "1800000000.5",
    ],
)
def test_an_instant_is_what_the_sdk_makes_of_it(told: object) -> None:
    assert _instant(told) == parse_timestamp(told)


def test_what_is_no_instant_is_refused() -> None:
    with pytest.raises(ValueError, match="soon"):
        _instant("soon")


def test_a_client_reads_its_instants_so(monkeypatch: pytest.MonkeyPatch) -> None:
    import boto3

    session = AS_GIVEN.session(boto3, {"aws_access_key_id": "a", "aws_secret_access_key": "b"}, "x")
    parser = session._session.get_component("response_parser_factory").create_parser("rest-xml")
    assert parser._timestamp_parser is _instant
