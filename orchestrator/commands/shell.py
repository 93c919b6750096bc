"""`mlorch shell`: look around in the container of a run."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from orchestrator.commands.common import (
    context_options,
    data_option,
    engine_option,
    pull_options,
    results_option,
    set_option,
)
from orchestrator.commands.run_options import devices_option, roles_option, target_option
from orchestrator.facts.scenarios import SCENARIOS

if TYPE_CHECKING:
    from orchestrator.console import Console
    from orchestrator.operations.context import Context
    from orchestrator.operations.pull_policy import PullPolicy


@click.command("shell", context_settings={"ignore_unknown_options": True})
@click.argument("benchmark", required=False)
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[-- COMMAND...]")
@click.option("--role", default="", metavar="NAME", help="client (default), server, server-0, accuracy, or a step.")
@target_option
@click.option(
    "--scenario", "-s", default="all", metavar="NAME", help=f"{', '.join(SCENARIOS)} (default: the benchmark's first)."
)
@click.option("--mode", "-m", default="all", metavar="MODE", help="performance or accuracy (default: its first test).")
@roles_option
@devices_option
@set_option
@data_option
@pull_options
@engine_option
@results_option
@context_options
def command(
    benchmark: str | None, words: tuple[str, ...], role: str, scenario: str, results_dir: str | None,
    pull_policy: PullPolicy, context: Context, console: Console, **options: Any,
) -> int:  # fmt: skip
    """Open a shell in exactly the container that `run` would start: same image, mounts, rights and limits.

    With COMMAND that runs in place of a shell; its exit status is this one's. Nothing is measured and no
    record is written; what the container leaves stays in the folder that is named at the end.
    """
    from orchestrator.commands.build_view import ConsoleProgress
    from orchestrator.operations.run.request import RunRequest, checked
    from orchestrator.operations.shell import shell

    request = checked(
        RunRequest(
            benchmarks=(benchmark,) if benchmark else (),
            scenarios=(scenario,),
            results=context.settings.results_folder(results_dir),
            recipes=context.recipes,
            engine=context.wanted_engine,
            pull_policy=replace(pull_policy, build=True),
            **options,
        )
    )
    opened = shell(context, request, ConsoleProgress(console), role=role, command=words)
    console.say(f"left in {opened.folder}")
    return opened.exit_code
