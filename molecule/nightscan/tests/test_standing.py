"""The server that was bare is backed up from now on, under the name of the one that is gone."""

from __future__ import annotations

from testinfra.host import Host

from tests.lab.guide import Guide
from tests.lab.hosts import told

BOTH = {"disk": "intact", "offsite": "intact"}


def test_its_first_backups_are_good_everywhere(spare: Host) -> None:
    for job in ("nightscan", "system"):
        assert told("spare", "list", job)[0]["copies"] == BOTH
        assert spare.service(f"lifeboat-run@{job}:weekly.timer").is_enabled


def test_what_was_backed_up_before_the_loss_is_its_own(spare: Host) -> None:
    types = {one["type"] for one in told("spare", "list", "nightscan")}
    assert {"daily", "weekly", "predeploy", "manual"} <= types


def test_no_unit_has_failed(spare: Host) -> None:
    assert spare.check_output("systemctl list-units --failed --no-legend 'lifeboat*'") == ""


def test_the_private_key_of_the_operator_is_not_there(guide: Guide, spare: Host, key: str) -> None:
    def holding(line: str) -> list[str]:
        places = "/etc /var /run /tmp /srv /root /home /dev/shm"
        return str(spare.run(f"grep -rlaF --devices=skip -e '{line}' {places}").stdout).split()

    public = (guide.place / "keys" / "operator.asc").read_text()
    assert "/etc/lifeboat/config.json" in holding(
        public.splitlines()[4]
    )  # it looks where it should
    assert holding(key.splitlines()[-4]) == []
