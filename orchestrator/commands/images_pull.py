"""`mlorch images pull`: get images from registries, build nothing."""

from __future__ import annotations

import click

from orchestrator.commands.common import json_option, recipes_option, selection_options
from orchestrator.commands.pulling import Wish, images_option


@click.command("pull")
@click.argument("registries", nargs=-1, metavar="[REGISTRY]...")
@selection_options
@images_option
@recipes_option
@json_option
def command(
    registries: tuple[str, ...],
    target: tuple[str, ...],
    benchmark: tuple[str, ...],
    base_source: str,
    platform: str | None,
    arch: str | None,
    images: str,
    recipes: tuple[str, ...],
    *,
    as_json: bool,
) -> None:
    """Pull the images of a target by digest, from each REGISTRY in turn (default: the configured ones).

    Of each image only the highest layer is asked for: it holds those below.
    """
    from orchestrator.commands.build import build_images, show
    from orchestrator.commands.plan import plan_document
    from orchestrator.commands.wiring import Workbench
    from orchestrator.compiled import Selection
    from orchestrator.console import Console

    bench, console = Workbench(recipes), Console(quiet=as_json)
    wish = Wish(pull=True, build=False, images=images, registries=registries)
    documents = []
    for name in target or (None,):
        selection = Selection(target=name, benchmarks=benchmark, platform=platform, arch=arch, base_source=base_source)
        plans, outcomes = build_images(bench, selection, console, wish=wish)
        documents.append(plan_document(plans, outcomes))
        if not as_json:
            show(console, plans, outcomes)
    if as_json:
        console.document(documents[0] if len(documents) == 1 else {"pulls": documents})
