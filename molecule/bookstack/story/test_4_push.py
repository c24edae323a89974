"""What is pushed to a repository is provisioned by the wiki's own host, by its user's systemd."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.lab import hosts, users
from tests.lab.guide import ROOT, Guide

ADDRESS = "https://git.example.org/wiki.git"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
SECRETS = ("secret-of-the-lab", "JHMHI8qBe7bk2ZwO5U711o3dV_js")

pytestmark = pytest.mark.skipif(
    "LIFEBOAT_NIGHTLY" not in os.environ, reason="the host gets an Ansible of its own"
)


def as_wiki(text: str) -> str:
    ran = users.on("wiki1", "wiki", text)
    assert ran.returncode == 0, ran.stdout[-2000:] + ran.stderr[-2000:]
    return ran.stdout


def bring(folder: Path, name: str) -> None:
    """Into the user's home, as that user's."""
    target = hosts.container("wiki1")
    subprocess.run(["podman", "cp", str(folder), f"{target}:/home/wiki/{name}"], check=True)
    assert hosts.on("wiki1", "chown", "-R", "wiki:", f"/home/wiki/{name}").returncode == 0


def repository(guide: Guide, folder: Path) -> Path:
    """What the reader of the guide commits, for this host; the lab's bucket in the place of AWS's."""
    shutil.copytree(
        guide.place, folder, ignore=shutil.ignore_patterns("keys", "vault.pass"), dirs_exist_ok=True
    )
    (folder / "hosts.yml").write_text("wikis: {hosts: {wiki1: }}\n")
    settings = folder / "group_vars/wikis/lifeboat.yml"
    variables = yaml.safe_load(settings.read_text())
    lab = yaml.safe_load((ROOT / "molecule/bookstack/inventory/group_vars/wikis.yml").read_text())
    offsite = {**lab["lifeboat_destinations"]["offsite"], "bucket": "acme-wiki-backups"}
    variables["lifeboat_destinations"] = {"offsite": offsite}
    keys = [guide.place / f"keys/{one}.pub" for one in ("operator", "escrow")]
    variables["lifeboat_encryption"] = {"age_recipients": [one.read_text().strip() for one in keys]}
    variables["lifeboat_jobs"]["wiki"]["schedule"] = "04:30"
    settings.write_text(yaml.safe_dump(variables))
    return folder


@pytest.fixture(scope="module")
def prepared(guide: Guide, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The host as the guide says, but that its Ansible and libraries come without an index."""
    made = tmp_path_factory.mktemp("push")
    version = as_wiki("python3 -c 'import sys; print(*sys.version_info[:2], sep=\".\")'").strip()
    wheels = CACHE / "lifeboat-dev" / f"ansible-for-{version}"
    if not wheels.exists():
        words = ("download", "-q", "--only-binary=:all:", "--python-version", version)
        pip = [sys.executable, "-m", "pip", *words, "-d", str(wheels), "ansible-core~=2.19.0"]
        subprocess.run(pip, check=True)
    bring(wheels, "wheels")
    build = [ROOT / "scripts/build", made / "dist"]  # other stories build, too
    built = subprocess.run(build, check=True, stdout=subprocess.PIPE, text=True)
    bring(Path(built.stdout.strip()), "lifeboat-backup-1.tar.gz")
    as_wiki("mkdir -p .cache/lifeboat")
    bring(CACHE / "lifeboat" / "vendor", ".cache/lifeboat/vendor")
    bring(guide.place / "vault.pass", ".vault-pass")
    bring(repository(guide, made / "desk"), "desk")
    as_wiki("chmod 0600 .vault-pass; python3 -m venv ansible")
    as_wiki("ansible/bin/pip install -q --no-index --find-links wheels ansible-core")
    as_wiki("ansible/bin/ansible-galaxy collection install --offline lifeboat-backup-1.tar.gz")
    as_wiki(
        "git init -q --bare -b main wiki.git; cd desk; git init -q -b main; git add --all;"
        "git -c user.name=wiki -c user.email=wiki@example.org commit -q -m first;"
        "git push -q ../wiki.git main"
    )
    units = made / "units"
    units.mkdir()
    for path in (ROOT / "examples/bookstack").glob("wiki-pull.*"):
        text = path.read_text().replace(ADDRESS, "/home/wiki/wiki.git")
        (units / path.name).write_text(text)
    bring(units, "units")
    as_wiki("cp units/* .config/systemd/user/; systemctl --user daemon-reload")


def test_the_users_systemd_provisions_what_was_pushed(prepared: None) -> None:
    timer = "lifeboat-run@wiki:daily.timer"
    assert "03:00" in as_wiki(f"systemctl --user show -P TimersCalendar {timer}")

    as_wiki("systemctl --user enable --now wiki-pull.timer; systemctl --user start wiki-pull")

    assert "04:30" in as_wiki(f"systemctl --user show -P TimersCalendar {timer}")
    assert as_wiki("systemctl --user show -P Result wiki-pull").strip() == "success"
    assert as_wiki("systemctl --user is-active wiki-pull.timer").strip() == "active"
    told = hosts.on("wiki1", "journalctl", "--no-pager", "_SYSTEMD_USER_UNIT=wiki-pull.service")
    assert "failed=0" in told.stdout
    assert not [one for one in SECRETS if one in told.stdout]
