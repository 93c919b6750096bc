"""`mlorch ci`: benchmarks in continuous integration."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.commands.common import json_option, recipes_option
from orchestrator.commands.groups import Group

if TYPE_CHECKING:
    from orchestrator.definitions.catalog import Catalog

SMOKE = "image-smoke"
"""The benchmark of a workflow where none is named and the target has it: the quickest."""


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
    from orchestrator.ci.workflows import PATHS, Workflow, render
    from orchestrator.console import Console
    from orchestrator.facts.scenarios import SCENARIOS
    from orchestrator.operations.context import Context
    from orchestrator.operations.run_request import known_name
    from orchestrator.plan.run.duration import duration_ms

    catalog, console = Context(recipes).catalog, Console(quiet=as_json)
    duration_ms(duration)
    text = render(
        system,
        Workflow(
            install=install or f"mlorch=={__version__}",
            target=catalog.target(target).definition.name,
            benchmark=_benchmark(catalog, target, benchmark),
            registry=_registry(registry),
            images=images,
            runner=runner,
            scenario=known_name("scenario", scenario, (*SCENARIOS, "all")),
            duration=duration,
            tolerance=tolerance,
        ),
    )
    if output == "-":
        console.result(text.rstrip())
        return
    place = Path(output or PATHS[system])
    _write(place, text, force=force)
    if as_json:
        console.document({"path": str(place), "system": system})
        return
    console.result(str(place))
    console.say(
        f"commit it{f' with {images}' if images else ''}; the job installs {install or f'mlorch {__version__}'}"
    )
    if registry and not images:
        console.say(
            "to bind the digests, publish with `mlorch build --push REGISTRY -o published.yaml`, commit that file, "
            "and write this again with --images published.yaml"
        )


def _benchmark(catalog: Catalog, target: str, given: str | None) -> str:
    """The benchmark that is named, or a quick one; raises `UsageError` where the target has it not."""
    from orchestrator.errors import UsageError
    from orchestrator.plan.build.resolve import benchmarks_of

    there = benchmarks_of(catalog, target)
    if given is not None:
        name = catalog.benchmark(given).definition.name
        if name not in there:
            hint = f"it runs: {', '.join(there) or 'none'}"
            raise UsageError(f"target `{target}` does not run `{name}`", hint=hint, slug="target-mismatch")
        return name
    if not there:
        raise UsageError(f"target `{target}` runs no benchmark", hint="name another --target", slug="no-benchmark")
    return SMOKE if SMOKE in there else there[0]


def _registry(text: str) -> str:
    if not text:
        return ""
    from orchestrator.facts.references import parse_registry_prefix

    return str(parse_registry_prefix(text))


def _write(place: Path, text: str, *, force: bool) -> None:
    from orchestrator.host.files import WriteFailed, atomic_write_text, write_failure

    if place.exists() and not force:
        raise WriteFailed(
            f"{place} exists already",
            hint="read it first; then --force replaces it, -o writes elsewhere and `-o -` prints it",
            slug="exists",
        )
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_failure(place, error) from error
    atomic_write_text(place, text, overwrite=force)
