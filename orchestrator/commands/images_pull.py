"""`mlorch images pull`: get images from registries, build nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orchestrator.commands.common import images_option, json_option, recipes_option, selection_options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.operations.kept_plans import Selection


@click.command("pull")
@click.argument("registries", nargs=-1, metavar="[REGISTRY]...")
@selection_options
@images_option
@recipes_option
@json_option
def command(
    registries: tuple[str, ...],
    chosen: Sequence[Selection],
    images: str,
    recipes: tuple[str, ...],
    *,
    as_json: bool,
) -> None:
    """Pull the images of a target by digest, from each REGISTRY in turn (default: the configured ones).

    Of each image only the highest layer is asked for: it holds those below.
    """
    from orchestrator.commands.build import show
    from orchestrator.commands.progress import ConsoleProgress
    from orchestrator.console import Console
    from orchestrator.operations.build import build_images
    from orchestrator.operations.context import Context
    from orchestrator.operations.plan import plan_document
    from orchestrator.operations.pull_policy import PullPolicy

    context, console = Context(recipes), Console(quiet=as_json)
    pull_policy = PullPolicy(pull=True, build=False, images=images, registries=registries)
    documents = []
    for selection in chosen:
        plans, outcomes = build_images(context, selection, ConsoleProgress(console), pull_policy=pull_policy)
        documents.append(plan_document(plans, outcomes))
        if not as_json:
            show(console, plans, outcomes)
    if as_json:
        console.document(documents[0] if len(documents) == 1 else {"pulls": documents})
