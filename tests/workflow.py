# SPDX-License-Identifier: GPL-3.0-or-later
"""Do what a workflow's `run:` steps say, as GitHub's runner does: outcomes, outputs, conditions, environment.

Only as much of it as our workflows use. Whatever else stands in a step is refused, so that nothing is
passed over in silence.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

_EXPRESSION = re.compile(r"\$\{\{ *([^}]+?) *\}\}")
_COMPARED = re.compile(r"([\w.-]+) (==|!=) '([^']*)'")
_STEP = {"name", "id", "if", "env", "run", "timeout-minutes"}
_JOB = {
    *("runs-on", "timeout-minutes", "environment", "concurrency", "permissions"),
    *("defaults", "env", "outputs", "steps"),
}


@dataclass
class Ran:
    """How a job went. outcomes: {step's name: "success", "failure" or "skipped"}, in order."""

    outcomes: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)  # of the job
    log: str = ""  # all that was on the runner's screen
    summary: str = ""

    @property
    def status(self) -> str:
        return "failure" if "failure" in self.outcomes.values() else "success"


def run(
    workflow: Path, job: str, contexts: Mapping[str, Any], runner: Path, env: Mapping[str, str]
) -> Ran:
    """Run one job. `contexts`: {"vars": {…}, "secrets": {…}}; `runner`: its own empty directory."""
    described = yaml.safe_load(workflow.read_text())["jobs"][job]
    assert set(described) <= _JOB, set(described) - _JOB
    assert described["defaults"] == {"run": {"shell": "bash"}}
    ran, steps = Ran(), {}
    variables = {"RUNNER_TEMP": str(runner), "CI": "true", **env}
    for step in described["steps"]:
        assert set(step) <= _STEP, set(step) - _STEP
        known = {**contexts, "steps": steps, "job": {"status": ran.status}}
        outcome, told = "skipped", {}
        if _wanted(step.get("if", "success()"), known):
            own = {**described.get("env", {}), **step.get("env", {})}
            asked = {key: _filled(str(text), known) for key, text in own.items()}
            outcome, told = _shell(step["run"], {**variables, **asked}, runner, ran, variables)
        ran.outcomes[step["name"]] = outcome
        if "id" in step:
            steps[step["id"]] = {"outcome": outcome, "outputs": told}
    known = {**contexts, "steps": steps}
    ran.outputs = {key: _filled(text, known) for key, text in described["outputs"].items()}
    return ran


def _shell(
    script: str, env: Mapping[str, str], runner: Path, ran: Ran, lasting: dict[str, str]
) -> tuple[str, dict[str, str]]:
    """(outcome, outputs). What the step adds to PATH is in `lasting` for the next ones."""
    assert "${{" not in script, "an expression in a script is a way to inject commands: use env"
    files = {f"GITHUB_{one}": runner / one.lower() for one in ("OUTPUT", "PATH", "STEP_SUMMARY")}
    for path in files.values():
        path.write_text("")
    text = runner / "step.sh"
    text.write_text(script)
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(text)],
        env={**os.environ, **env, **{name: str(path) for name, path in files.items()}},
        cwd=runner,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    ran.log += done.stdout
    ran.summary += files["GITHUB_STEP_SUMMARY"].read_text()
    for folder in files["GITHUB_PATH"].read_text().splitlines():
        lasting["PATH"] = f"{folder}:{lasting.get('PATH') or os.environ['PATH']}"
    lines = files["GITHUB_OUTPUT"].read_text().splitlines()
    outputs = dict(line.split("=", 1) for line in lines)
    return ("failure" if done.returncode else "success"), outputs


def cancelled(workflow: Path, job: str, outcomes: Mapping[str, str]) -> list[str]:
    """The names of the steps that still run where a run is cancelled, or at its limit. outcomes: {id: …}."""
    steps = {id_: {"outcome": outcome} for id_, outcome in outcomes.items()}
    known = {"steps": steps, "job": {"status": "cancelled"}}
    described = yaml.safe_load(workflow.read_text())["jobs"][job]["steps"]
    return [one["name"] for one in described if _wanted(one.get("if", "success()"), known)]


def _wanted(condition: str, known: Mapping[str, Any]) -> bool:
    """Terms joined by &&. Without a word of its own about the status a step wants success."""
    status = known["job"]["status"]
    statuses = {
        "success()": status == "success",
        "failure()": status == "failure",
        "always()": True,
    }
    terms = condition.split(" && ")
    if not set(terms) & set(statuses):
        terms.append("success()")
    return all(statuses[one] if one in statuses else _holds(one, known) for one in terms)


def _holds(term: str, known: Mapping[str, Any]) -> bool:
    compared = _COMPARED.fullmatch(term)
    assert compared, f"this reader does not know {term!r}"
    name, how, value = compared.groups()
    return (_value(name, known) == value) == (how == "==")


def _filled(text: str, known: Mapping[str, Any]) -> str:
    return _EXPRESSION.sub(lambda found: _value(found.group(1), known), text)


def _value(name: str, known: Mapping[str, Any]) -> str:
    """Of a step that did not run, or set no such output: empty, as there. Any other name must be known."""
    first, *rest = name.split(".")
    found: Any = known[first]
    for word in rest:
        found = found.get(word, "") if first == "steps" and found != "" else found and found[word]
    return str(found)
