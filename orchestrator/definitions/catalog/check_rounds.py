"""Cross checks of rounds: between a round and those before it, and between a benchmark and its round."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from orchestrator.definitions.catalog.round_chain import chain_of, state_after
from orchestrator.definitions.catalog.round_rules import loadgen_name, scenarios_of
from orchestrator.definitions.catalog.rounds import (
    loadgen_layer,
    loadgen_version,
    model_hint,
    near,
    rounds_with,
    unknown_to_loadgen,
)
from orchestrator.definitions.kinds.layers import Layer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orchestrator.definitions.catalog.entries import Catalog, Entry
    from orchestrator.definitions.catalog.round_chain import State
    from orchestrator.definitions.kinds.benchmarks import Benchmark
    from orchestrator.definitions.kinds.rounds import ModelFields, Quality, Round
    from orchestrator.errors import Problem
    from orchestrator.facts.rounds import RoundRules

NEEDED = ("title", "dataset", "scenarios", "accuracy", "performance_samples", "compliance")
"""What a model must have in the end; all else is absent where no source gives it."""


def check_round(catalog: Catalog, entry: Entry[Round]) -> Iterator[Problem]:
    """The faults between a round and those before it: each at its place in the round's own file."""
    chain = chain_of(catalog.by_key, entry.definition.name)
    if chain.circle:
        names = " since ".join((*(each.name for each in chain.rounds), chain.entries[-1].definition.since or ""))
        circle = f"round `{entry.definition.name}` comes before itself: {names}"
        yield entry.document.fault("round-circle", circle, ("since",), "name the round that was before it")
        return
    if not chain.whole:  # then the names are not known
        oldest = chain.rounds[-1]
        if oldest is entry.definition and oldest.since and ("round", oldest.since) not in catalog.broken:
            message = f"there is no round `{oldest.since}`"
            hint = near(oldest.since, (name for name in catalog.names("round") if name != oldest.name))
            yield entry.document.fault("unknown-round", message, ("since",), hint)
        return
    yield from _check_layer(catalog, entry)
    before, after = state_after(reversed(chain.rounds[1:])), state_after(reversed(chain.rounds))
    yield from _check_names(entry, before)
    yield from _check_models(entry, before, after)
    yield from _check_compliance(catalog, entry, after)
    yield from _check_checker(catalog, entry)


def _check_checker(catalog: Catalog, entry: Entry[Round]) -> Iterator[Problem]:
    """Whether the side image that a round names has its checker, at the round's commit."""
    checker = entry.definition.checker
    program = None if checker is None else checker.program
    if program is None or program.layer is None:
        return
    place = ("checker", "program", "layer")
    layer = catalog.by_key.get(("layer", program.layer))
    if layer is None:
        if ("layer", program.layer) not in catalog.broken:
            hint = near(program.layer, catalog.names("layer"))
            yield entry.document.fault("unknown-layer", f"there is no layer `{program.layer}`", place, hint)
        return
    what = layer.definition
    sources = {(each.url, each.ref) for each in what.git} if isinstance(what, Layer) and what.level == "side" else ()
    if (program.repository, program.commit) not in sources:
        message = f"layer `{program.layer}` is no side image with {program.repository} at {program.commit[:12]}"
        hint = "name one with `level: side` that has the checker under `git`, at the commit of `program`"
        yield entry.document.fault("checker-layer", message, place, hint)


def _check_compliance(catalog: Catalog, entry: Entry[Round], after: State) -> Iterator[Problem]:
    """Whether the tests that a round says how to make are tests of it, and its scripts are in a side image."""
    given = entry.definition.compliance
    if given is None:
        return
    layer = catalog.by_key.get(("layer", given.layer))
    if layer is None and ("layer", given.layer) not in catalog.broken:
        hint = near(given.layer, catalog.names("layer"))
        message = f"there is no layer `{given.layer}`"
        yield entry.document.fault("unknown-layer", message, ("compliance", "layer"), hint)
    what = None if layer is None else layer.definition
    if isinstance(what, Layer) and (what.level != "side" or not what.git):
        message = f"layer `{given.layer}` is no side image with files of a git repository"
        hint = "name one with `level: side` that has MLCommons' scripts of the round's commit under `git`"
        yield entry.document.fault("compliance-layer", message, ("compliance", "layer"), hint)
    for name in given.tests:
        loc = ("compliance", "tests", name)
        if name not in after.compliance_tests:
            span = entry.document.span(loc, key=True)
            hint = _or(near(name, after.compliance_tests), "say what it shows under `compliance_tests`")
            yield entry.document.problem("unknown-compliance-test", f"there is no compliance test `{name}`", span, hint)


