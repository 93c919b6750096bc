"""Every file of a tree before one is written: texts as they will be, logs with the hashes that they must have. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orchestrator.facts.power import PERFORMANCE
from orchestrator.results.loadgen import ACCURACY
from orchestrator.submissions.build.accuracy import accuracy_text
from orchestrator.submissions.build.choose import Lack
from orchestrator.submissions.build.judge import LOGS, category_remark, session_files
from orchestrator.submissions.build.layout import CALIBRATION, Layout, Place
from orchestrator.submissions.build.measurements import measurements_document, user_conf_text
from orchestrator.submissions.build.readme import CALIBRATION as CALIBRATION_TEXT
from orchestrator.submissions.build.readme import code_readme, result_readme
from orchestrator.submissions.build.system import default_name, longer_name, system_document, system_title, unsaid

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from orchestrator.definitions.kinds.submissions import SubmissionOverlay
    from orchestrator.facts.record import FileHash
    from orchestrator.facts.rounds import RoundRules
    from orchestrator.submissions.build.choose import Choice, Pair
    from orchestrator.submissions.build.evidence import Evidence, SystemKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """A log of a run: where it lies, what it must be, and whether only its ends stay."""

    folder: Path
    name: str
    known: FileHash
    cut: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultPlan:
    """One result: its folders in the order in which they appear, its files by path from the submitter's folder."""

    place: Place
    pair: Pair
    units: tuple[str, ...]
    remarks: tuple[str, ...] = ()
    texts: Mapping[str, str] = field(default_factory=dict)
    copies: Mapping[str, Copy] = field(default_factory=dict)

    @property
    def files(self) -> tuple[str, ...]:
        return tuple(sorted((*self.texts, *self.copies)))


@dataclass(frozen=True, slots=True, kw_only=True)
class TreePlan:
    """What a build writes. ``unknown`` are fields that nobody has said, as an overlay would say them: under `systems`
    of each system, under `measurements` of each benchmark.
    """

    division: str
    submitter: str
    results: tuple[ResultPlan, ...]
    systems: Mapping[str, Mapping[str, object]]
    """By path of the file, its JSON."""
    texts: Mapping[str, str]
    """Files that results share."""
    mapping: Mapping[str, str]
    """Models by their name in the tree, and what each stands for, where that is another name."""
    lacks: tuple[Lack, ...] = ()
    others: int = 0
    unknown: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)

    @property
    def root(self) -> str:
        """The submitter's folder in the tree."""
        return f"{self.division}/{self.submitter}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeRequest:
    """Whose tree it is; ``official`` are benchmarks whose model is MLPerf's own, ``system`` names the only system."""

    division: str
    submitter: str
    system: str = ""
    official: Collection[str] = ()


def plan_tree(choice: Choice, rules: RoundRules, overlay: SubmissionOverlay, request: TreeRequest) -> TreePlan:
    """The whole tree. A workload that is not MLPerf's model keeps its own name; the mapping says what it stands for."""
    layout, fields = Layout(rules.checker.layout), rules.checker.fields
    places, mapping, lacks = _places(choice.pairs, request)
    systems: dict[str, Mapping[str, object]] = {}
    unknown: dict[str, dict[str, tuple[str, ...]]] = {}
    texts, results = {CALIBRATION: CALIBRATION_TEXT}, []
    for place, pair in places.items():
        path, said = layout.system_of(place.system), overlay.system_fields(place.system)
        if path not in systems:
            document = system_document(pair.record, request.submitter, request.division, said)
            systems[path] = document
            _add_unsaid(unknown, "systems", place.system, unsaid(document, fields.system_filled))
        texts.setdefault(f"{layout.code_of(place.model)}/README.md", code_readme(place.model, pair.performance))
        benchmark = pair.record.benchmark
        measurements = measurements_document(
            pair, overlay.measurement_fields(benchmark), official=benchmark in request.official
        )
        _add_unsaid(unknown, "measurements", benchmark, unsaid(measurements, fields.measurements))
        remark = category_remark(rules.models[pair.record.stands_for], str(systems[path]["system_type"]))
        results.append(_result(pair, place, rules, layout, measurements, remark))
    return TreePlan(
        division=request.division,
        submitter=request.submitter,
        results=tuple(sorted(results, key=lambda one: one.place.path)),
        systems=systems,
        texts=texts if results else {},
        mapping=mapping,
        lacks=(*choice.lacks, *lacks),
        others=choice.others,
        unknown=unknown,
    )


