"""One result, one model, one system: the facts against every rule, and the rows of what is good. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from orchestrator.submissions.figures import figure_of
from orchestrator.submissions.findings import Finding, findings_of
from orchestrator.submissions.rows import Shown, rows_of
from orchestrator.submissions.rules.accuracy import ACCURACY_RULES, FILE_RULES, judged
from orchestrator.submissions.rules.compliance import COMPLIANCE_RULES
from orchestrator.submissions.rules.measurements import MEASUREMENT_RULES
from orchestrator.submissions.rules.models import MODEL_RULES, SCENARIO_RULES, ModelFacts
from orchestrator.submissions.rules.performance import PERFORMANCE_RULES, RUN_RULES, RunCase
from orchestrator.submissions.rules.power import POWER_RULES, metric_of
from orchestrator.submissions.rules.systems import SYSTEM_RULES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from orchestrator.facts.rounds import ModelRules
    from orchestrator.submissions.facts import ResultFacts, SystemFacts
    from orchestrator.submissions.findings import Rulebook


class SystemOutcome(NamedTuple):
    """What came of a system: everything that its rules say, and the rows of its good results."""

    findings: tuple[Finding, ...]
    rows: tuple[tuple[str, ...], ...]
    results: int
    """Folders of scenarios."""
    refused: tuple[str, ...]
    """The paths of what is refused: of results, of models that are not whole, of the system."""


class _Parts(NamedTuple):
    """What was found of a result, by where the official checker looks."""

    scenario: list[Finding]
    measurements: list[Finding]
    accuracy_files: list[Finding]
    accuracy: list[Finding]
    performance_files: list[Finding]
    performance: list[Finding]
    compliance: list[Finding]

    @property
    def all(self) -> list[Finding]:
        return [found for part in self for found in part]

    def good(self, book: Rulebook) -> bool:
        """Whether the performance test counts towards what the model has to show."""
        judged_first = (*self.scenario, *self.measurements, *self.accuracy_files)
        return not book.refuses((*judged_first, *self.performance_files, *self.performance))

    def errors(self, book: Rulebook) -> int:
        """What the official checker adds to its count, which goes on where it stops looking."""
        if any(book.refuses(part) for part in (self.scenario, self.measurements, self.accuracy_files)):
            return 1
        told = any(found.official == "tell" for found in self.measurements)  # in v3.0, which takes the result
        ran = not book.refuses(self.performance_files)
        return told + book.refuses(self.accuracy) + (ran and book.refuses(self.performance))


def judge_system(system: SystemFacts, results: Iterable[ResultFacts], book: Rulebook) -> SystemOutcome:
    """A system and its results, which come a model after the other."""
    findings = findings_of(SYSTEM_RULES, system, book)
    rows: list[tuple[str, ...]] = []
    refused: list[str] = []
    system_refused = book.refuses(findings)
    if system_refused:
        refused.append(system.results)
    count = 0
    for group in _by_model(results):
        count += len(group)
        outcome = _judge_model(system, group, book)
        findings += outcome.findings
        refused += outcome.refused
        if not system_refused:
            rows += outcome.rows
    return SystemOutcome(tuple(findings), tuple(rows), count, tuple(refused))


def _by_model(results: Iterable[ResultFacts]) -> Iterator[list[ResultFacts]]:
    group: list[ResultFacts] = []
    for result in results:
        if group and group[-1].model_name != result.model_name:
            yield group
            group = []
        group.append(result)
    if group:
        yield group


def _judge_model(system: SystemFacts, results: Sequence[ResultFacts], book: Rulebook) -> SystemOutcome:
    first = results[0]
    path = first.path.rpartition("/")[0]
    model = book.round.models.get(first.model)
    findings: list[Finding] = []
    rows: list[tuple[str, ...]] = []
    refused: list[str] = []
    whole = book.checker.whole_models
    good: set[str] = {result.scenario for result in results} if whole else set()
    errors = 0
    for result in results if model is not None else ():
        assert model is not None
        parts = _judge_result(result, model, book)
        findings += parts.all
        if parts.good(book):
            good.add(result.scenario)
        errors += parts.errors(book)
        shown = _rows(result, model, parts, errors, book)
        rows += shown
        if not shown:
            refused.append(result.path)
    facts = ModelFacts(system, first.model_name, first.model, path, frozenset(good))
    of_model = findings_of(MODEL_RULES, facts, book)
    if book.refuses(of_model):
        refused.append(path)
    if whole and book.refuses((*of_model, *(found for found in findings if found.rule == "scenario"))):
        rows = []
    return SystemOutcome((*findings, *of_model), tuple(rows), len(results), tuple(refused))


def _judge_result(result: ResultFacts, model: ModelRules, book: Rulebook) -> _Parts:
    of_accuracy = [*_accuracy(result, book)]
    files = [found for found in of_accuracy if found.rule in FILE_RULES]
    return _Parts(
        scenario=findings_of(SCENARIO_RULES, result, book),
        measurements=findings_of(MEASUREMENT_RULES, result, book),
        accuracy_files=files,
        accuracy=[found for found in of_accuracy if found.rule not in FILE_RULES],
        performance_files=findings_of(PERFORMANCE_RULES, result, book),
        performance=[
            *_run(result, model, book),
            *(findings_of(POWER_RULES, result, book) if result.power is not None else ()),
        ],
        compliance=[*_compliance(result, model, book)],
    )


def _run(result: ResultFacts, model: ModelRules, book: Rulebook) -> list[Finding]:
    if result.run.files is None:  # told by the rule of files
        return []
    case = RunCase(result.run, result.system, model, result.scenario, result.measurements.equal_issue)
    return findings_of(RUN_RULES, case, book)


def _accuracy(result: ResultFacts, book: Rulebook) -> Iterator[Finding]:
    """In the open division any accuracy is taken, once there is one; what is wrong is for reading then.

    Some rounds take any figure there, and hold the test to all else.
    """
    shown = bool(judged(result, book).figures) or (book.as_official and book.checker.answer("open-accuracy") == "skip")
    taken = not result.closed and shown
    for found in findings_of(ACCURACY_RULES, result, book):
        if taken and found.rule in book.checker.open_forgives:
            yield found._replace(level="warning", official="tell")
        else:
            yield found


def _compliance(result: ResultFacts, model: ModelRules, book: Rulebook) -> Iterator[Finding]:
    if result.tests:
        yield from findings_of(COMPLIANCE_RULES, result, book)
    for test in result.tests.values():
        if test.run is not None and test.run.files is not None:
            case = RunCase(test.run, result.system, model, result.scenario)
            yield from findings_of(RUN_RULES, case, book)


def _rows(result: ResultFacts, model: ModelRules, parts: _Parts, errors: int, book: Rulebook) -> list[tuple[str, ...]]:
    figure = figure_of(result.run.log, book.round, model, result.scenario)
    if not figure.value or not parts.good(book) or book.refuses((*parts.accuracy, *parts.compliance)):
        return []
    power = metric_of(result, book.checker.inferred_samples) if result.power is not None else None
    accuracy = judged(result, book).column(book.checker.accuracy_column)
    shown = Shown(value=figure.value, inferred=figure.inferred, accuracy=accuracy, power=power, errors=errors)
    return rows_of(result, model, shown, book)
