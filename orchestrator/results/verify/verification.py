"""Whether a run's files are what was recorded, and whether they agree with each other."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.errors import StepFailed
from orchestrator.facts.codec import to_plain
from orchestrator.facts.compliance import MODE as COMPLIANCE
from orchestrator.facts.containers import RECORD
from orchestrator.facts.neutral import one_line
from orchestrator.facts.power import PowerFact
from orchestrator.facts.record_file import from_json, parse, seal
from orchestrator.facts.scenarios import SCENARIOS
from orchestrator.host.untrusted import UnreadableFile, hash_file, names_below, read_text
from orchestrator.results import loadgen
from orchestrator.results.measure import harness_document, measure
from orchestrator.results.verify.accuracy import check_accuracy
from orchestrator.results.verify.fault import Fault, document_of, lookup, samples_expected
from orchestrator.results.verify.rest import not_named, rest_of_files

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from orchestrator.facts.record import FileHash, RunRecord

_OF_PERFORMANCE = (loadgen.SUMMARY, loadgen.DETAIL, "settings.json", "harness.json")
_REQUIRED = {
    "performance": _OF_PERFORMANCE,
    COMPLIANCE: _OF_PERFORMANCE,
    "accuracy": (loadgen.SUMMARY, loadgen.DETAIL, loadgen.ACCURACY, "settings.json", "harness.json"),
}
_KEPT_LATER = (
    "measured.loadgen.total_samples",
    "measured.loadgen.token_latency_ns.",
    "measured.accuracy.interval.",
    "measured.loadgen.warnings.",
)
"""How the names of figures begin that older records do not have."""
_MOST_NAMED = 100
"""Files too many that are named one by one."""
UNSIGNED = "its files agree with its record; whoever can write there could have made both (`results sign`, `--key`)"
SIGNED = "its record is as somebody with this key signed it, and its files are those of the record"
"""What it proves that nothing is wrong, without a key and with one."""
_SETTINGS = ("run_id", "benchmark", "scenario", "mode")
_NOT_ENDED = "the run has not ended: there is nothing to hold it to"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What was checked of one run, in words, and every fault found."""

    run_id: str
    folder: Path
    checked: tuple[str, ...]
    faults: tuple[Fault, ...]
    signed: bool | None = None
    """Whether its record was signed with the key that was given; None without one."""

    @property
    def ok(self) -> bool:
        return not self.faults

    @property
    def only_not_ended(self) -> bool:
        """Whether all that is wrong is that the run has not ended."""
        return [fault.message for fault in self.faults] == [_NOT_ENDED]


def verify(folder: Path, labels: Path | None = None) -> Verification:
    """Check the run in ``folder``; with ``labels`` (``.npy``) accuracy is computed again from LoadGen's log.

    Never raises for what it finds, only for a folder that is not a run's.
    """
    return _verified(folder, labels, hashes_only=False)


def verify_hashes(folder: Path) -> Verification:
    """Check only that record and files of the run are those that were written when it ended; no log is parsed.

    What the logs say was compared with the record then, and neither has changed since where this finds nothing.
    """
    return _verified(folder, None, hashes_only=True)


def _verified(folder: Path, labels: Path | None, *, hashes_only: bool) -> Verification:
    path = folder / RECORD
    try:
        text = read_text(folder, RECORD, errors="replace")
    except UnreadableFile as exc:
        if exc.missing:
            raise StepFailed(exc.message, slug="record") from exc
        return _without_record(folder, exc.message)
    try:
        document = parse(text, path=str(path))
        record = from_json(text, path=str(path))
    except StepFailed as exc:
        return _without_record(folder, exc.message)
    checked, faults = ["the record's seal"], list(_record(document, record, folder))
    checked.append(f"sha256 of {len(record.files) + (record.rest.count if record.rest else 0):,} files")
    faults += _files(record, folder)
    if record.status == "done" and not hashes_only:
        said, wrong = _contents(record, folder, labels)
        checked += said
        faults += wrong
    return Verification(run_id=folder.name, folder=folder, checked=tuple(checked), faults=tuple(faults))


