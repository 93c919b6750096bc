"""`submission repair`: what breaks the rules of a round and can be mended without a question."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestrator import __version__
from orchestrator.definitions.catalog.rounds import model_rules
from orchestrator.errors import UsageError
from orchestrator.host.clock import now, stamp
from orchestrator.host.untrusted import UnreadableFile, hash_file, opened, read_text
from orchestrator.operations.submissions import CheckRequest, SubmissionCheck, check_submission, rulebook_of
from orchestrator.submissions.accuracy_log import CUT, KEPT, is_truncated
from orchestrator.submissions.accuracy_text import parse_accuracy
from orchestrator.submissions.repair.carry import carry_out
from orchestrator.submissions.repair.plan import ACCURACY_LOG, LogFacts, RepairPlan, log_folders, plan_repairs
from orchestrator.submissions.tree import list_submission

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from orchestrator.operations.context import Context


@dataclass(frozen=True, slots=True, kw_only=True)
class RepairRequest:
    """What is mended, and where what is taken away is kept."""

    tree: Path
    round: str
    submitter: str = ""
    models: tuple[str, ...] = ()
    """`FOLDER=MODEL`: what the round's model is of results in a folder of another name (open division)."""
    kept: Path | None = None
    """The folder of what is taken away; beside the tree where it is None."""
    dry: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmissionRepair:
    """What was planned, and how the tree is then."""

    request: RepairRequest
    plan: RepairPlan
    kept: Path | None
    """Where the record is; None of a dry run, and where nothing was to be done."""
    after: SubmissionCheck
    """The check of the tree as it is now: before the repair in a dry run."""

    def document(self) -> dict[str, Any]:
        """Its JSON."""
        return {
            "tree": str(self.request.tree),
            "round": self.request.round,
            "dry_run": self.request.dry,
            "steps": [step.document() for step in self.plan.steps],
            "left": [found.document() for found in self.plan.left],
            "kept": str(self.kept) if self.kept is not None else None,
            "good": self.after.good,
        }


def repair_submission(context: Context, request: RepairRequest) -> SubmissionRepair:
    """Plan what mends a tree, and do it unless this is a dry run.

    Raises:
        UsageError: as `check_submission`; `bad-model` for a mapping that is none; `unknown-round-model`.
        StepFailed: `repair`, a place that is not what it was when it was planned; others wait for the tree.
    """
    tree = request.tree.resolve()
    models = _models(context, request)
    asked = CheckRequest(tree=request.tree, round=request.round, submitter=request.submitter)
    check = check_submission(context, asked)
    checker = rulebook_of(context, request.round, request.tree).checker
    listing = list_submission(tree, checker.divisions, request.submitter)
    findings = check.checked.findings
    logs = {folder: facts for folder in log_folders(findings) if (facts := _log(tree, folder)) is not None}
    mapped = {
        found.path: models[name]
        for found in findings
        if (name := found.path.rpartition("/")[2]) in models and found.path.startswith("open/")
    }
    plan = plan_repairs(findings, listing.root, logs, mapped=mapped, must_say=checker.fields.system_filled)
    if request.dry or not plan.steps:
        return SubmissionRepair(request=request, plan=plan, kept=None, after=check)
    kept = (request.kept or tree.parent / f"{tree.name}.kept").resolve()
    _require_beside(tree, kept)
    place = kept / stamp()
    about = {"tree": str(tree), "round": request.round, "mlorch": __version__, "began": now().utc}
    carry_out(plan.steps, tree, place, about)
    return SubmissionRepair(request=request, plan=plan, kept=place, after=check_submission(context, asked))


def _models(context: Context, request: RepairRequest) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for text in request.models:
        folder, sign, model = text.partition("=")
        if not sign or not folder or "/" in folder:
            raise UsageError(
                f"`{text}` maps no model", hint="write FOLDER=MODEL, such as mine=resnet", slug="bad-model"
            )
        model_rules(context.catalog, request.round, model)
        found[folder] = model
    return found


def _require_beside(tree: Path, kept: Path) -> None:
    """Files are moved, not copied: within one file system, and out of the tree."""
    if kept == tree or tree in kept.parents:
        raise UsageError(f"{kept} lies in the tree", hint="name a folder beside it", slug="kept-in-tree")
    there = kept
    while not there.exists():
        there = there.parent
    if there.stat().st_dev != tree.stat().st_dev:
        raise UsageError(
            f"{kept} is on another file system than {tree}", hint="name a folder beside the tree", slug="kept-elsewhere"
        )


def _log(tree: Path, folder: str) -> LogFacts | None:
    """An accuracy log and what is said of it; None where there is none that can be read."""
    path = f"{folder}/{ACCURACY_LOG}"
    try:
        with opened(tree, path) as stream:
            start = stream.read(KEPT + len(CUT))
        sha256, size = hash_file(tree, path)
    except UnreadableFile:
        return None
    try:
        told, text = parse_accuracy(read_text(tree, f"{folder}/accuracy.txt"), {}).hash, True
    except UnreadableFile:
        told, text = "", False
    return LogFacts(folder, size, sha256, is_truncated(start, size), text, told)
