"""Lists shorten by default: the first few, how many there are, and how to see all."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.console import Console

SHOWN = 20


def shorten_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """`--last N` and `--all`, handed on as ``last``: how many are shown, None for all.

    With --json all are shown unless --last says otherwise, as a program has no use for a part.
    """

    @wraps(function)
    def collected(*arguments: Any, last: int | None, show_all: bool, **more: Any) -> Any:
        if last is not None and show_all:
            raise click.UsageError("--last and --all exclude each other")
        if last is None and not show_all and not more.get("as_json"):
            last = SHOWN
        return function(*arguments, last=last, **more)

    option = click.option("--all", "show_all", is_flag=True, help="Show all.")(collected)
    return click.option(
        "--last", type=click.IntRange(min=1), default=None, metavar="N", help=f"Show the newest N (default: {SHOWN})."
    )(option)


def say_rest(console: Console, shown: int, total: int, what: str, *, first: str = "the newest") -> None:
    """What a list left out; ``first`` says which were shown."""
    if shown < total:
        console.say(f"{first} {shown} of {total} {what}; --all shows them all")
