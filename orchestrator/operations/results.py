"""Results: list, show, verify and report runs. A request in, a result object out; its `document` is the `--json`."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING

from orchestrator.errors import NothingSelectedError
from orchestrator.facts.containers import RECORD
from orchestrator.facts.measured import GOOD_VERDICTS
from orchestrator.host.files import atomic_write_text, sha256_file
from orchestrator.host.folders import cache_home
from orchestrator.results.store import Store
from orchestrator.results.summary import document, summaries, summarise
from orchestrator.results.verify import verify

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from orchestrator.operations.progress import Talk
    from orchestrator.results.store import Entry
    from orchestrator.results.summary import Summary
    from orchestrator.results.verify import Verification


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """One test as programs get it: an element of ``results`` in the JSON of `run` and `results` (design.md)."""

    run_id: str
    status: str
    verdict: str
    valid: bool | None
    metrics: Mapping[str, object]
    reasons: list[str]
    record: str
    session: str = ""
    benchmark: str = ""
    target: str = ""
    scenario: str = ""
    mode: str = ""
    started: str = ""
    image_digest: str = ""
    note: str = ""

    @property
    def good(self) -> bool:
        """Whether the run ended and its result counts."""
        return self.verdict in GOOD_VERDICTS

    def document(self) -> dict[str, object]:
        """For `--json`."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def run_result(summary: Summary) -> RunResult:
    """What a run came to."""
    return RunResult(**document(summary))  # type: ignore[arg-type]  # a test holds the keys equal


def _entry_result(entry: Entry) -> RunResult:
    """The same of a run in a folder; a broken record is one that cannot be read."""
    if entry.record is not None:
        return run_result(summarise(entry.record, entry.folder))
    return RunResult(
        run_id=entry.run_id,
        status="unreadable",
        verdict="UNREADABLE",
        valid=None,
        metrics={},
        reasons=[entry.problem],
        record=str(entry.folder / RECORD),
    )


# -- list ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ListRequest:
    """Which runs of a folder: the newest ``last`` (None: all) of those that fit ``benchmark`` and count."""

    folder: Path
    last: int | None = None
    benchmark: str = ""
    valid: bool = False
    """Only runs whose result counts: VALID, and accuracy that was measured and not missed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """Runs, newest first, and how many fit the request in all."""

    folder: Path
    results: tuple[RunResult, ...]
    total: int

    def document(self) -> dict[str, object]:
        """For `--json`."""
        return {"results": [one.document() for one in self.results]}


def list_runs(request: ListRequest, talk: Talk) -> Listing:
    """The runs of a folder, newest first."""
    store = _swept(request.folder, talk)
    entries = store.entries()
    if request.benchmark or request.valid:  # else only the records that are shown are read
        entries = [entry for entry in entries if _fits(entry, request)]
    results = tuple(map(_entry_result, entries[: request.last]))
    return Listing(folder=store.root, results=results, total=len(entries))


def _fits(entry: Entry, request: ListRequest) -> bool:
    if entry.record is None:
        return False
    if request.benchmark and entry.record.benchmark != request.benchmark:
        return False
    return not request.valid or summarise(entry.record, entry.folder).good


# -- show ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownRun:
    """One run with its settings and where they came from."""

    summary: Summary

    def document(self) -> dict[str, object]:
        """For `--json`."""
        settings = {name: asdict(setting) for name, setting in self.summary.record.settings.items()}
        return {"results": [{**document(self.summary), "settings": settings}]}


def show_run(folder: Path, run: str, talk: Talk) -> ShownRun:
    """A run by its id, a part of it, its folder, or `latest`.

    Raises:
        UsageError: `unknown-run`, `ambiguous-run`; StepFailed: a record that cannot be read.
    """
    entry = _swept(folder, talk).find(run)
    return ShownRun(summary=summarise(entry.need(), entry.folder))


# -- verify --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What was checked of each run, and every fault found."""

    results: tuple[Verification, ...]

    @property
    def ok(self) -> bool:
        return all(one.ok for one in self.results)

    def document(self) -> dict[str, object]:
        """For `--json`."""
        return {
            "results": [
                {
                    "run_id": one.run_id,
                    "ok": one.ok,
                    "checked": list(one.checked),
                    "faults": [{"file": fault.file, "message": fault.message} for fault in one.faults],
                }
                for one in self.results
            ]
        }


def verify_runs(folder: Path, runs: Sequence[str], talk: Talk) -> Verified:
    """Whether the files of runs (none named: of all) are what was recorded and agree with each other."""
    store = _swept(folder, talk)
    entries = [store.find(run) for run in runs] if runs else store.entries()
    if not entries:
        raise nothing(store.root)
    return Verified(results=tuple(verify(entry.folder, _labels(entry)) for entry in entries))


def _labels(entry: Entry) -> Path | None:
    """The labels of the run's dataset, where the cache still holds exactly those."""
    dataset = entry.record.dataset if entry.record else None
    known = dataset.files.get("labels.npy") if dataset else None
    if dataset is None or known is None:
        return None
    for path in sorted((cache_home() / "assets").glob(f"dataset*/{dataset.name}*/**/labels.npy")):
        if sha256_file(path) == known:
            return path
    return None


# -- report --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRequest:
    """The runs of a report (none named: those of the latest session) and where it is written.

    Without ``output`` it is `report-SESSION.html` among the results, and replaces the one that is there.
    """

    folder: Path
    runs: tuple[str, ...] = ()
    output: Path | None = None
    force: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A report that was written."""

    report: Path
    runs: tuple[str, ...]

    def document(self) -> dict[str, object]:
        """For `--json`."""
        return {"report": str(self.report), "runs": list(self.runs)}


def write_report(request: ReportRequest, talk: Talk) -> Report:
    """One HTML file of runs."""
    from orchestrator.results.report import render

    store = _swept(request.folder, talk)
    chosen = summaries(_chosen(store, request.runs))
    first = chosen[0].record
    path = request.output or store.root / f"report-{first.session or first.run_id}.html"
    atomic_write_text(path, render(chosen), overwrite=request.force or request.output is None)
    return Report(report=path, runs=tuple(one.record.run_id for one in chosen))


def _chosen(store: Store, runs: Iterable[str]) -> list[Entry]:
    entries = [store.find(run) for run in runs]
    for entry in entries:
        entry.need()
    if entries:
        return entries
    for entry in store.entries():
        if entry.record is not None:
            return store.session(entry.record)
    raise nothing(store.root)


# -- shared --------------------------------------------------------------------------------


def nothing(folder: Path) -> NothingSelectedError:
    """There is no run at all."""
    return NothingSelectedError(f"there are no results in {folder}", hint="run a benchmark: `mlorch run`")


def _swept(folder: Path, talk: Talk) -> Store:
    """The results of a folder. What a killed mlorch left as running is interrupted, whoever asks first."""
    store = Store(folder)
    for record in store.sweep():
        talk.warn(f"{record.run_id}: its mlorch is gone; the run counts as interrupted")
    return store
