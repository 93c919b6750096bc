"""`submission check --official`: the round's own checker in its image, and both verdicts side by side."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from orchestrator.engines.users import container_user
from orchestrator.errors import UsageError
from orchestrator.operations.plan_cache import Selection
from orchestrator.operations.submissions import check_submission
from orchestrator.submissions.official.compare import SideBySide, side_by_side
from orchestrator.submissions.official.container import checker_command
from orchestrator.submissions.official.run import run_official

if TYPE_CHECKING:
    from orchestrator.operations.context import Context
    from orchestrator.operations.progress import Progress
    from orchestrator.operations.submissions import CheckRequest, SubmissionCheck
    from orchestrator.submissions.official.said import Said


@dataclass(frozen=True, slots=True, kw_only=True)
class OfficialCheck:
    """Our check, the official one at ``commit`` in ``image``, and both beside each other."""

    ours: SubmissionCheck
    theirs: Said
    beside: SideBySide
    image: str
    commit: str

    @property
    def good(self) -> bool:
        """Whether neither of both would refuse anything."""
        return self.ours.good and self.theirs.good

    def document(self) -> dict[str, Any]:
        """Its JSON: that of our check, and the official one under `official`."""
        theirs, beside = self.theirs, self.beside
        return {
            **self.ours.document(),
            "official": {
                "image": self.image,
                "commit": self.commit,
                "ended": theirs.ended,
                "good": theirs.good,
                "exit_code": theirs.exit_code,
                "why": theirs.why or None,
                "rows": None if theirs.rows is None else len(theirs.rows),
                "refused": sorted(theirs.refused),
                "errors": list(theirs.errors),
                "more_errors": theirs.more_errors,
                "rows_alike": beside.rows_alike,
                "refused_alike": beside.refused_alike,
                "differences": [asdict(one) for one in beside.differences],
                "unexplained": len(beside.unexplained),
            },
        }


def check_officially(
    context: Context, request: CheckRequest, progress: Progress, *, target: str | None = None
) -> OfficialCheck:
    """Check a tree by our rules and by the round's official checker; its image is built where it is not here.

    Raises what `check_submission`, `build_images` and the engine raise; `UsageError` [no-official-checker] for a
    round whose checker has no image.
    """
    rules = context.catalog.round_rules(request.round)
    ours = check_submission(context, request)
    program = rules.checker.program
    if program is None or not program.layer:
        raise UsageError(
            f"round {rules.name} names no image of its official checker",
            hint="say it in the round's file, under `checker`, `program`, `layer`",
            slug="no-official-checker",
        )
    kept = ours if request.as_official else check_submission(context, replace(request, as_official=True))
    source = next(each for each in context.catalog.layer(program.layer).definition.git if each.ref == program.commit)
    image = _image(context, program.layer, progress, target)
    command = checker_command(program, source.to, rules.name, submitter=request.submitter, skip=request.skip)
    user = container_user(context.engine.facts()).inside
    progress.say(f"the official checker of {rules.name} ({program.commit[:8]}) looks at the tree")
    depth = rules.checker.layout.results.count("/") + 1
    theirs = run_official(context.engine, image, command, user, request.tree, depth=depth)
    return OfficialCheck(
        ours=ours,
        theirs=theirs,
        beside=side_by_side(ours.checked, kept.checked, theirs, depth),
        image=image,
        commit=program.commit,
    )


def _image(context: Context, layer: str, progress: Progress, target: str | None) -> str:
    from orchestrator.operations.build import build_images
    from orchestrator.runs.sweep import sweep_and_warn

    sweep_and_warn(context.engine, progress.warn)  # one of a killed mlorch may still look at its tree
    plans, _ = build_images(context, Selection(target=target, side=layer), progress)
    return plans[0].image