def _contents(record: RunRecord, folder: Path, labels: Path | None) -> tuple[list[str], list[Fault]]:
    """What was checked of what the files say, and every fault found."""
    harness = harness_document(folder)
    checked, faults = ["settings", "LoadGen's verdict and scenario"], [*_settings(record, folder, harness)]
    faults += _loadgen(record, folder)
    if record.measured is not None:
        checked.append("every figure of the record against the logs")
        faults += _figures(record, folder, harness)
    if record.power is not None and record.power.watts is not None:
        checked.append("its power against the session")
        faults += _power(record, record.power, folder)
    if record.mode == "accuracy":
        found = check_accuracy(folder, labels, harness, external=record.is_external)
        checked.append(found.checked)
        faults += found.faults
    return checked, faults


def _without_record(folder: Path, why: str) -> Verification:
    fault = Fault(file=RECORD, message=why.removeprefix(f"{folder / RECORD}: "))
    return Verification(run_id=folder.name, folder=folder, checked=("record",), faults=(fault,))


def _record(document: Mapping[str, object], record: RunRecord, folder: Path) -> Iterator[Fault]:
    if document.get("seal") != seal(document):
        yield Fault(file=RECORD, message="the record was changed after mlorch wrote it")
    if record.run_id != folder.name:
        yield Fault(file=RECORD, message=f"the record is of run {record.run_id}, the folder is not")
    if record.status == "running":
        yield Fault(file=RECORD, message=_NOT_ENDED)
    # Records of mlorch 0.1 have neither key.
    if record.status == "done" and record.measured is None and document.keys() & {"measured", "left"}:
        yield Fault(file=RECORD, message="the run is done, and its record has no figures (`measured`)")


def _files(record: RunRecord, folder: Path) -> Iterator[Fault]:
    for name, known in record.files.items():
        if why := _difference(folder, name, known):
            yield Fault(file=one_line(name), message=why)
    if record.status == "done":
        for name in _REQUIRED.get(record.mode, ()):
            if name not in record.files:
                yield Fault(file=name, message="no hash of it was recorded")
    if record.files:
        yield from _added(record, folder)


def _added(record: RunRecord, folder: Path) -> Iterator[Fault]:
    """Files that the record does not know, neither with a hash nor as something that has none.

    In records before mlorch hashed reports and files whose names begin with a dot, these may come later.
    """
    names = not_named(record, names_below(folder))
    if record.rest is not None:
        found = rest_of_files(folder, names)
        if found != record.rest:
            message = f"the {record.rest.count:,} files that have one hash together are not those that were recorded"
            yield Fault(file=".", message=message)
        return
    if len(names) > _MOST_NAMED and "…" in record.left:
        return  # there were more files at its end than are hashed
    for name in names[:_MOST_NAMED]:
        yield Fault(file=one_line(name), message="the file was not there when the run ended")
    if len(names) > _MOST_NAMED:
        message = f"{len(names) - _MOST_NAMED:,} more files were not there when the run ended"
        yield Fault(file=".", message=message)


def _difference(folder: Path, name: str, known: FileHash) -> str:
    """Why a file is not the one that was recorded; empty where it is."""
    try:
        sha256, size = hash_file(folder, name)
    except UnreadableFile as error:
        return "the file is missing" if error.missing else error.reason
    if size != known.size:
        return f"{size} bytes; {known.size} were recorded"
    return "" if sha256 == known.sha256 else "the content differs from what was recorded"


def _settings(record: RunRecord, folder: Path, harness: Mapping[str, object]) -> Iterator[Fault]:
    document = document_of(folder, "settings.json")
    if not isinstance(document, dict):
        yield Fault(file="settings.json", message="not a JSON object")
        return
    for key in _SETTINGS:
        recorded = record.loadgen_mode if key == "mode" else getattr(record, key)
        if document.get(key) != recorded:
            message = f"{key} is {document.get(key)!r}, in the record {recorded!r}"
            yield Fault(file="settings.json", message=message)
    effective = harness.get("effective")
    for name, setting in record.settings.items():
        value, file = lookup(document, name), "settings.json"
        fact = effective.get(name.rpartition(".")[2]) if isinstance(effective, dict) else None
        if isinstance(fact, dict) and "value" in fact:  # the harness may measure or raise what it was given
            value, file = fact["value"], "harness.json"
        if value is not None and setting.value != value:
            message = f"{name} is {value!r}, in the record {setting.value!r}"
            yield Fault(file=file, message=message)


