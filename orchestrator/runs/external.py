"""A run of somebody else's harness: its files before it, its output while it runs, and what it left.

What a program of another author prints and writes is input. Its output is judged line by line as it comes, so
that nothing which it does to `console.log` afterwards changes the verdict; its LoadGen logs are found by the
recipe's pattern, moved to where ours lie, and read by the same code.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from orchestrator.errors import StepFailed
from orchestrator.facts.codec import to_plain
from orchestrator.facts.external import CONFIG_FOLDER
from orchestrator.facts.neutral import neutral, one_line
from orchestrator.facts.patterns import PatternError
from orchestrator.host.files import atomic_write_text
from orchestrator.host.left_behind import discard, give
from orchestrator.host.line_search import LONGEST_LINE, LineSearch
from orchestrator.host.untrusted import UnreadableFile, opened, read_text
from orchestrator.results.figures import note_numbers, read_figures
from orchestrator.runs.console_log import LOG

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from orchestrator.facts.external import ExternalRun, PlannedStep
    from orchestrator.facts.measured import LoadGenResult
    from orchestrator.results.figures import SaidFigure

DETAIL = "mlperf_log_detail.txt"
TRACE = "mlperf_log_trace.json"
HARNESS = "harness.json"
_LOG = "mlperf_log_"
_DEEPEST = 8
"""Folders below /results in which LoadGen's logs are looked for."""
_SHOWN = 160


def prepare_files(folder: Path, run: ExternalRun, user: str) -> None:
    """The rendered files, read-only, and the folders that are mounted from the run's folder, the user's."""
    for name in run.folders:
        (folder / name).mkdir(mode=0o755)
        give(folder / name, user)
    for file in run.files:
        path = folder / CONFIG_FOLDER / file.name
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write_text(path, file.text, mode=0o555 if file.executable else 0o444)


@dataclass(slots=True, kw_only=True)
class Output:
    """What the output of a run's steps said so far."""

    run: ExternalRun
    seen: set[str] = field(default_factory=set)
    """Patterns of ``console_has`` that a line had."""
    unwanted: dict[str, str] = field(default_factory=dict)
    """Patterns of ``console_lacks`` and the first line that had each."""
    numbers: dict[str, str] = field(default_factory=dict)
    """Pattern of a figure → the last number that it found."""
    slow: str = ""
    """Why no more lines are searched: a pattern that takes too long."""
    _search: LineSearch = field(default_factory=LineSearch)

    def line(self, step: str, text: str) -> bool:
        """One line that ``step`` printed; whether it is one that no run may print, so that the step has failed."""
        if not self.slow:
            try:
                self._judge(step, text)
            except PatternError as error:
                self.slow = str(error)
        return bool(self.unwanted or self.slow)

    def _judge(self, step: str, text: str) -> None:
        for pattern in self.run.console_has:
            if pattern not in self.seen and self._search.has(pattern, text):
                self.seen.add(pattern)
        for pattern in self.run.console_lacks:
            if pattern not in self.unwanted and self._search.has(pattern, text):
                self.unwanted[pattern] = text[:LONGEST_LINE]
        if step == self.run.accuracy_step:
            note_numbers(self.run.figures, text, self.numbers, self._search)


# -- after the run -----------------------------------------------------------------------------


def external_result(
    folder: Path, run: ExternalRun, output: Output, error: StepFailed | None
) -> tuple[dict[str, object], StepFailed | None]:
    """What a run left, as the document that a harness of ours writes itself, and why it did not do its work.

    ``error`` is why a step failed, if one did. The document is written to harness.json, in place of whatever the
    program left there, so that everything which reads results reads one form.
    """
    error = error or collect_logs(folder, run) or missing_expectation(folder, run, output)
    figures: tuple[SaidFigure, ...] = ()
    if error is None and run.accuracy_step:
        try:
            figures = read_figures(folder, run.figures, output.numbers, run.data_samples)
        except StepFailed as unread:
            error = unread
    document: dict[str, object] = {"version": 1, "status": "failed" if error else "done", "external": True}
    if figures:
        documents = [one.document() for one in figures]
        document |= {"accuracy": documents[0], "accuracies": documents, "readings": _readings(run)}
    if error is not None:
        document["error"] = {"message": error.message}
    with contextlib.suppress(OSError):
        discard(folder / HARNESS)
        atomic_write_text(folder / HARNESS, json.dumps(document, indent=1) + "\n", overwrite=True)
    return document, error


def _readings(run: ExternalRun) -> dict[str, object]:
    """How the accuracy was read, so that `results verify` can read it again."""
    log = next(step for step in run.steps if step.name == run.accuracy_step)
    return {"log": log_of(log), "samples": run.data_samples, "figures": [to_plain(each) for each in run.figures]}


def log_of(planned: PlannedStep) -> str:
    """The name of a step's log: of the LoadGen test the usual one."""
    return LOG if planned.role == "run" else f"console-{planned.name}.log"


def settings_failure(run: ExternalRun, result: LoadGenResult) -> StepFailed | None:
    """Whether LoadGen used other settings than were asked for: then the run measured something else."""
    found = other_settings(run, result)
    if not found:
        return None
    return StepFailed(
        f"LoadGen used other settings than were asked for: {'; '.join(found)}",
        hint="the program did not read its user.conf, or an argument of it overrides it; see `files` and `argv` of "
        "the harness",
        slug="other-settings",
    )


