"""Where a round's trees have what: the layout's templates filled in. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.facts.rounds import CATEGORIES
from orchestrator.facts.scenarios import SCENARIOS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.facts.rounds import RoundRules


def filled(template: str, **names: str) -> str:
    """A template with its names; those that are not given stay."""
    for name, value in names.items():
        template = template.replace(f"{{{name}}}", value)
    return template


def before(template: str, name: str) -> str:
    """The folder of a template in which the entries called ``{name}`` lie."""
    return template.partition(f"{{{name}}}")[0].rstrip("/")


def scenario_of(folder: str) -> str:
    """The scenario that a folder's name means: those in lower case are the same."""
    for scenario in SCENARIOS:
        if folder == scenario.lower():
            return scenario
    return folder


def category_of(system_type: str) -> str:
    """The category of a system's type; a system of both is in a third one. Empty where it is none."""
    parts = sorted(part.strip() for part in system_type.split(","))
    name = "-".join(parts)
    return name if name in CATEGORIES else ""


def model_of(rules: RoundRules, name: str, mapping: Mapping[str, str]) -> str:
    """The checker's name of the model that a folder is of; ``mapping`` is the submitter's own (open division)."""
    checker = rules.checker
    if name in rules.models:
        return name
    known = checker.aliases.get(name) or mapping.get(name)
    if known:
        return known
    for part, model in checker.guesses.items():
        if part in name:
            return checker.aliases.get(model, model)
    return name
