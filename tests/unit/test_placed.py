# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with a source in a container is told while the configuration is read, and nothing is asked."""

from __future__ import annotations

from typing import Any

import pytest
from lifeboat import config
from lifeboat.errors import ConfigError, MissingDependency
from lifeboat.job import Job
from lifeboat.model import Secret

VARIABLES = {"host": "DB_HOST", "user": "DB_USERNAME", "password": "DB_PASSWORD"}


def job(**source: Any) -> Job:
    mapping = {
        "version": 1,
        "host": "h1",
        "encryption": {"none": True},
        "destinations": {"disk": {"type": "local", "path": "/mnt"}},
        "jobs": {"shop": {"sources": {"db": source}, "destinations": ["disk"], "user": "root"}},
    }
    return config.parse(mapping, lambda name: Secret.of(name)).job("shop")


def in_container(**source: Any) -> Job:
    return job(type="postgresql", placement={"docker": "shop-db"}, **source)


def test_options_may_come_from_the_container_also_those_that_are_required(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = in_container(credentials_from_env={**VARIABLES, "database": "DB_DATABASE"}).source(
        "db"
    )
    assert (source.kind, source.name, source.optional) == ("postgresql", "db", False)
    assert source.needs().writes == ()
    monkeypatch.setenv("PATH", "/nowhere")  # only now is anything asked
    with pytest.raises(MissingDependency, match="the program docker is not on this machine"):
        source.check()


def test_what_no_variable_gives_is_still_required() -> None:
    with pytest.raises(ConfigError, match=r"sources\.db\.database: missing"):
        in_container(credentials_from_env=VARIABLES)


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"pasword": "DB_PASSWORD"}, r"env\.pasword: not an option.*did you mean password\?"),
        ({"lock_timeout": "T"}, r"env\.lock_timeout: not an option that can be read"),
        ({"user": "DB USER"}, r"env\.user: write the name of a variable"),
        ({"user": 5}, r"env\.user: write the name of a variable"),
        ({"database": "DB"}, r"env\.database: the source has database already"),
        ("DB_HOST", r"credentials_from_env: write a mapping, not a text"),
    ],
)
def test_a_mistake_is_told_with_its_place(variables: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        in_container(database="shop", credentials_from_env=variables)


def test_this_host_has_no_environment_to_read() -> None:
    with pytest.raises(ConfigError, match="only a container has an environment"):
        job(type="postgresql", database="shop", credentials_from_env={"user": "DB_USER"})


def test_a_placement_names_one_container() -> None:
    with pytest.raises(ConfigError, match=r"write .docker: CONTAINER. or .podman: CONTAINER."):
        job(type="postgresql", database="shop", placement={"docker": "a", "podman": "b"})
