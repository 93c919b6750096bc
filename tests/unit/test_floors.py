"""The floors of the house: a module never imports from a higher one, and few may touch the outside world.

The table is design.md's. Imports inside functions count: laziness is no excuse.
Imports for type checkers do not: nothing happens there.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import orchestrator

PACKAGE = Path(orchestrator.__file__).parent

FLOORS: dict[str, int] = {
    "__init__": 0,
    "errors": 0,
    "source": 1,
    "model": 1,
    "signature": 1,
    "lint": 1,
    "ci": 1,
    "catalog": 2,
    "settings": 2,
    "content": 3,
    "lock": 3,
    "render": 3,
    "resolve": 3,
    "layers": 4,
    "plan": 4,
    "plan_choice": 4,
    "plan_devices": 4,
    "plan_host": 4,
    "plan_rights": 4,
    "plan_run": 4,
    "plan_settings": 4,
    "console": 5,
    "system": 5,
    "assets": 6,
    "engines": 6,
    "launchers": 6,
    "registries": 6,
    "supply": 6,
    "bundle": 7,
    "tuning": 6,
    "campaign": 7,
    "compiled": 7,
    "execute": 7,
    "results": 7,
    "api": 8,
    "cli": 8,
    "commands": 8,
    "__main__": 9,
}
ALONE = "harness"
"""Runs inside images: imports nothing of the rest, and nothing of the rest imports it."""

OUTSIDE: dict[str, set[str]] = {
    "yaml": {"source", "lock"},
    "jinja2": {"render"},
    "pydantic": {"source", "model", "catalog"},
    "click": {"commands", "cli"},
    "rich": {"console", "commands"},
    "docker": {"engines"},
    "python_on_whales": {"engines"},
    "requests": {"engines", "registries"},
    "debian": {"assets", "lock"},
    "tenacity": {"engines", "launchers", "assets", "registries"},
    "subprocess": {"system", "engines", "launchers", "assets"},
    "socket": {"system", "engines"},
    "cyclonedx": {"supply"},
    "packageurl": {"supply"},
    "cryptography": {"supply"},
    "mlperf_loadgen": set(),
    "onnxruntime": set(),
    "openvino": set(),
    "numpy": set(),
}
IMPURE = {
    *("subprocess", "socket", "ssl", "http", "urllib", "time", "datetime", "random", "secrets", "uuid"),
    *("tempfile", "shutil", "asyncio", "multiprocessing", "threading", "signal", "ctypes"),
}
PURE_TO = 4
"""Up to this floor the same inputs give the same values: no clock, no network, no process, no chance."""


def breaches(package: Path) -> list[str]:
    """Every import of a package that the table does not allow, as `room/module.py:line: what`."""
    found: list[str] = []
    for path in sorted(package.rglob("*.py")):
        if "_data" in path.relative_to(package).parts:
            continue
        room = path.relative_to(package).parts[0].removesuffix(".py")
        for line, name in imports(path):
            why = harness_breach(name) if room == ALONE else breach(room, name)
            if why:
                found.append(f"{path.relative_to(package)}:{line}: {why}")
    return found


def imports(path: Path) -> list[tuple[int, str]]:
    """The absolute names that a module imports, anywhere but below `if TYPE_CHECKING`."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for statement in node.body
        for inner in ast.walk(statement)
    }
    names: list[tuple[int, str]] = []
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            names += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module == "orchestrator":
            names += [(node.lineno, f"orchestrator.{alias.name}") for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.append((node.lineno, node.module or ""))
        elif is_import_call(node):
            names.append((node.lineno, node.args[0].value))
    return names


def is_import_call(node: ast.AST) -> bool:
    """`import_module("a.b")` or `__import__("a.b")` with the name written out."""
    if not (isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant)):
        return False
    called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    return called in {"import_module", "__import__"} and isinstance(node.args[0].value, str)


def breach(room: str, name: str) -> str:
    """What is wrong with a room importing a module; '' where nothing is."""
    if room not in FLOORS:
        return f"`{room}` has no floor: give it one in test_floors.py and in design.md"
    head, _, rest = name.partition(".")
    if head != "orchestrator":
        if room not in OUTSIDE.get(head, {room}):
            return f"{room} may not import {head}; only {', '.join(sorted(OUTSIDE[head])) or 'harness'} may"
        if head in IMPURE and FLOORS[room] <= PURE_TO:
            return f"{room} is pure and may not import {head}"
        return ""
    other = rest.partition(".")[0]
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
    mine = {"mlperf_loadgen", "onnxruntime", "openvino", "numpy", "subprocess", "socket"}
    return f"the harness may not import {name}" if head == "orchestrator" or head in OUTSIDE.keys() - mine else ""


def test_the_house_keeps_its_floors():
    assert breaches(PACKAGE) == []


def test_every_room_has_a_floor():
    rooms = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in PACKAGE.rglob("*.py")}
    assert rooms - FLOORS.keys() - {ALONE, "_data"} == set()


@pytest.mark.parametrize(
    ("place", "text", "words"),
    [
        ("plan.py", "import orchestrator.engines.docker", "plan (floor 4) imports orchestrator.engines.docker"),
        (
            "resolve.py",
            "def f():\n    from orchestrator import system",
            "resolve (floor 3) imports orchestrator.system",
        ),
        ("render.py", "def f():\n    import docker", "render may not import docker"),
        ("catalog/x.py", "def f():\n    import jinja2.sandbox", "catalog may not import jinja2"),
        ("catalog/x.py", "import yaml", "catalog may not import yaml"),
        ("execute/x.py", "from subprocess import run", "execute may not import subprocess"),
        ("content.py", "def f():\n    import time", "content is pure"),
        ("model/x.py", "from importlib import import_module\nimport_module('orchestrator.plan')", "model (floor 1)"),
        ("harness/run.py", "from orchestrator.errors import MlorchError", "the harness may not import"),
        ("harness/run.py", "def f():\n    import pydantic", "the harness may not import pydantic"),
        ("commands/x.py", "import onnxruntime", "commands may not import onnxruntime"),
        ("commands/x.py", "from orchestrator.harness import cli", "it has no floor"),
        ("cellar/x.py", "import json", "`cellar` has no floor"),
    ],
)
def test_a_planted_breach_is_caught(tmp_path, place, text, words):
    path = tmp_path / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    (found,) = breaches(tmp_path)
    assert words in found


def test_what_is_allowed_is_not_caught(tmp_path):
    (tmp_path / "plan.py").write_text(
        "TYPE_CHECKING = False\nif TYPE_CHECKING:\n    from orchestrator.engines import Engine\n"
        "from orchestrator import __version__\nfrom orchestrator.model import steps\nimport json\n"
    )
    assert breaches(tmp_path) == []
