# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether backups are protected from the host that made them is tried out, at every kind of destination."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lifeboat.destinations.local import Local
from lifeboat.errors import DestinationError
from lifeboat.operations.copies.exposure import Exposure, exposure
from lifeboat.operations.upkeep.seal import seal

from tests.integration.s3.conftest import Bucket, s3_at
from tests.integration.sftp.places import place_at
from tests.integration.storage.conftest import on_a_gateway
from tests.lab import s3 as lab
from tests.lab import sftp as sftp_lab


def tried(place: Any, claimed: bool = True) -> Exposure:
    """Twice, for the probe of the first time is there the second time."""
    first = exposure(place, "db1", claimed)
    assert exposure(place, "db1", claimed) == first
    return first


def test_append_only_is_true_where_the_bucket_keeps_versions(kept: Bucket) -> None:
    found = tried(s3_at(kept, kept.others["db1"]))
    assert (found.protected, found.broken, found.why) == (True, False, "")


def test_it_is_true_with_iam_too(on_moto: Callable[..., Bucket]) -> None:
    assert tried(s3_at(on_moto())).protected


def test_without_versions_a_second_write_loses_the_first(gateway: lab.Server) -> None:
    bucket = on_a_gateway(gateway, {"db1": ("append_only", "db1")}, versioning=False)
    found = tried(s3_at(bucket))
    assert (found.protected, found.broken) == (False, True)
    assert found.why == "it can overwrite what is stored (the bucket keeps no versions)"


def test_a_standard_host_can_delete_and_says_so(gateway: lab.Server) -> None:
    bucket = on_a_gateway(gateway, {"db1": ("standard", "")})
    found = tried(s3_at(bucket), claimed=False)
    assert (found.protected, found.broken) == (False, False)
    assert found.why == "it can delete what is stored"


def test_who_may_delete_versions_is_not_kept_from_anything(
    kept: Bucket, gateway: lab.Server
) -> None:
    root = {"access_key": "root", "secret_key": gateway.root["secret_key"]}
    assert "it can delete versions" in tried(s3_at(kept, root)).why


def test_a_lock_protects_from_everybody(gateway: lab.Server) -> None:
    owner = lab.client(gateway.endpoint, gateway.root)
    name = f"lock-{os.urandom(4).hex()}"
    owner.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    rule = {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 1}}
    owner.put_object_lock_configuration(
        Bucket=name, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule}
    )
    found = tried(s3_at(Bucket(gateway.endpoint, name, gateway.root, owner)), claimed=False)
    assert "version" not in found.why  # root may hide a name; what it named stays


def test_an_identity_that_is_refused_is_not_called_safe(kept: Bucket) -> None:
    forged = {"access_key": kept.host["access_key"], "secret_key": "not-the-secret"}
    found = tried(s3_at(kept, forged))
    assert (found.protected, found.broken) == (None, True)
    assert "refused" in found.why


def test_a_directory_of_the_host_is_its_own(tmp_path: Path) -> None:
    found = tried(Local("disk", str(tmp_path)), claimed=False)
    assert (found.protected, found.broken) == (False, False)


def test_a_foreign_sftp_host_protects_nothing(openssh: sftp_lab.Server) -> None:
    place = place_at(openssh)
    found = tried(place)
    assert (found.protected, found.broken) == (False, True)
    assert found.why.startswith("it can overwrite, it can rename, it can delete what is stored")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_host_that_seals_protects_and_the_client_goes_on(openssh: sftp_lab.Server) -> None:
    place = place_at(openssh)
    manifest, group = (
        "catalog/db1/shop/20261121T020000Z-daily-7f3a.json",
        pwd.getpwnam(openssh.user).pw_gid,
    )
    place.put(manifest, b"{}")
    assert exposure(place, "db1").protected is False  # nobody sealed anything yet
    assert seal("db1", str(place.behind), group).failure == ""
    assert tried(place).protected
    assert read(place, manifest) == b"{}"
    with pytest.raises(DestinationError, match="permission denied"):
        place.delete(manifest)
    place.put("catalog/db1/shop/20261122T020000Z-daily-7f3b.json", b"{}")


def read(place: Any, key: str) -> bytes:
    with place.open(key) as stored:
        return bytes(stored.read())
