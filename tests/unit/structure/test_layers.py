# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine keeps its shape: layers as its package docstring lists them, standard library, no door."""

from __future__ import annotations

import ast
import functools
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
ENGINE = ROOT / "plugins" / "module_utils" / "engine"
ADAPTERS = ("sources", "filters", "destinations", "notifiers", "metrics")
FILES = sorted(path.relative_to(ENGINE).as_posix() for path in ENGINE.rglob("*.py"))
MODULES = [name for name in FILES if not name.endswith("__init__.py")]
PLUGIN_FILES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("plugins/**/*.py"))


@functools.cache
def tree(path: Path) -> ast.Module:
    # feature_version refuses what Python 3.9 cannot read
    return ast.parse(path.read_text(encoding="utf-8"), str(path), feature_version=(3, 9))


def layers() -> dict[str, int]:
    """{"errors": 0, ..., "sources": 3, ...} from the package's own docstring."""
    text = ast.get_docstring(tree(ENGINE / "__init__.py")) or ""
    rows = re.findall(r"^ *(\d)  (\S+(?: \S+)*)", text, re.MULTILINE)
    return {name.rstrip("/"): int(number) for number, names in rows for name in names.split()}


LAYERS = layers()


def layer(name: str) -> int:
    return LAYERS[name.split("/")[0].removesuffix(".py")]


def folder(name: str) -> str:
    return name.rpartition("/")[0]


@functools.cache
def imports(name: str) -> tuple[str, ...]:
    """The engine files that one engine file imports, wherever in it (AnsiballZ looks there too)."""
    return tuple(_imports(name))


def _imports(name: str) -> Iterator[str]:
    for node in ast.walk(tree(ENGINE / name)):
        if not isinstance(node, ast.ImportFrom) or not node.level:
            continue
        base = (ENGINE / name).parent
        for _up in range(node.level - 1):
            base = base.parent
        inside = base.joinpath(*(node.module or "").split("."))
        for path in [inside.with_suffix(".py"), *(inside / (a.name + ".py") for a in node.names)]:
            if path.is_file():
                yield path.relative_to(ENGINE).as_posix()


@functools.cache
def reachable(*entries: str) -> set[str]:
    seen: set[str] = set()
    waiting = list(entries)
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += imports(name)
    return seen


def test_the_layers_are_read_from_the_docstring() -> None:
    assert LAYERS["errors"] == 0
    assert LAYERS["destinations"] == 3
    assert LAYERS["cli"] == 6


@pytest.mark.parametrize("name", MODULES)
def test_each_file_belongs_to_a_layer(name: str) -> None:
    assert name.split("/")[0].removesuffix(".py") in LAYERS, "list it in engine/__init__.py"


@pytest.mark.parametrize("name", MODULES)
def test_a_file_can_be_read_in_a_sitting(name: str) -> None:
    """100 to 250 lines are meant; what has grown to twice that answers two questions."""
    assert len((ENGINE / name).read_text(encoding="utf-8").splitlines()) <= 500


@pytest.mark.parametrize("name", MODULES)
def test_imports_never_go_up(name: str) -> None:
    assert [other for other in imports(name) if layer(other) > layer(name)] == []


@pytest.mark.parametrize("name", [name for name in MODULES if name.startswith(ADAPTERS)])
def test_adapters_never_import_another_kind(name: str) -> None:
    """A kind is a file or a package; what several use lies beside them, or in a package of no kind."""
    kinds = set(imports("registry.py"))
    packages = {folder(one) for one in kinds if "/" in folder(one)} - {folder(name)}
    foreign = [
        other
        for other in imports(name)
        if other.startswith(ADAPTERS)
        and (
            other in kinds or other.split("/")[0] != name.split("/")[0] or folder(other) in packages
        )
    ]
    assert foreign == []


@pytest.mark.parametrize("name", [name for name in MODULES if name.startswith("operations")])
def test_operations_never_import_adapters(name: str) -> None:
    assert [other for other in imports(name) if other.startswith(ADAPTERS)] == []


@pytest.mark.parametrize("name", [name for name in MODULES if name.startswith("operations")])
def test_an_operation_imports_no_package_below_its_own(name: str) -> None:
    """In the order of the docstring of operations/, which names every package."""
    said = ast.get_docstring(tree(ENGINE / "operations" / "__init__.py")) or ""
    order = re.findall(r"^ *(\w+) {2,}", said, re.MULTILINE)
    place = order.index(name.split("/")[1])
    others = [other.split("/")[1] for other in imports(name) if other.startswith("operations/")]
    assert [other for other in others if order.index(other) > place] == []


