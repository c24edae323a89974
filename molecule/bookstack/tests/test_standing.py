"""After the story: all of it is the user's, closed to others, and stands well; nothing is root's."""

from __future__ import annotations

from collections.abc import Callable

from testinfra.host import Host

from tests.lab import users
from tests.lab.hosts import on

OURS = "/home/wiki/.config/lifeboat /home/wiki/.local/state/lifeboat"


def test_nothing_of_it_is_outside_the_users_home(wiki1: Host) -> None:
    places = "/etc /opt /usr /var /run -xdev"
    found = wiki1.run(f"find {places} -iname '*lifeboat*' ! -path '/run/user/*'").stdout.split()
    assert set(found) <= {"/usr/local/sbin/lifeboat-init"}  # the lab's own
    assert wiki1.check_output("find /home/wiki -name '*lifeboat*' ! -user wiki") == ""


def test_the_timers_run_without_a_login_and_as_nobody_else(wiki1: Host) -> None:
    assert wiki1.check_output("loginctl show-user wiki --property=Linger --value") == "yes"
    enabled = users.systemctl("wiki1", "wiki", "is-enabled", "lifeboat-run@wiki:daily.timer")
    assert enabled.stdout.strip() == "enabled"
    timers = on("wiki1", "systemctl", "list-timers", "--all", "--no-legend", "lifeboat*").stdout
    assert timers == ""


def test_files_are_closed_to_others_and_credentials_to_all_but_their_owner(wiki1: Host) -> None:
    assert wiki1.check_output(f"find {OURS} -maxdepth 0 -perm /0077") == ""
    assert wiki1.check_output(f"find {OURS} -type f -perm /0137") == ""  # 0640 or less
    assert wiki1.check_output(f"find {OURS} -type d -perm /0027") == ""  # 0750 or less
    credentials = wiki1.file("/home/wiki/.config/lifeboat/credentials").listdir()
    assert sorted(credentials) == ["wiki_db_root", "wiki_discord", "wiki_s3"]
    for name in credentials:
        assert wiki1.file(f"/home/wiki/.config/lifeboat/credentials/{name}").mode == 0o600


def test_nothing_temporary_is_left(wiki1: Host, sql: Callable[[str], str]) -> None:
    assert wiki1.check_output("find /home/wiki/.local/state/lifeboat/spool -type f") == ""
    assert [one for one in sql("SHOW DATABASES").split() if "lb" in one] == []
    volumes = users.on("wiki1", "wiki", "ls -A ~/.local/share/containers/storage/volumes/*/")
    assert volumes.stdout.split() == ["_data"]


def test_every_job_is_good(wiki1: Host) -> None:
    found = users.told("wiki1", "wiki", "lifeboat status --json")
    assert [one["state"] for one in found] == ["good"]


def test_what_a_power_cut_left_of_a_restore_is_settled_when_the_users_systemd_begins() -> None:
    unit = "lifeboat-recover.service"
    asked = users.systemctl("wiki1", "wiki", "show", "-P", "WantedBy", unit).stdout.strip()
    assert asked == "default.target"
    assert users.systemctl("wiki1", "wiki", "start", unit).returncode == 0
    told = users.systemctl("wiki1", "wiki", "show", "-P", "Result", unit).stdout.strip()
    assert told == "success"
