"""Run the stages of the tests, count what each says, and end with one line about all of them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from nightly_record import record

ROOT = Path(__file__).resolve().parent.parent
BIN = ROOT / ".venv" / "bin"
REPORTS = ROOT / ".cache" / "reports"
SUITES = ("bookworm", "trixie")
RESULTS: list[tuple[str, str, float]] = []  # what ran, how it went, seconds
JUDGES = ("sanity", "lint", "changelog", "docs")
AT_NIGHT = ("importer",)  # what the others say, once more, as Galaxy asks it
TOGETHER = 3  # stories side by side on two cores
PATIENCE = "3"  # by what their minutes are then multiplied


@dataclass
class Count:
    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def add(self, other: Count) -> None:
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped

    def __str__(self) -> str:
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def lint(nightly: bool) -> Iterator[Count]:
    yield check("ruff", BIN / "ruff", "check")
    yield check("ruff format", BIN / "ruff", "format", "--check")
    if (ROOT / "plugins" / "module_utils" / "engine").is_dir():
        yield check("mypy", BIN / "mypy")
    yield check_shell()


def unit(nightly: bool) -> Iterator[Count]:
    yield pytest("unit")


def integration(nightly: bool) -> Iterator[Count]:
    if nightly:
        for server in NEWER:
            yield from newer(server)
    for part in sorted(PARTS) or [""]:
        yield pytest(os.path.join("integration", part).rstrip("/"))


def judges(nightly: bool) -> Iterator[Count]:
    for judge in JUDGES + (AT_NIGHT if nightly else ()):
        yield check(f"judge {judge}", ROOT / "scripts" / "judges", judge, at_once=False)


def molecule(nightly: bool) -> Iterator[Count]:
    """Several stories at once, for they mostly wait; what each says is printed when it has ended."""
    why_not = cannot_boot_hosts()
    stories = stories_of(nightly)
    if why_not:
        for scenario, suite in stories:
            yield skip(f"molecule:{scenario} on {suite}", why_not)
        return
    if any(is_with_mongodb(scenario) for scenario, _suite in stories):
        yield from mongodb()
    patience = "LIFEBOAT_PATIENCE=" + os.environ.get("LIFEBOAT_PATIENCE", PATIENCE)

    def told(story: tuple[str, str]) -> Count:
        scenario, suite = story
        command = ("env", patience, ROOT / "scripts" / "molecule", scenario, suite)
        return check(f"molecule:{scenario} on {suite}", *command, at_once=False)

    with ThreadPoolExecutor(TOGETHER) as pool:
        yield from pool.map(told, stories)


def is_with_mongodb(scenario: str) -> bool:
    steps = ROOT / "molecule" / scenario / "prepare.yml"
    return steps.exists() and "LIFEBOAT_FERRETDB" in steps.read_text(encoding="utf-8")


def mongodb() -> Iterator[Count]:
    """A skip, where the stories will go without it."""
    for program in ("ferretdb", "mongo-tools"):
        script = ROOT / "tests" / "lab" / program
        if subprocess.run([script], capture_output=True, check=False).returncode:
            yield skip("molecule:mongodb", f"{program} cannot be built: stories go without it")
            return


def stories_of(nightly: bool) -> list[tuple[str, str]]:
    """(scenario, Debian release) by release, for a scenario's hosts have names; the longest first."""
    found = [
        (suite, -int((scenario / "budget").read_text()), scenario.name)
        for scenario in (path.parent for path in ROOT.glob("molecule/*/molecule.yml"))
        for suite in (SUITES if nightly else suites_of(scenario))
        if not ONLY or ONLY & {scenario.name, f"{scenario.name}:{suite}"}
    ]
    return [(name, suite) for suite, _budget, name in sorted(found)]


