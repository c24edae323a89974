# SPDX-License-Identifier: GPL-3.0-or-later
"""What is written of an SFTP server is understood, or refused with its place; nothing is connected."""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import Any

import pytest
from lifeboat.destinations.sftp.destination import SFTP
from lifeboat.destinations.sftp.place import Hop, hops, known_hosts, login
from lifeboat.errors import ConfigError, MissingDependency
from lifeboat.model import Needs, Secret

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOIGcDTIbNA/y3jhmI1FpNCaQpVVlEVS2MjTTXU5S6wl"
OTHER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAvHkK8TiPhNSGrUeIp0iMYWYrbgpOrD6dn5XDWJ1wFc"
SECRET = Secret.of("a private key")
SERVER = Hop("attic.example.org", 22, "backup", SECRET)


def made(**other: Any) -> SFTP:
    given = {"host": "attic", "user": "u", "path": "/x", "host_key": KEY, "credential": SECRET}
    return SFTP(name="attic", **{**given, **other})


def test_it_is_made_without_a_connection_and_needs_nothing_of_the_sandbox() -> None:
    assert made().needs() == Needs(server="u@attic:22 /x")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("host", ""),
        ("host", "two hosts"),
        ("host", "user@attic"),
        ("host", "*"),
        ("port", 0),
        ("port", 70000),
        ("timeout", timedelta(0)),
        ("connect_timeout", timedelta(0)),
        ("path", ""),
        ("path", "~/backups"),
        ("host_key", ""),
        ("host_key", "# nothing"),
        ("host_key", "attic"),
        ("host_key", "SHA256:LjS6hhvacjnEMCvzDuHmgHub/rKNYDPVFtpLG618QHE"),
        ("host_key", KEY.replace("ssh-ed25519", "ssh-rsa")),
        ("host_key", KEY[:-4]),
        ("host_key", f"{KEY}\nattic ssh-ed25519"),
        ("jump_hosts", ["a b"]),
        ("jump_hosts", ["a:port"]),
        ("jump_hosts", [""]),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_place(option: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=rf"^destinations\.attic\.{option}: "):
        made(**{option: value})


def test_a_bare_key_is_that_of_the_server_and_of_no_jump_host() -> None:
    assert known_hosts("here", KEY, SERVER) == f"attic.example.org {KEY}"
    elsewhere = Hop("attic.example.org", 2222, "backup", SECRET)
    assert known_hosts("here", KEY, elsewhere) == f"[attic.example.org]:2222 {KEY}"


def test_lines_of_known_hosts_stay_as_they_are() -> None:
    lines = [f"attic.example.org,10.0.0.1 {KEY} comment", f"@cert-authority *.org {OTHER}"]
    text = "\n".join(["# attic", "", *lines])
    assert known_hosts("here", text, SERVER).splitlines() == lines


def test_jump_hosts_come_first_with_the_servers_user_and_port_22_unless_they_say() -> None:
    jump_credential = Secret.of("another key")
    made = hops("here", ["bastion", "me@[fe80::1]:2222"], jump_credential, SERVER)
    assert made == (
        Hop("bastion", 22, "backup", jump_credential),
        Hop("fe80::1", 2222, "me", jump_credential),
        SERVER,
    )
    (jump, _server) = hops("here", ["bastion"], None, SERVER)
    assert jump.credential is SERVER.credential


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("text", ("private_key", "text")),
        ({"private_key": "text"}, ("private_key", "text")),
        ({"password": "text"}, ("password", "text")),
    ],
)
def test_a_credential_is_a_key_or_a_password(value: Any, expected: tuple[str, str]) -> None:
    assert login("here", Secret.of(value)) == expected


@pytest.mark.parametrize(
    "value", [None, "", " ", 7, [], {}, {"password": ""}, {"private_key": "a", "password": "b"}]
)
def test_any_other_credential_is_refused_and_not_shown(value: Any) -> None:
    with pytest.raises(ConfigError, match="the credential 'attic_key' of here is no SSH login"):
        login("here", Secret(lambda: value, "attic_key"))


def test_without_the_library_it_is_said_where_it_comes_from(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "asyncssh", None)
    with pytest.raises(
        MissingDependency, match="attic needs the Python library asyncssh"
    ) as caught:
        made().check()
    assert "site.yml" in caught.value.hint
