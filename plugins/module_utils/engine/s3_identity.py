# SPDX-License-Identifier: GPL-3.0-or-later
"""Who we are to an S3 server: keys, a profile, the host's own role, or a role that is assumed.

The SDK does the work: it asks for new keys before the old ones of a role expire.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

_STS_REGION = "us-east-1"  # where the SDK is told none; a role is the same in each


@dataclass(frozen=True)
class Identity:
    """All empty = the keys given, else the SDK's own chain (environment, profile, instance role)."""

    profile: str = ""
    role_arn: str = ""
    web_identity_token_file: str = ""
    sts_endpoint: str = ""

    def session(self, boto3: Any, keys: Mapping[str, str], region: str | None) -> Any:
        """A boto3 session that acts as this identity; a role is assumed with the first request."""
        own = _core(self.profile)
        if keys:  # whatever AWS_PROFILE the shell has, it is not asked for anything
            from botocore.configprovider import ConstantProvider

            own.get_component("config_store").set_config_provider("profile", ConstantProvider(None))
        base = boto3.session.Session(
            **keys, region_name=region, profile_name=self.profile or None, botocore_session=own
        )
        if not self.role_arn:
            return base
        from botocore.credentials import DeferredRefreshableCredentials

        fetcher, core = self._fetcher(base, region), _core(self.profile)
        core._credentials = DeferredRefreshableCredentials(  # as its own provider of roles does
            refresh_using=fetcher.fetch_credentials, method="assume-role"
        )
        return boto3.session.Session(botocore_session=core, region_name=region)

    def _fetcher(self, base: Any, region: str | None) -> Any:
        from botocore.credentials import (
            AssumeRoleCredentialFetcher,
            AssumeRoleWithWebIdentityCredentialFetcher,
        )
        from botocore.exceptions import NoCredentialsError
        from botocore.utils import FileWebIdentityTokenLoader

        def client(service: str, **given: Any) -> Any:
            return base._session.create_client(
                service,
                region_name=region or _STS_REGION,
                endpoint_url=self.sts_endpoint or None,
                **given,
            )

        named = {"RoleSessionName": "lifeboat"}
        if self.web_identity_token_file:
            return AssumeRoleWithWebIdentityCredentialFetcher(
                client_creator=client,
                web_identity_token_loader=FileWebIdentityTokenLoader(self.web_identity_token_file),
                role_arn=self.role_arn,
                extra_args=named,
            )
        credentials = base.get_credentials()
        if credentials is None:
            raise NoCredentialsError
        return AssumeRoleCredentialFetcher(
            client_creator=client,
            source_credentials=credentials,
            role_arn=self.role_arn,
            extra_args=named,
        )


def _core(profile: str) -> Any:
    """A session of the SDK that shares what it reads from its package: some 20 MB for each otherwise."""
    import botocore.loaders
    import botocore.session

    if not _loaders:
        _loaders.append(botocore.loaders.create_loader())
    core = botocore.session.get_session()
    if (
        not profile
    ):  # an AWS_ENDPOINT_URL of the shell leads elsewhere; that of a named profile is meant
        core.set_config_variable("ignore_configured_endpoint_urls", True)
    core.register_component("data_loader", _loaders[0])
    core.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=_instant)
    return core


def _instant(told: Any) -> datetime:
    """As the SDK reads it, in a tenth of the time: each object of a listing has one."""
    from botocore.utils import parse_timestamp

    for read in (_iso, parsedate_to_datetime):
        try:
            instant = read(told)
        except (AttributeError, TypeError, ValueError):
            continue
        if instant.tzinfo is not None:
            return instant
    return parse_timestamp(told)  # type: ignore[no-any-return]


def _iso(told: str) -> datetime:
    return datetime.fromisoformat(told.replace("Z", "+00:00"))


AS_GIVEN = Identity()
_loaders: list[Any] = []
