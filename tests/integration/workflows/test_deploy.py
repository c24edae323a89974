# SPDX-License-Identifier: GPL-3.0-or-later
"""The workflow that is shipped does what it says: its very steps, over a real sshd, on a host of lifeboat's.

The application is a database and two programs of a few lines; the engine and the backups are real. The same
workflow runs on a host with systemd, sudo and five stores in molecule/medisecure.
"""

from __future__ import annotations

import getpass
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import workflow
from tests.integration.rescue.host import Host
from tests.lab import sftp

ROOT = Path(__file__).resolve().parents[3]
DEPLOY = ROOT / "examples/medisecure/.github/workflows/deploy.yml"
WORKFLOWS = sorted(ROOT.glob("examples/*/.github/workflows/*.yml"))
COMMIT = "0123456789abcdef0123456789abcdef01234567"
CODE_BACK, DATA_BACK = "Run the code of before again", "Put the data of before back"
WAY = "Make a way to the host"

# What the application brings: new code is a number in a file, and a migration of its database.
DEPLOYED = """#!{python}
import os, sqlite3, sys
code = {code!r}
if sys.argv[1] == "--back":
    if os.path.exists(code + ".before"):
        os.replace(code + ".before", code)
    raise SystemExit
os.replace(code, code + ".before")
open(code, "w").write(sys.argv[1])
database = sqlite3.connect({database!r})
{migration}
database.commit()
"""
WELL = "database.execute('alter table book add column isbn')"
BADLY = "database.execute('delete from book where id % 2')"
CUT_OFF = f"{BADLY}; database.commit(); raise SystemExit('the migration failed')"
HEALTH = """#!{python}
import sqlite3
(rows,) = sqlite3.connect({database!r}).execute("select count(*) from book").fetchone()
raise SystemExit(rows != 1000)
"""


class Reached(sftp.OpenSSH):
    """An sshd that lets whoever runs the tests log in, with `programs` before all others."""

    def __init__(self, folder: Path, programs: Path) -> None:
        super().__init__(folder)
        self.user = getpass.getuser()
        path = f"{programs}:{os.environ['PATH']}"
        with open(folder / "sshd_config", "a") as settings:
            settings.write(f'SetEnv "PATH={path}"\nPermitRootLogin prohibit-password\n')


class Deployment:
    """One host with the application, and what the workflow is told of it."""

    def __init__(self, base: Path, environment: str) -> None:
        self.base, self.host = base, Host(base)
        self.host.fill(1000)
        jobs = self.host.configuration["jobs"]
        jobs["medisecure"] = jobs.pop("shop")
        jobs["medisecure"]["restore"] = {
            "health": {"books": {"source": "db", "sql": "SELECT count(*) = 1000 FROM book"}},
            "health_timeout": "1s",
        }
        self.host.configuration["environment"] = environment
        self.host.configure()
        self.code = base / "code"
        self.code.write_text("before")
        self.programs = base / "bin"
        self.programs.mkdir()
        self.program("lifeboat", f"#!{sys.executable}\n{self.host.argv()[2]}")
        # nobody here may be asked for a password; on a real host it is the real one: molecule/medisecure
        self.program("sudo", '#!/bin/sh\nexec "$@"\n')
        self.program("medisecure-health", self.filled(HEALTH))

    def filled(self, text: str, migration: str = "") -> str:
        return text.format(
            python=sys.executable,
            code=str(self.code),
            database=str(self.host.database),
            migration=migration,
        )

    def program(self, name: str, text: str) -> None:
        (self.programs / name).write_text(text)
        (self.programs / name).chmod(0o755)

    def deploy(self, migration: str) -> workflow.Ran:
        self.program("medisecure-deploy", self.filled(DEPLOYED, migration))
        runner = self.base / "runner"
        runner.mkdir()
        with Reached(self.base / "sshd", self.programs) as sshd:
            contexts = {
                "vars": {
                    "TARGET": f"ssh://{sshd.user}@127.0.0.1:{sshd.port}",
                    "HOST": self.host.name,
                    "HOST_KEY": f"[127.0.0.1]:{sshd.port} {sshd.host_key}",
                },
                "secrets": {"DEPLOY_KEY": sshd.key.strip(), "RESTORE_KEY": self.key},
            }
            return workflow.run(DEPLOY, "deploy", contexts, runner, {"GITHUB_SHA": COMMIT})

    @property
    def key(self) -> str:
        return self.host.key.read_text().splitlines()[-1]

    def backups(self) -> list[dict[str, Any]]:
        return list(json.loads(self.host.lifeboat("list", "--json").stdout))

    def columns(self) -> int:
        words = [
            "sqlite3",
            str(self.host.database),
            "select count(*) from pragma_table_info('book')",
        ]
        return int(subprocess.run(words, check=True, capture_output=True).stdout)