def _places(pairs: Sequence[Pair], request: TreeRequest) -> tuple[dict[Place, Pair], dict[str, str], tuple[Lack, ...]]:
    """Each result by its place, what models of their own name stand for, and results whose place another one has."""
    names = _names(pairs, request.system)
    places: dict[Place, Pair] = {}
    mapping: dict[str, str] = {}
    lacks = []
    for pair in pairs:
        record = pair.record
        official = record.benchmark in request.official
        model = record.stands_for if official else record.benchmark
        place = Place(system=names[pair.performance.system], model=model, scenario=record.scenario)
        if place in places or (not official and mapping.get(model, record.stands_for) != record.stands_for):
            why = (f"another result has its place, {place.path}: name the RUNs, and build each into a tree of its own",)
            lacks.append(Lack(benchmark=record.benchmark, scenarios=(record.scenario,), why=why, runs=(record.run_id,)))
            continue
        places[place] = pair
        mapping |= {} if official else {model: record.stands_for}
    return places, mapping, tuple(lacks)


def _add_unsaid(
    unknown: dict[str, dict[str, tuple[str, ...]]], group: str, name: str, lacking: tuple[str, ...]
) -> None:
    if lacking:
        unknown.setdefault(group, {})[name] = lacking


def _names(pairs: Sequence[Pair], wanted: str) -> dict[SystemKey, str]:
    """The systems' names in the tree; ``wanted`` is that of the only one."""
    names: dict[SystemKey, str] = {}
    for pair in pairs:
        key = pair.performance.system
        if key not in names:
            name = wanted or default_name(key, system_title(pair.record))
            names[key] = longer_name(key, name) if name in names.values() else name
    return names


def _result(
    pair: Pair, place: Place, rules: RoundRules, layout: Layout, measurements: Mapping[str, object], remark: str
) -> ResultPlan:
    described, logs = layout.description_of(place), layout.results_of(place)
    accuracy = pair.accuracy
    targets = rules.models[pair.record.stands_for].accuracy_of(place.scenario)
    whole = accuracy.record.files[ACCURACY]
    remarks = tuple(filter(None, (*pair.remarks, remark)))
    texts = {
        f"{described}/README.md": result_readme(pair.performance, accuracy, remarks),
        f"{described}/user.conf": user_conf_text(pair.performance),
        layout.measurements_of(place): json_text(measurements),
        f"{logs}/accuracy/accuracy.txt": accuracy_text(targets, accuracy.summary.accuracies, whole.sha256),
    }
    copies = {f"{logs}/performance/run_1/{name}": _copy(pair.performance, name) for name in LOGS["performance"]}
    copies |= {
        f"{logs}/{PERFORMANCE}/{name}": _copy(pair.performance, f"{PERFORMANCE}/{name}")
        for name in session_files(pair.record, rules)
    }
    copies |= {f"{logs}/accuracy/{name}": _copy(accuracy, name) for name in LOGS["accuracy"]}
    units = layout.units_of(place)
    return ResultPlan(place=place, pair=pair, units=units, remarks=remarks, texts=texts, copies=copies)


def _copy(found: Evidence, name: str) -> Copy:
    return Copy(folder=found.folder, name=name, known=found.record.files[name], cut=name == ACCURACY)


def json_text(document: Mapping[str, object]) -> str:
    """A document of the tree, as people read it."""
    return json.dumps(document, indent=4, ensure_ascii=False) + "\n"
