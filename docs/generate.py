"""Writes docs/reference/: commands from click, the API from its docstrings, recipes from the JSON Schema, errors.

`make docs` runs this; a test compares what it would write with what is there.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from error_messages import RaisedError, raised

from orchestrator import api
from orchestrator.api import calls
from orchestrator.cli import COMMANDS, cli
from orchestrator.definitions.catalog import builtin_root, load
from orchestrator.definitions.catalog.load import load_chosen
from orchestrator.definitions.catalog.schema import SCHEMAS, schema
from orchestrator.definitions.kinds.recipes import KINDS
from orchestrator.definitions.variations import Change
from orchestrator.plan.build.frameworks import targets_by_choice, targets_of
from orchestrator.plan.build.planner import build_plans

if TYPE_CHECKING:
    from orchestrator.definitions.catalog import Catalog
    from orchestrator.definitions.kinds.benchmarks import Benchmark

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "docs" / "reference"
PACKAGE = ROOT / "orchestrator"
NOTE = "<!-- Written by `make docs`; do not edit. -->\n"


def pages() -> dict[str, str]:
    """Every generated page by its file name."""
    return {
        "cli.md": cli_page(),
        "api.md": api_page(),
        "recipes.md": recipes_page(),
        "coverage.md": coverage_page(),
        "errors.md": errors_page(),
    }


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A Markdown table; a bar in a cell is escaped."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


# -- commands ----------------------------------------------------------------------------


def cli_page() -> str:
    """Every command with its usage and options, in the order of `mlorch --help`."""
    context = click.Context(cli, info_name="mlorch")
    text = f"# Commands\n\n{NOTE}\n"
    text += "Every command takes `-h`. Exit codes and error slugs: [errors](errors.md).\n"
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None
        text += command_text(command, click.Context(command, info_name=name, parent=context))
    return text


def command_text(command: click.Command, context: click.Context) -> str:
    """One command, and the commands below it."""
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    text = f"\n## {context.command_path}\n\n```\n{usage}\n```\n\n{paragraphs(command.help or '')}\n"
    rows = []
    for option in command.get_params(context):
        record = option.get_help_record(context)
        if isinstance(option, click.Option) and record and option.name != "help":
            rows.append((f"`{record[0]}`", one_line(record[1])))
    if rows:
        text += "\n" + table(("option", "what it does"), rows)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            text += command_text(below, click.Context(below, info_name=name, parent=context))
    return text


def paragraphs(text: str) -> str:
    """A docstring's paragraphs, each on one line; lines that click keeps as they are stay a block."""
    parts = []
    for part in re.split(r"\n\s*\n", text.strip()):
        if part.startswith("\b"):
            parts.append("```\n" + part.removeprefix("\b").strip("\n") + "\n```")
        else:
            parts.append(one_line(part))
    return "\n\n".join(parts)


def one_line(text: str) -> str:
    """Text without its line breaks."""
    return " ".join(text.split())


# -- the API -----------------------------------------------------------------------------


def api_page() -> str:
    """Every function of the API with its signature and what it gives."""
    text = f"# The Python API\n\n{NOTE}\n{docstring(api)}\n"
    modules = [("api", api), *((f"api.{name}", part) for name, part in vars(api).items() if is_part(part))]
    for prefix, module in modules:
        for name, function in vars(module).items():
            if inspect.isfunction(function) and function.__module__ == module.__name__ and not name.startswith("_"):
                text += function_text(f"{prefix}.{name}", function)
    return text


def is_part(found: object) -> bool:
    """Whether this is a module of the API that has verbs of its own."""
    return inspect.ismodule(found) and found.__name__.startswith("orchestrator.api.") and found is not calls


def function_text(name: str, function: Any) -> str:
    """One function; what it gives stands in its docstring."""
    signature = inspect.signature(function)
    plain = signature.replace(
        parameters=[each.replace(annotation=inspect.Parameter.empty) for each in signature.parameters.values()],
        return_annotation=inspect.Signature.empty,
    )
    text = str(plain).replace("'", '"')  # as ruff, which formats Python in Markdown too, writes it
    return f"\n## {name}\n\n```python\n{name}{text}\n```\n\n{docstring(function)}\n"


