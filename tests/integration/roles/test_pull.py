"""GitOps with the files of examples/bookstack: what is pushed to a repository is provisioned by its own host."""

from __future__ import annotations

import configparser
import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.roles.inventory import ROOT, Site
from tests.typed import blocks

EXAMPLE = ROOT / "examples" / "bookstack"
GUIDE = ROOT / "docs" / "guides" / "bookstack.md"


class Host:
    """A home with the unit of the example in it, and the repository that its timer asks."""

    def __init__(self, site: Site) -> None:
        self.home = site.folder / "home"
        self.remote, self.desk = site.folder / "wiki.git", site.folder / "desk"
        self.home.mkdir()
        self.variables = {**site.variables, "backup_schedule_first_backup": False}
        self.variables["lifeboat_notify"] = {"ping": {"credential": "key"}}

    def env(self) -> dict[str, str]:
        kept = {name: text for name, text in os.environ.items() if not name.startswith("ANSIBLE_")}
        found = str(Path(sys.executable).parent)
        return {
            **kept,
            "HOME": str(self.home),
            "PATH": f"{found}:{os.environ['PATH']}",
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".cache" / "import"),
            "ANSIBLE_NOCOLOR": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_CONFIG_SYSTEM": "/dev/null",
        }

    def run(self, *words: str) -> str:
        done = subprocess.run(
            words,
            cwd=self.home,
            env=self.env(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-4000:]
        return done.stdout

    def git(self, *words: str) -> None:
        who = ("-c", "user.name=operator", "-c", "user.email=operator@example.org")
        self.run("git", "-C", str(self.desk), *who, *words)

    def begin(self) -> None:
        """The repository: the example, with variables of this test and an encrypted vault."""
        self.run("git", "init", "--quiet", "--bare", "--initial-branch=main", str(self.remote))
        shutil.copytree(EXAMPLE, self.desk)
        (self.desk / "hosts.yml").write_text(f"wikis: {{hosts: {{{socket.gethostname()}: }}}}\n")
        self.git("init", "--quiet", "--initial-branch=main")
        self.git("remote", "add", "origin", str(self.remote))
        (self.home / ".vault-pass").write_text("correct horse\n")
        (self.home / ".vault-pass").chmod(0o600)
        vault = self.desk / "group_vars/wikis/vault.yml"
        vault.write_text(yaml.safe_dump({"vault_key": "secret-in-the-vault"}))
        password = f"--vault-password-file={self.home / '.vault-pass'}"
        self.run("ansible-vault", "encrypt", password, str(vault))
        self.variables["lifeboat_credentials"] = {"key": "{{ vault_key }}"}

    def push(self) -> None:
        settings = self.desk / "group_vars/wikis/lifeboat.yml"
        settings.write_text(yaml.safe_dump(self.variables))
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message=change")
        self.git("push", "--quiet", "origin", "main")

    def pull(self) -> str:
        """What the unit of the example starts, with this repository's address."""
        unit = configparser.RawConfigParser(strict=False)
        unit.read_string((EXAMPLE / "wiki-pull.service").read_text().replace("\\\n", " "))
        command = unit["Service"]["ExecStart"].replace("%h", str(self.home))
        return self.run(
            *shlex.split(command.replace("https://git.example.org/wiki.git", str(self.remote)))
        )

    def config(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(
            (Path(self.variables["lifeboat_root"]) / "config/config.json").read_text()
        )
        return found


@pytest.fixture
def host(site: Site) -> Host:
    made = Host(site)
    made.begin()
    return made


def programs_of(host: Host) -> Path:
    return host.home / "ansible" / "bin"


def test_what_is_pushed_is_provisioned(host: Host) -> None:
    programs_of(host).mkdir(parents=True)
    for path in Path(sys.executable).parent.glob("ansible*"):
        (programs_of(host) / path.name).symlink_to(path)
    host.push()
    host.pull()
    assert host.config()["jobs"]["shop"]["schedule"] == "02:00"
    held = Path(host.variables["lifeboat_root"]) / "config/credentials/key"
    assert json.loads(held.read_text()) == "secret-in-the-vault"

    host.variables["lifeboat_jobs"]["shop"]["schedule"] = "04:30"
    host.push()
    told = host.pull()
    assert host.config()["jobs"]["shop"]["schedule"] == "04:30"
    assert "secret-in-the-vault" not in told


@pytest.mark.nightly  # it installs Ansible from the package index
def test_the_host_gets_its_own_ansible_as_the_guide_says(host: Host) -> None:
    tarball = subprocess.run(
        [ROOT / "scripts" / "build"], check=True, stdout=subprocess.PIPE, text=True
    )
    shutil.copy(tarball.stdout.strip(), host.home)
    (block,) = blocks(GUIDE.read_text(), "\n## By a push\n")
    host.run("bash", "-euo", "pipefail", "-c", block)
    host.push()
    host.pull()
    assert host.config()["jobs"]["shop"]["schedule"] == "02:00"