@pytest.fixture
def deployment(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Deployment]:
    if sftp.missing("sshd"):
        pytest.skip(sftp.missing("sshd"))
    made = Deployment(tmp_path, getattr(request, "param", "production"))
    yield made
    made.host.lifeboat("confirm", "medisecure")
    assert made.host.left_over() == []


def test_a_deployment_that_works_stays_and_has_a_backup_of_before(deployment: Deployment) -> None:
    ran = deployment.deploy(WELL)

    assert ran.status == "success", ran.log
    assert [name for name, how in ran.outcomes.items() if how == "skipped"] == [
        CODE_BACK,
        DATA_BACK,
    ]
    (backup,) = deployment.backups()
    assert ran.outputs == {"backup": backup["id"]}
    assert (backup["type"], backup["tags"], backup["good"]) == ("predeploy", [COMMIT], True)
    assert deployment.columns() == 3
    assert deployment.code.read_text() == COMMIT
    assert backup["id"] in ran.summary


@pytest.mark.parametrize(
    ("deployment", "migration"),
    [("production", BADLY), ("staging", CUT_OFF)],
    ids=["it does not work", "it is cut off"],
    indirect=["deployment"],
)
def test_a_deployment_that_fails_leaves_the_code_and_the_data_of_before(
    deployment: Deployment, migration: str
) -> None:
    ran = deployment.deploy(migration)

    assert ran.status == "failure"  # it is told, although all is well again
    assert (ran.outcomes[CODE_BACK], ran.outcomes[DATA_BACK]) == ("success", "success"), ran.log
    assert deployment.host.rows() == 1000
    assert deployment.code.read_text() == "before"
    assert f"restored {ran.outputs['backup']}" in ran.log
    (past,) = json.loads(deployment.host.lifeboat("history", "--event", "restore", "--json").stdout)
    assert past["facts"]["reason"] == f"deployment of {COMMIT} failed"
    assert deployment.key not in ran.log
    assert "PRIVATE KEY" not in ran.log


@pytest.mark.parametrize(
    ("deploy", "back"), [("cancelled", True), ("success", True), ("skipped", False)]
)
def test_a_deployment_that_somebody_cancels_goes_back_too(deploy: str, back: bool) -> None:
    ended = ["Say how it ended"]
    wanted = [CODE_BACK, DATA_BACK, *ended] if back else ended
    assert workflow.cancelled(DEPLOY, "deploy", {"deploy": deploy}) == wanted


def test_without_a_good_backup_nothing_is_deployed(deployment: Deployment) -> None:
    deployment.host.configuration["jobs"]["medisecure"]["sources"]["gone"] = {
        "type": "files",
        "paths": [str(deployment.base / "gone")],
    }
    deployment.host.configure()

    ran = deployment.deploy(WELL)

    assert ran.status == "failure"
    done = {name: how for name, how in ran.outcomes.items() if how != "skipped"}
    assert done == {
        WAY: "success",
        "Back up before anything changes": "failure",
        "Say how it ended": "success",
    }
    assert deployment.code.read_text() == "before"
    assert deployment.columns() == 2


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_workflow_has_no_mistake_that_can_be_found_without_running_it(path: Path) -> None:
    built = subprocess.run([ROOT / "tests/lab/actionlint"], capture_output=True, text=True)
    if built.returncode:
        pytest.skip("actionlint is not built, and could not be")
    checked = subprocess.run([built.stdout.strip(), path], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr
