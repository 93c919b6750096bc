"""Which runs become results of a tree: the newest that count, in pairs of performance and accuracy. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from orchestrator.facts.compliance import CLOSED
from orchestrator.facts.compliance import MODE as COMPLIANCE
from orchestrator.submissions.build.closed import asked_tests, is_official, tests_of
from orchestrator.submissions.build.judge import ENDPOINT, NO_MODEL, NOT_WHOLE, Judgement, Refusal, judge
from orchestrator.submissions.build.readme import option_words

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from orchestrator.facts.record import RunRecord
    from orchestrator.facts.rounds import RoundRules
    from orchestrator.submissions.build.evidence import Evidence, SystemKey

    Judged = tuple[Evidence, Judgement]
    """A run, and what was said of it."""

MODES = ("performance", "accuracy")


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeRequest:
    """Whose tree of which division it is.

    ``official`` are benchmarks whose model is MLPerf's own, ``system`` names the only system. ``short`` takes tests
    that are shorter than the round asks for.
    """

    division: str
    submitter: str
    system: str = ""
    official: Collection[str] = ()
    short: bool = False

    @property
    def closed(self) -> bool:
        return self.division == CLOSED


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A result: a performance test and an accuracy test of the same image, model and data, and what to tell of it.

    ``tests`` are the compliance tests that were compared with them, where the division asks for any; ``official`` says
    that model and data are MLPerf's own.
    """

    performance: Evidence
    accuracy: Evidence
    remarks: tuple[str, ...] = ()
    tests: tuple[Evidence, ...] = ()
    official: bool = False

    @property
    def runs(self) -> tuple[Evidence, ...]:
        """All that it is made of."""
        return (self.performance, self.accuracy, *self.tests)

    @property
    def record(self) -> RunRecord:
        return self.performance.record


@dataclass(frozen=True, slots=True, kw_only=True)
class Lack:
    """Results that there could be: what lacks, and the command that makes it (empty where none does).

    ``runs`` are those that were refused.
    """

    benchmark: str
    scenarios: tuple[str, ...]
    why: tuple[str, ...]
    command: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()


class _Wanted(NamedTuple):
    """A test that lacks; those that differ in their scenario alone are told together."""

    record: RunRecord
    mode: str
    why: tuple[str, ...]
    options: tuple[str, ...] = ()
    helpless: bool = False
    run_id: str = ""

    def lack(self, others: Sequence[_Wanted], rules: RoundRules) -> Lack:
        """It and the ``others`` as one."""
        record, all_of_them = self.record, (self, *others)
        scenarios = tuple(dict.fromkeys(one.record.scenario for one in all_of_them))
        words = ["mlorch", "run", record.benchmark, "--target", record.target]
        words += [word for name in scenarios for word in ("--scenario", name)]
        words += ["--mode", self.mode, "--round", rules.name, *self.options]
        return Lack(
            benchmark=record.benchmark,
            scenarios=scenarios,
            why=self.why,
            command=() if self.helpless else tuple(words),
            runs=tuple(one.run_id for one in all_of_them if one.run_id),
        )


