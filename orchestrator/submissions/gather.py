"""The facts of a system's results, read from the tree: every file once, nothing judged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.submissions.accuracy_text import AccuracyText, parse_accuracy
from orchestrator.submissions.facts import (
    NOT_THERE,
    AccuracyFacts,
    Document,
    MeasurementFacts,
    PowerFacts,
    ResultFacts,
    RunFacts,
    SystemFacts,
    TestFacts,
    Unread,
)
from orchestrator.submissions.figures import OF_ACCURACY, OF_RANGING
from orchestrator.submissions.loadgen_conf import conf_name, number_set
from orchestrator.submissions.places import before, filled, model_of, scenario_of
from orchestrator.submissions.power import gather_power
from orchestrator.submissions.tree import Folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orchestrator.facts.rounds import ModelRules, RoundRules
    from orchestrator.submissions.detail_log import DetailLog
    from orchestrator.submissions.reading import Reader
    from orchestrator.submissions.tree import Tree

DETAIL = "mlperf_log_detail.txt"
EQUAL_ISSUE = "sample_concatenate_permutation"


@dataclass(frozen=True, slots=True)
class Source:
    """What results are read from."""

    tree: Tree
    reader: Reader
    rules: RoundRules

    def folder(self, path: str) -> Folder | None:
        """A folder by its path, no link followed."""
        return self.tree.root.at(*path.split("/"))


def gather_system(source: Source, division: str, submitter: str, name: str) -> SystemFacts:
    """A system's description."""
    path = filled(source.rules.checker.layout.system, division=division, submitter=submitter, system=name)
    return SystemFacts(
        division=division, submitter=submitter, name=name, path=path, description=_document(source, path)
    )


def gather_mapping(source: Source, division: str, submitter: str) -> tuple[Mapping[str, str], Unread | None]:
    """The model names that a submitter of the open division maps itself, and why they were not read."""
    template = source.rules.checker.layout.model_mapping
    if division != "open" or not template:
        return {}, None
    document = _document(source, filled(template, division=division, submitter=submitter))
    if isinstance(document, Unread):
        return {}, None if document.missing else document
    return {name: model for name, model in document.fields.items() if isinstance(model, str)}, None


def gather_results(source: Source, system: SystemFacts, mapping: Mapping[str, str]) -> Iterator[ResultFacts]:
    """The results of a system, a model after the other."""
    layout = source.rules.checker.layout
    names = {"division": system.division, "submitter": system.submitter, "system": system.name}
    folder = source.folder(filled(before(layout.results, "model"), **names))
    for model_name, of_model in (folder.folders if folder else {}).items():
        model = model_of(source.rules, model_name, mapping)
        for scenario, of_scenario in of_model.folders.items():
            where = names | {"model": model_name, "scenario": scenario}
            yield _result(source, system, of_scenario, model, where)


def _result(source: Source, system: SystemFacts, folder: Folder, model: str, where: Mapping[str, str]) -> ResultFacts:
    layout = source.rules.checker.layout
    scenario = scenario_of(where["scenario"])
    rules = source.rules.models.get(model)
    compliance = filled(layout.compliance, **where)
    wanted = rules.compliance if rules is not None and system.division != "open" else ()
    run = gather_run(source, folder, "performance", "run_1")
    return ResultFacts(
        system=system,
        model_name=where["model"],
        model=model,
        folder=where["scenario"],
        scenario=scenario,
        path=folder.path,
        measurements=_measurements(source, where),
        run=run,
        accuracy=_accuracy(source, folder, rules, scenario),
        power=_power(source, folder, run),
        compliance_path=compliance,
        compliance_there=source.folder(compliance) is not None,
        tests={name: _test(source, f"{compliance}/{name}", name, rules, scenario) for name in wanted},
    )


def gather_run(source: Source, folder: Folder, *names: str, wanted: frozenset[bytes] | None = None) -> RunFacts:
    """The folder of a performance test; ``wanted`` are the keys of its log, where not all are; none: it is not read."""
    found = folder.at(*names)
    path = "/".join((folder.path, *names))
    if found is None:
        return RunFacts(path=path, files=None, log=NOT_THERE)
    log = NOT_THERE if wanted is not None and not wanted else _detail(source, found, wanted)
    return RunFacts(path=path, files=tuple(found.files), log=log)


def _power(source: Source, folder: Folder, testing: RunFacts) -> PowerFacts | None:
    performance, power = folder.at("performance"), folder.at("performance", "power")
    if performance is None or power is None:
        return None
    session = source.rules.checker.looks_at("power-check")
    ranging = gather_run(source, performance, "ranging", wanted=OF_RANGING if session else frozenset())
    return gather_power(source.reader, performance, power, testing, ranging, session=session)


def _detail(source: Source, folder: Folder, wanted: frozenset[bytes] | None = None) -> DetailLog | Unread:
    if DETAIL not in folder.files:
        return Unread("is a link, and links are not followed here") if DETAIL in folder.links else NOT_THERE
    return source.reader.detail(folder.below(DETAIL), wanted)


def _accuracy(source: Source, folder: Folder, rules: ModelRules | None, scenario: str) -> AccuracyFacts:
    found = folder.at("accuracy")
    path = folder.below("accuracy")
    if found is None:
        return AccuracyFacts(path=path, files=None, folders={}, text=NOT_THERE, log=NOT_THERE, log_bytes=None)
    log = found.files.get("mlperf_log_accuracy.json")
    return AccuracyFacts(
        path=path,
        files=tuple(found.files),
        folders={name: tuple(inner.files) for name, inner in found.folders.items()},
        text=_accuracy_text(source, found, "accuracy.txt", rules, scenario),
        log=_detail(source, found, OF_ACCURACY),
        log_bytes=log.size if log is not None else None,
    )


