"""Let tests import the product, and say which skips are allowed.

`lifeboat` is the engine, as on a host; `ansible_collections.lifeboat.backup` is the collection, as
a controller sees it; helpers are `tests.lab.s3` and the like. Where CI is set, a skip that
tests/skips.txt does not list is a failure.
"""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SKIPS = ROOT / "tests" / "skips.txt"


def _register_engine() -> None:
    folder = ROOT / "plugins" / "module_utils" / "engine"
    if "lifeboat" in sys.modules or not (folder / "__init__.py").exists():
        return
    spec = importlib.util.spec_from_file_location(
        "lifeboat", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None
    assert spec.loader is not None
    package = importlib.util.module_from_spec(spec)
    sys.modules["lifeboat"] = package
    spec.loader.exec_module(package)


def _register_collection() -> None:
    """A folder on sys.path in which ansible_collections/lifeboat/backup is this checkout."""
    top = ROOT / ".cache" / "import"
    link = top / "ansible_collections" / "lifeboat" / "backup"
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.exists():
        try:
            link.unlink(missing_ok=True)
            link.symlink_to(ROOT, target_is_directory=True)
        except FileExistsError:
            pass  # another worker was faster
    if str(top) not in sys.path:
        sys.path.insert(0, str(top))


_register_engine()
_register_collection()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """A door that ran in this process has left a narrow one; tests begin as a login does, in any order."""
    os.umask(0o022)


class _SkipList:
    """Compares skips with the list of allowed ones: `NODE ID -- REASON`, * matches anything."""

    def __init__(self) -> None:
        self.allowed = [
            re.compile(".*".join(re.escape(part) for part in line.split(" -- ")[0].split("*")))
            for line in SKIPS.read_text(encoding="utf-8").splitlines()
            if line.strip() and not line.startswith("#")
        ]
        self.unlisted: list[str] = []

    def see(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if not report.skipped or hasattr(report, "wasxfail"):
            return
        if not any(pattern.fullmatch(report.nodeid) for pattern in self.allowed):
            self.unlisted.append(report.nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.see(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self.see(report)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.unlisted and session.exitstatus in (pytest.ExitCode.OK, 5):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.unlisted:
            terminalreporter.section("skips that tests/skips.txt does not list", red=True)
            for node in self.unlisted:
                terminalreporter.line(node)


def pytest_configure(config: pytest.Config) -> None:
    is_worker = hasattr(config, "workerinput")
    if os.environ.get("CI") and not is_worker:
        config.pluginmanager.register(_SkipList(), "lifeboat-skips")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What takes minutes runs in `make nightly`, or when its file is named."""
    named = any(str(one).split("::")[0].endswith(".py") for one in config.args)
    late = [one for one in items if one.get_closest_marker("nightly")]
    if late and not named and "LIFEBOAT_NIGHTLY" not in os.environ:
        items[:] = [one for one in items if not one.get_closest_marker("nightly")]
        config.hook.pytest_deselected(items=late)
