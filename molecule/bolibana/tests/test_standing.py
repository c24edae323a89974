"""A host that was restored and drilled stands well: nothing is left over, and no secret lies about."""

from __future__ import annotations

import pytest
from testinfra.host import Host

from tests.lab.guide import Guide
from tests.lab.hosts import on, told


def test_no_block_of_the_guide_was_left_untyped(guide: Guide) -> None:
    assert guide.left() == []


def test_nothing_is_left_over(web1: Host) -> None:
    assert told("web1", "recover") == []
    query = r"SELECT datname FROM pg_database WHERE datname LIKE '%\_lb\_%'"
    left = on("web1", "runuser", "-u", "postgres", "--", "psql", "-XqAtc", query)
    assert left.stdout == ""
    assert web1.check_output("ls -A /srv/bolibana/media") == "scans"


@pytest.mark.parametrize("secret", ["BEGIN PGP PRIVATE KEY", "web1-secret-of-the-lab"])
def test_no_secret_lies_about_in_the_clear(web1: Host, secret: str) -> None:
    places = "/etc/systemd /etc/lifeboat /var/log/lifeboat /var/lib/lifeboat /run/lifeboat /root"
    assert web1.run(f"grep -rlF '{secret}' {places}").stdout == ""
    assert secret not in web1.check_output("journalctl -q --no-pager")


@pytest.mark.parametrize("tree", ["/var/backups/lifeboat", "/mnt/external"])
def test_the_application_cannot_touch_its_backups(web1: Host, tree: str) -> None:
    assert web1.file(tree).mode == 0o750
    assert on("web1", "runuser", "-u", "bolibana", "--", "ls", tree).returncode != 0


def test_the_runbook_says_what_to_do_first_and_whom_to_call(web1: Host) -> None:
    page = web1.file("/etc/lifeboat/RUNBOOK.md").content_string
    for part in ("before anything else", "the notary, envelope 1", "### export is an export"):
        assert part in page
    for part in ("The data of bolibana is wrong", "This host is lost", "--only media"):
        assert part in page
