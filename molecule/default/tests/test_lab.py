"""The hosts are what the story believes them to be; otherwise its proofs would be worth nothing."""

from __future__ import annotations

from testinfra.host import Host


def test_postgresql_runs_with_its_default_cluster(db: Host) -> None:
    assert db.service("postgresql@" + _cluster(db)).is_running


def test_the_s3_server_answers_by_name(db: Host, fresh: Host) -> None:
    assert db.addr("s3").port(7070).is_reachable
    assert fresh.addr("s3").port(7070).is_reachable


def test_systemd_really_enforces_sandboxing(db: Host) -> None:
    written = db.run("systemd-run --quiet --wait --pipe -p ProtectSystem=strict touch /usr/x")
    assert written.rc != 0
    assert "Read-only file system" in written.stderr


def test_systemd_hands_over_credentials(db: Host) -> None:
    shown = db.run(
        "systemd-run --quiet --wait --pipe -p SetCredential=word:lifeboat "
        "-p DynamicUser=yes sh -c 'cat $CREDENTIALS_DIRECTORY/word'"
    )
    assert shown.stdout == "lifeboat"


def _cluster(host: Host) -> str:
    version, name = host.check_output("pg_lsclusters --no-header").split()[:2]
    return f"{version}-{name}"
