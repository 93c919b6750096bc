"""The check of a whole tree: listed once, its systems judged side by side on the processors, the outcomes in order."""

from __future__ import annotations

import gc
import multiprocessing
import signal
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from orchestrator.errors import StepFailed
from orchestrator.submissions.figures import wanted_keys
from orchestrator.submissions.findings import Finding, Rulebook, findings_of
from orchestrator.submissions.gather import Source, gather_mapping, gather_results, gather_system
from orchestrator.submissions.judge import SystemOutcome, judge_system
from orchestrator.submissions.kept import Kept, signature_of
from orchestrator.submissions.places import before, filled
from orchestrator.submissions.reading import Reader
from orchestrator.submissions.rules.layout import BESIDE_RULES, SUBMITTER_RULES, TREE_RULES, SubmitterFacts, survey
from orchestrator.submissions.tree import list_submission

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_FEW = 8
"""Systems; with fewer a second process costs more than it gives."""


class Unit(NamedTuple):
    """A system that is judged on its own."""

    division: str
    submitter: str
    system: str
    size: int
    """Bytes of its results, about what there is to read."""
    refused: bool
    """Whether its submitter is refused as a whole: it is judged, and has no rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What a check found."""

    round: str
    columns: tuple[str, ...]
    form: str
    """Of the official summary."""
    findings: tuple[Finding, ...]
    rows: tuple[tuple[str, ...], ...]
    results: int
    refused: tuple[str, ...]
    """Paths of what would be refused, the official checker's `NoResults`."""
    files: int

    @property
    def good(self) -> bool:
        """Whether nothing would be refused."""
        return not self.refused and not any(found.level == "error" for found in self.findings)


def check_tree(
    root: Path, book: Rulebook, *, submitter: str = "", processes: int = 1, kept: Kept | None = None
) -> Checked:
    """Check a submission tree, or one submitter's part of it. Raises OSError for ``root`` itself only.

    What ``kept`` has of systems that did not change is not read again.
    """
    tree = list_submission(root, book.checker.divisions, submitter)
    if not book.as_official or book.checker.summary_form == "package":  # that one sorts
        for folder in tree.root.walk():
            folder.sort()
    reader = Reader(root, wanted_keys(book.round))
    collects = gc.isenabled()
    gc.disable()  # all that is made stays until the end; to look for garbage among it takes a twentieth of the time
    try:
        return _checked(Source(tree, reader, book.round), book, submitter, processes, kept)
    finally:
        reader.close()
        if collects:
            gc.enable()


def _checked(source: Source, book: Rulebook, submitter: str, processes: int, kept: Kept | None) -> Checked:
    findings = findings_of(TREE_RULES, source.tree, book)
    nothing = book.as_official and book.refuses(found for found in findings if found.rule == "root-files")
    refused = [""] if nothing else []
    units: list[Unit] = []
    rows: list[tuple[str, ...]] = []
    for facts in _submitters(source, book, submitter):
        of_submitter = findings_of(SUBMITTER_RULES, facts, book)
        beside = findings_of(BESIDE_RULES, facts, book)
        findings += of_submitter + beside
        if book.refuses(of_submitter):
            refused.append(facts.path)
        if book.refuses(beside):
            refused.append(_results(book, facts.division, facts.name))
        units += _units(source, book, facts, refused=nothing or book.refuses(of_submitter))
    outcomes = _outcomes(source, book, units, processes, kept)
    for unit, outcome in zip(units, outcomes, strict=True):
        findings += outcome.findings
        refused += outcome.refused
        rows += () if unit.refused else outcome.rows
    return Checked(
        round=book.round.name,
        columns=book.checker.columns,
        form=book.checker.summary_form,
        findings=tuple(findings),
        rows=tuple(rows),
        results=sum(outcome.results for outcome in outcomes),
        refused=tuple(refused),
        files=source.tree.entries,
    )


