"""Every file of a tree before one is written: texts as they will be, logs with the hashes that they must have. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orchestrator.facts.compliance import FOLDER
from orchestrator.facts.power import PERFORMANCE
from orchestrator.results.loadgen import ACCURACY
from orchestrator.submissions.build.accuracy import accuracy_text
from orchestrator.submissions.build.choose import Lack, lack_of
from orchestrator.submissions.build.closed import missing_scenarios
from orchestrator.submissions.build.judge import LOGS, category_remark, session_files
from orchestrator.submissions.build.layout import CALIBRATION, Layout, Place
from orchestrator.submissions.build.measurements import measurements_document, user_conf_text
from orchestrator.submissions.build.readme import CALIBRATION as CALIBRATION_TEXT
from orchestrator.submissions.build.readme import code_readme, result_readme
from orchestrator.submissions.build.system import default_name, longer_name, system_document, system_title, unsaid

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from orchestrator.definitions.kinds.submissions import SubmissionOverlay
    from orchestrator.facts.record import FileHash
    from orchestrator.facts.rounds import RoundRules
    from orchestrator.submissions.build.choose import Choice, Pair, TreeRequest
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
        measurements = measurements_document(pair, overlay.measurement_fields(benchmark))
        _add_unsaid(unknown, "measurements", benchmark, unsaid(measurements, fields.measurements))
        model, scenario = rules.models[pair.record.stands_for], place.scenario if request.closed else ""
        remark = category_remark(model, str(systems[path]["system_type"]), scenario)
        results.append(_result(pair, place, rules, layout, measurements, remark))
    return TreePlan(
        division=request.division,
        submitter=request.submitter,
        results=tuple(sorted(results, key=lambda one: one.place.path)),
        systems=systems,
        texts=texts if results else {},
        mapping=mapping,
        lacks=(*choice.lacks, *lacks, *(_missing(places, systems, rules, layout) if request.closed else ())),
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
        model = record.stands_for if pair.official else record.benchmark
        place = Place(system=names[pair.performance.system], model=model, scenario=record.scenario)
        if place in places or (not pair.official and mapping.get(model, record.stands_for) != record.stands_for):
            why = (f"another result has its place, {place.path}: name the RUNs, and build each into a tree of its own",)
            lacks.append(Lack(benchmark=record.benchmark, scenarios=(record.scenario,), why=why, runs=(record.run_id,)))
            continue
        places[place] = pair
        mapping |= {} if pair.official else {model: record.stands_for}
    return places, mapping, tuple(lacks)


def _missing(
    places: Mapping[Place, Pair], systems: Mapping[str, Mapping[str, object]], rules: RoundRules, layout: Layout
) -> Iterator[Lack]:
    """Scenarios without which the closed division takes none of a model's results."""
    shown: dict[tuple[str, str], list[str]] = {}
    records = {}
    for place, pair in places.items():
        key = place.system, place.model
        shown.setdefault(key, []).append(place.scenario)
        records[key] = pair.record
    types = {place.system: str(systems[layout.system_of(place.system)].get("system_type")) for place in places}
    for system, model, scenarios in missing_scenarios(shown, types, rules):
        why = f"{rules.name} asks for them of {model} on a system of {types[system]}: the checker refuses the others"
        yield lack_of(records[system, model], scenarios, why, rules)


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
    accuracy, record = pair.accuracy, pair.record
    targets = rules.models[record.stands_for].accuracy_of(place.scenario)
    whole = accuracy.record.files[ACCURACY]
    remarks = tuple(filter(None, (*pair.remarks, remark)))
    texts = {
        f"{described}/README.md": result_readme(pair, remarks),
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
    for test in pair.tests:
        more_texts, more_copies = _test_files(test, f"{layout.compliance_of(place)}/{test.record.test_name}", rules)
        texts |= more_texts
        copies |= more_copies
    units = layout.units_of(place, with_tests=bool(pair.tests))
    return ResultPlan(place=place, pair=pair, units=units, remarks=remarks, texts=texts, copies=copies)


def _test_files(test: Evidence, folder: str, rules: RoundRules) -> tuple[dict[str, str], dict[str, Copy]]:
    """The texts and copies of a compliance test: what MLCommons' script left, with the hash of a log that is cut."""
    fact = test.record.compliance
    assert fact is not None  # whoever is among the tests is one
    copies = {f"{folder}/{name}": _copy(test, f"{FOLDER}/{fact.test}/{name}") for name in fact.files}
    checked = rules.checker.tests.get(fact.test)
    log = copies.get(f"{folder}/accuracy/{ACCURACY}")
    if log is None or checked is None or not checked.accuracy:
        return {}, copies
    return {f"{folder}/accuracy/accuracy.txt": f"\nhash={log.known.sha256}\n"}, copies


def _copy(found: Evidence, name: str) -> Copy:
    cut = name.rpartition("/")[2] == ACCURACY
    return Copy(folder=found.folder, name=name, known=found.record.files[name], cut=cut)


def json_text(document: Mapping[str, object]) -> str:
    """A document of the tree, as people read it."""
    return json.dumps(document, indent=4, ensure_ascii=False) + "\n"
