"""The workflow, step by step, from the controller over SSH into staging: one deployment stays, one goes back."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from testinfra.host import Host

from tests import workflow
from tests.lab.guide import ROOT, Guide
from tests.lab.hosts import lifeboat, on, told

DEPLOY = ROOT / "examples/medisecure/.github/workflows/deploy.yml"
CODE_BACK, DATA_BACK = "Run the code of before again", "Put the data of before back"

Look = Callable[[str], dict[str, list[str]]]
Deploy = Callable[[str], workflow.Ran]


@pytest.fixture(scope="module")
def releases() -> dict[str, str]:
    """{"first", "good", "bad": a commit}"""
    made = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "releases"
    found: dict[str, str] = json.loads((made / "releases.json").read_text())
    found["key"] = (made / "deploy").read_text().strip()
    return found


@pytest.fixture(scope="module")
def deploy(
    staging: Host,
    guide: Guide,
    releases: dict[str, str],
    key: Callable[[str], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Deploy:
    guide.on_host("med-staging", "Deploy")
    address = staging.check_output("hostname -I").split()[0]
    published = on("med-staging", "cat", "/etc/ssh/ssh_host_ed25519_key.pub").stdout.split()[:2]
    contexts: dict[str, Any] = {
        "vars": {
            "TARGET": f"deploy@{address}",
            "HOST": "med-staging",
            "HOST_KEY": " ".join([address, *published]),
        },
        "secrets": {"DEPLOY_KEY": releases["key"], "RESTORE_KEY": key("pipeline")},
    }

    def run(release: str) -> workflow.Ran:
        runner = tmp_path_factory.mktemp("runner")
        ran = workflow.run(DEPLOY, "deploy", contexts, runner, {"GITHUB_SHA": releases[release]})
        assert key("pipeline") not in ran.log + ran.summary
        return ran

    return run


def current(staging: Host) -> str:
    return Path(staging.check_output("readlink /srv/medisecure/current")).name


def test_a_deployment_that_works_stays_and_the_backup_before_it_is_named(
    staging: Host, deploy: Deploy, releases: dict[str, str]
) -> None:
    ran = deploy("good")
    assert ran.status == "success", ran.log
    assert [one for one, how in ran.outcomes.items() if how == "skipped"] == [CODE_BACK, DATA_BACK]
    assert current(staging) == releases["good"]
    made = next(
        one for one in told("med-staging", "list", "medisecure") if one["type"] == "predeploy"
    )
    assert (made["id"], made["tags"]) == (ran.outputs["backup"], [releases["good"]])


def test_a_deployment_that_breaks_it_goes_back_by_itself(
    staging: Host, deploy: Deploy, releases: dict[str, str], state: Look
) -> None:
    before = state("med-staging")
    ran = deploy("bad")
    assert ran.outcomes["Look whether it works"] == "failure", ran.log
    assert (ran.outcomes[CODE_BACK], ran.outcomes[DATA_BACK]) == ("success", "success"), ran.log
    assert ran.status == "failure"
    assert "going on in 5 s" in ran.log
    assert current(staging) == releases["good"]
    assert state("med-staging") == before
    assert staging.check_output("medisecure-health") == "5000"
    past = told("med-staging", "history", "medisecure", "--event", "restore")[-1]["facts"]
    assert (past["id"], past["reason"]) == (
        ran.outputs["backup"],
        f"deployment of {releases['bad']} failed",
    )
    assert lifeboat("med-staging", "confirm", "medisecure").returncode == 0


def test_the_login_of_the_pipeline_may_do_nothing_else(staging: Host) -> None:
    for words in (
        "cat /etc/shadow",
        "lifeboat prune medisecure --apply",
        "lifeboat undo medisecure",
        "lifeboat restore medisecure latest --from /tmp/own.tar --identity -",
        "lifeboat verify /tmp/own.tar",
        "lifeboat run medisecure --only patients",
    ):
        refused = staging.run(f"runuser -u deploy -- sudo -n {words}")
        assert refused.rc == 1, words
        assert "password is required" in refused.stderr


def test_nothing_of_the_guide_is_left(guide: Guide) -> None:
    assert guide.left() == []