def _results(book: Rulebook, division: str, submitter: str) -> str:
    """The folder of a submitter's results."""
    return filled(before(book.checker.layout.results, "system"), division=division, submitter=submitter)


def _submitters(source: Source, book: Rulebook, wanted: str) -> Iterator[SubmitterFacts]:
    """Those that show results."""
    for division, folder in source.tree.root.folders.items():
        if division not in book.checker.divisions:
            continue
        for name, inner in folder.folders.items():
            if (wanted and name != wanted) or source.folder(_results(book, division, name)) is None:
                continue
            fault = gather_mapping(source, division, name)[1]
            found = survey(inner, book.checker.limits.file_bytes)
            yield SubmitterFacts(source.tree, inner.path, division, name, found, fault)


def _units(source: Source, book: Rulebook, facts: SubmitterFacts, *, refused: bool) -> Iterator[Unit]:
    folder = source.folder(_results(book, facts.division, facts.name))
    for name, inner in folder.folders.items() if folder is not None else ():
        size = sum(fact.size for each in inner.walk() for fact in each.files.values())
        yield Unit(facts.division, facts.name, name, size, refused)


def _outcomes(
    source: Source, book: Rulebook, units: Sequence[Unit], processes: int, kept: Kept | None
) -> list[SystemOutcome]:
    """The outcomes of systems, in their order: those that are kept, and the others judged."""
    if kept is None:
        return _judged(source, book, units, processes)
    names = [f"{unit.division}/{unit.submitter}/{unit.system}" for unit in units]
    signatures = [signature_of(source, kept, unit.division, unit.submitter, unit.system) for unit in units]
    found = [kept.outcome(name, signature) for name, signature in zip(names, signatures, strict=True)]
    missing = [index for index, outcome in enumerate(found) if outcome is None]
    judged = _judged(source, book, [units[index] for index in missing], processes)
    for index, outcome in zip(missing, judged, strict=True):
        found[index] = outcome
        if signatures[index]:
            kept.keep(names[index], signatures[index], outcome)
    kept.write()
    return [outcome for outcome in found if outcome is not None]


# -- side by side --------------------------------------------------------------------------

_job: tuple[Source, Rulebook] | None = None
"""What a process that was forked judges: the listing is large, and a fork has it for nothing."""


def _judged(source: Source, book: Rulebook, units: Sequence[Unit], processes: int) -> list[SystemOutcome]:
    """The outcomes of systems, in their order; the largest are begun first."""
    if processes < 2 or len(units) < _FEW:
        return [judge_unit(source, book, unit) for unit in units]
    global _job  # noqa: PLW0603 (how a fork is handed what it works on)
    source.reader.close()  # a process that is forked opens its own
    _job = (source, book)
    order = sorted(range(len(units)), key=lambda index: -units[index].size)
    context = multiprocessing.get_context("fork")
    gc.freeze()  # looking for garbage in the listing would copy its pages in every child
    try:
        with ProcessPoolExecutor(processes, context, initializer=_as_a_child) as pool:
            begun = {index: pool.submit(_in_process, units[index]) for index in order}
            try:
                return [begun[index].result() for index in range(len(units))]
            except KeyboardInterrupt:  # nobody waits for what has not begun
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    except BrokenProcessPool:
        raise StepFailed(
            "a process of the check was killed",
            hint="memory may have been short; try again, or check one submitter at a time (--submitter)",
            slug="check-killed",
        ) from None
    finally:
        _job = None
        gc.unfreeze()


def _as_a_child() -> None:
    """Ctrl-C is the parent's to answer; being ended is no error of a child's."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _in_process(unit: Unit) -> SystemOutcome:
    assert _job is not None
    return judge_unit(*_job, unit)


def judge_unit(source: Source, book: Rulebook, unit: Unit) -> SystemOutcome:
    """Read and judge one system."""
    system = gather_system(source, unit.division, unit.submitter, unit.system)
    mapping, _ = gather_mapping(source, unit.division, unit.submitter)
    return judge_system(system, gather_results(source, system, mapping), book)