def docstring(found: Any) -> str:
    """A docstring as Markdown: indented parts are code, `Raises:` is a list."""
    parts = []
    for part in (inspect.getdoc(found) or "").replace("``", "`").split("\n\n"):
        if part.startswith("    "):
            if parts and parts[-1].endswith("\n```"):  # a blank line inside code
                parts[-1] = parts[-1].removesuffix("\n```") + f"\n\n{textwrap.dedent(part)}\n```"
            else:
                parts.append(f"```python\n{textwrap.dedent(part)}\n```")
        elif part.startswith("Raises:"):
            parts.append(raises(part))
        else:
            parts.append(one_line(part))
    return "\n\n".join(parts)


def raises(part: str) -> str:
    """The lines below `Raises:`, each with its continuations, as a list."""
    lines: list[str] = []
    for line in part.splitlines()[1:]:
        if line.startswith("        ") and lines:
            lines[-1] += f" {line.strip()}"
        else:
            lines.append(f"- {line.strip()}")
    return "\n".join(["Raises:", "", *lines])


# -- recipes -----------------------------------------------------------------------------


def recipes_page() -> str:
    """Every kind of definition with its keys, and the tables that they hold."""
    text = f"# Recipes, locks and settings, key by key\n\n{NOTE}\n"
    text += "What each kind is for, with examples: [recipes](../recipes.md). "
    text += "`mlorch recipes schema KIND` prints the JSON Schema that this page is made of.\n"
    docs = attribute_docs()
    parts: dict[str, dict[str, Any]] = {}
    for kind in SCHEMAS:
        found = schema(kind)
        name = KINDS[kind].__name__ if kind in KINDS else ""
        text += f"\n## {kind}\n\n" + model_text(found, docs.get(name, {}))
        parts |= found.get("$defs", {})
    text += "\n# Parts\n"
    for name in sorted(parts):
        text += f"\n## {name}\n\n" + model_text(parts[name], docs.get(name, {}))
    return text


def model_text(schema: dict[str, Any], docs: dict[str, str]) -> str:
    """A model's sentence and its keys."""
    rows = []
    for key, value in schema.get("properties", {}).items():
        needed = "yes" if key in schema.get("required", []) else ""
        rows.append(
            (f"`{key}`", value_text(value), needed, docs.get(key, "") or one_line(value.get("description", "")))
        )
    text = paragraphs(schema.get("description", "").replace("``", "`")) + "\n"
    return text + ("\n" + table(("key", "value", "required", "what it says"), rows) if rows else "")


