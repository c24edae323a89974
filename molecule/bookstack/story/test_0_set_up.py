"""From a checkout to the first backup in the bucket: the guide, word by word."""

from __future__ import annotations

from tests.lab import users
from tests.lab.guide import Guide

FILLED_IN = {
    "AKIA…": "wiki",
    "secret: …": "secret: wiki-secret-of-the-lab",
    "root: …": "root: root1-secret-of-the-lab",
    "discord://…": "discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js",
}


def test_the_example_is_copied_and_keys_are_made(guide: Guide) -> None:
    guide.at_controller("The example")
    guide.at_controller("The keys")
    assert (guide.place / "keys/operator.key").stat().st_mode & 0o077 == 0


def test_what_is_secret_is_encrypted(guide: Guide) -> None:
    path = guide.place / "group_vars/wikis/vault.yml"
    text = path.read_text().replace("# vault", "vault")
    for placeholder, value in FILLED_IN.items():
        assert placeholder in text
        text = text.replace(placeholder, value)
    path.write_text(text)
    guide.at_controller("The secrets")
    assert path.read_text().startswith("$ANSIBLE_VAULT;")


def test_one_playbook_run_without_root_ends_with_a_proved_backup(guide: Guide) -> None:
    shown = guide.at_controller("Provision")
    assert "secret-of-the-lab" not in shown
    assert "JHMHI8qBe7bk2ZwO5U711o3dV_js" not in shown
    for host in ("wiki1", "wiki2"):
        (first,) = users.told(host, "wiki", "lifeboat list wiki --json")
        assert first["copies"] == {"offsite": "intact"}
