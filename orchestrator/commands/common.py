"""Options that several commands share, declared once."""

from __future__ import annotations

import click

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any, TypeVar

    F = TypeVar("F", bound=Callable[..., Any])


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


def results_folder(given: str | None) -> Path:
    """The folder of results: what `-o` says, else the settings, else `./results`."""
    from pathlib import Path

    from orchestrator.settings import read_settings

    return Path(given or read_settings().results or "results")


def selection_options(function: F) -> F:
    """What to build: targets, benchmarks, platform, base source."""
    for option in reversed(
        (
            click.option("--target", "-t", multiple=True, help="Hardware target; repeatable (default: detected)."),
            click.option("--benchmark", "-b", multiple=True, help="Benchmark; repeatable (default: all)."),
            click.option(
                "--base-source",
                default="",
                metavar="SOURCE",
                help="bootstrap, registry, registry:IMAGE@sha256:… or oci:PATH (default: the first that works).",
            ),
            click.option("--platform", default=None, help="linux/amd64 or linux/arm64 (default: the target's first)."),
        )
    ):
        function = option(function)
    return function
