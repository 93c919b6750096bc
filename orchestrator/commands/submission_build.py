"""`mlorch submission build`: from the records of runs to the tree of a round."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.commands.common import context_options, counted

if TYPE_CHECKING:
    from orchestrator.console import Console
    from orchestrator.operations.context import Context
    from orchestrator.operations.submission_build import SubmissionBuild
    from orchestrator.submissions.build.plan import TreePlan


@click.command("build")
@click.argument("runs", nargs=-1, metavar="[RUN]…")
@click.option("--round", "round_name", required=True, metavar="NAME", help="Round of MLPerf Inference, such as v6.1.")
@click.option("--submitter", required=True, metavar="NAME", help="Whose results they are; a folder of the tree.")
@click.option(
    "--division", default="open", show_default=True, metavar="NAME", help="open; closed: MLPerf's own models alone."
)
@click.option(
    "--system-name", "system", default="", metavar="NAME", help="Name of the system in the tree (default: its parts)."
)
@click.option(
    "--overlay",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="What no record says of the systems and models (YAML); --dry-run prints one to fill in.",
)
@click.option(
    "-o", "--output", "tree", required=True, type=click.Path(file_okay=False, path_type=Path), metavar="TREE",
    help="The tree; what is there already stays.",
)  # fmt: skip
@click.option("--short", is_flag=True, help="Take tests that are shorter than the round asks for, and say so.")
@click.option(
    "--results", "results_dir", type=click.Path(file_okay=False), help="Folder of results (default: ./results)."
)
@click.option("--dry-run", "dry", is_flag=True, help="Say what would be written and what lacks; write nothing.")
@context_options
def command(
    runs: tuple[str, ...], round_name: str, submitter: str, division: str, system: str, overlay: Path | None,
    tree: Path, results_dir: str | None, context: Context, console: Console, *, short: bool, dry: bool,
) -> None:  # fmt: skip
    """Build the tree of a round from results: the newest that count of each test, or the RUNs that are named.

    Each result needs a VALID performance test and an accuracy test of the same image, by the round's rules and
    seeds (`mlorch run --round NAME --official`), in the closed division also the compliance tests of its model
    (`--division closed`). What is left out is said, with the command that makes it.
    """
    from orchestrator.operations.submission_build import BuildRequest, build_submission

    request = BuildRequest(
        round=round_name,
        submitter=submitter,
        division=division,
        system=system,
        overlay=overlay,
        tree=tree,
        results=context.settings.results_folder(results_dir),
        runs=runs,
        short=short,
        dry=dry,
    )
    built = build_submission(context, request)
    if console.quiet:
        console.document(built.document())
        return
    show(console, built)


def show(console: Console, built: SubmissionBuild) -> None:
    """The results, what to know of them, what lacks, and what is to be said yet."""
    plan = built.plan
    rows = [(one.place.system, one.place.model, one.place.scenario, one.pair.record.run_id) for one in plan.results]
    if rows:
        console.table(("system", "model", "scenario", "performance run"), rows, drop=(3,))
    for one in plan.results:
        for remark in one.remarks:
            console.say(f"note: {one.place.model} {one.place.scenario}: {remark}")
    for lack in plan.lacks:
        console.say(f"left out: {lack.benchmark} {', '.join(lack.scenarios)}: {'; '.join(lack.why)}")
        if lack.command:
            console.say(f"  {shlex.join(lack.command)}")
    if plan.others:
        console.say(f"{counted(plan.others, 'other run')} of the same tests left out")
    _say_written(console, built)
    if built.written is None and plan.unknown:
        console.say(
            "these fields must not be empty, and nobody has said them; fill them in, and give the file to --overlay:"
        )
        console.result(overlay_text(plan))


def _say_written(console: Console, built: SubmissionBuild) -> None:
    plan, written = built.plan, built.written
    count = counted(len(plan.results), "result")
    if written is None:
        console.say(f"{count} would be written below {built.request.tree}/{plan.root}")
        return
    for path, fields in written.kept:
        console.warn(
            f"{path} stays as it is in the tree; it says otherwise: {', '.join(fields)} (--overlay writes it anew)"
        )
    made = f"{written.added} new, {written.replaced} replaced, {written.unchanged} unchanged"
    console.say(f"{count} in {built.request.tree}/{plan.root}: {made}")
    words = ("mlorch", "submission", "check", str(built.request.tree), "--round", built.request.round)
    console.say(f"next: {shlex.join(words)}")


def overlay_text(plan: TreePlan) -> str:
    """An overlay to fill in: every field that nobody has said, once where it is the same of every system."""
    groups = dict(plan.unknown)
    systems = groups.pop("systems", {})
    same = {*systems.values()}
    lines = []
    if len(same) == 1:
        lines += ["system:", *(f"  {field}: …" for field in same.pop())]
    elif systems:
        groups["systems"] = systems
    for group, named in groups.items():
        lines.append(f"{group}:")
        for name, fields in named.items():
            lines += [f"  {name}:", *(f"    {field}: …" for field in fields)]
    return "\n".join(lines)
