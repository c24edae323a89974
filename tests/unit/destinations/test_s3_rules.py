"""What the S3 destination decides without a server: sizes of parts, options, words for refusals."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lifeboat.destinations.s3.destination import S3
from lifeboat.destinations.s3.upload import Plan
from lifeboat.errors import ConfigError, DestinationError, MissingDependency
from lifeboat.model import Secret

MIB, GIB, TIB = 1 << 20, 1 << 30, 1 << 40


@given(size=st.integers(0, 40 * TIB), max_parts=st.sampled_from([1, 3, 1000, 10000]))
def test_a_finished_archive_never_needs_more_parts_than_there_are(
    size: int, max_parts: int
) -> None:
    plan = Plan(0, max_parts, 4)
    part = plan.finished_part(size)
    assert -(-size // part) <= max(1, 0.9 * max_parts)
    assert part >= 8 * MIB


@pytest.mark.parametrize(
    ("hint", "part"),
    [(0, 8), (1 * GIB, 8), (35 * GIB, 8), (70 * GIB, 16), (100 * GIB, 23), (5 * TIB, 24)],
)
def test_parts_fit_twice_the_expected_size_within_the_memory_allowed(hint: int, part: int) -> None:
    plan = Plan(0, 10000, 4)
    assert plan.growing_part(hint) == part * MIB
    assert plan.fits(hint) is (hint <= part * MIB * 9000)


def test_a_part_size_that_is_set_is_used() -> None:
    plan = Plan(64 * MIB, 10000, 4)
    assert plan.growing_part(1 * GIB) == 64 * MIB
    assert plan.finished_part(1 * GIB) == 64 * MIB
    assert plan.finished_part(4 * TIB) > 64 * MIB


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("prefix", "a//b"),
        ("prefix", "../b"),
        ("prefix", "a/./b"),
        ("prefix", "a b"),
        ("endpoint", "127.0.0.1:9000"),
        ("part_size", MIB),
        ("part_size", 6 * GIB),
        ("max_parts", 0),
        ("max_parts", 10001),
        ("max_concurrency", 0),
    ],
)
def test_an_option_that_cannot_work_is_refused_by_name(option: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"destination offsite: .*{option}"):
        S3(name="offsite", bucket="b", **{option: value})


@pytest.mark.parametrize("option", ["endpoint", "sts_endpoint"])
@pytest.mark.parametrize("value", ["https://joe:hunter2@s3.example.org", "joe:hunter2@s3"])
def test_a_password_in_an_endpoint_is_refused_unseen(option: str, value: str) -> None:
    with pytest.raises(ConfigError, match=f"{option} holds a user or a password") as caught:
        S3(name="offsite", bucket="b", **{option: value})
    assert "hunter2" not in "\n".join(caught.value.lines())


def test_defaults_of_the_options_are_those_of_the_constructor() -> None:
    defaults = {option.name: option.default for option in S3.options if not option.required}
    S3(name="offsite", bucket="b", **defaults)
    signature = S3.__init__.__kwdefaults__ or {}
    positional = S3.__init__.__code__.co_varnames[3 : S3.__init__.__code__.co_argcount]
    assert dict(zip(positional, S3.__init__.__defaults__ or ())) | signature == defaults


@pytest.mark.parametrize(
    ("endpoint", "checksums", "used"),
    [
        (None, "auto", "when_supported"),
        ("https://s3.example.org", "auto", "when_required"),
        ("https://s3.example.org", "when_supported", "when_supported"),
        (None, "when_required", "when_required"),
    ],
)
def test_newer_checksums_are_for_aws_unless_they_are_asked_for(
    endpoint: str | None, checksums: str, used: str
) -> None:
    place = S3(name="offsite", bucket="b", endpoint=endpoint, checksums=checksums)
    assert place._bucket.connection.checksums == used
    assert place._bucket.connection.path_style is (endpoint is not None)


@pytest.mark.parametrize("endpoint", [None, "https://s3.example.com"])
def test_what_the_shell_has_for_another_server_leads_nobody_there(
    monkeypatch: pytest.MonkeyPatch, endpoint: str | None
) -> None:
    keys = Secret.of({"access_key_id": "a", "secret_access_key": "b"})
    place = S3(name="offsite", bucket="b", credential=keys, endpoint=endpoint)._bucket.connection
    plain = place.client()
    monkeypatch.setenv("AWS_PROFILE", "elsewhere")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://elsewhere.example.com")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://elsewhere.example.com")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "elsewhere")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "elsewhere")
    found = place.client()
    assert found.meta.endpoint_url == plain.meta.endpoint_url
    signed = found._request_signer._credentials
    assert (signed.access_key, signed.secret_key, signed.token) == ("a", "b", None)


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(MissingDependency, match="offsite needs the Python library boto3") as caught:
        S3(name="offsite", bucket="b").check()
    assert "boto3>=1.36" in caught.value.hint


@pytest.mark.parametrize(
    ("status", "code", "words", "permanent"),
    [
        (403, "RequestTimeTooSkewed", "clock", True),
        (403, "ExpiredToken", "refused", True),
        (301, "PermanentRedirect", "another region", True),
        (403, "UserSuspended", "secret is refused (UserSuspended)", True),
        (400, "AuthorizationHeaderMalformed", "another region", True),
        (400, "InvalidStorageClass", "InvalidStorageClass", True),
        (403, "QuotaExceeded", "no space left", True),
        (507, "Whatever", "no space left", True),
        (403, "InvalidObjectState", "cold storage", True),
        (412, "PreconditionFailed", "there already", True),
        (409, "ConditionalRequestConflict", "there already", True),
        (501, "NotImplemented", "NotImplemented", True),
        (503, "SlowDown", "SlowDown", False),
        (500, "InternalError", "InternalError", False),
        (429, "TooManyRequests", "TooManyRequests", False),
    ],
)
def test_every_refusal_is_named_and_is_final_or_not(
    status: int, code: str, words: str, permanent: bool
) -> None:
    error = refusal(status, {"Code": code, "Message": "as the server says it"})
    assert words in str(error)
    assert str(error).startswith("destination offsite: cannot store x: ")
    assert error.permanent is permanent
    assert not error.missing


def test_only_the_message_of_a_refusal_is_passed_on() -> None:
    error = refusal(
        403,
        {
            "Code": "SignatureDoesNotMatch",
            "Message": "The signature does not match",
            "AWSAccessKeyId": "AKIA-SHOWN",
            "StringToSign": "AWS4-HMAC-SHA256 secret",
        },
    )
    assert "AKIA" not in "\n".join(error.lines())
    assert "HMAC" not in "\n".join(error.lines())


def test_a_lock_that_wants_a_digest_names_the_option() -> None:
    message = "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests"
    error = refusal(400, {"Code": "InvalidRequest", "Message": message})
    assert error.hint == "set checksums: when_supported"


def refusal(status: int, error: dict[str, str]) -> DestinationError:
    from botocore.exceptions import ClientError

    place = S3(name="offsite", bucket="b")
    response: Any = {"Error": error, "ResponseMetadata": {"HTTPStatusCode": status}}
    with (
        pytest.raises(DestinationError) as caught,
        place._bucket.connection.faults("store", "x"),
    ):
        raise ClientError(response, "PutObject")
    return caught.value
