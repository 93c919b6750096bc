"""Rounds by name, their models and the LoadGen that they accept. Pure over the catalogue.

`Catalog.round_rules` gives the frozen rules of a round; `catalog.check_rounds` finds what cannot be meant.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, cast

from orchestrator.definitions.catalog.round_chain import chain_of
from orchestrator.definitions.catalog.round_rules import loadgen_name
from orchestrator.definitions.kinds.harnesses import Harness
from orchestrator.definitions.kinds.rounds import Round
from orchestrator.definitions.locks import normalised
from orchestrator.definitions.yaml import nearest
from orchestrator.errors import UsageError
from orchestrator.facts.rounds import version_key

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orchestrator.definitions.catalog.entries import Catalog
    from orchestrator.definitions.kinds.benchmarks import Benchmark
    from orchestrator.definitions.kinds.layers import Layer
    from orchestrator.facts.rounds import ModelRules, RoundRules

LOADGEN = "mlcommons-loadgen"
"""The distribution that LoadGen comes in."""


def newest_round(catalog: Catalog) -> str | None:
    """The round of the highest number; None where no round is defined."""
    return max(catalog.names("round"), key=_number, default=None)


def round_names(catalog: Catalog) -> tuple[str, ...]:
    """All rounds, the oldest first."""
    return tuple(sorted(catalog.names("round"), key=_number))


def model_rules(catalog: Catalog, round_name: str, name: str) -> ModelRules:
    """The rules of a model of a round, by the checker's name.

    Raises:
        UsageError: `unknown-round`, `unknown-round-model`; with the name that was meant, or the rounds that
            have the model.
    """
    rules = catalog.round_rules(round_name)
    found = rules.models.get(name)
    if found is not None:
        return found
    having = rounds_with(catalog, name)
    there = f"it is in {', '.join(having)}; " if having else ""
    raise UsageError(
        f"{rules.name} has no model `{name}`", hint=there + model_hint(rules, name), slug="unknown-round-model"
    )


def rounds_with(catalog: Catalog, model: str) -> tuple[str, ...]:
    """The rounds that have a model, by the checker's name, the oldest first."""
    whole = [name for name in round_names(catalog) if chain_of(catalog.by_key, name).whole]
    return tuple(name for name in whole if model in catalog.round_rules(name).models)


def model_hint(rules: RoundRules, name: str) -> str:
    """What a name that is no model of a round may have meant."""
    meant = [model.name for model in rules.models.values() if model.loadgen_name == name]
    if meant:
        return f"that is LoadGen's name; the checker says {' or '.join(f'`{each}`' for each in meant)}"
    return near(name, rules.models)


def loadgen_layer(catalog: Catalog, what: Benchmark) -> str:
    """The layer with LoadGen that a benchmark is run with: its harness's, else its round's; empty where neither has."""
    harness = catalog.by_key.get(("harness", what.harness))
    if harness is not None and isinstance(harness.definition, Harness) and harness.definition.loadgen is not None:
        return harness.definition.loadgen
    rules = catalog.by_key.get(("round", what.round))
    own = rules.definition.loadgen.layer if rules is not None and isinstance(rules.definition, Round) else None
    return own or ""


def loadgen_version(catalog: Catalog, layer: str) -> str | None:
    """The version of LoadGen in a layer or in one below it; None where no layer installs LoadGen's wheel."""
    seen: set[str] = set()
    at: str | None = layer
    while at is not None and at not in seen:
        seen.add(at)
        entry = catalog.by_key.get(("layer", at))
        if entry is None:
            return None
        what = cast("Layer", entry.definition)
        for requirement in what.python:
            name, _, version = requirement.partition("==")
            if normalised(name) == LOADGEN:
                return version
        at = what.over
    return None


def unknown_to_loadgen(rules: RoundRules, model: ModelRules, version: str | None) -> tuple[str, ...]:
    """The names of a model that a version of LoadGen does not know; it would silently take its defaults for them."""
    if model.loadgen_name is None or model.loadgen_defaults:
        return ()
    names = {loadgen_name(model.loadgen_name, scenario) for scenario in model.all_scenarios}
    loadgen = rules.loadgen
    at = version_key(version or loadgen.last)
    return tuple(
        name
        for name in sorted(names)
        if name not in loadgen.knows or version_key(loadgen.since.get(name, loadgen.first)) > at
    )


def _number(name: str) -> tuple[tuple[int, ...], str]:
    return tuple(int(digits) for digits in re.findall(r"[0-9]+", name)), name


def near(name: str, names: Iterable[str]) -> str:
    """A hint: the names that one is near to, else all of them."""
    known = sorted(names)
    close = nearest(name, known, limit=3)
    if close:
        return f"did you mean {' or '.join(f'`{each}`' for each in close)}?"
    return f"there are: {', '.join(known)}" if known else "none is defined"
