"""`mlorch images pull`: get images from registries, build nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orchestrator.commands.common import (
    context_for,
    images_option,
    json_option,
    one_or_many,
    recipes_option,
    selection_options,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.operations.plan_cache import Selection


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
    from orchestrator.commands.build_view import ConsoleProgress
    from orchestrator.console import Console
    from orchestrator.operations.images.pull import PullRequest, pull
    from orchestrator.operations.plan import plan_document

    console = Console(quiet=as_json)
    context = context_for(console, recipes)
    request = PullRequest(registries=registries, images=images)
    documents = []
    for selection in chosen:
        plans, outcomes = pull(context, selection, request, ConsoleProgress(console))
        documents.append(plan_document(plans, outcomes))
        if not as_json:
            show(console, plans, outcomes)
    if as_json:
        console.document(one_or_many(documents, "pulls"))
