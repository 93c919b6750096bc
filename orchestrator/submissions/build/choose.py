"""Which runs become results of a tree: the newest that count, in pairs of performance and accuracy. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from orchestrator.submissions.build.judge import ENDPOINT, NO_MODEL, NOT_WHOLE, Judgement, Refusal, judge

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from orchestrator.facts.record import RunRecord
    from orchestrator.facts.rounds import RoundRules
    from orchestrator.submissions.build.evidence import Evidence, SystemKey

MODES = ("performance", "accuracy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A result: a performance test and an accuracy test of the same image, model and data, and what to tell of it."""

    performance: Evidence
    accuracy: Evidence
    remarks: tuple[str, ...] = ()

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What is taken, what lacks, and how many other runs there are of the tests that are taken."""

    pairs: tuple[Pair, ...] = ()
    lacks: tuple[Lack, ...] = ()
    others: int = 0


def choose(
    found: Iterable[Evidence],
    rules: RoundRules,
    *,
    short: bool = False,
    changed: Mapping[str, str] = MappingProxyType({}),
) -> Choice:
    """The results of a tree from runs, newest first; one that was disturbed only where no quiet one is there.

    ``changed`` are runs whose files are not those of their records, with what is wrong.
    """
    groups: dict[tuple[SystemKey, str, str, str], list[tuple[Evidence, Judgement]]] = {}
    for one in found:
        key = (one.system, one.record.benchmark, one.record.stands_for, one.record.scenario)
        judged = judge(one, rules, short=short)
        if one.record.run_id in changed:
            refusal = Refusal(id=NOT_WHOLE, why=f"it does not verify: {changed[one.record.run_id]}")
            judged = replace(judged, refusals=(*judged.refusals, refusal))
        groups.setdefault(key, []).append((one, judged))
    pairs, wanted, others = [], [], 0
    for group in groups.values():
        pair = _pair(group)
        if pair is not None:
            pairs.append(pair)
            others += len(group) - len(MODES)
        else:
            wanted += _wanted(group)
    return Choice(pairs=tuple(pairs), lacks=_together(wanted, rules), others=others)


def _pair(group: Sequence[tuple[Evidence, Judgement]]) -> Pair | None:
    """The newest performance test that has an accuracy test of the same image, model and data."""
    usable: dict[str, list[tuple[Evidence, Judgement]]] = {mode: [] for mode in MODES}
    for one, judged in group:
        if not judged.refusals:
            usable[one.record.mode].append((one, judged))
    quiet = sorted(usable["performance"], key=lambda each: bool(each[0].summary.disturbed))
    for performance, judged in quiet:
        for accuracy, also in usable["accuracy"]:
            if accuracy.what == performance.what:
                remarks = tuple(dict.fromkeys((*judged.remarks, *also.remarks)))
                return Pair(performance=performance, accuracy=accuracy, remarks=remarks)
    return None


def _wanted(group: Sequence[tuple[Evidence, Judgement]]) -> list[_Wanted]:
    """Of each mode that lacks, the newest test that was refused, or that there is none."""
    usable = {one.record.mode for one, judged in group if not judged.refusals}
    record = group[0][0].record
    found = []
    for mode in [mode for mode in MODES if mode not in usable]:
        newest = next((each for each in group if each[0].record.mode == mode), None)
        nothing = _Wanted(record, mode, (f"there is no {mode} test",))
        found.append(nothing if newest is None else _refused(*newest))
    if not found:  # there are both
        why = "its performance and its accuracy are of different images, models or data"
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
