"""Options that several commands share, declared once."""

from __future__ import annotations

import click

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
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
