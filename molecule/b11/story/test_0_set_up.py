"""From a checkout to the first backup at the shared host: the guide, word by word."""

from __future__ import annotations

from testinfra.host import Host

from tests.lab.guide import Guide
from tests.lab.hosts import on, told

MAIL = "mailto://mail.example.org:25?from=backup@b11.example.org&to=ops@b11.example.org"
TELEGRAM = "tgram://123456789:abcdefg_hijklmnop/12315544"


def test_the_example_is_copied_and_keys_are_made(guide: Guide) -> None:
    guide.at_controller("Copy the example")
    for number in range(3):
        guide.at_controller("Make the keys", number)
    assert (guide.place / "secrets/operator.key").stat().st_mode & 0o077 == 0


def test_the_shared_host_takes_the_key_and_shows_its_own(guide: Guide) -> None:
    public = (guide.place / "secrets/shared_key.pub").read_text()
    pasted = "umask 022; cat >/etc/ssh/keys/b11"
    assert on("shared", "sh", "-c", pasted, stdin=public).returncode == 0
    published = on("shared", "cat", "/etc/ssh/ssh_host_ed25519_key.pub").stdout.split()[:2]
    shown = guide.at_controller("Meet the shared host")
    assert " ".join(published) in shown
    (guide.place / "shared_host.pub").write_text(" ".join(published) + "\n")


def test_what_is_secret_is_encrypted_before_it_is_committed(guide: Guide) -> None:
    for name, url in (("mail", MAIL), ("telegram", TELEGRAM)):
        (guide.place / "secrets" / name).write_text(url + "\n")
    guide.at_controller("Say who is told")
    for path in (guide.place / "secrets").iterdir():
        assert path.suffix == ".pub" or path.read_text().startswith("$ANSIBLE_VAULT"), path


def test_one_playbook_run_ends_with_a_proved_backup_there(guide: Guide, db: Host) -> None:
    shown = guide.at_controller("Provision")
    assert "abcdefg_hijklmnop" not in shown
    assert [one["copies"] for one in told("db", "list", "production")] == [{"shared": "intact"}]
    assert db.file("/etc/lifeboat/database-restore.md").contains("# Runbook: backups of db")
    assert (guide.place / "db.md").read_text() == db.file(
        "/etc/lifeboat/database-restore.md"
    ).content_string
