"""The playbook refuses before it touches a host what the gate would refuse there."""

from __future__ import annotations

import re
import shutil

import pytest

from tests.integration.roles.inventory import Site

RESTORE = ["restore"]
ID = "20261121T020000Z-daily-7f3a"
PHRASE = '{"restore_confirm": "RESTORE PRODUCTION"}'
PROPER = {
    "-e": ["restore_job=shop", f"restore_backup={ID}", PHRASE],
    "--limit": ["here"],
}


@pytest.mark.parametrize(
    ("left_out", "wanted"),
    [
        (PHRASE, "-e \"restore_confirm='RESTORE PRODUCTION'\""),
        (f"restore_backup={ID}", "-e backup=ID, never latest"),
        ("here", "--limit here"),
    ],
)
def test_production_wants_phrase_id_and_host(site: Site, left_out: str, wanted: str) -> None:
    words = [
        word
        for option, values in PROPER.items()
        for value in values
        if value != left_out
        for word in (option, value)
    ]
    ran = site.run(RESTORE, *words)
    assert ran.status != 0
    assert (
        f"job shop is production. Still needed: {wanted}. Nothing was touched"
        in ran.output.replace('\\"', '"')
    )


def test_more_than_one_host_must_be_meant(site: Site) -> None:
    site.hosts = ["here", "there"]
    ran = site.run(RESTORE, "-e", "restore_job=shop")
    assert ran.status != 0
    assert "this would restore on 2 hosts (here, there)" in ran.output


def test_a_job_that_the_host_does_not_have_is_refused_with_those_it_has(site: Site) -> None:
    ran = site.run(RESTORE, "-e", "restore_job=shoe")
    assert ran.status != 0
    assert "host here has no job shoe. Say -e job=JOB; its jobs are: shop" in ran.output


def test_a_key_that_is_not_there_is_named(site: Site) -> None:
    ran = site.run(
        RESTORE,
        "-e",
        "restore_job=shop",
        "-e",
        "restore_identity_file=missing.key",
        lifeboat_environment="dev",
    )
    assert ran.status != 0
    assert "there is no file missing.key on the controller" in ran.output


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_the_private_key_is_written_to_no_file(site: Site) -> None:
    """Everything that the controller and the host write is traced; the key goes through pipes only."""
    key = site.make_key()
    (site.folder / "etc" / "passwords").write_text("hunter2\n")
    provisioned = site.run(["backup_agent", "backup_schedule"])
    assert provisioned.status == 0, provisioned.output
    made = next((site.folder / "disk").glob("catalog/here/shop/*.json")).stem
    (site.folder / "etc" / "passwords").unlink()

    trace = site.folder / "trace"
    tracer = [
        "strace",
        "--seccomp-bpf",  # stops at what is traced alone
        "-f",
        "-y",
        "-s",
        "3000000",
        "-e",
        "trace=write,pwrite64,writev",
        "-o",
        str(trace),
    ]
    words = [
        "--limit",
        "here",
        "-e",
        "restore_job=shop",
        "-e",
        f"restore_backup={made}",
        "-e",
        PHRASE,
    ]
    ran = site.run(RESTORE, *words, "-e", f"restore_identity_file={key}", wrapper=tracer)
    assert ran.status == 0, ran.output
    assert (site.folder / "etc" / "passwords").read_text() == "hunter2\n"

    secret = key.read_text().splitlines()[-1][:40].encode()
    assert secret.startswith(b"AGE-SECRET-KEY-1")
    told = [line for line in trace.read_bytes().splitlines() if secret in line]
    assert told, "the trace saw nothing of the key, so it proves nothing"
    files = [line[:200] for line in told if re.search(rb"(write|writev|pwrite64)\(\d+</", line)]
    assert files == []