def collect_logs(folder: Path, run: ExternalRun) -> StepFailed | None:
    """Move LoadGen's logs to the top of the run's folder; why they cannot be had if they cannot."""
    found = [name for name in _folders(folder, "", 1) if _matches(name, run.logs_folder) and _has_detail(folder, name)]
    where = f"`{run.logs_folder}` below /results"
    if not found:
        return StepFailed(
            f"the program ended and left no {DETAIL} in {where}",
            hint=f"it has: {_listing(folder)}; `logs` of the harness says where LoadGen's logs lie",
            slug="no-loadgen-logs",
        )
    if len(found) > 1 and run.logs_pick == "only":
        names = ", ".join(one_line(name) for name in found[:4])
        return StepFailed(
            f"the program left LoadGen logs in {len(found)} folders of {where}: {names}",
            hint="make the glob of `logs` narrower, or write `pick: newest`",
            slug="several-loadgen-logs",
        )
    newest = max(found, key=lambda name: os.lstat(folder / name / DETAIL).st_mtime_ns)
    if not run.keep_trace:
        discard(folder / newest / TRACE)
    if newest == ".":
        return None
    for path in sorted((folder / newest).iterdir()):
        if path.name.startswith(_LOG):
            discard(folder / path.name)
            path.replace(folder / path.name)
    return None


def _matches(name: str, pattern: str) -> bool:
    """Whether the folder ``name`` is one that the glob means; ``**`` is any number of folders."""
    if pattern == "**":
        return True
    wanted = pattern.strip("/") or "."
    return fnmatchcase(name, wanted) and ("**" in wanted or name.count("/") == wanted.count("/"))


def _folders(folder: Path, below: str, depth: int) -> Iterator[str]:
    """``.`` and the folders of a run by their relative names; links are not followed."""
    yield below or "."
    if depth > _DEEPEST:
        return
    with os.scandir(folder / below) as entries:
        inner = sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    for name in inner:
        yield from _folders(folder, f"{below}/{name}" if below else name, depth + 1)


def _has_detail(folder: Path, name: str) -> bool:
    try:
        facts = os.lstat(folder / name / DETAIL)
    except OSError:
        return False
    return facts.st_size >= 0


def _listing(folder: Path) -> str:
    names = sorted(neutral(path.name) for path in folder.iterdir() if not path.name.startswith("."))
    return ", ".join(names[:12]) + (" …" if len(names) > 12 else "")


def step_failure(run: ExternalRun, output: Output, step: str, exit_code: int) -> StepFailed | None:
    """Why a step that ended did not do its work, by its exit code and its output; None if it did."""
    if output.slow:
        return StepFailed(
            f"step `{step}` was stopped: {output.slow}",
            hint="write the pattern in the harness's recipe so that it counts less: `[^,]*,` for `.*,`, no `{500}`",
            slug="pattern-slow",
        )
    for pattern, line in output.unwanted.items():
        return StepFailed(
            f"step `{step}` printed `{neutral(line[:_SHOWN])}` and was stopped",
            hint=f"the recipe says that no line may match `{pattern}`",
            slug="console",
        )
    if exit_code not in run.exit_codes:
        return StepFailed(f"step `{step}` ended with status {exit_code}", slug="harness-failed")
    return None


def missing_expectation(folder: Path, run: ExternalRun, output: Output) -> StepFailed | None:
    """What the recipe expects of the whole run and was not there."""
    for pattern in run.console_has:
        if pattern not in output.seen:
            return StepFailed(f"no line of the output matches `{pattern}`, as the recipe expects", slug="console")
    for name in run.needed_files:
        try:
            with opened(folder, name) as stream:
                empty = not os.fstat(stream.fileno()).st_size
        except UnreadableFile as error:
            why = "" if error.missing else f": what lies there {error.reason}"
            return StepFailed(f"the program did not write {name} below /results{why}", slug="file-missing")
        if empty:
            return StepFailed(f"the program left {name} empty", slug="file-missing")
    for file in run.files:
        try:
            if read_text(folder / CONFIG_FOLDER, file.name) == file.text:
                continue
        except UnreadableFile:
            pass
        return StepFailed(
            f"the program changed {CONFIG_FOLDER}/{neutral(file.name)}, which mlorch wrote for it",
            hint="what it was told is not known any more, so the result does not count",
            slug="config-changed",
        )
    return None


def other_settings(run: ExternalRun, result: LoadGenResult) -> tuple[str, ...]:
    """The settings that LoadGen used otherwise than asked, one text each: ``min_duration_ms: 600000, not 10000``."""
    used: Mapping[str, object] = {
        **result.effective,
        "scenario": result.scenario,
        "test_mode": result.effective.get("test_mode"),
    }
    found = []
    for name, wanted in run.expected.items():
        is_used = used.get(name)
        if not _same(wanted, is_used):
            found.append(f"{name}: {'not said' if is_used is None else is_used}, not {wanted}")
    return tuple(found)


def _same(wanted: object, used: object) -> bool:
    if isinstance(wanted, int | float) and isinstance(used, int | float):
        return math.isclose(wanted, used, rel_tol=1e-5)  # LoadGen writes six digits
    return wanted == used