def _loadgen(record: RunRecord, folder: Path) -> Iterator[Fault]:
    try:
        result = loadgen.parse(folder)
        summary = loadgen.read_summary(folder)
    except StepFailed as exc:
        yield Fault(file=loadgen.DETAIL, message=exc.message)
        return
    known = SCENARIOS.get(record.scenario)
    recorded = {
        "scenario": record.scenario if known is None else known.loadgen_name,
        "mode": record.loadgen_mode,
        "valid": record.valid,
    }
    said = {"scenario": result.scenario, "mode": result.mode, "valid": record.counted(result)}
    for key, value in recorded.items():
        if said[key] != value:
            message = f"LoadGen says {key} {said[key]!r}, the record {value!r}"
            yield Fault(file=RECORD, message=message)
    if why := loadgen.other_sample_count(result, samples_expected(folder)):
        yield Fault(file=loadgen.DETAIL, message=why)
    if result.mode == "performance":
        yield from _summary(summary, result)


def _summary(summary: Mapping[str, str], result: loadgen.LoadGenResult) -> Iterator[Fault]:
    """What the summary says for people is what the detail log says; rates are rounded in both."""
    if summary.get("result is") != result.validity:
        message = f"says {summary.get('result is')}, {loadgen.DETAIL} {result.validity}"
        yield Fault(file=loadgen.SUMMARY, message=message)
    for line, logged in loadgen.summary_lines(result).items():
        if line in summary and not _is_close(summary[line], logged):
            message = f"{line} is {summary[line]}, in {loadgen.DETAIL} {logged:g}"
            yield Fault(file=loadgen.SUMMARY, message=message)


def _is_close(text: str, logged: float) -> bool:
    """Whether a figure of the summary is that of the log; one that stands there twice both times."""
    try:
        return all(math.isclose(float(each), logged, rel_tol=1e-5, abs_tol=0.01) for each in text.split(" and "))
    except ValueError:
        return False


def _figures(record: RunRecord, folder: Path, harness: Mapping[str, object]) -> Iterator[Fault]:
    """Every figure that the record has is what its logs give when they are read again."""
    recorded = _flat(to_plain(record.measured))
    logged = _flat(to_plain(measure(record, folder, harness)[0]))
    for name in sorted(recorded.keys() | logged.keys()):
        if name.startswith(_KEPT_LATER) and recorded.get(name) is None:
            continue
        if recorded.get(name) != logged.get(name):
            message = f"{name} is {recorded.get(name)!r}, the logs give {logged.get(name)!r}"
            yield Fault(file=RECORD, message=message)


def _power(record: RunRecord, power: PowerFact, folder: Path) -> Iterator[Fault]:
    """What the record says of power is what the session's files give when they are read again."""
    from orchestrator.results.power import power_fact

    result = None if record.measured is None else record.measured.loadgen
    asked = PowerFact(server=power.server, ntp=power.ntp, image=power.image, commit=power.commit, clocks=power.clocks)
    recorded = _flat(to_plain(power), "power")
    found = _flat(to_plain(power_fact(asked, folder, record.scenario, result)), "power")
    for name in sorted(recorded.keys() | found.keys()):
        if recorded.get(name) != found.get(name):
            message = f"{name} is {recorded.get(name)!r}, the session gives {found.get(name)!r}"
            yield Fault(file=RECORD, message=message)


def _flat(document: object, prefix: str = "measured") -> dict[str, object]:
    """Each value by its dotted name; a metric by its own, not by its number."""
    if isinstance(document, list):
        named = ((item.get("name", at) if isinstance(item, dict) else at, item) for at, item in enumerate(document))
        document = {str(name): item for name, item in named}
    if not isinstance(document, dict):
        return {prefix: document}
    found: dict[str, object] = {}
    for name, value in document.items():
        found |= _flat(value, f"{prefix}.{name}")
    return found
