"""Rules of what is shown: which models, which scenarios. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.facts.rounds import ScenarioRules
from orchestrator.submissions.findings import Rule, Said
from orchestrator.submissions.places import category_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.submissions.facts import ResultFacts, SystemFacts
    from orchestrator.submissions.findings import Rulebook

_SOURCE = "submission_checker.py: check_results_dir"
_NOTHING = ScenarioRules()


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """A model on a system, and the scenarios whose performance test is good."""

    system: SystemFacts
    folder: str
    model: str
    path: str
    good: frozenset[str]

    @property
    def closed(self) -> bool:
        """Whether the rules of the closed (or network) division hold."""
        return self.system.division in {"closed", "network"}


def scenarios_of(system: SystemFacts, model: str, book: Rulebook) -> ScenarioRules:
    """What the system's category asks of a model; nothing where it does not know it."""
    rules = book.round.models.get(model)
    category = category_of(str(system.fields.get("system_type", "")))
    return rules.scenarios.get(category, _NOTHING) if rules is not None else _NOTHING


def _known(facts: ModelFacts, book: Rulebook) -> Iterator[Said]:
    if not scenarios_of(facts.system, facts.model, book).all:
        kind = facts.system.fields.get("system_type")
        yield Said(facts.path, f"`{facts.model}` is no model of {book.round.name} for a system of type {kind}")


def _complete(facts: ModelFacts, book: Rulebook) -> Iterator[Said]:
    if not facts.closed:
        return
    lacking = [name for name in scenarios_of(facts.system, facts.model, book).required if name not in facts.good]
    if lacking:
        yield Said(facts.path, f"has no good result of {', '.join(lacking)}, which the closed division asks for")


def _one_of(facts: ModelFacts, book: Rulebook) -> Iterator[Said]:
    asked = book.round.needed_of(scenarios_of(facts.system, facts.model, book))
    if facts.closed and asked and not facts.good.intersection(asked):
        yield Said(facts.path, f"has no good result of one of {', '.join(asked)}")


MODEL_RULES: tuple[Rule[ModelFacts], ...] = (
    Rule("model", "The model is one of the round's, in the system's category.", _SOURCE,
         "Correct the name; in the open division model_mapping.json may map it.", _known, official="refuse"),
    Rule("complete", "A closed submission shows every scenario that is required.", _SOURCE, "Add it.", _complete,
         official="refuse"),
    Rule("one-of", "Where one of several scenarios is asked for, one is shown.", _SOURCE, "Add one of them.",
         _one_of, official="refuse"),
)  # fmt: skip


def _scenario(result: ResultFacts, book: Rulebook) -> Iterator[Said]:
    if result.closed and result.scenario not in scenarios_of(result.system, result.model, book).all:
        yield Said(result.path, f"{result.scenario} is neither required nor optional here")


SCENARIO_RULES: tuple[Rule[ResultFacts], ...] = (
    Rule("scenario", "The scenario is one that the round knows for the model.", _SOURCE, "Remove it.", _scenario),
)  # fmt: skip
