"""Rules of compliance tests. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.submissions.accuracy_text import AccuracyText
from orchestrator.submissions.facts import ResultFacts, TestFacts, Unread
from orchestrator.submissions.findings import Rule, Said
from orchestrator.submissions.rules.performance import differing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.submissions.findings import Rulebook

_SOURCE = "submission_checker.py: check_compliance_dir"
_PERFORMANCE = "submission_checker.py: check_compliance_perf_dir"
_ACCURACY = "submission_checker.py: check_compliance_acc_dir"
ACCURACY_VERDICT = "verify_accuracy.txt"


def _there(result: ResultFacts, _book: Rulebook) -> Iterator[Said]:
    if result.tests and not result.compliance_there:
        yield Said(result.compliance_path, f"the folder is missing, with {', '.join(result.tests)}")
        return
    for test in result.tests.values():
        if not test.there:
            yield Said(test.path, "the folder is missing")


def _passed(test: TestFacts, verdict: str, book: Rulebook) -> bool:
    lines = test.verdicts.get(verdict, ())
    asked = book.checker.tests[test.name].lines
    return not isinstance(lines, Unread) and all(
        any(text in line for text in group for line in lines) for group in asked
    )


def _verdicts(result: ResultFacts, book: Rulebook) -> Iterator[Said]:
    for test in result.tests.values():
        if not test.there:
            continue
        for verdict, lines in test.verdicts.items():
            path = f"{test.path}/{verdict}"
            if isinstance(lines, Unread):
                yield Said(path, lines.why)
            elif not _passed(test, verdict, book) and not _may_differ(test, verdict, book):
                yield Said(path, f"does not say that {test.name} passed")


def _may_differ(test: TestFacts, verdict: str, book: Rulebook) -> bool:
    return verdict == ACCURACY_VERDICT and book.checker.tests[test.name].accuracy


def _run_files(result: ResultFacts, book: Rulebook) -> Iterator[Said]:
    files = book.checker.files
    for test in result.tests.values():
        if test.run is None:
            continue
        if test.run.files is None:
            yield Said(test.run.path, "the folder is missing")
            continue
        allowed = (*files.performance_optional, *files.ignored)
        for message in differing(test.run.files, files.compliance_performance, allowed):
            yield Said(test.run.path, message)


def _accuracy_files(result: ResultFacts, book: Rulebook) -> Iterator[Said]:
    files = book.checker.files
    for test in _with_accuracy(result, book):
        path = f"{test.path}/accuracy"
        differs = not _passed(test, ACCURACY_VERDICT, book)
        required = (*files.compliance_accuracy, *(files.compliance_accuracy_differs if differs else ()))
        if not differs and book.checker.compliance_accuracy == "differs":
            continue
        if test.accuracy_files is None:
            yield Said(path, "the folder is missing")
            continue
        for message in differing(test.accuracy_files, required, files.ignored):
            yield Said(path, message)


def _with_accuracy(result: ResultFacts, book: Rulebook) -> Iterator[TestFacts]:
    for test in result.tests.values():
        if test.there and book.checker.tests[test.name].accuracy:
            yield test


def _deltas(result: ResultFacts, book: Rulebook) -> Iterator[Said]:
    model = book.round.models.get(result.model)
    for test in _with_accuracy(result, book):
        files = book.checker.files.compliance_accuracy_differs
        if _passed(test, ACCURACY_VERDICT, book) or not set(files) <= set(test.accuracy_files or ()):
            continue
        whole, part = _last(test.baseline), _last(test.compliance)
        for target in model.accuracy_of(result.scenario) if model is not None else ():
            if target.minimum is None:
                continue
            most = _most(result.model, target.metric, book)
            yield from _delta(test, target.metric, whole.get(target.metric), part.get(target.metric), most)


def _most(model: str, metric: str, book: Rulebook) -> float:
    """The official checker looks for a metric by its first letter, so that what is written for one never counts."""
    checker = book.checker
    if book.as_official and checker.delta_by == "letter":
        return checker.delta_percent_high if "99.9" in model else checker.delta_percent
    return book.round.models[model].submission.delta_percent.get(metric, checker.delta_percent)


def _last(text: AccuracyText | Unread) -> dict[str, float]:
    return text.last() if isinstance(text, AccuracyText) else {}


def _delta(test: TestFacts, metric: str, whole: float | None, part: float | None, most: float) -> Iterator[Said]:
    path = f"{test.path}/accuracy"
    if not whole or not part:
        yield Said(path, f"baseline_accuracy.txt or compliance_accuracy.txt says nothing of {metric}")
        return
    delta = abs(1 - whole / part) * 100
    if delta > most:
        yield Said(path, f"{metric} is {part:g} where the whole has {whole:g}: {delta:.3g} % apart, {most:g} at most")


COMPLIANCE_RULES: tuple[Rule[ResultFacts], ...] = (
    Rule("compliance", "A closed result has the compliance tests of its model.", _SOURCE, "Run the tests.", _there,
         official="refuse"),
    Rule("compliance-verdict", "MLCommons' verification says that each test passed.",
         f"{_PERFORMANCE}, check_compliance_acc_dir", "Run the test, then its verification, again.", _verdicts,
         official="refuse"),
    Rule("compliance-files", "A compliance test has LoadGen's files, and no others.", _PERFORMANCE,
         "Add or remove it.", _run_files, official="refuse"),
    Rule("compliance-accuracy-files", "TEST01 has the accuracy of its outputs.", _ACCURACY, "Add or remove it.",
         _accuracy_files, official="refuse"),
    Rule("compliance-accuracy", "Where TEST01's outputs differ, their accuracy does not.", _ACCURACY,
         "Run the test again.", _deltas, official="refuse"),
)  # fmt: skip
