"""Rules of accuracy tests. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from orchestrator.submissions.accuracy_text import AccuracyText
from orchestrator.submissions.detail_log import DetailLog
from orchestrator.submissions.facts import ResultFacts, Unread
from orchestrator.submissions.findings import Rule, Said
from orchestrator.submissions.rules.performance import DETAIL, differing, errors_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.facts.rounds import ModelRules, QualityTarget
    from orchestrator.submissions.findings import Rulebook

_SOURCE = "submission_checker.py: check_accuracy_dir"


class Judged(NamedTuple):
    """What an `accuracy.txt` shows, and what is wrong with it."""

    figures: dict[str, str]
    """By metric, in the order in which they stand."""
    faults: tuple[str, ...]

    def column(self, form: str) -> str:
        """As the summary writes it (`CheckerRules.accuracy_column`)."""
        if form == "number":
            return next(iter(self.figures.values()), "None")
        text = json.dumps(self.figures).replace(",", " ")
        return text.translate({ord(sign): None for sign in '"{}'}).strip()


def judge(text: AccuracyText | Unread, targets: tuple[QualityTarget, ...]) -> Judged:
    """The figures of an accuracy test against the model's targets.

    As the official checker reads it, line by line until every target is met and the hash has stood: of a metric
    that stands several times every figure counts, and the last one is shown.
    """
    if isinstance(text, Unread):
        return Judged({}, ())
    by_metric = {target.metric: target for target in targets}
    figures: dict[str, str] = {}
    faults: list[str] = []
    met: set[str] = set()
    met_on = 0
    wanted = {target.metric for target in targets if target.minimum is not None}
    for each in text.figures:
        if met >= wanted and text.hash and max(text.hash_line, met_on) < each.line:
            break
        target = by_metric.get(each.metric)
        if target is None:
            continue
        if target.minimum is not None:
            figures[each.metric] = each.text
        fault = _fault(each.metric, each.text, each.value, target)
        if fault:
            faults.append(fault)
        else:
            met.add(each.metric)
            met_on = each.line
    faults += [f"says nothing of {metric}" for metric in sorted(wanted - figures.keys())]
    return Judged(figures, tuple(faults))


def judge_last(text: AccuracyText | Unread, targets: tuple[QualityTarget, ...]) -> Judged:
    """As `judge`, where a model has one metric and only its last figure counts, until figure and hash have stood."""
    if isinstance(text, Unread) or not targets:
        return Judged({}, ())
    target = targets[0]
    until = max(text.hash_line, text.figures[0].line) if text.figures and text.hash else None
    counted = [each for each in text.figures if until is None or each.line <= until]
    if not counted:
        return Judged({}, (f"says nothing of {target.metric}",))
    fault = _fault(target.metric, counted[-1].text, counted[-1].value, target)
    return Judged({target.metric: counted[-1].text}, (fault,) if fault else ())


def _fault(metric: str, text: str, value: float | None, target: QualityTarget) -> str:
    if value is None:
        return f"{metric} is `{text[:40]}`, which is no number"
    if target.minimum is not None and value < target.minimum:
        return f"{metric} is {text}; {target.minimum:g} is the least"
    if target.maximum is not None and value > target.maximum:
        return f"{metric} is {text}; {target.maximum:g} is the most"
    return ""


def judged(result: ResultFacts, book: Rulebook) -> Judged:
    """The figures of a result's accuracy test."""
    model = book.round.models.get(result.model)
    targets = model.accuracy_of(result.scenario) if model is not None else ()
    how = judge_last if book.checker.accuracy_column == "number" else judge
    return how(result.accuracy.text, targets)


def _files(result: ResultFacts, book: Rulebook) -> Iterator[Said]:
    facts = result.accuracy
    if facts.files is None:
        yield Said(facts.path, "the folder is missing")
        return
    for message in differing(facts.files, book.checker.files.accuracy, book.checker.files.ignored):
        yield Said(facts.path, message)


def _text(result: ResultFacts, _book: Rulebook) -> Iterator[Said]:
    text = result.accuracy.text
    if isinstance(text, Unread) and not text.missing:
        yield Said(f"{result.accuracy.path}/accuracy.txt", text.why)


