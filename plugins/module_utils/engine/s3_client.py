# SPDX-License-Identifier: GPL-3.0-or-later
"""Speak to an S3 server: make the client, and say in our words what it or its server answers.

The library is loaded here and nowhere else at import time of the engine. No secret is in any error:
what a server says of a signature holds the access key and what was signed, so only its one-sentence
message is passed on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from .errors import ConfigError, DestinationError, LifeboatError, MissingDependency
from .model import Secret
from .s3_identity import AS_GIVEN, Identity

_RIGHTS = {  # what AWS calls the right that an operation needs, where the names differ
    "HeadObject": "GetObject",
    "ListObjectsV2": "ListBucket",
    "CreateMultipartUpload": "PutObject",
    "UploadPart": "PutObject",
    "CompleteMultipartUpload": "PutObject",
    "ListMultipartUploads": "ListBucketMultipartUploads",
}
_MISSING = (
    "NoSuchKey",
    "NoSuchUpload",
    "NoSuchVersion",
    "NotFound",
    "404",
    "ObjectLockConfigurationNotFoundError",
    "NoSuchObjectLockConfiguration",
)
_TAKEN = ("PreconditionFailed", "412", "ConditionalRequestConflict", "409")
_DENIED = ("AccessDenied", "AllAccessDisabled", "AccountProblem", "Forbidden", "403")
_UNKNOWN_IDENTITY = (
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "SignatureDoesNotMatch",
    "InvalidToken",
    "ExpiredToken",
    "InvalidSecurity",
    "UnrecognizedClientException",
    "UserSuspended",  # Ceph's
)
_ELSEWHERE = ("PermanentRedirect", "301", "AuthorizationHeaderMalformed", "InvalidRegion")
_PASSING = ("InternalError", "ServiceUnavailable", "SlowDown", "RequestTimeout")
_FULL = ("QuotaExceeded", "XMinioStorageFull", "InsufficientStorage", "507")


def unusable(endpoint: str | None) -> str:
    """Why this can be no endpoint, to be said after its name; "" = it can. One that holds a password is not shown:
    errors and manifests would."""
    if endpoint and "@" in endpoint:
        return "holds a user or a password; write these as a credential"
    if endpoint and not endpoint.startswith(("https://", "http://")):
        return f"{endpoint!r} does not begin with https:// or http://"
    return ""


class Taken(DestinationError):
    """There is an object under that key already."""


class Denied(DestinationError):
    """This identity may not do that."""


class NoBucket(DestinationError):
    """The bucket itself is not there."""


class Unsupported(DestinationError):
    """The server does not know what was asked."""


@dataclass(frozen=True)
class Connection:
    """How to reach one bucket. Timeouts are in seconds; credential None = the SDK's own chain."""

    whose: str  # "destination offsite", "source docs": errors begin so
    bucket: str
    prefix: str  # "" or ends with /
    region: str | None
    endpoint: str | None
    credential: Secret | None
    path_style: bool
    checksums: str  # "when_supported" or "when_required"
    ca_bundle: str | None
    connections: int
    connect_timeout_s: float
    read_timeout_s: float
    identity: Identity = AS_GIVEN

    def client(self) -> Any:
        """A new client (safe to share between threads); nothing is sent yet."""
        try:
            import boto3
            from botocore.config import Config
        except ImportError as exc:
            raise MissingDependency(
                f"{self.whose} needs the Python library boto3: {exc}",
                hint="site.yml installs it with the engine; by hand: pip install 'boto3>=1.36'",
            ) from exc
        try:
            config = Config(
                connect_timeout=self.connect_timeout_s,
                read_timeout=self.read_timeout_s,
                retries={"mode": "standard", "total_max_attempts": 4},
                max_pool_connections=self.connections,
                request_checksum_calculation=self.checksums,
                response_checksum_validation=self.checksums,
                s3={"addressing_style": "path" if self.path_style else "auto"},
                tcp_keepalive=True,
                user_agent="lifeboat",  # the SDK's own is put together anew for each request
            )
        except TypeError as exc:
            raise MissingDependency(
                f"{self.whose} needs a newer boto3 than {boto3.__version__}",
                hint="use 1.36 or newer: older ones cannot choose checksums or put conditionally",
            ) from exc
        with self.faults("use"):
            session = self.identity.session(boto3, self._keys(), self.region)
            made = session.client(
                "s3", endpoint_url=self.endpoint, verify=self.ca_bundle, config=config
            )
        self._abort_nothing_in_doubt(made.meta.events)
        return made

    def _abort_nothing_in_doubt(self, events: Any) -> None:
        """Ceph lets an upload in parts end and be aborted at once: the object is there, and hours later its
        parts go. So what was told to end, and may be ending, stays; a sweep takes it days later."""
        in_doubt: set[str] = set()

        def ends(params: Mapping[str, Any], context: dict[str, Any], **_event: Any) -> None:
            context["lifeboat_upload"] = str(params["UploadId"])
            in_doubt.add(context["lifeboat_upload"])

        def answered(
            http_response: Any, parsed: Mapping[str, Any], context: dict[str, Any], **_event: Any
        ) -> None:
            # What was asked again may be at work since it was asked first.
            again = parsed.get("ResponseMetadata", {}).get("RetryAttempts")
            status = http_response.status_code  # 501: it does not know how
            if status < 400 or (not again and (status < 500 or status == 501)):
                in_doubt.discard(context.get("lifeboat_upload", ""))

        def aborts(params: Mapping[str, Any], **_event: Any) -> None:
            if params["UploadId"] in in_doubt:
                what = f"cannot abort the upload of {params['Key']}"
                raise self.error(what, "it may be ending now", permanent=False)

        events.register("before-parameter-build.s3.CompleteMultipartUpload", ends)
        events.register("after-call.s3.CompleteMultipartUpload", answered)
        events.register("before-parameter-build.s3.AbortMultipartUpload", aborts)

    def _keys(self) -> dict[str, str]:
        if self.credential is None:
            return {}
        value = self.credential.reveal()
        names = ("access_key_id", "secret_access_key", "session_token")
        given = value if isinstance(value, dict) else {}
        if not given.get(names[0]) or not given.get(names[1]) or set(given) - set(names):
            raise ConfigError(
                f"the credential {self.credential.name!r} of {self.whose} is not an S3 key",
                hint="it needs access_key_id and secret_access_key, and may have session_token",
            )
        return {f"aws_{name}": str(given[name]) for name in names if given.get(name)}

    @contextmanager
    def faults(self, verb: str, what: str = "") -> Iterator[None]:
        """Turn what the library raises into a DestinationError that says who, what and why."""
        try:
            yield
        except LifeboatError:
            raise
        except _library_errors() as exc:
            raise self._translate(f"cannot {verb} {what or 'bucket ' + self.bucket}", exc) from exc

    def refused(self, verb: str, what: str, error: Mapping[str, Any]) -> DestinationError:
        """What one of several things in a request was answered: {"Code", "Message"}."""
        status = 503 if error.get("Code") in _PASSING else 400
        response = {"Error": dict(error), "ResponseMetadata": {"HTTPStatusCode": status}}
        return self._refusal(f"cannot {verb} {what}", response, "DeleteObject")

    def error(
        self,
        told: str,
        why: str,
        *,
        hint: str = "",
        permanent: bool = True,
        missing: bool = False,
        family: type[DestinationError] = DestinationError,
    ) -> DestinationError:
        message = f"{self.whose}: {told}: {why}"
        return family(message, hint=hint, permanent=permanent, missing=missing)

    def taken(self, told: str) -> DestinationError:
        hint = "an object is never replaced; look at what wrote it"
        return self.error(told, "it is there already", hint=hint, family=Taken)

    def _translate(self, told: str, exc: BaseException) -> DestinationError:
        response = getattr(exc, "response", None)
        if isinstance(response, dict):
            return self._refusal(told, response, getattr(exc, "operation_name", ""))
        return self._failure(told, exc)

    def _refusal(self, told: str, response: dict[str, Any], operation: str) -> DestinationError:
        """The server answered, and it was no."""
        error = response.get("Error", {})
        code, says = str(error.get("Code", "")), str(error.get("Message") or "")[:300]
        status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        if code == "NoSuchBucket":
            hint = "create it, or correct bucket, region or endpoint"
            why = f"there is no bucket {self.bucket}"
            return self.error(told, why, hint=hint, family=NoBucket)
        if code in _MISSING:
            return self.error(told, "it is not there", missing=True)
        if code in _TAKEN:
            return self.taken(told)
        if code in _DENIED:
            if operation.startswith("AssumeRole"):
                hint = "let the role's trust policy name this identity, or correct role_arn"
                return self.error(told, f"{operation} is denied", hint=hint, family=Denied)
            right = f"s3:{_RIGHTS.get(operation, operation)}"
            where = f"{self.bucket}/{self.prefix}*" if "Object" in right else self.bucket
            return self.error(
                told,
                f"{operation} is denied",
                hint=f"allow this identity {right} on arn:aws:s3:::{where}, or correct its key",
                family=Denied,
            )
        if code in _UNKNOWN_IDENTITY:
            hint = f"correct {self._credential_name}; expired keys are refused like wrong ones"
            return self.error(told, f"the access key or its secret is refused ({code})", hint=hint)
        if code == "RequestTimeTooSkewed":
            hint = "set this host's clock (timedatectl set-ntp true)"
            return self.error(told, "this host's clock and the server's differ", hint=hint)
        if code in _ELSEWHERE:
            why = f"the bucket is in another region ({says or code})"
            return self.error(told, why, hint="set region")
        if code == "InvalidObjectState":
            hint = "`lifeboat fetch ID DIRECTORY --thaw` asks for it, which takes hours"
            return self.error(told, "it lies in cold storage", hint=hint)
        if code in _FULL or status == 507:
            return self.error(told, f"no space left ({code})", hint="make room, or raise the quota")
        hint = (
            "set checksums: when_supported" if "MD5" in says or "checksum" in says.lower() else ""
        )
        why = f"{code}: {says}" if says else code
        if code == "NotImplemented":
            return self.error(told, why, hint="this server lacks what it needs", family=Unsupported)
        passing = status >= 500 or status in (0, 408, 429) or code in ("SlowDown", "RequestTimeout")
        return self.error(told, why, hint=hint, permanent=not passing)

    def _failure(self, told: str, exc: BaseException) -> DestinationError:
        """No answer, or none that could be used."""
        kind, says = type(exc).__name__, " ".join(str(exc).split())[:300]
        at = self.endpoint or "the S3 endpoint"
        if kind == "SSLError":
            hint = "correct endpoint; for an authority of your own, set ca_bundle"
            return self.error(told, f"no trusted TLS connection to {at}: {says}", hint=hint)
        if "Credential" in kind or "Token" in kind or "Profile" in kind:
            hint = "set credential, or give the host an instance role"
            return self.error(told, f"there is no usable credential: {says}", hint=hint)
        if "Connect" in kind or "Timeout" in kind or "HTTPClient" in kind or "Proxy" in kind:
            hint = "check endpoint, name resolution, firewall and that the server runs"
            return self.error(told, f"{at} cannot be reached: {says}", hint=hint, permanent=False)
        permanent = kind in ("ParamValidationError", "ValueError", "InvalidRegionError")
        return self.error(told, f"{kind}: {says}", permanent=permanent)

    @property
    def _credential_name(self) -> str:
        given = self.credential is not None and self.credential.name
        return (
            f"the credential {given!r}" if given else "the credential that the host's chain gives"
        )


def _library_errors() -> tuple[type[Exception], ...]:
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError

    # the library's HTTP layer lets some of urllib3's and the system's own errors through
    return (BotoCoreError, ClientError, ResponseParserError, OSError, ValueError)
