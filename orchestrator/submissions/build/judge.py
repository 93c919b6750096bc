"""Whether a run may stand in a tree of a round, and what its reader has to be told of it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.facts.compliance import MODE as COMPLIANCE
from orchestrator.facts.measured import GOOD_VERDICTS
from orchestrator.facts.power import PERFORMANCE, POWER, RANGING, TESTING
from orchestrator.facts.scenarios import SCENARIOS
from orchestrator.results.loadgen import ACCURACY, DETAIL, SUMMARY
from orchestrator.submissions.build.accuracy import missing_metrics
from orchestrator.submissions.build.closed import closed_faults
from orchestrator.submissions.build.layout import FOLDER_NAME
from orchestrator.submissions.figures import NS_IN_MS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.facts.record import RunRecord
    from orchestrator.facts.rounds import ModelRules, RoundRules
    from orchestrator.submissions.build.evidence import Evidence

LOGS = {"performance": (SUMMARY, DETAIL), "accuracy": (SUMMARY, DETAIL, ACCURACY), COMPLIANCE: (SUMMARY, DETAIL)}
"""The logs of LoadGen that a test of each mode must have."""
OTHER_ROUND, NO_MODEL, SHORT, NOT_VALID, NOT_WHOLE, ENDPOINT, NOT_CLOSED, SIMULATED = (
    "other-round", "no-model", "short", "not-valid", "not-whole", "endpoint", "not-closed", "simulated-power",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a run cannot stand in the tree: an id, in words, and the options of `mlorch run` that mend it."""

    id: str
    why: str
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What speaks against a run, and what is told of one that is taken."""

    refusals: tuple[Refusal, ...] = ()
    remarks: tuple[str, ...] = ()


def judge(found: Evidence, rules: RoundRules, *, short: bool = False, closed: bool = False) -> Judgement:
    """A run against the rules of a division of a round; ``short`` takes tests that are too short, and tells.

    What the open division takes and tells because the checker refuses it, the closed one does not take.
    """
    model = rules.models.get(found.record.stands_for)
    refusals = [*_general(found, rules, model), *_verdict(found)]
    remarks = [*_remarks(found), *_of_power(found.record, rules)]
    if model is not None and closed:
        refusals += [Refusal(id=NOT_CLOSED, why=why) for why in closed_faults(found, rules, model)]
    if model is not None and found.loadgen is not None and found.record.mode != COMPLIANCE:
        too_short = tuple(_too_short(found, rules.name, model))
        if short:
            remarks += [one.why for one in too_short]
        else:
            refusals += too_short
        for refused, why in _complaints(found, rules, model, closed=closed):
            if refused and closed:
                refusals.append(Refusal(id=NOT_CLOSED, why=why))
            else:
                remarks.append(why)
    return Judgement(refusals=tuple(refusals), remarks=tuple(remarks))


def _general(found: Evidence, rules: RoundRules, model: ModelRules | None) -> Iterator[Refusal]:
    record, most = found.record, rules.checker.limits.file_bytes
    if record.endpoint is not None:
        yield Refusal(id=ENDPOINT, why="its system is a server that was there already: mlorch does not know what it is")
    if record.power is not None and record.power.simulated:
        why = "its power was measured by a simulated analyser: run it again without --power, or with a real one"
        yield Refusal(id=SIMULATED, why=why)
    if model is None:
        words = f"`{record.stands_for}` is no model of {rules.name}" if record.stands_for else "it stands for no model"
        yield Refusal(id=NO_MODEL, why=words)
    if why := _other_round(found, rules):
        yield Refusal(id=OTHER_ROUND, why=why)
    if record.scenario not in SCENARIOS or not FOLDER_NAME.fullmatch(record.benchmark):
        yield Refusal(id=NOT_WHOLE, why="its record has a scenario or a benchmark of no such name")
    for name in LOGS[record.mode]:
        known = record.files.get(name)
        if known is None:
            yield Refusal(id=NOT_WHOLE, why=f"its record has no hash of {name}")
        elif known.size > most and name != ACCURACY:
            yield Refusal(id=NOT_WHOLE, why=f"{name} has {known.size:,} bytes, and {most:,} are the most")


def _other_round(found: Evidence, rules: RoundRules) -> str:
    """Why a test was not by the rules of this round; empty where it was."""
    record, result = found.record, found.loadgen
    if record.round != rules.name:
        return f"LoadGen had the rules and seeds of {record.round or 'another round'}, not of {rules.name}"
    if result is not None and any(result.effective.get(name) != value for name, value in rules.seeds.items()):
        return f"LoadGen's seeds are not those of {rules.name}"
    return ""


def _verdict(found: Evidence) -> Iterator[Refusal]:
    """A performance that is not VALID, an accuracy that was not measured. One below its goal is taken in open."""
    record, summary = found.record, found.summary
    if summary.verdict in GOOD_VERDICTS or _only_missed(found):
        return
    options = ("--find",) if record.scenario in {"Server", "Interactive"} and record.mode == "performance" else ()
    yield Refusal(id=NOT_VALID, why="; ".join((summary.verdict, *summary.reasons[:2])), options=options)


def _only_missed(found: Evidence) -> bool:
    """Whether an accuracy was measured as it should be, and is below its goal."""
    record, summary = found.record, found.summary
    if record.mode != "accuracy" or record.status != "done" or summary.verdict != "FAILED" or record.role_faults:
        return False
    return summary.accuracy is not None and found.loadgen is not None and not found.loadgen.error_count


def _too_short(found: Evidence, round_name: str, model: ModelRules) -> Iterator[Refusal]:
    """What `mlorch run --official` would have made longer; only performance tests have a length."""
    result, record = found.loadgen, found.record
    if result is None or record.mode != "performance":
        return
    asked, duration = model.min_duration_ms / 1000, result.effective.get("min_duration_ms")
    if isinstance(duration, int | float) and duration / 1000 < asked:
        why = f"LoadGen was asked for {duration / 1000:g} s, and {round_name} asks for {asked:g} s"
        yield Refusal(id=SHORT, why=why, options=("--official",))
    samples, least = result.effective.get("samples_per_query"), model.offline_samples or 0
    if record.scenario == "Offline" and isinstance(samples, int) and samples < least:
        why = f"Offline's query had {samples:,} samples, and {round_name} asks for {least:,}"
        yield Refusal(id=SHORT, why=why, options=("--official",))


def _remarks(found: Evidence) -> Iterator[str]:
    record = found.record
    for reason in found.summary.disturbed:
        yield f"disturbed: {reason}"
    for change in record.changed_rules:
        yield f"not by its recipe's rules: {change}"
    if found.summary.guessed_rate:
        yield "its rate was a guess, and was not searched: the machine may be able to do more (`--find`)"
    if found.summary.verdict == "FAILED":
        yield "; ".join(found.summary.reasons) or "its accuracy is below its goal"


def session_files(record: RunRecord, rules: RoundRules) -> tuple[str, ...]:
    """The files of a session with power that stand in the tree, below `performance`; none where it does not count."""
    power, files = record.power, rules.checker.files
    if power is None or power.watts is None or power.simulated or not power.passed:
        return ()
    names = (
        *(f"{POWER}/{name}" for name in files.power),
        *(f"{RANGING}/{name}" for name in (*files.performance, *files.power_run)),
        *(f"{TESTING}/{name}" for name in files.power_run),
    )
    return names if all(f"{PERFORMANCE}/{name}" in record.files for name in names) else ()


def _of_power(record: RunRecord, rules: RoundRules) -> Iterator[str]:
    """Whether the power of a test stands in the tree, and what its submitter has to add."""
    power = record.power
    if power is None or power.watts is None:
        return
    if not session_files(record, rules):
        failed = [one.name for one in power.checks if not one.passed]
        yield f"its power is not in the tree: {'; '.join((*failed, *power.faults)[:2]) or 'its session is not whole'}"
        return
    documents = " and ".join(f"{start}.md" for start in rules.checker.files.power_settings)
    if documents:
        yield f"its power is in the tree; {documents} are yours to write, into the system's folder above this one"


def _complaints(found: Evidence, rules: RoundRules, model: ModelRules, *, closed: bool) -> Iterator[tuple[bool, str]]:
    """What the round's checker says of a workload that is not the model which it stands for, and whether it refuses."""
    if found.record.mode == "performance":
        yield from _loaded(found, rules.name, model)
        yield from ((True, f"{why}: the checker refuses it") for why in _too_slow(found, rules.name, model))
    else:
        yield from _data_and_metric(found, rules, model, closed=closed)