ONLY: set[str] = set()  # scenarios, or SCENARIO:SUITE, where some were named
PARTS: set[str] = set()  # folders of tests/integration, likewise
# Servers that this release does not have: the variable that tells the tests of one, and what it holds.
NEWER = {
    "mysql": ("LIFEBOAT_TEST_MYSQLD", "{}/mysqld"),
    "valkey": ("PATH", "{}" + os.pathsep + os.environ.get("PATH", os.defpath)),
    "postgresql": ("LIFEBOAT_TEST_POSTGRESQL", "{}"),
}
NOT_TO_BE_HAD = 75


STAGES: dict[str, Callable[[bool], Iterator[Count]]] = {
    "lint": lint,
    "unit": unit,
    "integration": integration,
    "judges": judges,
    "molecule": molecule,
}
# come last, side by side: the stories leave a quarter of two cores idle
BESIDE = ("judges", "molecule")


def suites_of(scenario: Path) -> list[str]:
    """The Debian releases of an ordinary run: the scenario's file `suites`, or the oldest one."""
    listed = scenario / "suites"
    return listed.read_text().split() if listed.exists() else [SUITES[0]]


def check(name: str, *command: str | Path, at_once: bool = True) -> Count:
    """One command is one test: it passed when it exited 0. What it says is printed at once, or in one piece."""
    started = time.monotonic()
    print(f"--- {name}", flush=True)
    done = subprocess.run(
        [str(word) for word in command],
        cwd=ROOT,
        check=False,
        text=True,
        errors="replace",
        stdout=None if at_once else subprocess.PIPE,
        stderr=None if at_once else subprocess.STDOUT,
    )
    status = done.returncode
    verdict = "passed" if status == 0 else f"FAILED with status {status}"
    took = f"{name}: {verdict} in {time.monotonic() - started:.0f} s"
    print((done.stdout or "") + took, flush=True)
    RESULTS.append((name, verdict, time.monotonic() - started))
    return Count(passed=1) if status == 0 else Count(failed=1)


