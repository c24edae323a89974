"""What the administrator of a host does once, so that a user of it can have a lifeboat without root."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from tests.lab.guide import Guide


def test_the_hosts_are_prepared(guide: Guide) -> None:
    with ThreadPoolExecutor() as both:
        list(both.map(lambda host: guide.on_host(host, "The host, once"), ["wiki1", "wiki2"]))