def category_remark(model: ModelRules, system_type: str, scenario: str = "") -> str:
    """What to tell of a model that no system of a type shows, or not in a ``scenario``; empty where one does."""
    category = "datacenter-edge" if "," in system_type else system_type
    shown = model.scenarios[category].all if category in model.scenarios else ()
    if shown and scenario and scenario not in shown:
        return f"no system of {system_type} shows {scenario} of {model.name}: the checker refuses it"
    if shown or category not in model.scenarios:
        return ""
    others = ", ".join(model.categories) or "no category"
    return f"{model.name} is of {others}, and the system is {system_type}: the checker refuses it"


def _loaded(found: Evidence, round_name: str, model: ModelRules) -> Iterator[tuple[bool, str]]:
    loaded = found.loadgen.effective.get("performance_sample_count") if found.loadgen else None
    if isinstance(loaded, int) and loaded < model.performance_samples:
        asked = f"{round_name} asks for {model.performance_samples:,} of {model.name}"
        yield True, f"LoadGen kept {loaded:,} samples loaded, and {asked}: the checker refuses it"


def _too_slow(found: Evidence, round_name: str, model: ModelRules) -> Iterator[str]:
    """Limits on latency that are the workload's own, and longer than those of the model."""
    limit, result = model.limits.get(found.record.scenario), found.loadgen
    if limit is None or result is None:
        return
    held = result.effective.get("target_latency_ns")
    if (
        not result.token_latency_ns
        and limit.latency_ms
        and isinstance(held, int)
        and held > limit.latency_ms * NS_IN_MS
    ):
        asked = f"{round_name} asks for {limit.latency_ms:g} of {model.name}"
        yield f"LoadGen's limit on latency was {held / NS_IN_MS:g} ms, and {asked}"
    for name, most in (("ttft", limit.ttft_ms), ("tpot", limit.tpot_ms)):
        value = result.token_latency_ns.get(name, {}).get("p99")
        if most is not None and value is not None and value >= most * NS_IN_MS:
            yield f"its {name} (p99) is {value / NS_IN_MS:,.1f} ms, and {round_name} asks for {most:g} of {model.name}"


def _data_and_metric(
    found: Evidence, rules: RoundRules, model: ModelRules, *, closed: bool
) -> Iterator[tuple[bool, str]]:
    total = found.loadgen.total_samples if found.loadgen else None
    wanted = model.accuracy_samples_in.get(found.record.scenario, model.accuracy_samples or model.dataset_samples)
    if total is not None and wanted is not None and total != wanted:
        looked_at = closed or "accuracy-samples" not in rules.checker.open_forgives
        refused = looked_at and rules.checker.answer("accuracy-samples") == "refuse"
        why = f"its accuracy is of {total:,} samples, {model.name} has {wanted:,} in {rules.name}: its checker"
        yield refused, f"{why} {'refuses it' if refused else 'objects'}"
    lacking = missing_metrics(model.accuracy_of(found.record.scenario), found.summary.accuracies)
    if lacking:
        names = ", ".join(lacking)
        yield (
            True,
            f"its accuracy is no {names}, by which {model.name} is judged: the checker finds none, and refuses it",
        )
