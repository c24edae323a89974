"""Drive a scenario's hosts from outside: what an operator types at the controller, or on a host as root."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import testinfra
import yaml
from testinfra.host import Host

PHRASE = "RESTORE PRODUCTION"
LOSE_MONGODB = "sh -c 'systemctl stop ferretdb && rm -rf /var/lib/private/ferretdb/* && systemctl start ferretdb'"
MONGODB = bool(
    os.environ.get("LIFEBOAT_FERRETDB")
)  # else the lab goes without: see scripts/molecule

Ran = subprocess.CompletedProcess[str]


def container(name: str) -> str:
    """What podman calls a host; each scenario has its own lab."""
    return f"{os.environ.get('LIFEBOAT_LAB', 'lifeboat')}-{name}"


def host(name: str) -> Host:
    """A host of the lab as testinfra sees it."""
    return testinfra.get_host(f"podman://{container(name)}")


def on(name: str, *words: str, stdin: str = "") -> Ran:
    """Run a program on a host, as root and without a terminal. What `stdin` says is in no list of processes."""
    argv = ["podman", "exec", "--interactive", container(name), *words]
    return run(argv, stdin)


def lifeboat(name: str, *words: str, stdin: str = "") -> Ran:
    """Type the command on a host: lifeboat("db", "list", "shop")."""
    return on(name, "lifeboat", *words, stdin=stdin)


def told(name: str, *words: str, stdin: str = "", exit_code: int = 0) -> Any:
    """The command's JSON result; it has to end with `exit_code`."""
    ran = lifeboat(name, *words, "--json", stdin=stdin)
    assert ran.returncode == exit_code, ran.stdout + ran.stderr
    return json.loads(ran.stdout)


def playbook(name: str, *words: str) -> Ran:
    """Run one of the collection's playbooks as a user of it does: playbook("site", "--check").

    Its stdout is all that is on the screen.
    """
    ran = run(["ansible-playbook", f"lifeboat.backup.{name}", *words, *inventories()])
    ran.stdout += ran.stderr
    return ran


def inventories() -> list[str]:
    """The inventories of the scenario, as options: what its molecule.yml gives to Ansible."""
    described = Path(os.environ["MOLECULE_SCENARIO_DIRECTORY"]) / "molecule.yml"
    words = yaml.safe_load(described.read_text())["ansible"]["executor"]["args"]["ansible_playbook"]
    return [os.path.expandvars(word) for word in words]


def said(ran: Ran) -> str:
    """All that a program said, without the line breaks that depend on a terminal's width."""
    return " ".join((ran.stdout + ran.stderr).split())


def changed(ran: Ran, name: str) -> int:
    """How many tasks changed a host in a run of a playbook that has to be without failure."""
    assert ran.returncode == 0, ran.stdout[-4000:]
    recap = re.search(rf"^{name} +: ok=\d+ +changed=(\d+) ", ran.stdout, re.MULTILINE)
    assert recap, ran.stdout[-4000:]
    return int(recap.group(1))


def watched(
    name: str,
    *words: str,
    secrets: list[str],
    stdin: str = "",
    command: tuple[str, ...] = ("lifeboat",),
) -> tuple[Ran, set[str]]:
    """Type the command on a host and look meanwhile at what everybody may see of every process.

    How it ended, and the programs that were seen. No process may show one of `secrets`.
    """
    asked = {"argv": [*command, *words], "stdin": stdin, "secrets": secrets}
    ran = on(name, "python3", "-c", _WATCH, stdin=json.dumps(asked))
    assert ran.returncode == 0, ran.stderr
    seen = json.loads(ran.stdout)
    assert seen["showing"] == []
    ended = subprocess.CompletedProcess(list(words), seen["status"], seen["out"], seen["err"])
    return ended, set(seen["programs"])


_WATCH = """
import json, pathlib, subprocess, sys, tempfile
asked = json.load(sys.stdin)
secrets = [secret.encode() for secret in asked["secrets"]]
with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
    given.write(asked["stdin"].encode())
    given.seek(0)
    run = subprocess.Popen(asked["argv"], stdin=given, stdout=out, stderr=err)
    programs, showing = set(), set()
    while run.poll() is None:
        for process in pathlib.Path("/proc").iterdir():
            try:
                words = (process / "cmdline").read_bytes()
            except OSError:
                continue
            programs.add(words.split(b"\\0")[0].rsplit(b"/", 1)[-1].decode(errors="replace"))
            if any(secret in words for secret in secrets):
                showing.add(words.decode(errors="replace"))
    texts = []
    for file in (out, err):
        file.seek(0)
        texts.append(file.read().decode(errors="replace"))
json.dump({"status": run.returncode, "out": texts[0], "err": texts[1], "showing": sorted(showing),
           "programs": sorted(programs)}, sys.stdout)
"""


def property_of(where: Host, unit: str, name: str) -> str:
    """What systemd says of a unit."""
    return str(where.check_output(f"systemctl show --value -p {name} '{unit}'"))


def reboot(name: str) -> None:
    """Boot a host anew, and wait until its boot is over."""
    for words in (("stop", "-t", "20"), ("start",)):
        ran = run(["podman", *words, container(name)])
        assert ran.returncode == 0, ran.stderr
    booted = ("systemctl", "is-system-running", "--wait")
    assert wait_for(lambda: on(name, *booted).stdout.strip() in ("running", "degraded"), 60)


def carry(name: str, path: str, to: str, target: str) -> None:
    """Copy a file from one host to another, as an operator's machine in between would."""
    with tempfile.TemporaryDirectory() as folder:
        between = f"{folder}/carried"
        for source, destination in (
            (f"{container(name)}:{path}", between),
            (between, f"{container(to)}:{target}"),
        ):
            ran = run(["podman", "cp", source, destination])
            assert ran.returncode == 0, ran.stderr


def wait_for(wanted: Callable[[], Any], timeout_s: float) -> Any:
    """The first result of `wanted` that is true, asked once a second; None when time is up."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        found = wanted()
        if found:
            return found
        time.sleep(1)
    return None


def run(
    argv: list[str], stdin: str = "", cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> Ran:
    """Run a program at the controller."""
    return subprocess.run(
        argv,
        cwd=cwd,
        env=env,
        input=stdin,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
        timeout=300,
    )