def _targets(result: ResultFacts, book: Rulebook) -> Iterator[Said]:
    for fault in judged(result, book).faults:
        yield Said(f"{result.accuracy.path}/accuracy.txt", fault)


def _hash(result: ResultFacts, _book: Rulebook) -> Iterator[Said]:
    text = result.accuracy.text
    if isinstance(text, AccuracyText) and not text.hash:
        yield Said(f"{result.accuracy.path}/accuracy.txt", "has no hash of mlperf_log_accuracy.json")


def _size(result: ResultFacts, book: Rulebook) -> Iterator[Said]:
    size, most = result.accuracy.log_bytes, book.checker.limits.accuracy_log_bytes
    if size is not None and most and size > most:
        path = f"{result.accuracy.path}/mlperf_log_accuracy.json"
        yield Said(path, f"has {size:,} bytes; {most:,} are the most")


def _log(result: ResultFacts, _book: Rulebook) -> Iterator[Said]:
    log, path = result.accuracy.log, f"{result.accuracy.path}/{DETAIL}"
    if isinstance(log, Unread):
        if not log.missing:
            yield Said(path, log.why)
        return
    for broken in log.broken:
        yield Said(path, f"has a line that is no entry of LoadGen's: {broken}")


def _errors(result: ResultFacts, _book: Rulebook) -> Iterator[Said]:
    yield from errors_in(result.accuracy.log, f"{result.accuracy.path}/{DETAIL}")


def _expected(model: ModelRules, scenario: str) -> int | None:
    return model.accuracy_samples_in.get(scenario, model.accuracy_samples or model.dataset_samples)


def _samples(result: ResultFacts, book: Rulebook) -> Iterator[Said]:
    model, log = book.round.models.get(result.model), result.accuracy.log
    expected = _expected(model, result.scenario) if model is not None else None
    if expected is None or not isinstance(log, DetailLog):
        return
    count = log.values.get("qsl_reported_total_count")
    if count != expected:
        tested = f"{count:,}" if isinstance(count, int) else str(count)
        yield Said(
            f"{result.accuracy.path}/{DETAIL}", f"the test is over {tested} samples; the data set has {expected:,}"
        )


def _extras(result: ResultFacts, book: Rulebook) -> Iterator[Said]:
    model = book.round.models.get(result.model)
    for folder, stems in model.submission.accuracy_extras.items() if model is not None else ():
        there = {name.partition(".")[0] for name in result.accuracy.folders.get(folder, ())}
        lacking = [stem for stem in stems if stem not in there]
        if lacking:
            yield Said(f"{result.accuracy.path}/{folder}", f"has no {', '.join(lacking)}")


ACCURACY_RULES: tuple[Rule[ResultFacts], ...] = (
    Rule("accuracy-files", "An accuracy test has LoadGen's files and accuracy.txt, and no others.",
         "submission_checker.py: check_results_dir", "Add or remove it.", _files),
    Rule("accuracy-text", "accuracy.txt can be read.", _SOURCE, "Score the log again.", _text, official="refuse"),
    Rule("accuracy", "The accuracy reaches what the round asks of the model.", _SOURCE,
         "Run it with a model that reaches it, or submit in the open division.", _targets, official="refuse"),
    Rule("accuracy-hash", "accuracy.txt has the hash of the accuracy log.", _SOURCE,
         "Truncate the log by MLCommons' program, which writes the hash.", _hash, official="refuse"),
    Rule("accuracy-log-size", "The accuracy log is truncated.", _SOURCE, "Truncate it by MLCommons' program.", _size,
         official="refuse"),
    Rule("accuracy-log", "The detail log of the accuracy test can be read.", _SOURCE, "Run the test again.", _log,
         official="refuse"),
    Rule("accuracy-errors", "LoadGen logged no error.", "submission_checker.py: find_error_in_detail_log",
         "Run the test again.", _errors),
    Rule("accuracy-samples", "An accuracy test is over the whole data set.", _SOURCE, "Run it over all samples.",
         _samples),
    Rule("accuracy-extras", "The outputs that the round asks to see are there.",
         "submission_checker.py: check_extra_files", "Add the files.", _extras),
)  # fmt: skip
FILE_RULES = ("accuracy-files", "accuracy-text")
"""Of the files themselves: what the official checker looks at first."""
