"""`mlorch render`: the Dockerfiles and their contexts' lists, with no engine and no network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.commands.common import context_options, selection_options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.console import Console
    from orchestrator.operations.context import Context
    from orchestrator.operations.plan_cache import Selection


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
@context_options
def command(
    chosen: Sequence[Selection], output: Path | None, context: Context, console: Console, *, contexts: bool
) -> None:
    """Write each layer's Dockerfile and the list of what enters it; to stdout without -o.

    The same recipes, templates and locks give the same bytes on every machine.
    """
    from orchestrator.errors import UsageError
    from orchestrator.operations.render import render, write_contexts, write_files

    if contexts and output is None:
        raise UsageError("--contexts writes archives of packages", hint="say where to: -o DIR", slug="missing-output")
    files = render(context, chosen)
    if output is not None:
        if contexts:
            write_contexts(context, chosen, output, console)
        write_files(files, output)
    if console.quiet:
        console.document({"files": dict(files) if output is None else sorted(files)})
    elif output is None:
        for name, text in files.items():
            console.result(f"# ==> {name}\n{text}")
    else:
        console.say(f"{len(files)} files in {output}")