def _accuracy_text(
    source: Source, folder: Folder, name: str, rules: ModelRules | None, scenario: str
) -> AccuracyText | Unread:
    if name not in folder.files:
        return NOT_THERE
    text = source.reader.text(folder.below(name))
    if isinstance(text, Unread):
        return text
    known = source.rules.checker.accuracy_lines
    metrics = [target.metric for target in rules.accuracy_of(scenario)] if rules is not None else []
    return parse_accuracy(text, {metric: known[metric] for metric in metrics if metric in known})


def _measurements(source: Source, where: Mapping[str, str]) -> MeasurementFacts:
    layout = source.rules.checker.layout
    path = filled(layout.measurements, **where)
    folder = source.folder(path)
    name = _json_name(folder, filled(layout.measurements_json, **where)) if folder is not None else ""
    description = _document(source, f"{path}/{name}") if name else NOT_THERE
    code, there = _code(source, where, name)
    return MeasurementFacts(
        path=path,
        sizes={each: fact.size for each, fact in folder.files.items()} if folder is not None else None,
        above=_files_above(source, path),
        json_name=name,
        description=description,
        code=code,
        code_there=there,
        equal_issue=_conf_equal_issue(source, path, where),
    )


def _conf_equal_issue(source: Source, path: str, where: Mapping[str, str]) -> bool | None:
    """What the last of the round's files says that says something; False where none does."""
    files = source.rules.checker.equal_issue.conf_files
    if not files:
        return None
    equal = False
    folder, model = source.folder(path), source.rules.models.get(where["model"])
    if folder is None or model is None or not model.submission.equal_issue:
        return False
    for name in files:
        text = source.reader.text(folder.below(name)) if name in folder.files else ""
        if isinstance(text, str):
            said = number_set(text, conf_name(model.name), where["scenario"], EQUAL_ISSUE)
            equal = equal if said is None else said == 1
    return equal


def code_place(source: Source, where: Mapping[str, str]) -> tuple[str, bool]:
    """Where the code of a result has to be, and whether it is."""
    layout = source.rules.checker.layout
    folder = source.folder(filled(layout.measurements, **where))
    name = _json_name(folder, filled(layout.measurements_json, **where)) if folder is not None else ""
    return _code(source, where, name)


def _json_name(folder: Folder, pattern: str) -> str:
    """The first file whose name begins and ends as a pattern does, on both sides of its `*`."""
    begin, _, end = pattern.partition("*")
    for name in folder.files:
        if name.startswith(begin) and name.endswith(end):
            return name
    return ""


def _code(source: Source, where: Mapping[str, str], json_name: str) -> tuple[str, bool]:
    """Where the code of an implementation has to be, and whether it is: in a folder of the implementation or the
    model's. A file instead of the model's folder names another one."""
    template = source.rules.checker.layout.code
    base = filled(before(template, "model"), **where)
    if "{model}" not in template:
        return base, source.tree.find(base) is not None
    ending = f"_{where['scenario']}.json"
    end = ending if json_name.endswith(ending) else ".json"
    implementation = json_name[len(where["system"]) + 1 : -len(end)]
    model = where["model"]
    at = source.tree.find(f"{base}/{model}")
    if at is not None and not isinstance(at, Folder):
        text = source.reader.text(f"{base}/{model}")
        model = text.strip() if isinstance(text, str) else model
    path = f"{base}/{model}/{implementation}"
    there = source.tree.find(path) is not None or source.tree.find(f"{base}/{model}") is not None
    return path, there


def _files_above(source: Source, path: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for _ in range(3):
        path = path.rpartition("/")[0]
        folder = source.folder(path)
        if folder is not None:
            found |= {name: fact.size for name, fact in folder.files.items()}
    return found


def _test(source: Source, path: str, name: str, rules: ModelRules | None, scenario: str) -> TestFacts:
    folder = source.folder(path)
    asked = source.rules.checker.tests.get(name)
    if folder is None or asked is None:
        return TestFacts(name=name, path=path, there=folder is not None, verdicts={})
    inner = folder.at("accuracy") if asked.accuracy else None
    texts: list[AccuracyText | Unread] = [NOT_THERE, NOT_THERE]
    if inner is not None:
        names = ("baseline_accuracy.txt", "compliance_accuracy.txt")
        texts = [_accuracy_text(source, inner, each, rules, scenario) for each in names]
    return TestFacts(
        name=name,
        path=path,
        there=True,
        verdicts={each: _lines(source, folder, each) for each in asked.verdicts},
        run=gather_run(source, folder, "performance", "run_1") if asked.performance else None,
        accuracy_files=tuple(inner.files) if inner is not None else None,
        baseline=texts[0],
        compliance=texts[1],
    )


def _lines(source: Source, folder: Folder, name: str) -> tuple[str, ...] | Unread:
    if name not in folder.files:
        return NOT_THERE
    text = source.reader.text(folder.below(name))
    return text if isinstance(text, Unread) else tuple(line.strip() for line in text.splitlines())


def _document(source: Source, path: str) -> Document | Unread:
    folder = source.folder(path.rpartition("/")[0])
    if folder is None or path.rpartition("/")[2] not in folder.files:
        return NOT_THERE
    return source.reader.document(path)
