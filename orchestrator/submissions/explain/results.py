"""How the columns of the figures come about: of the performance, of the power, of the accuracy. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from orchestrator.submissions.accuracy_text import AccuracyText
from orchestrator.submissions.detail_log import DetailLog
from orchestrator.submissions.explain.values import Derived, Origin
from orchestrator.submissions.facts import Unread
from orchestrator.submissions.figures import INFERRED_KEYS, figure_of, result_key
from orchestrator.submissions.power import SPL, window_of
from orchestrator.submissions.rules.accuracy import judged
from orchestrator.submissions.rules.performance import DETAIL

if TYPE_CHECKING:
    from orchestrator.submissions.explain.values import Case

RAN = "effective_scenario"


def in_log(case: Case, *keys: str) -> tuple[Origin, ...]:
    """Entries of the detail log of the performance test."""
    log, path = case.result.run.log, f"{case.result.run.path}/{DETAIL}"
    values = log.values if isinstance(log, DetailLog) else {}
    return tuple(Origin(path, key, json.dumps(values[key])) for key in keys if key in values)


def performance(case: Case) -> Derived:
    """The figure of the performance test."""
    log = case.result.run.log
    if isinstance(log, Unread):
        return Derived(f"{DETAIL} {log.why}")
    run, scenario = str(log.values.get(RAN)), case.result.scenario
    figure = figure_of(log, case.book.round, case.model, scenario)
    if figure.value is None:
        return Derived(figure.why, in_log(case, RAN))
    key = INFERRED_KEYS[scenario, run] if figure.inferred else result_key(run, case.book.round, case.model)
    assert key is not None
    entries = in_log(case, key)
    raw = entries[0].raw if entries else ""
    if not figure.inferred:
        if run in {"SingleStream", "MultiStream"}:
            return Derived(f"{raw} ns / 1,000,000 = {figure.value} ms", entries)
        return Derived("as LoadGen counts it", entries)
    how = f"computed of {run}: {_computed(case, log, key, figure.value)}"
    return Derived(how, (*entries, *in_log(case, *_beside(scenario, run), RAN)))


def _beside(scenario: str, run: str) -> tuple[str, ...]:
    return ("effective_samples_per_query",) if (scenario, run) == ("Offline", "MultiStream") else ()


def _computed(case: Case, log: DetailLog, key: str, value: float) -> str:
    raw, scenario = log.values[key], case.result.scenario
    if scenario == "MultiStream":
        samples = case.book.checker.inferred_samples
        return f"{raw} ns × {samples} samples / 1,000,000 = {value} ms"
    if key == INFERRED_KEYS["Offline", "MultiStream"]:
        samples = log.values["effective_samples_per_query"]
        return f"{samples} samples × 1,000 / ({raw} ns / 1,000,000) = {value} samples a second"
    return "the rate of its queries, as LoadGen counts it"


def power(case: Case) -> Derived:
    """The figure with power: the mean of the analyser's samples within the test, or the energy of a query."""
    facts, log = case.result.power, case.result.run.log
    window = window_of(log)
    if facts is None or window is None or not isinstance(log, DetailLog):
        return Derived("no power was measured within the test")
    sample = facts.testing_power
    if not sample.samples:
        return Derived(sample.why or "no sample lies within the test")
    mean = f"{sample.watts} W, the mean of {sample.samples:,} samples between power_begin and power_end, above 0"
    where = Origin(f"{case.result.run.path}/{SPL}", "", f"{sample.samples:,} samples", sample.first, sample.last)
    origins = (where, *in_log(case, "power_begin", "power_end"))
    if case.result.scenario in {"Offline", "Server"}:
        return Derived(mean, origins)
    queries = log.values.get("result_query_count")
    times = ""
    if case.result.scenario == "MultiStream" and log.values.get(RAN) == "SingleStream":
        times = f" × {case.book.checker.inferred_samples} samples"
    how = f"{mean} × {window.seconds} s{times} × 1,000 / {queries} queries = millijoules a query"
    return Derived(how, (*origins, *in_log(case, "result_query_count")))


def accuracy(case: Case) -> Derived:
    """The figures of `accuracy.txt`, and what the round asks of them."""
    facts = case.result.accuracy
    path = f"{facts.path}/accuracy.txt"
    if not isinstance(facts.text, AccuracyText):
        return Derived(f"accuracy.txt {facts.text.why}", (Origin(path),))
    shown = judged(case.result, case.book).figures
    last = {each.metric: each for each in facts.text.figures if shown.get(each.metric) == each.text}
    origins = tuple(Origin(path, each.metric, each.text, each.line) for each in last.values())
    asked = []
    for target in case.model.accuracy_of(case.result.scenario):
        least = f"at least {target.minimum:g}" if target.minimum is not None else ""
        most = f"at most {target.maximum:g}" if target.maximum is not None else ""
        asked.append(f"{target.metric} {' and '.join(filter(None, (least, most)))}")
    how = "what the scorer wrote"
    return Derived(f"{how}; {case.book.round.name} asks for {', '.join(asked)}" if asked else how, origins)