@pytest.mark.parametrize("name", FILES)
def test_imports_are_relative_or_of_the_standard_library(name: str) -> None:
    """At load: a library that an adapter needs is imported inside the function that needs it."""
    foreign = [
        module
        for module in _loaded_with(ENGINE / name)
        if module.split(".")[0] not in sys.stdlib_module_names
    ]
    assert foreign == []


def _loaded_with(path: Path) -> Iterator[str]:
    """Absolute imports that run when the file is loaded."""
    waiting: list[ast.AST] = [tree(path)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module or ""
        elif not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            waiting += ast.iter_child_nodes(node)


@pytest.mark.parametrize("name", FILES)
def test_nothing_of_ansible_is_imported_anywhere(name: str) -> None:
    named = [
        alias.name if isinstance(node, ast.Import) else node.module or ""
        for node in ast.walk(tree(ENGINE / name))
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
    ]
    assert [module for module in named if module.startswith("ansible")] == []


@pytest.mark.parametrize("name", [name for name in MODULES if name.startswith(ADAPTERS)])
def test_every_adapter_is_reachable_from_the_registry(name: str) -> None:
    assert name in reachable("registry.py")


@pytest.mark.parametrize("name", MODULES if "cli/main.py" in FILES else [])
def test_every_file_is_reachable_from_the_command(name: str) -> None:
    """AnsiballZ ships the static import closure, and nothing else."""
    assert name in reachable("cli/main.py")


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith("__init__.py")])
def test_packages_import_nothing(name: str) -> None:
    """A package that imports drags every sibling into each module's archive."""
    body = tree(ENGINE / name).body
    assert [node for node in body if isinstance(node, (ast.Import, ast.ImportFrom))] == []


@pytest.mark.parametrize("name", PLUGIN_FILES)
def test_plugins_never_print_assert_or_exit(name: str) -> None:
    found = []
    for node in ast.walk(tree(ROOT / name)):
        if isinstance(node, ast.Assert):
            found.append("line %d: assert" % node.lineno)
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called in ("print", "exit", "sys.exit", "os._exit") or called.endswith("urlopen"):
                found.append("line %d: %s" % (node.lineno, called))
    assert found == []


@pytest.mark.parametrize("name", PLUGIN_FILES)
def test_files_say_their_licence_and_what_they_are(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    head = text.splitlines()[:3]
    assert any("GPL-3.0-or-later" in line or "GNU General Public License" in line for line in head)
    assert "/modules/" in name or ast.get_docstring(ast.parse(text))


# Imports every engine file as a host does: no site-packages, and `ansible` blocked even so.
_IMPORT_ALL = """
import importlib, importlib.util, pathlib, sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "ansible":
            raise ImportError("the engine may not import " + name)

sys.meta_path.insert(0, Blocked())
engine = pathlib.Path(sys.argv[1])
spec = importlib.util.spec_from_file_location(
    "lifeboat", str(engine / "__init__.py"), submodule_search_locations=[str(engine)])
sys.modules["lifeboat"] = package = importlib.util.module_from_spec(spec)
spec.loader.exec_module(package)
for path in sorted(engine.rglob("*.py")):
    parts = path.relative_to(engine).with_suffix("").parts
    if parts[-1] not in ("__init__", "__main__"):
        importlib.import_module(".".join(("lifeboat",) + parts))
print(len(sys.modules))
"""


def _import_all(python: str) -> None:
    done = subprocess.run(
        [python, "-I", "-S", "-B", "-c", _IMPORT_ALL, str(ENGINE)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > len(MODULES)


def test_the_engine_loads_without_ansible_and_without_libraries() -> None:
    _import_all(sys.executable)


def _python_3_9() -> str | None:
    """A Python 3.9 that really runs (a pyenv shim may be there and not)."""
    installed = sorted(Path.home().glob(".pyenv/versions/3.9*/bin/python3.9"))
    for candidate in [shutil.which("python3.9"), *map(str, installed)]:
        if candidate is None:
            continue
        asked = subprocess.run([candidate, "-V"], capture_output=True, text=True, check=False)
        if asked.stdout.startswith("Python 3.9"):
            return candidate
    return None


def test_the_engine_loads_under_python_3_9() -> None:
    python = _python_3_9()
    if python is None:
        pytest.skip("no Python 3.9 on this machine")
    _import_all(python)
