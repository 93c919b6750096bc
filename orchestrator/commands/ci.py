"""`mlorch ci`: benchmarks in continuous integration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from orchestrator.commands.common import context_options
from orchestrator.commands.groups import Group

if TYPE_CHECKING:
    from orchestrator.console import Console
    from orchestrator.operations.context import Context


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
@click.option("--install", default="", metavar="SPEC", help="What pip installs (default: this version of mlorch).")
@click.option("--force", is_flag=True, help="Replace the file if there is one.")
@context_options
def init(
    system: str, output: str | None, benchmark: str | None, context: Context, console: Console,
    *, force: bool, **values: Any,
) -> None:  # fmt: skip
    """Write a workflow for GITHUB Actions or GITLAB CI.

    With --registry or --images it pulls images by digest and builds none; without, it builds them.
    """
    from orchestrator import __version__
    from orchestrator.operations.ci import workflow_file, write_workflow

    path, text = workflow_file(context.catalog, system, values, benchmark=benchmark, output=output)
    if output == "-":
        console.result(text.rstrip())
        return
    write_workflow(path, text, force=force)
    if console.quiet:
        console.document({"path": path, "system": system})
        return
    console.result(str(path))
    images, install = values["images"], values["install"] or f"mlorch {__version__}"
    listed = f" with {images}" if images else ""
    console.say(f"commit it{listed}; the job installs {install}")
    if values["registry"] and not images:
        console.say(
            "to bind the digests, publish with `mlorch build --push REGISTRY -o published.yaml`, commit that file, "
            "and write this again with --images published.yaml"
        )
