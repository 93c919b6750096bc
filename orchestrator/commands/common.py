"""Options that several commands share, declared once."""

from __future__ import annotations

import sys
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import TypeVar

    from orchestrator.console import Console
    from orchestrator.definitions.settings import Settings
    from orchestrator.operations.context import Context

    F = TypeVar("F", bound=Callable[..., Any])


ARCH_HELP = "What device code is built for (default: what this host's devices are, else the target's)."


ROUND_HELP = "Round of MLPerf Inference whose rules hold (default: the one that the benchmark names)."


def json_option(function: F) -> F:
    """`--json`: one document on stdout, talk on stderr."""
    return click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")(function)


def recipes_option(function: F) -> F:
    """`--recipes`: definitions that lay over the built-in ones; repeatable, later ones win."""
    return click.option(
        "--recipes",
        "recipes",
        multiple=True,
        metavar="DIR|GIT-URL@REF",
        help="Recipes to lay over the built-in ones; repeatable.",
    )(function)


def engine_option(function: F) -> F:
    """`--engine`: which container engine; checked where it is used, so that `--help` imports none."""
    return click.option(
        "--engine", "engine", default="", metavar="NAME", help="Container engine: docker (default) or podman."
    )(function)


def results_option(function: F) -> F:
    """`-o`: where results lie."""
    return click.option(
        "-o",
        "--results",
        "results_dir",
        type=click.Path(file_okay=False),
        default=None,
        help="Folder of results (default: ./results).",
    )(function)


def results_folder(given: str | None, settings: Settings) -> Path:
    """The folder of results: what `-o` says, else the settings, else `./results`."""
    from pathlib import Path

    return Path(given or settings.results or "results")


def results_to_read(given: str | None, console: Console) -> Path:
    """The folder of results of a command that reads them; what a killed mlorch left is cleared first."""
    from orchestrator.definitions.settings import read_settings
    from orchestrator.operations.sweep import sweep_containers

    settings = read_settings()
    sweep_containers(settings, console)
    return results_folder(given, settings)


def context_for(console: Console, recipes: tuple[str, ...] = (), *, locked: bool = False, engine: str = "") -> Context:
    """What the use cases of a command work with; they tell what goes on to ``console``."""
    from orchestrator.operations.context import Context

    return Context(recipes, locked=locked, wanted_engine=engine, talk=console)


def pull_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """`--pull/--no-pull` and `--images`, handed on as one ``pull_policy``."""

    @wraps(function)
    def collected(*arguments: Any, pull: bool | None, images: str, **more: Any) -> Any:
        from orchestrator.operations.pull_policy import PullPolicy

        return function(*arguments, pull_policy=PullPolicy(pull=pull, images=images), **more)

    pull = click.option(
        "--pull/--no-pull",
        "pull",
        default=None,
        help="Require that registries are asked before building, or ask none (default: those in `registries`).",
    )
    return images_option(pull(collected))


def images_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """`--images`: the list of published images that binds."""
    return click.option("--images", default="", metavar="FILE", help="A list of published images; their digests bind.")(
        function
    )


def locked_option(function: F) -> F:
    """`--locked`: nothing may move; the default where `wants_locked` says so."""
    return click.option(
        "--locked/--no-locked",
        default=None,
        help="Fail where a lock and what there is now differ, instead of moving on (default in CI: CI=true).",
    )(function)


def wants_locked(given: bool | None) -> bool:  # noqa: FBT001 (what an option gave)
    """Whether nothing may move: what the command line says, else MLORCH_LOCKED, else whether this is CI."""
    import os

    if given is not None:
        return given
    said = os.environ.get("MLORCH_LOCKED") or os.environ.get("CI", "")
    return said.lower() not in {"", "0", "false", "no", "off"}


def is_terminal() -> bool:
    """Whether a person can be asked something."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def one_or_many(documents: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """The JSON of a command over several targets: the document of the one, or all of them as a list called `name`."""
    return documents[0] if len(documents) == 1 else {name: documents}


def selection_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """What to build, from targets to base source, handed on as ``chosen``: a `Selection` a target."""

    @wraps(function)
    def collected(
        *arguments: Any,
        target: tuple[str, ...],
        benchmark: tuple[str, ...],
        base_source: str,
        platform: str | None,
        arch: str | None,
        round_name: str,
        **more: Any,
    ) -> Any:
        from orchestrator.operations.plan_cache import Selection

        chosen = tuple(
            Selection(
                target=name,
                benchmarks=benchmark,
                platform=platform,
                arch=arch,
                base_source=base_source,
                round=round_name,
            )
            for name in target or (None,)
        )
        return function(*arguments, chosen=chosen, **more)

    for option in reversed(
        (
            click.option(
                "--target",
                "-t",
                multiple=True,
                metavar="NAME",
                help="Hardware target, or auto; repeatable (default: auto, the best that is here).",
            ),
            click.option("--arch", default=None, metavar="NAME", help=ARCH_HELP),
            click.option(
                "--benchmark", "-b", multiple=True, metavar="NAME", help="Benchmark; repeatable (default: all)."
            ),
            click.option("--round", "round_name", default="", metavar="NAME", help=ROUND_HELP),
            click.option(
                "--base-source",
                default="",
                metavar="SOURCE",
                help="bootstrap, registry, registry:IMAGE@sha256:… or oci:PATH (default: the first that works).",
            ),
            click.option(
                "--platform",
                default=None,
                metavar="NAME",
                help="linux/amd64 or linux/arm64 (default: this host's, else the target's first).",
            ),
        )
    ):
        collected = option(collected)
    return collected
