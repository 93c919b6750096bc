"""`mlorch build`, `plan` and `render`: the images of a target, what making them would do, their Dockerfiles."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.commands.common import (
    benchmark_arguments,
    context_options,
    engine_option,
    locked_option,
    one_or_many,
    pull_options,
    selection_options,
    shortened,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from orchestrator.console import Console
    from orchestrator.facts.build import BuildPlan
    from orchestrator.images.decide import LayerOutcome
    from orchestrator.operations.context import Context
    from orchestrator.operations.images.publish import Publication
    from orchestrator.operations.plan import LayerPlan
    from orchestrator.operations.plan_cache import Selection
    from orchestrator.operations.pull_policy import PullPolicy


@click.command("build")
@benchmark_arguments
@selection_options
@locked_option
@click.option("--dry-run", is_flag=True, help="Show what would be built; build nothing.")
@engine_option
@pull_options
@click.option("--push", default="", metavar="REGISTRY", help="Publish the images there: HOST[:PORT][/PATH].")
@click.option(
    "-o", "--output", default="", metavar="FILE", help="With --push: write the digests of what was published to FILE."
)
@click.option("--cache-to", default="", metavar="REGISTRY", help="Keep the results of build steps there.")
@click.option(
    "--cache-from", multiple=True, metavar="REGISTRY", help="Take results of build steps from there; repeatable."
)
@context_options
def command(
    chosen: Sequence[Selection], context: Context, console: Console, push: str, output: str, cache_to: str,
    cache_from: tuple[str, ...], pull_policy: PullPolicy, *, dry_run: bool,
) -> None:  # fmt: skip
    """Build the images of a target, layer by layer. What is there already is not built again."""
    from orchestrator.errors import UsageError

    if output and not push:
        raise UsageError("-o says where the digests of published images go, and --push is missing", hint="add --push")
    policy = replace(pull_policy, cache_to=_checked(cache_to), cache_from=tuple(map(_checked, cache_from)))
    push = _checked(push)
    if dry_run:
        documents = _planned(context, chosen, console, policy, lambda found: show(console, found.plans, found.outcomes))
    else:
        documents = _build(context, chosen, console, policy, push, output)
    if console.quiet:
        console.document(one_or_many(documents, "builds"))


def _checked(text: str) -> str:
    """A registry prefix as it was given, checked before anything is done; empty stays empty."""
    if not text:
        return ""
    from orchestrator.facts.references import parse_registry_prefix

    return str(parse_registry_prefix(text))


def _planned(
    context: Context, chosen: Sequence[Selection], console: Console, policy: PullPolicy,
    show: Callable[[LayerPlan], None],
) -> list[dict[str, object]]:  # fmt: skip
    """Plan and show one selection after the other."""
    from orchestrator.operations.plan import plan_document, plan_images

    documents = []
    for selection in chosen:
        found = plan_images(context, selection, console, pull_policy=policy)
        documents.append(plan_document(found.plans, found.outcomes))
        if not console.quiet:
            show(found)
    return documents


def _build(
    context: Context, selections: Sequence[Selection], console: Console, policy: PullPolicy, push: str, output: str
) -> list[dict[str, object]]:
    """Build, publish and show one selection after the other; writes the list of what was published."""
    from orchestrator.commands.build_view import ConsoleProgress
    from orchestrator.operations.build import build_images
    from orchestrator.operations.engine import sweep_containers
    from orchestrator.operations.plan import plan_document

    if push:
        from orchestrator.operations.images.publish import require_registry

        require_registry(context, selections[0], push)
    sweep_containers(context.settings, console)
    documents, publications, progress = [], [], ConsoleProgress(console)
    for selection in selections:
        plans, outcomes = build_images(context, selection, progress, pull_policy=policy)
        documents.append(plan_document(plans, outcomes))
        if not console.quiet:
            show(console, plans, outcomes)
        if push:
            from orchestrator.operations.images.publish import PublishRequest, publish_built

            published = publish_built(context, selection, plans, PublishRequest(registry=push), progress)
            publications.append(published)
            documents[-1] |= published.document()
            if not console.quiet:
                show_published(console, published, output)
    if output:
        from orchestrator.operations.images.publish import write_list

        write_list(Path(output), publications)
    return documents


_DONE = ("built", "pulled")
_PLANNED = ("build", "pull")
"""States of layers that a dry run finds missing."""


def show(console: Console, plans: Sequence[BuildPlan], outcomes: Sequence[LayerOutcome]) -> None:
    """A line a layer, then what was done or is to be done, and the images."""
    width = max(len(outcome.name) for outcome in outcomes)
    for outcome in outcomes:
        seconds = f"{outcome.seconds:6.1f} s" if outcome.state in _DONE else " " * 8
        console.result(
            f"  {outcome.state:6} {outcome.name:{width}}  {outcome.content_id[:12]} {seconds}  {outcome.reason}"
        )
    states = [outcome.state for outcome in outcomes]
    coming = [f"{states.count(state)} to {state}" for state in _PLANNED if state in states]
    words = coming or [f"{states.count(state)} {state}" for state in _DONE]
    console.result(f"{plans[0].target}: {len(outcomes)} layers, {', '.join(words)}; images:")
    for plan in plans:
        console.result(f"  {plan.image}")


def show_published(console: Console, published: Publication, output: str) -> None:
    """What a person sees of a publication; `output` is the list that was written."""
    width = max((len(one.image.layer) for one in published.pushed), default=0)
    for one in published.pushed:
        image = one.image
        console.result(f"  {one.state:6} {image.layer:{width}}  {image.content_id[:12]}  {image.digest}")
    sent = sum(one.state == "pushed" for one in published.pushed)
    console.result(f"{published.registry}: {len(published.pushed)} layers published, {sent} of them now")
    for index in published.indexes:
        console.result(f"  {index.reference} names {', '.join(index.platforms)}")
    for made in published.documents:
        what = "signature, SBOM and provenance" if made.signed else "SBOM and provenance"
        console.result(f"  {what} beside {made.image}")
    if output:
        console.result(f"digests are in {output}; `images: {output}` in mlorch.yaml binds them")


# -- what a build would do -----------------------------------------------------------------


@click.command("plan")
@benchmark_arguments
@selection_options
@click.option("--explain", is_flag=True, help="Name every input that changed since the nearest image of the layer.")
@engine_option
@pull_options
@context_options
def plan(
    chosen: Sequence[Selection],
    context: Context,
    console: Console,
    pull_policy: PullPolicy,
    *,
    explain: bool,
) -> None:
    """Show what would be built and why; without an engine every state is `unknown`."""

    def show_plan(found: LayerPlan) -> None:
        _show_plan(console, found, explain=explain)

    documents = _planned(context, chosen, console, pull_policy, show_plan)
    if console.quiet:
        console.document(one_or_many(documents, "plans"))


def _show_plan(console: Console, found: LayerPlan, *, explain: bool) -> None:
    plans, outcomes = found.plans, found.outcomes
    names = ", ".join(plan.benchmark or plan.layers[-1].name for plan in plans)
    console.result(f"{plans[0].target} ({plans[0].platform}): {names}")
    width = max(len(outcome.name) for outcome in outcomes)
    for outcome in outcomes:
        console.result(f"  {outcome.state:8}{outcome.name:{width}}  {outcome.content_id[:12]}  {outcome.reason}")
        if not explain:
            continue
        for change in outcome.changed:
            console.result(
                f"{'':{width + 12}}{change['input']}: {shortened(change['was'])} -> {shortened(change['is'])}"
            )


# -- Dockerfiles ---------------------------------------------------------------------------


@click.command("render")
@benchmark_arguments
@selection_options
@click.option(
    "-o", "--output", type=click.Path(file_okay=False, path_type=Path), default=None, help="Folder to write to."
)
@click.option(
    "--contexts",
    is_flag=True,
    help="Write all that a build reads as well (packages are fetched), so that `docker build` needs no mlorch.",
)
@context_options
def render(
    chosen: Sequence[Selection], output: Path | None, context: Context, console: Console, *, contexts: bool
) -> None:
    """Write each layer's Dockerfile and the list of what enters it; to stdout without -o.

    The same recipes, templates and locks give the same bytes on every machine.
    """
    from orchestrator.errors import UsageError
    from orchestrator.operations import render as files_of

    if contexts and output is None:
        raise UsageError("--contexts writes archives of packages", hint="say where to: -o DIR", slug="missing-output")
    files = files_of.render(context, chosen)
    if output is not None:
        if contexts:
            files_of.write_contexts(context, chosen, output, console)
        files_of.write_files(files, output)
    if console.quiet:
        console.document(files_of.render_document(files, written=output is not None))
    elif output is None:
        for name, text in files.items():
            console.result(f"# ==> {name}\n{text}")
    else:
        console.say(f"{len(files)} files in {output}")
