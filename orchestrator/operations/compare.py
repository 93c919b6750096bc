"""Runs against the ones before them: which runs are meant, and how each compares."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.errors import NothingSelectedError, UsageError
from orchestrator.facts.containers import RECORD
from orchestrator.operations.results import latest_session, no_results_error
from orchestrator.results.compare import compare, key_of, pairs, system_of
from orchestrator.results.store import Store
from orchestrator.results.summary import summaries

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.results.compare import Comparison, Figure
    from orchestrator.results.store import Entry
    from orchestrator.results.summary import Summary

LAST, PREVIOUS = "last", "previous"


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedRuns:
    """Every pair of runs; ``why_none`` says why there is none."""

    tolerance: float
    comparisons: tuple[Comparison, ...] = ()
    why_none: str = ""

    @property
    def regressed(self) -> bool:
        return any(one.regressed for one in self.comparisons)

    def document(self) -> dict[str, object]:
        """For `--json`."""
        return {
            "tolerance": self.tolerance,
            "regressed": self.regressed,
            "comparisons": [_document(one) for one in self.comparisons],
        }


def compare_runs(
    folder: Path, was: str = PREVIOUS, now: str = LAST, *, tolerance: float = 0.05, if_any: bool = False
) -> ComparedRuns:
    """Compare ``now`` with ``was``: each a run's id or folder, a session's id, a folder of results, or a word.

    ``tolerance`` is a share of the figure before; with ``if_any`` nothing to compare with is no failure.

    Raises:
        NothingSelectedError: there are no runs. UsageError: as `Store.find`, the runs have nothing in common,
            or a run would be compared with itself (`same-run`).
    """
    store = Store(folder)
    if now == PREVIOUS:
        raise UsageError("`previous` is what a run is compared with", hint="write `previous` first, then the run")
    try:
        new = _runs(store, now, ())
        found = pairs(_runs(store, was, new), new)
    except (NothingSelectedError, UsageError) as error:
        if not if_any or error.slug not in {"nothing-selected", "nothing-to-compare"}:
            raise
        return ComparedRuns(tolerance=tolerance, why_none=error.message)
    # A run that is compared with itself is always the same: in CI that would hide every regression.
    if found and all(old.folder == one.folder for old, one in found):
        hint = "name two different runs or sessions"
        raise UsageError("this would compare runs with themselves", hint=hint, slug="same-run")
    return ComparedRuns(tolerance=tolerance, comparisons=tuple(compare(*pair, tolerance=tolerance) for pair in found))


def _runs(store: Store, reference: str, new: Sequence[Summary]) -> list[Summary]:
    """The runs that a reference means, newest first; `previous` is judged against ``new``."""
    if reference in {LAST, "latest"}:  # as `results show` calls it
        return summaries(latest_session(store)[::-1])
    if reference == PREVIOUS:
        return summaries(_previous(store, new))
    path = Path(reference)
    if path.is_dir() and not (path / RECORD).is_file():
        entries = Store(path).entries()
        if not entries:
            raise no_results_error(path)
        return summaries(entries)
    session = [entry for entry in store.entries() if entry.record is not None and entry.record.session == reference]
    if session:
        return summaries(session)
    entry = store.find(f"./{reference}" if path.is_dir() and "/" not in reference else reference)
    entry.need()
    return summaries([entry])


def _previous(store: Store, new: Sequence[Summary]) -> list[Entry]:
    """The newest session before ``new`` that ran one of the same tests on the same target, or endpoint."""
    wanted = {(*key_of(run.record), run.record.target, system_of(run.record)) for run in new}
    sessions = {run.record.session for run in new}
    oldest = min(run.record.started.unix_ns for run in new)
    for entry in store.entries():
        record = entry.record
        if record is None or record.session in sessions or record.started.unix_ns >= oldest:
            continue
        if (*key_of(record), record.target, system_of(record)) in wanted:
            return store.session(record)[::-1]
    raise NothingSelectedError(
        f"there is no earlier session in {store.root} that ran one of these tests on the same target",
        hint="run the benchmark again and compare then, or name the run to compare with",
    )


def _document(one: Comparison) -> dict[str, object]:
    record = one.now.record
    return {
        "benchmark": record.benchmark,
        "target": record.target,
        "scenario": record.scenario,
        "mode": record.mode,
        "was": one.was.record.run_id,
        "is": record.run_id,
        "verdict": one.verdict,
        "regressed": one.regressed,
        "reason": one.reason,
        "figures": [_figure(figure) for figure in one.figures],
        "differences": [{"what": each.what, "was": each.was, "is": each.now} for each in one.differences],
    }


def _figure(one: Figure) -> dict[str, object]:
    return {
        "name": one.name,
        "unit": one.unit,
        "was": one.was,
        "is": one.now,
        "change": one.change,
        "change_unit": "points" if one.unit == "%" else "percent",
        "verdict": one.verdict,
        "decides": one.decides,
    }
