"""`mlorch images bundle`: everything that benchmarks need, in one file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.commands.common import json_option, recipes_option, selection_options

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchestrator.assets.store import Stored
    from orchestrator.console import Console
    from orchestrator.facts.steps import BuildPlan
    from orchestrator.images.bundle.contents import BundledPlan
    from orchestrator.images.bundle.write import Order, Written
    from orchestrator.operations.context import Context
    from orchestrator.operations.kept_plans import Selection


@click.command("bundle")
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file to write; one that is there is replaced when the new one is whole.",
)
@selection_options
@recipes_option
@json_option
def command(
    output: Path,
    chosen: Sequence[Selection],
    recipes: tuple[str, ...],
    *,
    as_json: bool,
) -> None:
    """Write images with all layers, models and data, recipes, locks, SBOMs and provenance into one file.

    What is missing is built and fetched first. `mlorch images load FILE` takes it in on a
    machine with no network; there `mlorch run` finds everything. The file is an OCI layout
    in a tar, so other tools read its images too.
    """
    from orchestrator.console import Console
    from orchestrator.host.process import signals_interrupt
    from orchestrator.images.bundle.write import write
    from orchestrator.operations.context import Context

    context, console = Context(recipes), Console(quiet=as_json)
    with signals_interrupt():
        order = make_order(context, chosen, console)
        written = write(output.absolute(), order, context.engine)
    if as_json:
        console.document(bundle_document(output, written))
    else:
        _show(console, output, written)


def make_order(context: Context, chosen: Sequence[Selection], console: Console) -> Order:
    """Build and fetch what is missing, and say what belongs into the bundle.

    Raises:
        UsageError: a base from a path, which no other machine has (`base-path`); the errors of build and fetch.
    """
    from orchestrator import __version__
    from orchestrator.commands.progress import ConsoleProgress
    from orchestrator.images.bundle.write import Order
    from orchestrator.operations.build import build_images

    plans: dict[str, BuildPlan] = {}
    bundled: dict[str, BundledPlan] = {}
    for selection in chosen:
        _require_portable(selection)
        usual = {plan.image for plan in context.plans(selection).plans}
        for plan in build_images(context, selection, ConsoleProgress(console))[0]:
            plans[plan.image] = plan
            bundled[plan.image] = _bundled(plan, selection, usual)

    def documents(reference: str, digest: str) -> Mapping[str, bytes]:
        from orchestrator.commands.images_pick import subject
        from orchestrator.images.attest.kept import documents, kept

        made = kept(digest)
        if made is None:
            plan = plans[reference]
            made = documents(subject(context, plan, plan.layers[-1], digest))
        return made.files()

    return Order(
        mlorch=__version__,
        plans=tuple(bundled[image] for image in sorted(bundled)),
        assets=_assets(context, list(plans.values()), console),
        definitions=tuple(root.path for root in context.roots()),
        documents=documents,
        say=console.say,
    )


def _require_portable(selection: Selection) -> None:
    from orchestrator.errors import UsageError

    if selection.base_source.startswith("oci:"):
        raise UsageError(
            "a base from a path of this machine cannot be planned on another",
            hint="bundle with a base from packages or a registry: `--base-source bootstrap`",
            slug="base-path",
        )


def _bundled(plan: BuildPlan, selection: Selection, usual: set[str]) -> BundledPlan:
    """The plan; its base source is named where the one that is tried first would give another image."""
    from orchestrator.images.bundle.contents import bundled_plan

    asked = selection.base_source
    return bundled_plan(plan, asked if asked or plan.image in usual else plan.layers[0].base_source)


def _assets(context: Context, plans: Sequence[BuildPlan], console: Console) -> tuple[Stored, ...]:
    """Models and datasets of the plans' benchmarks, fetched and prepared where they are not here."""
    from orchestrator.commands.progress import ConsoleProgress
    from orchestrator.operations.asset_provider import asset_provider

    found: dict[tuple[str, str], Stored] = {}
    for plan in plans:
        if not plan.benchmark:
            continue
        what = context.catalog.benchmark(plan.benchmark).definition
        shelf = asset_provider(context, ConsoleProgress(console), target=plan.target)
        for entry in (context.catalog.model(what.model), context.catalog.dataset(what.dataset)):
            stored = shelf.get(entry)
            found[stored.kind, stored.name] = stored
    return tuple(found[key] for key in sorted(found))


def bundle_document(path: Path, written: Written) -> dict[str, object]:
    """The JSON of `bundle`."""
    contents = written.contents
    return {
        "bundle": str(path),
        "bytes": written.size,
        "sha256": written.sha256,
        "images": [{"image": image.reference, "digest": image.digest} for image in contents.images],
        "benchmarks": [plan.benchmark for plan in contents.plans],
        "assets": [{"kind": asset.kind, "name": asset.name, "key": asset.key} for asset in contents.assets],
        "files": len(contents.files),
    }


def _show(console: Console, path: Path, written: Written) -> None:
    contents = written.contents
    console.result(f"{path}: {written.size / 1e6:.1f} MB, {len(contents.files)} files, sha256 {written.sha256}")
    for image in contents.images:
        console.result(f"  image    {image.reference}")
    for asset in contents.assets:
        console.result(f"  {asset.kind:8} {asset.name}")
    console.result(f"on the other machine: `mlorch images load {path.name}`")
