"""From a checkout to the first backup in three places: the guide, word by word."""

from __future__ import annotations

from testinfra.host import Host

from tests.lab.bolibana import EVERYWHERE, answers, upload
from tests.lab.guide import Guide
from tests.lab.hosts import told


def test_the_example_is_copied_and_keys_are_made(guide: Guide) -> None:
    guide.at_controller("Copy the example")
    guide.at_controller("Make the keys")
    opened = (guide.place / "keys/operator.secret.asc").read_text()
    (guide.home / "operator.secret.asc").write_text(opened)  # as the vault will show it
    guide.at_controller("Make the keys", 1)
    for name in ("operator.secret.asc", "drill.secret.asc", "signing"):
        assert (guide.place / "keys" / name).read_text().startswith("$ANSIBLE_VAULT"), name
    vault = guide.place / "group_vars/bolibana/vault.yml"
    assert vault.read_text().startswith("$ANSIBLE_VAULT")


def test_documents_are_uploaded_and_the_application_answers(web1: Host) -> None:
    for number, content in enumerate(("pages of gold", "pages of salt")):
        assert web1.file(upload(f"scan-{number}", content)).user == "bolibana"
    assert answers(4002)


def test_one_playbook_run_ends_with_a_backup_in_three_places(guide: Guide, web1: Host) -> None:
    guide.on_host("web1", "Plug the external disk in")
    guide.at_controller("Provision")
    assert told("web1", "list", "bolibana")[0]["copies"] == EVERYWHERE
    assert web1.file("/mnt/external").user == "lifeboat"


def test_what_the_example_has_for_the_host_is_installed(guide: Guide, web1: Host) -> None:
    guide.on_host("web1", "Provision", 1)
    assert web1.file("/etc/sudoers.d/bolibana").mode == 0o440
    assert "manual" in guide.on_host("web1", "Provision", 2, codes=(0, 1))