def newer(server: str) -> Iterator[Count]:
    """Fetch one, unless it is named already; the tests skip what is not to be had."""
    variable, value = NEWER[server]
    if variable != "PATH" and os.environ.get(variable):
        return
    script = ROOT / "tests" / "lab" / "sid"
    done = subprocess.run([script, server], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode == 0:
        os.environ[variable] = value.format(done.stdout.strip())
    elif done.returncode == NOT_TO_BE_HAD:
        yield skip(f"{server} of Debian sid", "it cannot be had here")
    else:
        print(f"{server} of Debian sid: FAILED with status {done.returncode}", flush=True)
        yield Count(failed=1)


def check_shell() -> Count:
    if shutil.which("shellcheck") is None:
        return skip("lint:shellcheck", "shellcheck is not installed")
    return check("shellcheck", "shellcheck", "-x", "-P", "SCRIPTDIR", *shell_scripts())


def shell_scripts() -> list[Path]:
    """Every file of ours that starts as a shell script."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout.split("\0")
    paths = [ROOT / name for name in listed if name]
    return [path for path in paths if path.is_file() and _is_shell(path)]


def _is_shell(path: Path) -> bool:
    with open(path, "rb") as opened:
        first = opened.readline(80)
    return re.match(rb"#!.*\b(ba|da)?sh\b", first) is not None


def pytest(name: str) -> Count:
    folder = ROOT / "tests" / name
    print(f"--- {name}", flush=True)
    if not folder.is_dir():
        print(f"{name}: there are no such tests", flush=True)
        return Count()
    REPORTS.mkdir(parents=True, exist_ok=True)
    report = REPORTS / f"{name.replace('/', '-')}.xml"
    report.unlink(missing_ok=True)
    started = time.monotonic()
    command = [BIN / "python", "-m", "pytest", folder, "-n3", "-q", f"--junit-xml={report}"]
    status = subprocess.run([str(word) for word in command], cwd=ROOT, check=False).returncode
    count = read_report(report)
    if status != 0 and count.failed == 0:
        count.failed = 1  # it ended before, after or beside its tests; unlisted skips end here too
    RESULTS.append((f"tests/{name}", str(count), time.monotonic() - started))
    return count


def read_report(report: Path) -> Count:
    count = Count()
    if not report.exists():
        return count
    for suite in ElementTree.parse(report).getroot().iter("testsuite"):
        total, skipped = int(suite.get("tests", 0)), int(suite.get("skipped", 0))
        failed = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        count.add(Count(max(total - failed - skipped, 0), failed, skipped))
    return count


def skip(name: str, why: str) -> Count:
    """Say what could not be run; where CI is set that is a failure unless tests/skips.txt lists it."""
    print(f"{name}: skipped, {why}", flush=True)
    if os.environ.get("CI") and not is_listed(name):
        print(f"{name}: FAILED, tests/skips.txt does not list this skip", flush=True)
        return Count(failed=1)
    return Count(skipped=1)


def is_listed(name: str) -> bool:
    lines = (ROOT / "tests" / "skips.txt").read_text(encoding="utf-8").splitlines()
    patterns = [line.split(" -- ")[0] for line in lines if line.strip() and line[0] != "#"]
    return any(
        re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), name) for pattern in patterns
    )


def choose_s3() -> None:
    """Which S3 server the tests start, asked once for all of them: see tests/lab/s3.py."""
    if "LIFEBOAT_TEST_S3" not in os.environ:
        built = subprocess.run([ROOT / "tests/lab/versitygw"], capture_output=True, check=False)
        os.environ["LIFEBOAT_TEST_S3"] = "radosgw" if built.returncode else "versitygw"
        print(f"the S3 server of the tests is {os.environ['LIFEBOAT_TEST_S3']}", flush=True)


def cannot_boot_hosts() -> str | None:
    """Why this machine cannot run systemd hosts in containers, or None."""
    missing = [name for name in ("podman", "mmdebstrap") if shutil.which(name) is None]
    if missing:
        return f"{' and '.join(missing)} not installed"
    if subprocess.run([ROOT / "tests" / "lab" / "go"], capture_output=True, check=False).returncode:
        return "there is no Go of 1.21 or newer to build the S3 server with"
    if os.geteuid() != 0:
        return "hosts with their own network and systemd need root"
    return None


def stage(name: str, nightly: bool) -> tuple[str, Count, float]:
    """(its name, what was counted, the seconds that it took)"""
    started, count = time.monotonic(), Count()
    try:
        for part in STAGES[name](nightly):
            count.add(part)
    except Exception as error:  # a stage that breaks must not hide the others
        print(f"{name}: FAILED, {error!r}", flush=True)
        count.add(Count(failed=1))
    return name, count, time.monotonic() - started


def main(words: list[str]) -> int:
    nightly = "--nightly" in words
    names = [word for word in words if word != "--nightly"] or list(STAGES)
    ONLY.update(name.partition(":")[2] for name in names if name.startswith("molecule:"))
    PARTS.update(name.partition(":")[2] for name in names if name.startswith("integration:"))
    named = re.compile(r"(molecule|integration):.*")
    names = list(dict.fromkeys(named.sub(r"\1", name) for name in names))
    unknown = [name for name in names if name not in STAGES]
    if unknown:
        print(f"no such stage: {', '.join(unknown)} (there are {', '.join(STAGES)})")
        return 2
    if nightly:
        os.environ["LIFEBOAT_NIGHTLY"] = "yes"
    if {"integration", "molecule"} & set(names):
        choose_s3()
    total, report = Count(), []
    told = [stage(name, nightly) for name in names if name not in BESIDE]
    with ThreadPoolExecutor(len(BESIDE)) as pool:
        beside = [name for name in names if name in BESIDE]
        told += pool.map(stage, beside, [nightly] * len(beside))
    for name, count, seconds in told:
        total.add(count)
        report.append(f"  {name:<12} {count} in {seconds:.0f} s")
    print("\n".join(["", "stages", *report, ""]))
    if nightly:
        record(ROOT / "docs" / "nightly.md", RESULTS, datetime.now(timezone.utc).date())
    if total.passed + total.failed == 0:
        print("nothing was run")
        total.failed = 1
    print(f"lifeboat: {total}", flush=True)
    return 1 if total.failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
