"""`mlorch images push` and `pull`: images to a registry, so that others need not build them, and from one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.commands.common import context_options, images_option, one_or_many, selection_options
from orchestrator.commands.images.options import key_option, password

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.console import Console
    from orchestrator.operations.context import Context
    from orchestrator.operations.plan_cache import Selection


@click.command("push")
@click.argument("registry", metavar="REGISTRY")
@selection_options
@click.option(
    "-o",
    "--output",
    default="",
    metavar="FILE",
    help="Write the digests of what was published to FILE (YAML; JSON where it ends in .json).",
)
@click.option(
    "--tag",
    default="latest",
    show_default=True,
    metavar="NAME",
    help="Name under which people find the finished images, of every platform; empty gives none.",
)
@key_option("Private key (PEM, ECDSA P-256) to sign the finished images, their SBOMs and provenance with.")
@click.option("--overwrite", is_flag=True, help="Replace what lies under a content id with other bytes.")
@context_options
def push(
    context: Context,
    console: Console,
    registry: str,
    chosen: Sequence[Selection],
    output: str,
    tag: str,
    key: Path | None,
    *,
    overwrite: bool,
) -> None:
    """Send the images of a target to REGISTRY (HOST[:PORT][/PATH]), every layer under its content id.

    Layers that are there are not sent again; SBOM and provenance go beside each finished
    image. Credentials are those of `docker login`.
    """
    from orchestrator.commands.build import show_published
    from orchestrator.commands.build_view import ConsoleProgress
    from orchestrator.facts.references import parse_registry_prefix
    from orchestrator.images.attest.signatures import signer_of
    from orchestrator.operations.images.publish import PublishRequest, push, write_list

    parse_registry_prefix(registry)  # a wrong name is refused before a password is asked for
    signer = signer_of(key, password)
    request = PublishRequest(registry=registry, tag=tag, overwrite=overwrite, signer=signer)
    done = [push(context, selection, request, ConsoleProgress(console)) for selection in chosen]
    if output:
        write_list(Path(output), done)
    if console.quiet:
        console.document(one_or_many([one.document() for one in done], "pushes"))
        return
    for one in done:
        show_published(console, one, output)


@click.command("pull")
@click.argument("registries", nargs=-1, metavar="[REGISTRY]...")
@selection_options
@images_option
@context_options
def pull(
    context: Context, console: Console, registries: tuple[str, ...], chosen: Sequence[Selection], images: str
) -> None:
    """Pull the images of a target by digest, from each REGISTRY in turn (default: the configured ones).

    Of each image only the highest layer is asked for: it holds those below.
    """
    from orchestrator.commands.build import show
    from orchestrator.commands.build_view import ConsoleProgress
    from orchestrator.operations.build import build_images
    from orchestrator.operations.plan import plan_document
    from orchestrator.operations.pull_policy import PullPolicy

    policy = PullPolicy(pull=True, build=False, images=images, registries=registries)
    documents = []
    for selection in chosen:
        plans, outcomes = build_images(context, selection, ConsoleProgress(console), pull_policy=policy)
        documents.append(plan_document(plans, outcomes))
        if not console.quiet:
            show(console, plans, outcomes)
    if console.quiet:
        console.document(one_or_many(documents, "pulls"))
