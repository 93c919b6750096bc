"""Cross checks of harnesses and of the benchmarks over them: every name that a template or a condition uses exists."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.definitions.kinds import external as e
from orchestrator.definitions.kinds import recipes as d
from orchestrator.definitions.values import TemplateFault, check_template
from orchestrator.definitions.yaml import suggestion

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.definitions.catalog.entries import AnyEntry, Catalog
    from orchestrator.errors import Problem

Loc = tuple[str | int, ...]


def check_program(entry: AnyEntry, program: e.Program) -> Iterator[Problem]:
    """Every fault in the texts and conditions of somebody else's program, each where it stands."""
    parameters = tuple(f"param.{name}" for name in program.parameters)
    words = tuple(f"words.{name}" for name in program.words)
    base = set(e.VALUE_NAMES)
    known = base.union(parameters, words)
    for loc, text in _early_texts(program):
        yield from _template(entry, loc, text, base)
    for loc, text in _texts(program):
        yield from _template(entry, loc, text, known)
    for loc, condition in _conditions(program):
        allowed = base if loc[1] == "overlays" else base.union(parameters)
        for name in condition:
            if name not in allowed:
                message = f"there is no value `{name}`"
                yield entry.document.fault("template", message, (*loc, name), suggestion(name, sorted(allowed)))
    for name, word in program.words.items():
        if word.of not in base.union(parameters):
            hint = suggestion(word.of, sorted(base.union(parameters)))
            loc = ("program", "words", name, "of")
            yield entry.document.fault("template", f"there is no value `{word.of}`", loc, hint)
    for index, overlay in enumerate(program.overlays):
        for name in overlay.parameters:
            if name not in program.parameters:
                loc = ("program", "overlays", index, "parameters", name)
                hint = suggestion(name, program.parameters)
                yield entry.document.fault("unknown-parameter", f"there is no parameter `{name}`", loc, hint)


def check_interface(catalog: Catalog, entry: AnyEntry, benchmark: d.Benchmark) -> Iterator[Problem]:
    """Whether a benchmark says what its harness needs: parameters that exist, or tensors and arrays for our own."""
    found = catalog.by_key.get(("harness", benchmark.harness))
    harness = found.definition if found is not None else None
    if not isinstance(harness, d.Harness):
        return
    if harness.program is not None:
        for name in benchmark.parameters:
            if name not in harness.program.parameters:
                message = f"harness `{harness.name}` has no parameter `{name}`"
                hint = suggestion(name, harness.program.parameters)
                yield entry.document.fault("unknown-parameter", message, ("parameters", name), hint)
        return
    for name in benchmark.parameters:
        message = f"harness `{harness.name}` takes no parameters: it is mlorch's own"
        yield entry.document.fault("unknown-parameter", message, ("parameters", name))
    for key in ("input", "output"):
        if getattr(benchmark, key) is None:
            message = f"harness `{harness.name}` needs the model's `{key}`"
            hint = f"write `{key}: {{name: TENSOR}}`"
            yield entry.document.fault("missing-key", message, (), hint)
    dataset = catalog.by_key.get(("dataset", benchmark.dataset))
    if dataset is not None and isinstance(dataset.definition, d.Dataset):
        for key in ("inputs", "labels"):
            if getattr(dataset.definition, key) is None:
                message = f"dataset `{benchmark.dataset}` names no `{key}` array, and `{harness.name}` needs it"
                yield entry.document.fault("missing-key", message, ("dataset",), f"write `{key}: FILE.npy` there")


def _template(entry: AnyEntry, loc: Loc, text: str, known: set[str]) -> Iterator[Problem]:
    try:
        check_template(text, known.__contains__, sorted(known))
    except TemplateFault as fault:
        yield entry.document.fault("template", fault.message, loc, fault.hint)


def _early_texts(program: e.Program) -> Iterator[tuple[Loc, str]]:
    """Texts that are filled before there are parameters and words."""
    for name, parameter in program.parameters.items():
        yield ("program", "parameters", name, "default"), parameter.default
    for index, overlay in enumerate(program.overlays):
        for name, text in overlay.parameters.items():
            yield ("program", "overlays", index, "parameters", name), text


def _texts(program: e.Program) -> Iterator[tuple[Loc, str]]:
    for index, file in enumerate(program.files):
        yield ("program", "files", index, "text"), file.text
        yield from _leaves(("program", "files", index, "values"), file.values)
    for index, step in enumerate(program.steps):
        at: Loc = ("program", "steps", index)
        yield (*at, "workdir"), step.workdir
        for name, text in step.env.items():
            yield (*at, "env", name), text
        for number, word in enumerate(step.argv):
            if isinstance(word, e.WordsIf):
                for inner, text in enumerate(word.words):
                    yield (*at, "argv", number, "words", inner), text
            else:
                yield (*at, "argv", number), word


def _leaves(loc: Loc, tree: object) -> Iterator[tuple[Loc, str]]:
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from _leaves((*loc, key), value)
    elif isinstance(tree, list | tuple):
        for index, value in enumerate(tree):
            yield from _leaves((*loc, index), value)
    elif isinstance(tree, str):
        yield loc, tree


def _conditions(program: e.Program) -> Iterator[tuple[Loc, e.Condition]]:
    for index, overlay in enumerate(program.overlays):
        yield ("program", "overlays", index, "when"), overlay.when
    for index, file in enumerate(program.files):
        yield ("program", "files", index, "when"), file.when
    for index, step in enumerate(program.steps):
        at: Loc = ("program", "steps", index)
        yield (*at, "when"), step.when
        for number, word in enumerate(step.argv):
            if isinstance(word, e.WordsIf):
                yield (*at, "argv", number, "when"), word.when
