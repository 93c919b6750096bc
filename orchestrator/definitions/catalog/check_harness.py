"""Cross checks of harnesses and of the benchmarks over them: every name that a template or a condition uses exists."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.definitions.kinds import external as e
from orchestrator.definitions.kinds.assets import Dataset
from orchestrator.definitions.kinds.harnesses import Harness
from orchestrator.definitions.kinds.parameters import NoValue
from orchestrator.definitions.kinds.texts import VALUE_NAMES, Condition
from orchestrator.definitions.values import TemplateFault, check_template
from orchestrator.definitions.yaml import suggestion
from orchestrator.facts.scenarios import SCENARIOS
from orchestrator.facts.tasks import TASKS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from orchestrator.definitions.catalog.entries import AnyEntry, Catalog
    from orchestrator.definitions.kinds.benchmarks import Accuracy, Benchmark
    from orchestrator.errors import Problem

Loc = tuple[str | int, ...]


def check_program(catalog: Catalog, entry: AnyEntry, program: e.Program) -> Iterator[Problem]:
    """Every fault in the texts and conditions of somebody else's program, each where it stands."""
    base = set(VALUE_NAMES)
    parameters = base | {f"param.{name}" for name in program.parameters}
    all_names = parameters | {f"words.{name}" for name in program.words}
    for loc, text in _early_texts(program):
        yield from _template(entry, loc, text, base)
    for loc, text in _texts(program):
        yield from _template(entry, loc, text, all_names)
    for loc, condition in _conditions(program):
        for name in condition:
            yield from _name(entry, (*loc, name), name, base if loc[1] == "overlays" else parameters)
        yield from _condition_values(catalog, entry, program, loc, condition)
    for name, word in program.words.items():
        yield from _name(entry, ("program", "words", name, "of"), word.of, parameters)
        known = _values_of(catalog, entry, program, word.of)
        for value in word.values if known is not None else ():
            yield from _value(entry, ("program", "words", name, "values", value), word.of, value, known or ())
    for index, overlay in enumerate(program.overlays):
        at = ("program", "overlays", index, "parameters")
        yield from _parameters(entry, at, overlay.parameters, program, "this program")


def _condition_values(
    catalog: Catalog, entry: AnyEntry, program: e.Program, loc: Loc, condition: Condition
) -> Iterator[Problem]:
    """Values that a condition waits for and that there are not, so that it would never hold."""
    for name, wanted in condition.items():
        if not wanted:
            yield entry.document.fault("template", f"`{name}` is to be one of no values", (*loc, name))
        known = _values_of(catalog, entry, program, name)
        for value in (wanted,) if isinstance(wanted, str) else wanted:
            if known is not None:
                yield from _value(entry, (*loc, name), name, value, known)


def _value(entry: AnyEntry, loc: Loc, name: str, value: str, known: Sequence[str]) -> Iterator[Problem]:
    if value not in known:
        message = f"`{name}` is never `{value[:60]}`"
        yield entry.document.fault("template", message, loc, suggestion(value, known))


def _values_of(catalog: Catalog, entry: AnyEntry, program: e.Program, name: str) -> Sequence[str] | None:
    """All values that something can have, where they are known."""
    parameter = program.parameters.get(name.removeprefix("param.")) if name.startswith("param.") else None
    if parameter is not None:
        return ("true", "false") if parameter.type == "bool" else parameter.choices or None
    match name:
        case "scenario":
            return tuple(SCENARIOS)
        case "mode":
            return ("performance", "accuracy")
        case "target":
            return tuple(each for kind, each in catalog.by_key if kind == "target")
        case "framework" if isinstance(entry.definition, Harness):
            return tuple(entry.definition.backends.values())
        case _:
            return None


def check_interface(catalog: Catalog, entry: AnyEntry, benchmark: Benchmark) -> Iterator[Problem]:
    """Whether a benchmark says what its harness needs: parameters that exist, or tensors and arrays for our own."""
    found = catalog.by_key.get(("harness", benchmark.harness))
    harness = found.definition if found is not None else None
    if not isinstance(harness, Harness):
        return
    if harness.program is not None:
        yield from _parameters(
            entry, ("parameters",), benchmark.parameters, harness.program, f"harness `{harness.name}`"
        )
        yield from _goals(entry, benchmark.accuracy, _units(harness.program), harness.name)
        return
    for name in benchmark.parameters:
        message = f"harness `{harness.name}` takes no parameters: it is mlorch's own"
        yield entry.document.fault("unknown-parameter", message, ("parameters", name))
    task = TASKS.get(benchmark.task)
    if task is None:
        message = f"harness `{harness.name}` knows no task `{benchmark.task}`"
        yield entry.document.fault("unknown-task", message, ("task",), suggestion(benchmark.task, TASKS))
    else:
        yield from _goals(entry, benchmark.accuracy, task.units, f"{harness.name}` for `{benchmark.task}")
        yield from _generation(entry, benchmark, generates=task.generates)
    yield from _tensors(catalog, entry, benchmark)


