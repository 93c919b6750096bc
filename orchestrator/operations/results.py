"""Results: list, show, verify and report runs. A request in, a result object out; its `document` is the `--json`."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from orchestrator.errors import NothingSelectedError
from orchestrator.facts.containers import RECORD
from orchestrator.host.files import atomic_write_text, output_path, sha256_file
from orchestrator.host.folders import cache_home
from orchestrator.host.paths import is_dir
from orchestrator.results.store import Store, may_live
from orchestrator.results.summary import document, summaries, summarise

_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,200}")
"""What a value of a record has to be before it becomes part of a path."""

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from orchestrator.images.attest.signatures import Verifier
    from orchestrator.operations.progress import Talk
    from orchestrator.results.store import Entry
    from orchestrator.results.summary import Summary
    from orchestrator.results.verify.verification import Verification

    RunDocument = dict[str, Any]
    """One run as programs get it: an element of ``results`` in the JSON of `run` and `results`."""


# -- list ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """Runs, newest first, as the JSON of `results list` has them, and how many fit the request in all."""

    results: tuple[RunDocument, ...]
    total: int
    why_none: str = ""
    """Where there is no run: whether the folder, a filter, or nothing that ran yet is the cause."""

    def document(self) -> dict[str, object]:
        """For `--json`."""
        return {"results": list(self.results)}


def list_runs(
    folder: Path, talk: Talk, *, last: int | None = None, benchmark: str = "", valid: bool = False
) -> Listing:
    """The runs of a folder, newest first: the newest ``last`` (None: all) of those of ``benchmark``.

    With ``valid`` only those whose result counts: VALID, and accuracy that was measured and not missed.
    """
    store = swept(folder, talk)
    found = entries = store.entries()
    if benchmark:  # else only the records that are shown are read
        entries = [entry for entry in entries if entry.record is not None and entry.record.benchmark == benchmark]
    if valid:
        entries = [entry for entry in entries if _counts(entry)]
    results = tuple(map(_document, entries[:last]))
    why_none = "" if entries else _why_none(folder, benchmark, found)
    return Listing(results=results, total=len(entries), why_none=why_none)


def _counts(entry: Entry) -> bool:
    return entry.record is not None and summarise(entry.record, entry.folder).good


def _why_none(folder: Path, benchmark: str, found: Sequence[Entry]) -> str:
    """Why none of the runs that were ``found`` is listed, and what to do."""
    if not found:
        return f"no results in {_where(folder)}; `mlorch run` makes some"
    benchmarks = sorted({entry.record.benchmark for entry in found if entry.record is not None})
    if benchmark and benchmark not in benchmarks:
        return f"no run of `{benchmark}` in {folder}; there are runs of {', '.join(benchmarks)}"
    return f"no run in {folder} counts (--valid); without it all are listed"


def _document(entry: Entry) -> RunDocument:
    """A run in a folder; a broken record is a run that cannot be read."""
    if entry.record is not None:
        return document(summarise(entry.record, entry.folder))
    texts = ("session", "benchmark", "target", "scenario", "mode", "started", "image_digest", "note")
    return {
        **dict.fromkeys(texts, ""),
        "run_id": entry.run_id,
        "status": "unreadable",
        "verdict": "BY HAND" if entry.by_hand else "UNREADABLE",
        "valid": None,
        "metrics": {},
        "reasons": [entry.problem],
        "changed_rules": [],
        "record": str(entry.folder / RECORD),
    }


# -- show ----------------------------------------------------------------------------------


def show_run(folder: Path, run: str, talk: Talk) -> Summary:
    """A run by its id, a part of it, its folder, or `latest`.

    Raises:
        UsageError: `unknown-run`, `ambiguous-run`; StepFailed: a record that cannot be read.
    """
    entry = swept(folder, talk).find(run)
    return summarise(entry.need(), entry.folder)


def shown_document(summary: Summary) -> dict[str, object]:
    """The JSON of `results show`: the run, with its settings and where they came from."""
    settings = {name: asdict(setting) for name, setting in summary.record.settings.items()}
    return {"results": [{**document(summary), "settings": settings}]}


# -- verify --------------------------------------------------------------------------------


def verify_runs(
    folder: Path, runs: Sequence[str], talk: Talk, verifier: Verifier | None = None
) -> tuple[Verification, ...]:
    """Whether the files of runs (none named: of all that have ended) are what was recorded and agree with each other.

    With a verifier every record has to be signed with its key too.
    """
    from orchestrator.results.verify.signature import held_to_signature
    from orchestrator.results.verify.verification import verify

    store = swept(folder, talk)
    entries = [store.find(run) for run in runs] if runs else store.entries()
    if not entries:
        raise no_results_error(store.root)
    found = tuple(verify(entry.folder, _labels(entry)) for entry in entries)
    if not runs:
        found = _ended(found, entries, talk)
    return found if verifier is None else tuple(held_to_signature(one, verifier) for one in found)


def _ended(found: Iterable[Verification], entries: Iterable[Entry], talk: Talk) -> tuple[Verification, ...]:
    """Those of runs that have ended: what is under way, its mlorch alive, is nobody's fault."""
    kept = []
    for one, entry in zip(found, entries, strict=True):
        if one.only_not_ended and entry.record is not None and may_live(entry.record):
            talk.warn(f"{one.run_id}: it is under way, and is verified when it has ended")
        else:
            kept.append(one)
    return tuple(kept)


