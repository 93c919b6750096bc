"""Rules of results with power: files, samples, and each check of the power client's session (`power_session`). Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.submissions.detail_log import DetailLog
from orchestrator.submissions.facts import ResultFacts, Unread
from orchestrator.submissions.findings import Rule, Said
from orchestrator.submissions.power import window_of
from orchestrator.submissions.rules import power_session as session
from orchestrator.submissions.rules.performance import differing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orchestrator.submissions.findings import Rulebook
    from orchestrator.submissions.rules.power_session import SessionCheck

_FILES = "submission_checker.py: check_power_dir"
_METRIC = "submission_checker.py: get_power_metric"
_CHECK = "power/power_checker.py"


def _files(result: ResultFacts, book: Rulebook) -> Iterator[Said]:
    power = result.power
    if power is None:
        return
    files = book.checker.files
    for message in differing(power.files, files.power, files.ignored):
        yield Said(power.path, message)
    if power.ranging.files is None:
        yield Said(power.ranging.path, "the folder is missing")
        return
    required = (*files.performance, *files.power_run)
    for message in differing(power.ranging.files, required, (*files.performance_optional, *files.ignored)):
        yield Said(power.ranging.path, message)


def _samples(result: ResultFacts, _book: Rulebook) -> Iterator[Said]:
    power = result.power
    if power is None:
        return
    if not power.testing_power.samples and not isinstance(result.run.log, Unread):
        why = power.testing_power.why or "no sample lies within the test"
        yield Said(f"{result.run.path}/spl.txt", why)
    if result.scenario == "Interactive":
        yield Said(power.path, "the round does not say what a figure with power is for Interactive")
    ranging = power.ranging.log
    if isinstance(ranging, Unread) and not ranging.missing:
        yield Said(power.ranging.path, f"mlperf_log_detail.txt {ranging.why}")


def metric_of(result: ResultFacts, inferred_samples: int) -> float | None:
    """Watts (Offline, Server) or millijoules a query (the streams); None where nothing was measured."""
    power, log = result.power, result.run.log
    window = window_of(log)
    if power is None or window is None or not isinstance(log, DetailLog) or not power.testing_power.samples:
        return None
    watts = power.testing_power.watts
    if result.scenario in {"Offline", "Server"}:
        return watts
    queries = log.number("result_query_count")
    if not queries or result.scenario not in {"SingleStream", "MultiStream"}:
        return None
    if result.scenario == "MultiStream" and log.values.get("effective_scenario") == "SingleStream":
        return watts * window.seconds * inferred_samples * 1000 / int(queries)
    return watts * window.seconds * 1000 / int(queries)


def _in_round(check: SessionCheck) -> Callable[[ResultFacts, Rulebook], Iterator[Said]]:
    """Where the round looks at sessions: of v3.0 nobody says which ones it took."""

    def checked(result: ResultFacts, book: Rulebook) -> Iterator[Said]:
        if book.checker.looks_at("power-check"):
            yield from check(result, book.checker.power_session)

    return checked


def _log_in_round(result: ResultFacts, book: Rulebook) -> Iterator[Said]:
    if book.checker.looks_at("power-check"):
        yield from session.ptd_log(result, book.checker.power_session, ends_at_a_warning=book.as_official)


_MEASURE = "Measure again by MLCommons' power client."
POWER_RULES: tuple[Rule[ResultFacts], ...] = (
    Rule("power-files", "A result with power has the files of the session and of the ranging run.", _FILES,
         "Add or remove it.", _files),
    Rule("power-samples", "The analyser has samples within the test.", _METRIC, _MEASURE, _samples, official="refuse"),
    Rule("power-session", "The session's files can be read and have their fields.", _CHECK, _MEASURE,
         _in_round(session.readable), within="power-check"),
    Rule("power-client", "The session is of a power client that MLCommons accepts.",
         f"{_CHECK}: sources_check", _MEASURE, _in_round(session.sources), within="power-check"),
    Rule("power-commands", "PTDaemon answered as it should, and its ranges were put back.",
         f"{_CHECK}: ptd_messages_check", _MEASURE, _in_round(session.commands), within="power-check"),
    Rule("power-same-session", "The client and the server are of one session.", f"{_CHECK}: uuid_check", _MEASURE,
         _in_round(session.same), within="power-check"),
    Rule("power-messages", "The client and the server heard the same.", f"{_CHECK}: messages_check", _MEASURE,
         _in_round(session.replies), within="power-check"),
    Rule("power-clocks", "The clocks agree, and the test lies in its phase.", f"{_CHECK}: phases_check", _MEASURE,
         _in_round(session.clocks), within="power-check"),
    Rule("power-ranging", "The test draws about what the ranging run drew.", f"{_CHECK}: phases_check", _MEASURE,
         _in_round(session.drawn), within="power-check"),
    Rule("power-hashes", "The files are those of the session.", f"{_CHECK}: results_check",
         "Submit the files as they were written.", _in_round(session.hashes), within="power-check"),
    Rule("power-log", "PTDaemon's log tells of no doubt within the test.", f"{_CHECK}: check_ptd_logs", _MEASURE,
         _log_in_round, within="power-check"),
    Rule("power-configuration", "The analyser is one that MLCommons accepts, and no debug mode was on.",
         f"{_CHECK}: check_ptd_config, debug_check", _MEASURE, _in_round(session.configuration), within="power-check"),
)  # fmt: skip
