"""From a checkout to the first backup of five stores in two environments: the guide, word by word."""

from __future__ import annotations

from tests.lab import hosts
from tests.lab.guide import Guide
from tests.lab.hosts import told

SECRET = "-secret-of-the-lab"
VAULT = f"""---
vault_offsite: {{access_key_id: medisecure, secret_access_key: offsite{SECRET}}}
vault_documents: {{access_key_id: root, secret_access_key: root{SECRET}}}
vault_sessions: sessions{SECRET}
vault_sessions_dump: dumps{SECRET}
"""
PLACES = {  # what a reader changes
    "https://objects.example.org:9000": "http://s3:7070",
    "https://s3.example.net": "http://s3:7070",
    "region: eu-west-3": "region: us-east-1",
    "bucket: medisecure-backups": "bucket: lifeboat",
}
if not hosts.MONGODB:
    PLACES["      records: {type: mongodb, databases: [medisecure]}\n"] = ""


def test_the_example_is_copied_and_keys_are_made(guide: Guide) -> None:
    guide.at_controller("Copy the example")
    for number in range(2):
        guide.at_controller("Make the keys", number)
    assert (guide.place / "secrets/operator.key").stat().st_mode & 0o077 == 0


def test_what_is_secret_is_encrypted_before_it_is_committed(guide: Guide) -> None:
    variables = guide.place / "group_vars/medisecure"
    written = (variables / "backups.yml").read_text()
    for place, other in PLACES.items():
        assert place in written
        written = written.replace(place, other)
    (variables / "backups.yml").write_text(written)
    (variables / "vault.yml").write_text(VAULT)
    guide.at_controller("Say what is secret")
    committed = [one for one in guide.place.rglob("*") if one.is_file()]
    assert [one for one in committed if SECRET in one.read_text()] == []
    assert [one for one in committed if "AGE-SECRET-KEY-1" in one.read_text()] == []


def test_one_playbook_run_ends_with_a_proved_backup_of_each_host(guide: Guide) -> None:
    there = {"lifeboat.backup.site": "lifeboat.backup.site --limit staging,production"}
    shown = guide.at_controller("Provision", instead=there)  # med-dev is not in the lab
    assert SECRET not in shown
    for name in ("med-prod", "med-staging"):
        (first,) = told(name, "list", "medisecure")
        assert (first["good"], first["copies"]) == (True, {"disk": "intact", "offsite": "intact"})
        standing = hosts.lifeboat(name, "status", "medisecure")
        assert standing.returncode in (0, 1), standing.stdout
