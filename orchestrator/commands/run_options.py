"""Options of what is tested, on what, and where its parts come from: `mlorch run` and `mlorch tune` take the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from orchestrator.commands.common import (
    ARCH_HELP,
    ROUND_HELP,
    context_options,
    data_option,
    engine_option,
    locked_option,
    pull_options,
    results_option,
    set_option,
)
from orchestrator.facts.scenarios import SCENARIOS

if TYPE_CHECKING:
    from collections.abc import Callable

    Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

target_option = click.option(
    "--target",
    "-t",
    default=None,
    metavar="NAME",
    help="Hardware target, or auto (default: auto, the best that is here).",
)
devices_option = click.option(
    "--devices",
    default="",
    metavar="WHICH",
    help="Devices of the target: all (default), 0,2 or 0-3, 0:1 (a part), count:2, uuid:…, pci:…; none.",
)
roles_option = click.option(
    "--roles", default="", metavar="A,B", help="Parts in containers of their own: server,client."
)


def _together(*decorators: Decorator) -> Decorator:
    """All of them, in the order in which `--help` lists them."""

    def apply(function: Callable[..., Any]) -> Callable[..., Any]:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return apply


what_options = _together(
    click.argument("benchmarks", nargs=-1, metavar="[BENCHMARK]..."),
    target_option,
    click.option("--arch", default=None, metavar="NAME", help=ARCH_HELP),
    click.option(
        "--scenario",
        "-s",
        "scenarios",
        multiple=True,
        metavar="NAME|all",
        help=f"{', '.join(SCENARIOS)} or all; repeatable (default: all).",
    ),
    click.option("--round", default="", metavar="NAME", help=ROUND_HELP),
)
"""What is tested."""

hardware_options = _together(
    devices_option,
    click.option(
        "--cpus",
        default="",
        metavar="LIST",
        help="This host's processors to run on, as the kernel lists them: 0-3,8 (default: one thread of every core).",
    ),
    click.option(
        "--wait/--no-wait",
        default=True,
        help="Wait for processors that another run on this host has (default), or fail at once.",
    ),
    set_option,
    roles_option,
)
"""On what, and by which of the recipe's choices."""

source_options = _together(
    data_option,
    pull_options,
    click.option(
        "--base-source", default="", metavar="SOURCE", help="Where the base image comes from; see `mlorch build`."
    ),
    locked_option,
    engine_option,
    results_option,
    context_options,
)
"""Where images and data come from and results go to; hands on ``context``, ``console`` and ``pull_policy``."""