def _check_layer(catalog: Catalog, entry: Entry[Round]) -> Iterator[Problem]:
    """Whether the layer that a round names installs a LoadGen that the round accepts."""
    loadgen = entry.definition.loadgen
    version = loadgen_version(catalog, loadgen.layer) if loadgen.layer is not None else None
    if version is not None and not catalog.round_rules(entry.definition.name).loadgen.accepts(version):
        wrong = f"layer `{loadgen.layer}` has LoadGen {version}; {loadgen.first} to {loadgen.last} are accepted"
        place = ("loadgen", "layer")
        yield entry.document.fault("loadgen-round", wrong, place, "name a layer with one of these, or mend the bounds")


def _check_names(entry: Entry[Round], before: State) -> Iterator[Problem]:
    """Whether what is removed and changed was there, and what is added was not."""
    what, since = entry.definition, entry.definition.since
    for index, name in enumerate(what.removed):
        if name not in before.models:
            message = f"`{name}` cannot be removed: it is no model of {since or 'a round before'}"
            yield entry.document.fault("unknown-round-model", message, ("removed", index), near(name, before.models))
    for name in what.changed:
        span = entry.document.span(("changed", name), key=True)
        if name in what.removed:
            twice = f"`{name}` is changed and removed"
            yield entry.document.problem("model-twice", twice, span, "leave one of them out")
        elif what.changed[name].like is not None:
            place = entry.document.span(("changed", name, "like"), key=True)
            like = f"`{name}` is changed, and only a new model is `like` another"
            yield entry.document.problem("model-like", like, place, "write the fields that change")
        elif name not in before.models:
            changed = f"`{name}` cannot be changed: it is no model of {since or 'a round before'}"
            hint = _or(near(name, before.models), "write it under `added`, if it is new")
            yield entry.document.problem("unknown-round-model", changed, span, hint)
    for name in what.added:
        if name in before.models and name not in what.removed:
            span = entry.document.span(("added", name), key=True)
            known = f"`{name}` is no new model: {since} has it"
            yield entry.document.problem("model-twice", known, span, "write it under `changed`")


def _check_models(entry: Entry[Round], before: State, after: State) -> Iterator[Problem]:
    above = {*before.models} - {*entry.definition.removed}
    for name, added in entry.definition.added.items():
        loc = ("added", name)
        if added.like is not None and added.like not in above:
            message = f"there is no model `{added.like}` above `{name}`"
            yield entry.document.fault("unknown-round-model", message, (*loc, "like"), near(added.like, above))
        elif added.like is None:
            yield from _check_complete(entry, loc, added)
        above.add(name)
        yield from _check_words(entry, loc, added, after)
        yield from _check_loadgen(entry, loc, added, after)
    for name, change in entry.definition.changed.items():
        if name in before.models and name in after.models:
            loc = ("changed", name)
            yield from _check_words(entry, loc, change, after)
            yield from _check_loadgen(entry, loc, change, after)


def _check_complete(entry: Entry[Round], loc: tuple[str, str], model: ModelFields) -> Iterator[Problem]:
    for key in NEEDED:
        if getattr(model, key) is None:
            span = entry.document.span(loc, key=True)
            message = f"the key `{key}` is missing in `{'.'.join(loc)}`"
            yield entry.document.problem("missing-key", message, span, f"add `{key}: …`, or `like:` another model")


def _check_words(entry: Entry[Round], loc: tuple[str, str], model: ModelFields, after: State) -> Iterator[Problem]:
    """Whether metrics and compliance tests are words that this round or one before it explains."""
    apart = model.in_scenario or {}
    places: list[tuple[tuple[str, ...], Mapping[str, Quality]]] = [((*loc, "accuracy"), model.accuracy or {})]
    places += [((*loc, "in_scenario", key, "accuracy"), each.accuracy or {}) for key, each in apart.items()]
    for place, accuracy in places:
        for metric in accuracy:
            if metric not in after.metrics:
                span = entry.document.span((*place, metric), key=True)
                hint = _or(near(metric, after.metrics), "say what it is under `metrics`")
                yield entry.document.problem("unknown-metric", f"there is no metric `{metric}`", span, hint)
    for index, test in enumerate(model.compliance or ()):
        if test not in after.compliance_tests:
            hint = _or(near(test, after.compliance_tests), "say what it shows under `compliance_tests`")
            message = f"there is no compliance test `{test}`"
            yield entry.document.fault("unknown-compliance-test", message, (*loc, "compliance", index), hint)
    for test in model.audit or {}:
        if test not in after.compliance:
            span = entry.document.span((*loc, "audit", test), key=True)
            message = f"nothing says how `{test}` is made, so `{loc[1]}` cannot have an audit.config of its own for it"
            hint = _or(near(test, after.compliance), "say it under `compliance`, `tests`")
            yield entry.document.problem("unknown-compliance-test", message, span, hint)