def value_text(value: dict[str, Any]) -> str:  # noqa: PLR0911 (one return a form)
    """What a key may hold, in words."""
    if "$ref" in value:
        name = value["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "const" in value:
        return f"`{value['const']}`"
    if "enum" in value:
        return ", ".join(f"`{word}`" for word in value["enum"])
    for several in ("anyOf", "oneOf"):
        if several in value:
            forms = [form for form in value[several] if form.get("type") != "null" and not is_text_of_number(form)]
            return " or ".join(dict.fromkeys(map(value_text, forms)))
    kind = value.get("type")
    if kind == "array":
        return "list of " + value_text(value.get("items", {}))
    if kind == "object":
        (inner, *_) = [*value.get("patternProperties", {}).values(), value.get("additionalProperties") or {}]
        return "name → " + value_text(inner if isinstance(inner, dict) else {})
    if isinstance(kind, list):
        return "text"
    return {"string": "text", "integer": "whole number", "number": "number", "boolean": "`true` or `false`"}.get(
        str(kind), "anything"
    )


def is_text_of_number(form: dict[str, Any]) -> bool:
    """Whether this is the second form of a number or a yes, for editors: the same as text."""
    return form.get("type") == "string" and "pattern" in form


def attribute_docs() -> dict[str, dict[str, str]]:
    """What stands below the fields of the models, by class and key."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for path in sorted((PACKAGE / "definitions" / "kinds").glob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef):
                for field, doc in zip(node.body, node.body[1:], strict=False):
                    if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and (said := words(doc)):
                        found[node.name][alias(field) or field.target.id] = said
    return found


def words(node: ast.stmt) -> str:
    """The text of a string that stands alone; empty for anything else."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
        return one_line(node.value.value.replace("``", "`"))
    return ""


def alias(field: ast.AnnAssign) -> str:
    """The key of a field whose Python name is another."""
    given = field.value.keywords if isinstance(field.value, ast.Call) else []
    return next((str(ast.literal_eval(word.value)) for word in given if word.arg == "alias"), "")


# -- coverage ----------------------------------------------------------------------------


def coverage_page() -> str:
    """Which benchmark is there with whose program or server, for which target, and whether its image can be built."""
    catalog = load([builtin_root()])
    targets = [entry.definition.name for entry in catalog.targets()]
    rows = []
    for entry in catalog.benchmarks():
        for change in deciding_choices(catalog, entry.definition):
            changes = (change,) if change else ()
            chosen = load_chosen(catalog, [entry.definition.name], changes)
            benchmark = chosen.benchmark(entry.definition.name).definition
            can = targets_of(chosen, benchmark)
            cells = [
                coverage_cell(chosen, entry.definition.name, target) if target in can else "" for target in targets
            ]
            choice = f"{change.key}={change.value}" if change else ""
            rows.append((entry.definition.name, choice, benchmark.harness, benchmark.stands_for or "", *cells))
    text = f"# Benchmarks by choice and target\n\n{NOTE}\n"
    text += (
        "**builds**: every layer is locked. **plans**: it plans and renders; `build` refuses it until what is named "
    )
    text += "as unlocked has been locked. Where a model or data is unlocked, `run` "
    text += "refuses it too. What has run: "
    text += "[MLPerf's benchmarks](../../recipes/benchmarks/mlperf/README.md) and [targets](../targets.md).\n\n"
    return text + table(("benchmark", "choice", "harness", "stands for", *targets), rows)


def deciding_choices(catalog: Catalog, benchmark: Benchmark) -> list[Change | None]:
    """The values of the axes that decide whose program runs and where; none where the recipe has no such axis."""
    by_choice = (
        choice.partition("=")[0] for given in targets_by_choice(catalog, benchmark).values() for choice in given
    )
    axes = dict.fromkeys([*(axis for axis in ("implementation",) if axis in benchmark.axes), *by_choice])
    return [Change(axis, value) for axis in axes for value in benchmark.axes[axis].values] or [None]


def coverage_cell(catalog: Catalog, benchmark: str, target: str) -> str:
    """What can be done with the image of a benchmark for a target, on its first platform."""
    (plan,) = build_plans(catalog, target=target, benchmarks=[benchmark])
    return "plans" if any(step.unlocked or step.unpinned for step in plan.layers) else "builds"


# -- errors ------------------------------------------------------------------------------


def errors_page() -> str:
    """Every slug with its exit code and the messages that carry it."""
    found: dict[str, list[RaisedError]] = defaultdict(list)
    for error in raised(PACKAGE):
        found[error.slug].append(error)
    rows = []
    for slug, those in sorted(found.items()):
        messages = [one.message for one in those if one.message] or [one.about for one in those]
        codes = ", ".join(map(str, sorted({one.code for one in those})))
        rows.append((f"`{slug}`", codes, "<br>".join(dict.fromkeys(map(one_line, messages)))))
    return (
        f"# Errors\n\n{NOTE}\n"
        'An error ends with its slug in brackets; with `--json` it is the document `{"error": …}`. '
        "`…` stands for what depends on the case.\n\n"
        + table(("exit code", "means"), EXIT_CODES)
        + "\n"
        + table(("slug", "exit code", "message"), rows)
    )


EXIT_CODES = [
    ("0", "done"),
    ("1", "a step failed, or a result is not valid"),
    ("2", "the command line asks for what does not exist or does not fit"),
    ("3", "recipes, templates or locks are invalid"),
    ("4", "the engine or launcher is missing, too old or stopped answering"),
    ("5", "nothing is selected"),
    ("70", "a fault of mlorch itself"),
    ("130", "interrupted"),
]
if __name__ == "__main__":
    REFERENCE.mkdir(exist_ok=True)
    for file, page in pages().items():
        (REFERENCE / file).write_text(page, encoding="utf-8")