def lack_of(record: RunRecord, scenarios: Sequence[str], why: str, rules: RoundRules) -> Lack:
    """What lacks beside the test of a record: other ``scenarios`` of its benchmark."""
    others = [_Wanted(replace(record, scenario=name), "all", (why,), option_words(record)) for name in scenarios]
    return others[0].lack(others[1:], rules)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What is taken, what lacks, and how many other runs there are of the tests that are taken."""

    pairs: tuple[Pair, ...] = ()
    lacks: tuple[Lack, ...] = ()
    others: int = 0


def choose(
    found: Iterable[Evidence],
    rules: RoundRules,
    request: TreeRequest,
    *,
    changed: Mapping[str, str] = MappingProxyType({}),
) -> Choice:
    """The results of a tree from runs, newest first; one that was disturbed only where no quiet one is there.

    ``changed`` are runs whose files are not those of their records, with what is wrong.
    """
    groups: dict[tuple[SystemKey, str, str, str], list[Judged]] = {}
    for one in found:
        key = (one.system, one.record.benchmark, one.record.stands_for, one.record.scenario)
        judged = judge(one, rules, short=request.short, closed=request.closed)
        if one.record.run_id in changed:
            refusal = Refusal(id=NOT_WHOLE, why=f"it does not verify: {changed[one.record.run_id]}")
            judged = replace(judged, refusals=(*judged.refusals, refusal))
        groups.setdefault(key, []).append((one, judged))
    pairs, wanted, others = [], [], 0
    for group in groups.values():
        made = _result(group, rules, request)
        if isinstance(made, Pair):
            pairs.append(made)
            others += len(group) - len(made.runs)
        else:
            wanted += made
    return Choice(pairs=tuple(pairs), lacks=_together(wanted, rules), others=others)


def _result(group: Sequence[Judged], rules: RoundRules, request: TreeRequest) -> Pair | list[_Wanted]:
    """The result of a group, or what it lacks."""
    record = group[0][0].record
    if request.closed and not any(is_official(one.record, request.official) for one, _ in group):
        return [_only_like(record)]
    asked = asked_tests(rules, record.stands_for, request.division)
    usable = [one for one, judged in group if one.record.mode == COMPLIANCE and not judged.refusals]
    best: Pair | None = None
    for pair in _pairs(group):
        tests = tests_of(usable, pair.runs, asked)
        if len(tests) == len(asked):
            return replace(pair, tests=tests, official=is_official(pair.record, request.official))
        best = best or pair
    return _wanted(group) if best is None else [_untested(best, group, asked)]


def _pairs(group: Sequence[Judged]) -> Iterator[Pair]:
    """Each performance test with the newest accuracy test of the same image, model and data; the best first."""
    usable: dict[str, list[Judged]] = {mode: [] for mode in MODES}
    for one, judged in group:
        if not judged.refusals and one.record.mode in usable:
            usable[one.record.mode].append((one, judged))
    quiet = sorted(usable["performance"], key=lambda each: bool(each[0].summary.disturbed))
    for performance, judged in quiet:
        for accuracy, also in usable["accuracy"]:
            if accuracy.what == performance.what:
                remarks = tuple(dict.fromkeys((*judged.remarks, *also.remarks)))
                yield Pair(performance=performance, accuracy=accuracy, remarks=remarks)


def _only_like(record: RunRecord) -> _Wanted:
    """Of a workload that is not MLPerf's model and data."""
    model = record.stands_for or "no model"
    why = f"it only stands for {model}, and the closed division takes MLPerf's own model and data: --division open"
    return _Wanted(record, "all", (why,), helpless=True)


def _untested(pair: Pair, group: Sequence[Judged], asked: Sequence[str]) -> _Wanted:
    """Of a result without the compliance tests that it has to have: which, and what became of those that were made."""
    why = []
    for name in asked:
        made = [each for each in group if each[0].record.compliance and each[0].record.test_name == name]
        refused = [refusal.why for refusal in made[0][1].refusals] if made else []
        compared = "it was compared with other runs than those that are taken" if made else "it was not made"
        why.append(f"{name}: {'; '.join(refused) or compared}")
    return _Wanted(pair.record, COMPLIANCE, tuple(why), options=option_words(pair.record))


def _wanted(group: Sequence[Judged]) -> list[_Wanted]:
    """Of each mode that lacks, the newest test that was refused, or that there is none."""
    usable = {one.record.mode for one, judged in group if not judged.refusals}
    record = group[0][0].record
    found = []
    for mode in [mode for mode in MODES if mode not in usable]:
        newest = next((each for each in group if each[0].record.mode == mode), None)
        nothing = _Wanted(record, mode, (f"there is no {mode} test",))
        found.append(nothing if newest is None else _refused(*newest))
    if not found:  # there are both
        why = "its performance and its accuracy are of different images, rules, models or data"
        found.append(_Wanted(record, "all", (why,)))
    helpless = [one for one in found if one.helpless]
    return helpless[:1] or found


def _refused(one: Evidence, judged: Judgement) -> _Wanted:
    record = one.record
    options = dict.fromkeys(word for refusal in judged.refusals for word in refusal.options)
    return _Wanted(
        record,
        record.mode,
        why=tuple(refusal.why for refusal in judged.refusals),
        options=tuple(options),
        helpless=any(refusal.id in {NO_MODEL, ENDPOINT} for refusal in judged.refusals),
        run_id=record.run_id,
    )


def _together(wanted: Sequence[_Wanted], rules: RoundRules) -> tuple[Lack, ...]:
    """Tests of one benchmark that lack for one reason as one lack."""
    same: dict[tuple[object, ...], list[_Wanted]] = {}
    for one in wanted:
        mode = "" if one.helpless else one.mode
        same.setdefault((one.record.benchmark, one.record.target, mode, one.why, one.options), []).append(one)
    return tuple(first.lack(others, rules) for first, *others in same.values())
