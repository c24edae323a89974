# SPDX-License-Identifier: GPL-3.0-or-later
"""Credentials are found where systemd or the host's store keeps them, and are shown by nobody."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from lifeboat.credentials import Credentials
from lifeboat.errors import ConfigError, LifeboatError
from lifeboat.model import Secret


@pytest.fixture(autouse=True)
def _no_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)


def put(folder: Path, name: str, content: str, mode: int = 0o600) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(content, encoding="utf-8")
    (folder / name).chmod(mode)


def test_a_credential_of_the_store_is_read_when_it_is_shown(tmp_path: Path) -> None:
    secret = Credentials(tmp_path).secret("shop_db")
    put(tmp_path, "shop_db", '"p\\"ass\\nwörd"')
    assert secret.reveal() == 'p"ass\nwörd'
    put(tmp_path, "shop_db", '{"access_key_id": "a", "secret_access_key": "b"}')
    assert secret.reveal() == {"access_key_id": "a", "secret_access_key": "b"}


def test_what_systemd_hands_over_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "unit", "shop_db", '"of the unit"', mode=0o440)
    put(tmp_path / "store", "shop_db", '"of the store"')
    put(tmp_path / "store", "other", '"also there"')
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "unit"))
    store = Credentials(tmp_path / "store")
    assert store.secret("shop_db").reveal() == "of the unit"
    assert store.secret("other").reveal() == "also there"


@pytest.mark.parametrize("store", [None, Path("/nowhere"), Path("/etc/passwd")])
def test_a_missing_credential_is_named_with_what_to_do(store: Path | None) -> None:
    with pytest.raises(ConfigError, match="the credential 'shop_db' is not on this host") as caught:
        Credentials(store).secret("shop_db").reveal()
    assert "lifeboat_credentials" in caught.value.hint


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_credential_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    put(tmp_path, "shop_db", '"s3cr3t"', mode=mode)
    with pytest.raises(ConfigError, match="can be read by others") as caught:
        Credentials(tmp_path).secret("shop_db").reveal()
    assert "chmod 600" in caught.value.hint


@pytest.mark.parametrize("content", ["s3cr3t", "", '"s3cr3t'])
def test_what_is_not_json_is_refused_and_not_shown(tmp_path: Path, content: str) -> None:
    put(tmp_path, "shop_db", content)
    with pytest.raises(ConfigError, match="is not JSON") as caught:
        Credentials(tmp_path).secret("shop_db").reveal()
    assert "s3cr3t" not in "\n".join(caught.value.lines())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can change to a user who may not read")
def test_a_credential_of_another_user_says_so(tmp_path: Path) -> None:
    put(tmp_path, "shop_db", '"s3cr3t"')
    tmp_path.chmod(0o700)
    os.seteuid(65534)
    try:
        with pytest.raises(LifeboatError, match="may not be read by this user"):
            Credentials(tmp_path).secret("shop_db").reveal()
    finally:
        os.seteuid(0)


def test_a_secret_is_never_shown_by_accident() -> None:
    secret = Secret.of("s3cr3t")
    assert f"{secret} {secret!r} {[secret]}" == "*** *** [***]"
    assert "s3cr3t" not in str(vars(secret))