def verified_document(verified: Iterable[Verification]) -> dict[str, object]:
    """The JSON of `results verify`."""
    return {
        "results": [
            {
                "run_id": one.run_id,
                "ok": one.ok,
                "signed": one.signed,
                "checked": one.checked,
                "faults": [asdict(each) for each in one.faults],
            }
            for one in verified
        ]
    }


def _labels(entry: Entry) -> Path | None:
    """The labels of the run's dataset, where the cache still holds exactly those."""
    dataset = entry.record.dataset if entry.record else None
    known = dataset.files.get("labels.npy") if dataset else None
    if dataset is None or known is None:
        return None
    if not _PLAIN_NAME.fullmatch(dataset.name):  # a record may be anybody's, and this becomes a path
        return None
    for path in sorted((cache_home() / "assets").glob(f"dataset*/{dataset.name}*/**/labels.npy")):
        if sha256_file(path) == known:
            return path
    return None


# -- report --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The JSON of `results report`: the file that was written, and the runs in it."""

    report: Path
    runs: tuple[str, ...]


def write_report(
    folder: Path, runs: Sequence[str], talk: Talk, *, output: Path | None = None, force: bool = False
) -> Report:
    """One HTML file of runs (none named: those of the latest session).

    Without ``output`` it is `report-SESSION.html` among the results, and replaces the one that is there.
    """
    from orchestrator.results.report import render

    store = swept(folder, talk)
    chosen = summaries(_chosen(store, runs))
    first = chosen[0].record
    name = first.session if _PLAIN_NAME.fullmatch(first.session) else chosen[0].folder.name
    path = output_path(output) if output else store.root / f"report-{name}.html"
    atomic_write_text(path, render(chosen), overwrite=force or output is None)
    return Report(report=path, runs=tuple(one.record.run_id for one in chosen))


def _chosen(store: Store, runs: Iterable[str]) -> list[Entry]:
    entries = [store.find(run) for run in runs]
    for entry in entries:
        entry.need()
    return entries or latest_session(store)


# -- shared --------------------------------------------------------------------------------


def no_results_error(folder: Path, command: str = "mlorch run") -> NothingSelectedError:
    """There is no run at all; ``command`` is what makes such as are looked for."""
    return NothingSelectedError(f"there are no results in {_where(folder)}", hint=f"run a benchmark: `{command}`")


def latest_session(store: Store) -> list[Entry]:
    """The runs of the newest session, oldest first. Raises `NothingSelectedError` where there is none."""
    for entry in store.entries():
        if entry.record is not None:
            return store.session(entry.record)
    raise no_results_error(store.root)


def _where(folder: Path) -> str:
    return str(folder) if is_dir(folder) else f"{folder}, which does not exist"


def swept(folder: Path, talk: Talk) -> Store:
    """The results of a folder. What a killed mlorch left as running is interrupted, whoever asks first."""
    store = Store(folder)
    for record in store.sweep():
        talk.warn(f"{record.run_id}: its mlorch is gone; the run counts as interrupted")
    return store
