"""From a checkout to the first backup in two places: the guide, word by word."""

from __future__ import annotations

from tests.lab.guide import Guide
from tests.lab.hosts import told


def test_the_example_is_copied_and_keys_are_made(guide: Guide) -> None:
    guide.at_controller("Copy the example")
    guide.at_controller("Make the keys")
    made = {path.name for path in (guide.place / "keys").iterdir()}
    ends = (".asc", ".secret.asc")
    pairs = {f"{who}{end}" for who in ("operator", "escrow", "drill") for end in ends}
    assert made == {*pairs, "fingerprints", "signing", "signing.pub"}


def test_what_is_secret_is_encrypted(guide: Guide) -> None:
    guide.at_controller("Keep the secrets secret")
    secret = [*(guide.place / "keys").glob("*.secret.asc"), guide.place / "keys/signing"]
    for path in [*secret, guide.place / "group_vars/nightscan/vault.yml"]:
        assert path.read_text().startswith("$ANSIBLE_VAULT;"), path
    assert len(secret) == 4


def test_one_playbook_run_ends_with_proved_backups_in_both_places(guide: Guide) -> None:
    shown = guide.at_controller("Provision the server")
    assert "night1-secret-of-the-lab" not in shown
    for job in ("nightscan", "system"):
        copies = [one["copies"] for one in told("night1", "list", job)]
        assert copies == [{"disk": "intact", "offsite": "intact"}]
