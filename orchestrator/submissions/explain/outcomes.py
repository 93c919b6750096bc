"""Which rules were looked at for a result, what came of each, and which defects of the official checker touch it."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any, NamedTuple

from orchestrator.submissions.defects import DEFECTS, defects_of_column, defects_of_rule
from orchestrator.submissions.explain.values import Looked
from orchestrator.submissions.rows import summary_text
from orchestrator.submissions.rules.accuracy import ACCURACY_RULES
from orchestrator.submissions.rules.compliance import COMPLIANCE_RULES
from orchestrator.submissions.rules.measurements import MEASUREMENT_RULES
from orchestrator.submissions.rules.models import MODEL_RULES, SCENARIO_RULES
from orchestrator.submissions.rules.performance import PERFORMANCE_RULES, RUN_RULES
from orchestrator.submissions.rules.power import POWER_RULES
from orchestrator.submissions.rules.systems import SYSTEM_RULES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orchestrator.submissions.defects import Defect
    from orchestrator.submissions.facts import ResultFacts
    from orchestrator.submissions.findings import Finding, Rule, Rulebook


class _Part(NamedTuple):
    """A part of a result, and its rules."""

    name: str
    paths: tuple[str, ...]
    """What is said of these, and of what lies below them, is said of this part."""
    rules: tuple[Rule[Any], ...]


def looked_at(result: ResultFacts, findings: Sequence[Finding], book: Rulebook) -> tuple[Looked, ...]:
    """Every rule that holds for a result, with what a check found of it among ``findings``."""
    return tuple(
        Looked(
            part.name,
            part.paths[0],
            rule.id,
            rule.asks,
            rule.source,
            tuple(each for each in findings if each.rule == rule.id and _is_of(part, each.path)),
        )
        for part in _parts(result)
        for rule in part.rules
        if not book.ignored.intersection((rule.id, rule.within))
    )


def _is_of(part: _Part, path: str) -> bool:
    return any(path == below or path.startswith(f"{below}/") for below in part.paths)


def _parts(result: ResultFacts) -> Iterator[_Part]:
    yield _Part("system", (result.system.path,), SYSTEM_RULES)
    yield _Part("scenario", (result.path,), SCENARIO_RULES)
    yield _Part("measurements", (result.measurements.path,), MEASUREMENT_RULES)
    yield _Part("accuracy test", (result.accuracy.path,), ACCURACY_RULES)
    yield _Part("performance test", (result.run.path,), (*PERFORMANCE_RULES, *RUN_RULES))
    if result.power is not None:
        yield _Part("power", (f"{result.path}/performance",), POWER_RULES)
    if result.tests:
        yield _Part("compliance", (result.compliance_path,), COMPLIANCE_RULES)
    for test in result.tests.values():
        if test.run is not None and test.run.files is not None:
            yield _Part(f"performance test of {test.name}", (test.run.path,), RUN_RULES)
    yield _Part("model", (result.path.rpartition("/")[0],), MODEL_RULES)


def defects_that_touch(
    looked: Sequence[Looked],
    ours: Sequence[tuple[str, ...]],
    official: Sequence[tuple[str, ...]],
    columns: tuple[str, ...],
    form: str,
) -> tuple[Defect, ...]:
    """The defects by which the official checker says something else of this result: of the rules that it takes
    although they are broken, of its rows (``official``, beside ``ours``), in the ``form`` of its summary.
    """
    touched = {*_by_rules(looked), *_by_rows(ours, official, columns, form)}
    return tuple(defect for defect in DEFECTS if defect.id in touched)


def _by_rules(looked: Sequence[Looked]) -> Iterator[str]:
    """Defects of rules that the official checker takes as kept, or does not come to."""
    broken = [found for each in looked for found in each.findings]
    for found in broken:
        if found.rule == "result":
            if "result is 0" in found.message:
                yield "zero-is-unsaid"
        elif found.official != "refuse":
            yield from defects_of_rule(found.rule)
    if len({found.rule for found in broken if found.official == "refuse"}) > 1:
        yield "stops-at-the-first"


def _by_rows(
    ours: Sequence[tuple[str, ...]], official: Sequence[tuple[str, ...]], columns: tuple[str, ...], form: str
) -> Iterator[str]:
    """Defects that show in a row."""
    for index, name in enumerate(columns if ours and official else ()):
        if [row[index] for row in ours] != [row[index] for row in official]:
            yield from defects_of_column(name)
    if not all(_is_read_as(columns, row, form) for row in official):
        yield "summary-not-quoted"


def _is_read_as(columns: tuple[str, ...], row: tuple[str, ...], form: str) -> bool:
    """Whether a reader of CSV finds in the official summary what stands in a row."""
    text = summary_text(columns, [row], as_official=form)
    return list(csv.reader(io.StringIO(text)))[1:] == [list(row)]
