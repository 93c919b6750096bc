"""Rules of performance tests: of results, and of compliance tests, which are judged in the same way. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.submissions.detail_log import DetailLog
from orchestrator.submissions.facts import ResultFacts, RunFacts, SystemFacts, Unread
from orchestrator.submissions.figures import NS_IN_MS, figure_of, stands_for
from orchestrator.submissions.findings import Rule, Said

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.facts.rounds import ModelRules
    from orchestrator.submissions.findings import Rulebook

_SOURCE = "submission_checker.py: check_performance_dir"
_TOKENS = "submission_checker.py: extra_check_llm"
DETAIL = "mlperf_log_detail.txt"
_STREAMS = ("SingleStream", "MultiStream")
_STOPS_EARLY = ("Server", "SingleStream", "MultiStream")
_TTFT = "result_first_token_99.00_percentile_latency_ns"
_TPOT = "result_time_per_output_token_99.00_percentile_ns"


@dataclass(frozen=True, slots=True)
class RunCase:
    """A performance test and what it is shown as."""

    run: RunFacts
    system: SystemFacts
    model: ModelRules
    scenario: str
    conf_equal_issue: bool | None = None
    """Whether the measurements set equal issue, where a round looks there; None of a compliance test, never asked."""

    @property
    def path(self) -> str:
        """Of the detail log."""
        return f"{self.run.path}/{DETAIL}"

    @property
    def log(self) -> DetailLog | None:
        """What the log says; None where it was not read, which is a finding of its own."""
        return self.run.log if isinstance(self.run.log, DetailLog) else None

    @property
    def ran(self) -> str:
        """The scenario that LoadGen says it ran."""
        return str(self.log.values.get("effective_scenario")) if self.log is not None else ""


def differing(found: tuple[str, ...], required: tuple[str, ...], allowed: tuple[str, ...]) -> Iterator[str]:
    """What is wrong with the files of a folder."""
    for name in required:
        if name not in found and name not in allowed:
            yield f"has no {name}"
    for name in found:
        if name not in required and name not in allowed:
            yield f"has a file that does not belong there: {name}"


def _files(result: ResultFacts, book: Rulebook) -> Iterator[Said]:
    if result.run.files is None:
        yield Said(result.run.path, "the folder is missing")
        return
    files = book.checker.files
    required = (*files.performance, *(files.power_run if result.power is not None else ()))
    for message in differing(result.run.files, required, (*files.performance_optional, *files.ignored)):
        yield Said(result.run.path, message)


PERFORMANCE_RULES: tuple[Rule[ResultFacts], ...] = (
    Rule("performance-files", "A performance test has LoadGen's files, and no others.",
         "submission_checker.py: check_results_dir", "Add or remove it.", _files),
)  # fmt: skip


def _readable(case: RunCase, _book: Rulebook) -> Iterator[Said]:
    if isinstance(case.run.log, Unread):
        if not case.run.log.missing:  # what is missing, the rule of files tells
            yield Said(case.path, case.run.log.why)
        return
    for broken in case.run.log.broken:
        yield Said(case.path, f"has a line that is no entry of LoadGen's: {broken}")


def _one_test(case: RunCase, _book: Rulebook) -> Iterator[Said]:
    if case.log is not None and case.log.twice:
        yield Said(case.path, f"says twice and otherwise: {', '.join(case.log.twice)}; it is of more than one test")


def _validity(case: RunCase, _book: Rulebook) -> Iterator[Said]:
    if not case.model.submission.token_latencies:
        yield from _verdict(case)


def _validity_of_tokens(case: RunCase, _book: Rulebook) -> Iterator[Said]:
    if case.model.submission.token_latencies:
        yield from _verdict(case)


def _verdict(case: RunCase) -> Iterator[Said]:
    if case.log is None:
        return
    values = case.log.values
    verdict = values.get("result_validity")
    if verdict == "VALID":
        return
    reasons = [
        text
        for key, text in (
            ("result_min_duration_met", "the minimum duration was not reached"),
            ("result_min_queries_met", "the minimum number of queries was not reached"),
            ("result_perf_constraints_met", "too many queries were over the latency limit"),
            ("early_stopping_met", "early stopping was not satisfied"),
        )
        if values.get(key) is False
    ]
    why = f": {'; '.join(reasons)}" if reasons else ""
    told = f"LoadGen calls the result {verdict}" if verdict is not None else "LoadGen gave no verdict"
    yield Said(case.path, f"{told}{why}", str(values.get("result_invalid_reason") or "").strip())


def _figure(case: RunCase, book: Rulebook) -> Iterator[Said]:
    figure = figure_of(case.run.log, book.round, case.model, case.scenario)
    if case.log is not None and figure.value is None:
        yield Said(case.path, figure.why)
    elif figure.value == 0:
        yield Said(case.path, "the result is 0: there were too few queries for an estimate")


def _scenario(case: RunCase, book: Rulebook) -> Iterator[Said]:
    if case.log is not None and not stands_for(case.scenario, case.ran, book.round):
        yield Said(case.path, f"is of {case.ran}, which does not stand for {case.scenario}")


def _token_flag(case: RunCase, _book: Rulebook) -> Iterator[Said]:
    if case.log is None or not case.model.submission.token_latencies:
        return
    if not case.log.values.get("requested_use_token_latencies"):
        yield Said(case.path, "LoadGen did not time tokens (`use_token_latencies` is not set)")


def _token_latency(case: RunCase, book: Rulebook) -> Iterator[Said]:
    held_to = case.ran if book.as_official and book.checker.limits_by == "run" else case.scenario
    if not case.model.submission.token_latencies or held_to not in book.checker.token_limits or case.log is None:
        return
    limit = case.model.limits.get("Server" if held_to in _STREAMS else held_to)
    if limit is None or limit.ttft_ms is None or limit.tpot_ms is None:
        yield Said(case.path, f"the round has no limits on the latency of tokens for {case.scenario}")
        return
    for key, most, what in ((_TTFT, limit.ttft_ms, "first token"), (_TPOT, limit.tpot_ms, "each later token")):
        value = case.log.number(key)
        if value is None:
            yield Said(case.path, f"has no `{key}`")
        elif value >= most * NS_IN_MS:
            yield Said(
                case.path, f"the 99th percentile until the {what} is {value / NS_IN_MS:,.1f} ms; the limit is {most:g}"
            )


def _equal_issue(case: RunCase, book: Rulebook) -> Iterator[Said]:
    asked = book.checker.equal_issue
    if case.log is None or not case.model.submission.equal_issue or case.system.division not in asked.divisions:
        return
    equal = case.log.values.get("effective_sample_concatenate_permutation") is True
    if asked.conf_files:
        equal = (equal and not book.as_official) or case.conf_equal_issue is not False
    if not equal:
        yield Said(case.path, "samples were not issued equally often (`sample_concatenate_permutation`)")


def _errors(case: RunCase, _book: Rulebook) -> Iterator[Said]:
    yield from errors_in(case.run.log, case.path)


def errors_in(log: DetailLog | Unread, path: str) -> Iterator[Said]:
    """What LoadGen logged as errors."""
    if isinstance(log, DetailLog) and log.error_count:
        told = f": {'; '.join(log.errors)}" if log.errors else ""
        yield Said(path, f"LoadGen logged {log.error_count:,} errors{told}")


def _samples(case: RunCase, _book: Rulebook) -> Iterator[Said]:
    yield from _at_least(case, "effective_performance_sample_count", case.model.performance_samples)


def _at_least(case: RunCase, key: str, least: float | None) -> Iterator[Said]:
    if case.log is None or least is None:
        return
    value = case.log.number(key)
    if value is None:
        yield Said(case.path, f"has no `{key}`")
    elif value < least:
        yield Said(case.path, f"`{key}` is {value:,}; {least:,} is the least")


def _seeds(case: RunCase, book: Rulebook) -> Iterator[Said]:
    if case.log is None:
        return
    other = book.checker.test05_seeds
    seeds = other if other and "TEST05" in case.path else book.round.seeds
    for name, expected in seeds.items():
        value = case.log.values.get(f"effective_{name}")
        if value != expected:
            yield Said(case.path, f"`{name}` is {value}; the round's is {expected}")


def _early_stopping(case: RunCase, _book: Rulebook) -> Iterator[Said]:
    if case.log is not None and case.ran in _STOPS_EARLY and not case.log.values.get("early_stopping_met"):
        told = str(case.log.values.get("early_stopping_result") or "").strip()
        yield Said(case.path, f"early stopping was not satisfied: {told}")


def _target_latency(case: RunCase, _book: Rulebook) -> Iterator[Said]:
    """The official checker looks for the limit of what was run, so that of Server for Interactive too."""
    limit = case.model.limits.get(case.ran)
    if case.log is None or case.ran not in _STOPS_EARLY or limit is None or limit.latency_ms is None:
        return
    value = case.log.number("effective_target_latency_ns")
    if value is None:
        yield Said(case.path, "has no `effective_target_latency_ns`")
    elif value > limit.latency_ms * NS_IN_MS:
        yield Said(
            case.path, f"LoadGen's limit on latency was {value / NS_IN_MS:g} ms; the round's is {limit.latency_ms:g}"
        )


def _latency(case: RunCase, _book: Rulebook) -> Iterator[Said]:
    limit = case.model.limits.get(case.ran)
    if case.log is None or case.ran in _STOPS_EARLY or limit is None or limit.latency_ms is None:
        return
    value = case.log.number("result_99.00_percentile_latency_ns")
    if value is not None and value > limit.latency_ms * NS_IN_MS:
        yield Said(
            case.path, f"the 99th percentile is {value / NS_IN_MS:g} ms; the round's limit is {limit.latency_ms:g}"
        )


def _queries(case: RunCase, _book: Rulebook) -> Iterator[Said]:
    if case.ran not in _STOPS_EARLY:
        yield from _at_least(case, "effective_min_query_count", case.model.min_queries.get(case.ran))


def _offline(case: RunCase, book: Rulebook) -> Iterator[Said]:
    if case.ran == "Offline" and case.system.division in book.checker.offline_divisions:
        yield from _at_least(case, "effective_samples_per_query", case.model.offline_samples)


def _duration(case: RunCase, _book: Rulebook) -> Iterator[Said]:
    yield from _at_least(case, "effective_min_duration_ms", case.model.min_duration_ms)


def _sut(case: RunCase, book: Rulebook) -> Iterator[Said]:
    if case.log is None or not case.system.over_network:
        return
    name = str(case.log.values.get("sut_name"))
    if book.checker.network_sut not in name:
        yield Said(case.path, f"the SUT is called `{name[:80]}`, without `{book.checker.network_sut}`")


def _loadgen(case: RunCase, book: Rulebook) -> Iterator[Said]:
    if case.log is None:
        return
    version = str(case.log.values.get("loadgen_version") or "")
    if not book.round.loadgen.accepts(version.partition(" ")[0]):
        yield Said(case.path, f"was written by LoadGen {version[:40]}; the round's are {book.round.loadgen.range}")


_RERUN = "Run the test again."
RUN_RULES: tuple[Rule[RunCase], ...] = (
    Rule("detail-log", "The detail log can be read, and every line is whole.", _SOURCE, _RERUN, _readable,
         official="refuse"),
    Rule("one-test", "A detail log is of one test.", "ours", "Give each test a folder of its own.", _one_test,
         level="warning", official="skip"),
    Rule("validity", "LoadGen calls the result VALID.", _SOURCE, _RERUN, _validity),
    Rule("validity-tokens", "LoadGen calls the result of a language model VALID.", _SOURCE, _RERUN,
         _validity_of_tokens),
    Rule("result", "The log has the result.", _SOURCE, _RERUN, _figure, official="refuse"),
    Rule("scenario-run", "The scenario that was run is the folder's, or one that stands for it.", "ours",
         "Move the logs to the folder of their scenario.", _scenario, official="skip"),
    Rule("token-latencies", "LoadGen times the tokens of a language model.", _TOKENS,
         "Set use_token_latencies.", _token_flag, official="refuse"),
    Rule("token-latency", "The latencies of tokens are below the model's limits.", _TOKENS, "Lower the rate.",
         _token_latency),
    Rule("equal-issue", "Samples of unequal size are issued equally often.", _SOURCE,
         "Set sample_concatenate_permutation.", _equal_issue),
    Rule("loadgen-errors", "LoadGen logged no error.", "submission_checker.py: find_error_in_detail_log", _RERUN,
         _errors),
    Rule("performance-samples", "LoadGen keeps as many samples loaded as the model asks.", _SOURCE,
         "Set performance_sample_count.", _samples, official="refuse"),
    Rule("seeds", "The random seeds are the round's.", _SOURCE, "Use the round's LoadGen.", _seeds),
    Rule("early-stopping", "Early stopping is satisfied.", _SOURCE, "Run longer, or lower the rate.",
         _early_stopping),
    Rule("latency", "The latency that LoadGen held Server to is the round's or less.", _SOURCE,
         "Set target_latency.", _target_latency),
    Rule("latency-99", "The 99th percentile is within the round's limit.", _SOURCE, "Lower the rate.", _latency),
    Rule("min-queries", "A test without early stopping has the round's number of queries.", _SOURCE,
         "Set min_query_count.", _queries),
    Rule("offline-samples", "Offline's query has as many samples as the model asks.", _SOURCE,
         "Set min_query_count.", _offline),
    Rule("min-duration", "A test is as long as the round asks.", _SOURCE, "Set min_duration.", _duration),
    Rule("network-sut", "The SUT of a system over a network says so by its name.", _SOURCE, "Name it so.", _sut,
         official="refuse"),
    Rule("loadgen-version", "The log is of one of the round's LoadGens.", "ours, by recipes/rounds",
         "Use the round's LoadGen.", _loadgen, level="warning", official="skip"),
)  # fmt: skip
