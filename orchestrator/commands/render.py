"""`mlorch render`: the Dockerfiles and their contexts' lists, with no engine and no network."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.commands.common import json_option, recipes_option, selection_options


@click.command("render")
@selection_options
@click.option(
    "-o", "--output", type=click.Path(file_okay=False, path_type=Path), default=None, help="Folder to write to."
)
@recipes_option
@json_option
def command(
    target: tuple[str, ...],
    benchmark: tuple[str, ...],
    base_source: str,
    platform: str | None,
    arch: str | None,
    output: Path | None,
    recipes: tuple[str, ...],
    *,
    as_json: bool,
) -> None:
    """Write each layer's Dockerfile and the list of what enters it; to stdout without -o.

    The same recipes, templates and locks give the same bytes on every machine.
    """
    from orchestrator.commands.wiring import Workbench
    from orchestrator.compiled import Selection
    from orchestrator.console import Console
    from orchestrator.layers import merge_layers, rendered

    bench, console = Workbench(recipes), Console(quiet=as_json)
    files: dict[str, str] = {}
    for name in target or (None,):
        selection = Selection(target=name, benchmarks=benchmark, platform=platform, arch=arch, base_source=base_source)
        plans = bench.plans(selection).plans
        files |= rendered(plans[0].target, merge_layers(plans))
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


def _write(path: Path, text: str) -> None:
    """One file of the output, its folder made; raises `WriteFailed`."""
    from orchestrator.system.files import atomic_write_text, write_failure

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_failure(path, error) from error
    atomic_write_text(path, text, overwrite=True)
