"""Run a role against this machine in user scope, below a temporary directory."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[3]
RECIPIENT = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"


@dataclass
class Ran:
    status: int
    output: str

    @property
    def unchanged(self) -> bool:
        return self.status == 0 and " changed=0 " in self.output


@dataclass
class Site:
    """An inventory of one group, and playbooks on it. `folder` holds all that is made."""

    folder: Path
    variables: dict[str, Any]
    hosts: list[str] = field(default_factory=lambda: ["here"])
    collections: str = ""  # a folder of others', beside ours

    @property
    def root(self) -> Path:
        return self.folder / "root"

    def run(
        self, roles: list[str], *words: str, wrapper: list[str] | None = None, **variables: Any
    ) -> Ran:
        """`variables` are those of the host, on top of the group's. `wrapper`: a command that runs the command."""
        play = {"hosts": "all", "gather_facts": False}
        play["roles"] = [f"lifeboat.backup.{role}" for role in roles]
        (self.folder / "play.yml").write_text(yaml.safe_dump([play]))
        host = {"ansible_connection": "local", **variables}
        inventory = {"all": {"hosts": dict.fromkeys(self.hosts, host), "vars": self.variables}}
        (self.folder / "inventory.yml").write_text(yaml.safe_dump(inventory))
        program = [*(wrapper or []), str(Path(sys.executable).parent / "ansible-playbook")]
        return self._ran([*program, "-i", "inventory.yml", "play.yml", *words])

    def make_key(self) -> Path:
        """A private key; archives are encrypted to it from now on."""
        key = self.folder / "operator.key"
        subprocess.run(["age-keygen", "-o", key], check=True, stderr=subprocess.DEVNULL)
        public = subprocess.run(["age-keygen", "-y", key], check=True, stdout=subprocess.PIPE)
        recipient = public.stdout.decode().strip()
        self.variables["lifeboat_encryption"] = {"age_recipients": [recipient]}
        return key

    def _ran(self, command: list[str]) -> Ran:
        done = subprocess.run(
            command,
            cwd=self.folder,
            env={
                **os.environ,
                "ANSIBLE_COLLECTIONS_PATH": f"{ROOT / '.cache' / 'import'}:{self.collections}",
                "ANSIBLE_HOME": str(self.folder / "ansible"),
                "ANSIBLE_NOCOLOR": "1",
                "ANSIBLE_PIPELINING": "1",
                "XDG_CONFIG_HOME": str(self.folder / "units"),
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
        )
        return Ran(done.returncode, " ".join(done.stdout.split()))


def job(folder: Path, *destinations: str) -> dict[str, Any]:
    return {
        "sources": {"etc": {"type": "files", "paths": [str(folder / "etc")]}},
        "destinations": list(destinations) or ["disk"],
        "schedule": "02:00",
    }