def _check_loadgen(entry: Entry[Round], loc: tuple[str, str], given: ModelFields, after: State) -> Iterator[Problem]:
    """Whether LoadGen knows the names that it will be given: for any other it takes its defaults and says nothing.

    Told of the file that gives the name or the scenarios, not of every one that takes them over.
    """
    model = after.models[loc[1]]
    if model.loadgen is None or model.loadgen_defaults is not None:
        return
    if not given.model_fields_set & {"loadgen", "scenarios"}:
        return
    shown = {scenario for rules in scenarios_of(model).values() for scenario in rules.all}
    names = {loadgen_name(model.loadgen, scenario) for scenario in shown or {""}}
    for name in sorted(names - {*after.knows}):
        loadgen = entry.definition.loadgen
        message = f"LoadGen {loadgen.first} to {loadgen.last} does not know `{name}` and would take its defaults"
        hint = _or(near(name, after.knows), "say under `loadgen_defaults` why its defaults are meant")
        place = entry.document.span((*loc, "loadgen"))
        yield entry.document.problem("loadgen-model", message, place, hint)


def _or(hint: str, otherwise: str) -> str:
    joint = " otherwise " if hint.endswith("?") else "; otherwise "
    return f"{hint}{joint}{otherwise}"


# -- benchmarks ----------------------------------------------------------------------------


class RoundFault(NamedTuple):
    """Why a benchmark does not fit its round; ``key`` of its recipe is where that stands."""

    slug: str
    message: str
    key: str
    hint: str


def check_benchmark(catalog: Catalog, entry: Entry[Benchmark]) -> Iterator[Problem]:
    """Whether a benchmark's round is there, has the model that it stands for, and accepts its LoadGen."""
    what = entry.definition
    if ("round", what.round) in catalog.by_key:
        for fault in round_faults(catalog, what):
            yield entry.document.fault(fault.slug, fault.message, (fault.key,), fault.hint)
        return
    written = entry.document.node(("round",)) is not None
    needed = what.stands_for or (("harness", what.harness) in catalog.by_key and not loadgen_layer(catalog, what))
    if (written or needed) and ("round", what.round) not in catalog.broken:
        message = f"there is no round `{what.round}`"
        yield entry.document.fault("unknown-round", message, ("round",), near(what.round, catalog.names("round")))


def round_faults(catalog: Catalog, what: Benchmark) -> Iterator[RoundFault]:
    """What does not fit between a benchmark and its round, which is defined: its model, or its LoadGen."""
    if not chain_of(catalog.by_key, what.round).whole:
        return
    rules = catalog.round_rules(what.round)
    if rules.loadgen.not_run:
        no_run = f"{rules.name} cannot be run: {rules.loadgen.not_run}"
        hint = (
            f"name a round that is run; `mlorch submission check TREE --round {rules.name}` checks results of this one"
        )
        yield RoundFault(slug="round-not-run", message=no_run, key="round", hint=hint)
        return
    layer = loadgen_layer(catalog, what)
    if not layer and ("harness", what.harness) in catalog.by_key:
        lacking = f"neither harness `{what.harness}` nor {rules.name} names a layer with LoadGen"
        hint = f"name one under `loadgen` of the harness; {rules.name} accepts LoadGen {rules.loadgen.range}"
        yield RoundFault(slug="loadgen-layer", message=lacking, key="harness", hint=hint)
        return
    version = loadgen_version(catalog, layer)
    if version is not None and not rules.loadgen.accepts(version):
        message = f"LoadGen {version} does not have the seeds of {rules.name}, which accepts {rules.loadgen.range}"
        hint = f"name another `round`, or a `harness` whose layer (`{layer}` here) has such a LoadGen"
        yield RoundFault(slug="loadgen-round", message=message, key="round", hint=hint)
        return
    for found in _model_faults(rules, what, version):
        having = rounds_with(catalog, what.stands_for) if found.slug == "unknown-round-model" else ()
        yield found._replace(hint=f"it is in {', '.join(having)}") if having else found


def _model_faults(rules: RoundRules, what: Benchmark, version: str | None) -> Iterator[RoundFault]:
    model = rules.models.get(what.stands_for)
    if what.official and not what.stands_for:
        hint = "write `stands_for:` and the checker's name of the model, or leave `official` out"
        official = "an official benchmark has to say which model of its round it is"
        yield RoundFault(slug="official-model", message=official, key="official", hint=hint)
    elif what.stands_for and model is None:
        message = f"{rules.name} has no model `{what.stands_for}`"
        hint = model_hint(rules, what.stands_for)
        yield RoundFault(slug="unknown-round-model", message=message, key="stands_for", hint=hint)
    elif model is not None and what.official:
        for name in unknown_to_loadgen(rules, model, version):
            unknown = f"LoadGen {version} does not know `{name}` and would take its defaults"
            hint = f"{rules.name} knows it from LoadGen {rules.loadgen.since.get(name, rules.loadgen.first)} on"
            yield RoundFault(slug="loadgen-model", message=unknown, key="stands_for", hint=hint)
