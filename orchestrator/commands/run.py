"""`mlorch run`: benchmark a target and show the result."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from orchestrator.commands.common import (
    ARCH_HELP,
    ROUND_HELP,
    engine_option,
    json_option,
    locked_option,
    pull_options,
    recipes_option,
    results_option,
    wants_locked,
)
from orchestrator.facts.scenarios import SCENARIOS

if TYPE_CHECKING:
    from orchestrator.console import Console
    from orchestrator.operations.context import Context
    from orchestrator.operations.pull_policy import PullPolicy
    from orchestrator.operations.run_request import RunRequest
    from orchestrator.results.summary import Summary


@click.command("run")
@click.argument("benchmarks", nargs=-1, metavar="[BENCHMARK]...")
@click.option(
    "--target",
    "-t",
    default=None,
    metavar="NAME",
    help="Hardware target, or auto (default: auto, the best that is here).",
)
@click.option("--arch", default=None, metavar="NAME", help=ARCH_HELP)
@click.option(
    "--scenario",
    "-s",
    "scenarios",
    multiple=True,
    metavar="NAME|all",
    help=f"{', '.join(SCENARIOS)} or all; repeatable (default: all).",
)
@click.option("--mode", "-m", default="all", metavar="MODE", help="performance, accuracy or all (default).")
@click.option("--round", default="", metavar="NAME", help=ROUND_HELP)
@click.option("--duration", default=None, metavar="TIME", help="Least duration of a performance test: 30s, 10m.")
@click.option("--official", is_flag=True, help="The round's rules: 600 s, accuracy in every scenario.")
@click.option("--target-qps", type=float, default=None, metavar="N", help="Rate of Server, expectation of Offline.")
@click.option("--find", is_flag=True, help="Search the highest valid Server rate; kept for this system.")
@click.option(
    "--devices",
    default="",
    metavar="WHICH",
    help="Devices of the target: all (default), 0,2 or 0-3, 0:1 (a part), count:2, uuid:…, pci:…; none.",
)
@click.option("--dry-run", is_flag=True, help="Print the commands that would start each container; run nothing.")
@click.option("--no-build", is_flag=True, help="Pull a missing image or fail; build none.")
@pull_options
@click.option(
    "--base-source", default="", metavar="SOURCE", help="Where the base image comes from; see `mlorch build`."
)
@locked_option
@engine_option
@results_option
@recipes_option
@json_option
def command(
    results_dir: str | None, pull_policy: PullPolicy,
    *, locked: bool | None, dry_run: bool, no_build: bool, as_json: bool, **options: Any,
) -> int:  # fmt: skip
    """Benchmark a target: build what is missing, run LoadGen in containers, show the result.

    Without BENCHMARK it runs the target's default ones: accuracy, then every scenario.
    Exits with 0 only when every test ended, is VALID and reached its accuracy.
    """
    from orchestrator.commands.common import context_for, results_folder
    from orchestrator.console import Console
    from orchestrator.operations.run_request import RunRequest, checked

    console = Console(quiet=as_json)
    strict = wants_locked(locked)
    context = context_for(console, options["recipes"], locked=strict, engine=options["engine"])
    request = checked(
        RunRequest(
            results=results_folder(results_dir, context.settings),
            locked=strict,
            pull_policy=replace(pull_policy, build=not no_build),
            **options,
        )
    )
    if dry_run:
        _dry_run(context, request, console, as_json=as_json)
        return 0
    return _run(context, request, console, as_json=as_json)


def _dry_run(context: Context, request: RunRequest, console: Console, *, as_json: bool) -> None:
    from orchestrator.commands.dry_run_view import show_dry
    from orchestrator.engines.printers import PRINTERS, printer
    from orchestrator.operations.context import engine_name
    from orchestrator.operations.run import dry_run, dry_run_document

    show = printer(engine_name(context.settings, request.engine, tuple(PRINTERS)))
    steps = dry_run(context, request)
    if as_json:
        console.document(dry_run_document(steps, show))
    else:
        show_dry(console, steps, show)


def _run(context: Context, request: RunRequest, console: Console, *, as_json: bool) -> int:
    from orchestrator.commands.progress import ConsoleProgress
    from orchestrator.commands.run_view import RunView, show
    from orchestrator.operations.run import last_of_each_test, run
    from orchestrator.results.summary import document

    done: list[Summary] = []
    try:
        with RunView(console) as view:
            done.extend(run(context, request, ConsoleProgress(console), view))
    except BaseException:
        if done and not as_json:  # what ended before is kept, and worth seeing
            show(console, done, str(request.results))
        raise
    if as_json:
        console.document({"results": [document(summary) for summary in done]})
    else:
        show(console, done, str(request.results))
    counting = last_of_each_test(done)
    return 0 if counting and all(summary.good for summary in counting) else 1