def _generation(entry: AnyEntry, benchmark: Benchmark, *, generates: bool) -> Iterator[Problem]:
    """Whether a benchmark that generates says how much, and within which time; and no other does."""
    if not generates:
        if benchmark.generation is not None:
            message = f"task `{benchmark.task}` generates nothing"
            yield entry.document.fault("generation", message, ("generation",), "take `generation` out")
        return
    if benchmark.generation is None:
        message = f"task `{benchmark.task}` needs to know how many tokens an answer may have"
        yield entry.document.fault("missing-key", message, ("task",), "write `generation: {limit: TOKENS}`")
    for name, settings in benchmark.scenarios.items():
        limits = (settings.ttft_latency_ns, settings.tpot_latency_ns)
        if SCENARIOS[name].has_latency_limit and None in limits:
            message = f"scenario {name} has no limits of the first token and of each later one"
            hint = "write `ttft_latency_ns` and `tpot_latency_ns` there"
            yield entry.document.fault("missing-key", message, ("scenarios", name), hint)


def _units(program: e.Program) -> dict[str, str]:
    """The figures of accuracy that a program's recipe reads, with their units."""
    return {} if program.accuracy is None else {figure.name: figure.unit for figure in program.accuracy.figures}


def _goals(entry: AnyEntry, accuracy: Accuracy, units: Mapping[str, str], harness: str) -> Iterator[Problem]:
    """Goals of metrics that the harness does not count, or counts in another unit."""
    for number, goal in enumerate(accuracy.goals):
        at: Loc = ("accuracy", "also", number - 1) if number else ("accuracy",)
        if goal.metric not in units:
            message = f"harness `{harness}` has no accuracy `{goal.metric}`"
            yield entry.document.fault("unknown-metric", message, (*at, "metric"), suggestion(goal.metric, units))
        elif goal.unit != units[goal.metric]:
            message = f"harness `{harness}` says `{goal.metric}` {_UNITS[units[goal.metric]]}, not {_UNITS[goal.unit]}"
            hint = f'write `unit: "{units[goal.metric]}"`, and the reference in it'
            yield entry.document.fault("metric-unit", message, (*at, "metric"), hint)


_UNITS = {"%": "in percent", "": "as a number without a unit"}


def _tensors(catalog: Catalog, entry: AnyEntry, benchmark: Benchmark) -> Iterator[Problem]:
    """What a harness of form `mlorch` reads of a model and a data set."""
    for key, found in (("input", benchmark.tensors), ("output", benchmark.output_names)):
        if not found:
            message = f"harness `{benchmark.harness}` needs the model's `{key}`"
            yield entry.document.fault("missing-key", message, (), f"write `{key}: {{name: TENSOR}}`, or `{key}s`")
    dataset = catalog.by_key.get(("dataset", benchmark.dataset))
    if dataset is None or not isinstance(dataset.definition, Dataset):
        return
    arrays = dataset.definition.all_arrays
    wanted = {each.array for each in benchmark.tensors}
    wanted |= {"lengths" for each in benchmark.tensors if each.varies or each.joined}
    task = TASKS.get(benchmark.task)
    wanted |= set(task.arrays) if task is not None else set()
    for key in sorted(wanted - arrays.keys()):
        message = f"dataset `{benchmark.dataset}` names no `{key}` array, and `{benchmark.harness}` needs it"
        line = f"write `{key}: FILE.npy` there" if key in {"inputs", "labels"} else "write it there below `arrays`"
        yield entry.document.fault("missing-key", message, ("dataset",), line)


def _parameters(
    entry: AnyEntry, loc: Loc, given: Mapping[str, str], program: e.Program, whose: str
) -> Iterator[Problem]:
    for name, text in given.items():
        if name not in program.parameters:
            message = f"{whose} has no parameter `{name}`"
            hint = suggestion(name, program.parameters)
            yield entry.document.fault("unknown-parameter", message, (*loc, name), hint)
            continue
        try:
            if "{" not in text:  # else the host says what it is
                program.parameters[name].value(text)
        except NoValue as error:
            message = f"`{text[:60]}` is no value for `{name}`"
            yield entry.document.fault("bad-parameter", message, (*loc, name), f"it takes {error.wanted}")


def _name(entry: AnyEntry, loc: Loc, name: str, known: set[str]) -> Iterator[Problem]:
    if name not in known:
        yield entry.document.fault("template", f"there is no value `{name}`", loc, suggestion(name, sorted(known)))


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
    for name, text in program.env.items():
        yield ("program", "env", name), text
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


def _conditions(program: e.Program) -> Iterator[tuple[Loc, Condition]]:
    for index, overlay in enumerate(program.overlays):
        yield ("program", "overlays", index, "when"), overlay.when
    for index, file in enumerate(program.files):
        yield ("program", "files", index, "when"), file.when
    for index, link in enumerate(program.links):
        yield ("program", "links", index, "when"), link.when
    for index, figure in enumerate(program.accuracy.figures if program.accuracy else ()):
        yield ("program", "accuracy", "figures", index, "when"), figure.when
    for index, step in enumerate(program.steps):
        at: Loc = ("program", "steps", index)
        yield (*at, "when"), step.when
        for number, word in enumerate(step.argv):
            if isinstance(word, e.WordsIf):
                yield (*at, "argv", number, "when"), word.when
