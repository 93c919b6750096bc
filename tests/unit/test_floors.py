"""The floors of the house: a module never imports from a higher one, and few may touch the outside world.

The table is that of docs/architecture.md. Imports inside functions count: laziness is no excuse.
Imports for type checkers do not: nothing happens there.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import orchestrator

if TYPE_CHECKING:
    from collections.abc import Collection

PACKAGE = Path(orchestrator.__file__).parent

FLOORS: dict[str, int] = {
    "__init__": 0,
    "errors": 0,
    "ci": 1,
    "definitions": 1,
    "facts": 1,
    "lint": 1,
    "plan": 2,
    "console": 3,
    "host": 3,
    "http": 3,
    "engines": 4,
    "assets": 5,
    "campaigns": 5,
    "images": 5,
    "packages": 5,
    "results": 5,
    "runs": 5,
    "submissions": 5,
    "operations": 6,
    "api": 7,
    "cli": 7,
    "commands": 7,
    "__main__": 7,
}
ALONE = frozenset(("harness", "power_client", "prepare", "serving"))
"""Runs inside images: imports nothing of the rest, and nothing of the rest imports it."""

OUTSIDE: dict[str, set[str]] = {
    "yaml": {"definitions"},
    "jinja2": {"ci", "plan", "results"},
    "pydantic": {"definitions"},
    "click": {"commands", "cli"},
    "rich": {"console", "commands"},
    "docker": {"engines"},
    "python_on_whales": {"engines"},
    "requests": {"engines", "http"},
    "urllib3": {"http"},
    "certifi": {"http"},
    "debian": {"assets", "definitions", "packages"},
    "re2": {"facts"},
    "tenacity": {"engines", "http"},
    "subprocess": {"host", "engines", "packages"},
    "socket": {"host", "engines"},
    "cyclonedx": {"images"},
    "packageurl": {"images"},
    "cryptography": {"images"},
    "mlperf_loadgen": set(),
    "onnxruntime": set(),
    "openvino": set(),
    "openvino_genai": set(),
    "xllamacpp": set(),
    "pocketsphinx": set(),
    "numpy": set(),
    "optuna": {"runs"},
    "duckdb": {"results"},
}
IMPURE = {
    *("subprocess", "socket", "ssl", "http", "urllib", "time", "datetime", "random", "secrets", "uuid"),
    *("tempfile", "shutil", "asyncio", "multiprocessing", "threading", "signal", "ctypes"),
}
PURE_TO = 2
"""Up to this floor the same inputs give the same values: no clock, no network, no process, no chance."""


def breaches(package: Path) -> list[str]:
    """Every import of a package that the table does not allow, as `room/module.py:line: what`."""
    found: list[str] = []
    for path in sorted(package.rglob("*.py")):
        if "_data" in path.relative_to(package).parts:
            continue
        room = path.relative_to(package).parts[0].removesuffix(".py")
        for line, name in imports(path):
            why = harness_breach(name) if room in ALONE else breach(room, name)
            if why:
                found.append(f"{path.relative_to(package)}:{line}: {why}")
    return found


def imports(path: Path, modules: Collection[str] = ()) -> list[tuple[int, str]]:
    """The absolute names that a module imports, anywhere but below `if TYPE_CHECKING`.

    ``modules`` are those known: a name that is imported from a package may be one of them.
    """
    names: list[tuple[int, str]] = []
    for node in import_nodes(path):
        if isinstance(node, ast.Import):
            names += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module == "orchestrator":
            names += [(node.lineno, f"orchestrator.{alias.name}") for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            module = node.module or ""
            found = {f"{module}.{alias.name}" for alias in node.names}
            names += [(node.lineno, name) for name in sorted({n if n in modules else module for n in found})]
        elif isinstance(node, ast.Call):
            names.append((node.lineno, node.args[0].value))
    return names


@cache
def import_nodes(path: Path) -> tuple[ast.Import | ast.ImportFrom | ast.Call, ...]:
    """The statements and calls of a module that import, read once for all tests; none for type checkers."""
    text = path.read_text(encoding="utf-8")
    calls = "import_module" in text or "__import__" in text  # else no expression needs to be looked into
    found: list[ast.Import | ast.ImportFrom | ast.Call] = []
    waiting: list[ast.AST] = [ast.parse(text)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            waiting += node.orelse
            continue
        if isinstance(node, (ast.Import, ast.ImportFrom)) or is_import_call(node):
            found.append(node)
        waiting += [child for child in ast.iter_child_nodes(node) if calls or not isinstance(child, ast.expr)]
    return tuple(sorted(found, key=lambda node: node.lineno))


def is_import_call(node: ast.AST) -> bool:
    """`import_module("a.b")` or `__import__("a.b")` with the name written out."""
    if not (isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant)):
        return False
    called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    return called in {"import_module", "__import__"} and isinstance(node.args[0].value, str)


def breach(room: str, name: str) -> str:
    """What is wrong with a room importing a module; '' where nothing is."""
    if room not in FLOORS:
        return f"`{room}` has no floor: give it one in test_floors.py and in docs/architecture.md"
    head, _, rest = name.partition(".")
    if head != "orchestrator":
        if room not in OUTSIDE.get(head, {room}):
            return f"{room} may not import {head}; only {', '.join(sorted(OUTSIDE[head])) or 'harness'} may"
        if head in IMPURE and FLOORS[room] <= PURE_TO and not name.startswith("urllib.parse"):
            return f"{room} is pure and may not import {head}"
        return ""
    other = rest.partition(".")[0]
    if room == "operations" and other == "console":
        return f"{room} may not import {name}: it prints nothing"
    if other in {"", "__version__"}:
        return ""
    if other not in FLOORS:
        return f"{room} may not import {name}: it has no floor"
    if FLOORS[other] > FLOORS[room]:
        return f"{room} (floor {FLOORS[room]}) imports {name} (floor {FLOORS[other]})"
    return ""


def harness_breach(name: str) -> str:
    """What the harness may not import: the rest of mlorch and its libraries, which no image has."""
    head = name.partition(".")[0]
    mine = {
        *("mlperf_loadgen", "onnxruntime", "openvino", "openvino_genai", "xllamacpp", "pocketsphinx", "numpy"),
        *("subprocess", "socket", "certifi"),
    }
    return f"the harness may not import {name}" if head == "orchestrator" or head in OUTSIDE.keys() - mine else ""


def test_the_house_keeps_its_floors():
    assert breaches(PACKAGE) == []


def test_the_table_of_floors_is_neither_stale_nor_short():
    rooms = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in PACKAGE.rglob("*.py")}
    assert rooms - {*ALONE, "_data"} == FLOORS.keys(), "a room without a floor, or a floor without a room"


def test_no_module_imports_itself_by_way_of_others():
    assert circles(module_imports(PACKAGE)) == []


def module_imports(package: Path) -> dict[str, set[str]]:
    """For every module of a package the modules of it that it imports, wherever in its text."""
    paths = [path for path in package.rglob("*.py") if "_data" not in path.relative_to(package).parts]
    modules = {module_name(path, package): path for path in paths}
    return {
        module: {name for _, name in imports(path, modules.keys()) if name in modules and name != module}
        for module, path in modules.items()
    }


def module_name(path: Path, package: Path) -> str:
    parts = path.relative_to(package.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """The circles of a graph of imports, each as its sorted members."""

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        waiting = [start]
        while waiting:
            for name in graph[waiting.pop()] - seen:
                seen.add(name)
                waiting.append(name)
        return seen

    reach = {module: reached(module) for module in graph}
    inside = {module for module in graph if module in reach[module]}
    return [list(found) for found in sorted({tuple(sorted(m for m in reach[n] if n in reach[m])) for n in inside})]


@pytest.mark.parametrize(
    ("place", "text", "words"),
    [
        ("plan/x.py", "import orchestrator.engines.docker", "plan (floor 2) imports orchestrator.engines.docker"),
        ("facts/x.py", "def f():\n    from orchestrator import host", "facts (floor 1) imports orchestrator.host"),
        ("plan/build/render.py", "def f():\n    import docker", "plan may not import docker"),
        ("definitions/x.py", "def f():\n    import jinja2.sandbox", "definitions may not import jinja2"),
        ("plan/x.py", "import yaml", "plan may not import yaml"),
        ("runs/x.py", "from subprocess import run", "runs may not import subprocess"),
        ("plan/x.py", "def f():\n    import time", "plan is pure"),
        (
            "facts/x.py",
            "from importlib import import_module\nimport_module('orchestrator.plan.build')",
            "facts (floor 1) imports orchestrator.plan.build (floor 2)",
        ),
        ("operations/x.py", "import click", "operations may not import click"),
        ("operations/x.py", "from orchestrator import console", "operations may not import orchestrator.console"),
        ("operations/x.py", "def f():\n    from orchestrator.commands import run", "imports orchestrator.commands"),
        ("harness/run.py", "from orchestrator.errors import MlorchError", "the harness may not import"),
        ("harness/run.py", "def f():\n    import pydantic", "the harness may not import pydantic"),
        ("commands/x.py", "import onnxruntime", "commands may not import onnxruntime"),
        ("commands/x.py", "from orchestrator.harness import cli", "it has no floor"),
        ("attic/x.py", "import json", "`attic` has no floor"),
    ],
)
def test_a_planted_breach_is_caught(tmp_path, place, text, words):
    path = tmp_path / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    (found,) = breaches(tmp_path)
    assert words in found


def test_a_planted_circle_is_caught(tmp_path):
    package = tmp_path / "orchestrator"
    package.mkdir()
    (package / "one.py").write_text("def f():\n    from orchestrator.two import g\n")
    (package / "two.py").write_text("from orchestrator import one\n")
    assert circles(module_imports(package)) == [["orchestrator.one", "orchestrator.two"]]


@pytest.mark.parametrize("guard", ["TYPE_CHECKING = False\n", "from typing import TYPE_CHECKING\n"])
def test_what_is_allowed_is_not_caught(tmp_path, guard):
    (tmp_path / "plan").mkdir()
    (tmp_path / "plan" / "x.py").write_text(
        guard + "if TYPE_CHECKING:\n    from orchestrator.engines import Engine\n"
        "from orchestrator import __version__\nfrom orchestrator.facts import runs\nimport json\n"
    )
    assert breaches(tmp_path) == []
