"""`mlorch render`: the Dockerfiles and their contexts' lists, with no engine and no network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.commands.common import json_option, recipes_option, selection_options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.console import Console
    from orchestrator.facts.steps import LayerStep
    from orchestrator.operations.context import Context
    from orchestrator.operations.kept_plans import Selection


@click.command("render")
@selection_options
@click.option(
    "-o", "--output", type=click.Path(file_okay=False, path_type=Path), default=None, help="Folder to write to."
)
@click.option(
    "--contexts",
    is_flag=True,
    help="Write all that a build reads as well (packages are fetched), so that `docker build` needs no mlorch.",
)
@recipes_option
@json_option
def command(
    chosen: Sequence[Selection],
    output: Path | None,
    recipes: tuple[str, ...],
    *,
    contexts: bool,
    as_json: bool,
) -> None:
    """Write each layer's Dockerfile and the list of what enters it; to stdout without -o.

    The same recipes, templates and locks give the same bytes on every machine.
    """
    from orchestrator.console import Console
    from orchestrator.errors import UsageError
    from orchestrator.operations.context import Context
    from orchestrator.plan.build.layers import merge_layers, rendered

    if contexts and output is None:
        raise UsageError("--contexts writes archives of packages", hint="say where to: -o DIR", slug="missing-output")
    context, console = Context(recipes), Console(quiet=as_json)
    files: dict[str, str] = {}
    for selection in chosen:
        plans = context.plans(selection).plans
        files |= rendered(plans[0].target, merge_layers(plans))
        if contexts and output is not None:
            _write_contexts(context, output / plans[0].target, merge_layers(plans), console)
    if output is not None:
        for place, text in files.items():
            _write(output / place, text)
    if as_json:
        console.document({"files": dict(files) if output is None else sorted(files)})
    elif output is None:
        for place, text in files.items():
            console.result(f"# ==> {place}\n{text}")
    else:
        console.say(f"{len(files)} files in {output}")


def _write_contexts(context: Context, folder: Path, steps: Sequence[LayerStep], console: Console) -> None:
    """The whole context of every layer; raises `AssetError` where a package cannot be had, `WriteFailed`."""
    from orchestrator.host.files import write_failure
    from orchestrator.images.context import lay_out

    parts = context.parts()
    for step in steps:
        console.say(f"{step.name}: its context")
        place = folder / step.name
        try:
            place.mkdir(parents=True, exist_ok=True)
            lay_out(step, place, parts, lambda _event: None)
        except OSError as error:
            raise write_failure(place, error) from error


def _write(path: Path, text: str) -> None:
    """One file of the output, its folder made; raises `WriteFailed`."""
    from orchestrator.host.files import atomic_write_text, write_failure

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_failure(path, error) from error
    atomic_write_text(path, text, overwrite=True)
