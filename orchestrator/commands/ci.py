"""`mlorch ci`: benchmarks in continuous integration."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.commands.common import json_option, recipes_option
from orchestrator.commands.groups import Group


@click.group("ci", cls=Group)
def command() -> None:
    """Write a workflow that pulls images by digest, runs a benchmark and compares the result."""


@command.command("init")
@click.argument("system", type=click.Choice(["github", "gitlab"]))
@click.option("-o", "--output", default=None, metavar="FILE", help="Where to write it; `-` is stdout.")
@click.option("--registry", default="", metavar="REGISTRY", help="Where images are pulled from: HOST[:PORT][/PATH].")
@click.option("--images", default="", metavar="FILE", help="The list of published images; their digests bind.")
@click.option("--target", "-t", default="cpu", show_default=True, metavar="NAME", help="Hardware target.")
@click.option("--benchmark", "-b", default=None, metavar="NAME", help="Benchmark (default: a quick one of the target).")
@click.option(
    "--scenario", "-s", default="Offline", show_default=True, metavar="NAME|all", help="Offline bears noise best."
)
@click.option("--duration", default="10s", show_default=True, metavar="TIME", help="Least duration of a test.")
@click.option("--tolerance", default="20%", show_default=True, metavar="SHARE", help="See `mlorch results compare`.")
@click.option("--runner", default="", metavar="LABEL", help="Label or tag of the runner.")
@click.option("--install", default=None, metavar="SPEC", help="What pip installs (default: this version of mlorch).")
@click.option("--force", is_flag=True, help="Replace the file if there is one.")
@recipes_option
@json_option
def init(
    system: str,
    output: str | None,
    registry: str,
    images: str,
    target: str,
    benchmark: str | None,
    scenario: str,
    duration: str,
    tolerance: str,
    runner: str,
    install: str | None,
    recipes: tuple[str, ...],
    *,
    force: bool,
    as_json: bool,
) -> None:
    """Write a workflow for GITHUB Actions or GITLAB CI.

    With --registry or --images it pulls images by digest and builds none; without, it builds them.
    """
    from orchestrator import __version__
    from orchestrator.console import Console
    from orchestrator.operations.ci import WorkflowRequest, workflow_file, write_workflow
    from orchestrator.operations.context import Context

    console = Console(quiet=as_json)
    request = WorkflowRequest(
        system=system,
        output=Path(output) if output else None,
        registry=registry,
        images=images,
        target=target,
        benchmark=benchmark,
        scenario=scenario,
        duration=duration,
        tolerance=tolerance,
        runner=runner,
        install=install or "",
    )
    file = workflow_file(Context(recipes).catalog, request)
    if output == "-":
        console.result(file.text.rstrip())
        return
    write_workflow(file, force=force)
    if as_json:
        console.document(file.document())
        return
    console.result(str(file.path))
    console.say(
        f"commit it{f' with {images}' if images else ''}; the job installs {install or f'mlorch {__version__}'}"
    )
    if registry and not images:
        console.say(
            "to bind the digests, publish with `mlorch build --push REGISTRY -o published.yaml`, commit that file, "
            "and write this again with --images published.yaml"
        )
