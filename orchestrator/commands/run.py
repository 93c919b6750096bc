"""`mlorch run`: benchmark a target and show the result."""

from __future__ import annotations

import difflib
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from orchestrator.commands.common import (
    ARCH_HELP,
    AUTO,
    engine_option,
    json_option,
    locked_option,
    recipes_option,
    results_folder,
    results_option,
    wants_locked,
)
from orchestrator.commands.pulling import PullPolicy, pull_options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.console import Console
    from orchestrator.operations.context import Context
    from orchestrator.operations.run_plan import Request
    from orchestrator.results.summary import Summary

SCENARIOS = ("Offline", "Server", "SingleStream", "MultiStream")
MODES = ("performance", "accuracy", "all")


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
    help="Offline, Server, SingleStream, MultiStream or all; repeatable (default: all).",
)
@click.option("--mode", "-m", default="all", metavar="MODE", help="performance, accuracy or all (default).")
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
    benchmarks: tuple[str, ...], target: str | None, arch: str | None, scenarios: tuple[str, ...], mode: str,
    duration: str | None, target_qps: float | None, devices: str, base_source: str, engine: str,
    results_dir: str | None, recipes: tuple[str, ...], pull_policy: PullPolicy,
    *, locked: bool | None, official: bool, find: bool, dry_run: bool, no_build: bool, as_json: bool,
) -> int:  # fmt: skip
    """Benchmark a target: build what is missing, run LoadGen in containers, show the result.

    Without BENCHMARK it runs the target's default ones: accuracy, then every scenario.
    Exits with 0 only when every test ended, is VALID and reached its accuracy.
    """
    from orchestrator.console import Console
    from orchestrator.operations.context import Context
    from orchestrator.operations.run import dry_document, dry_steps
    from orchestrator.operations.run_plan import Request
    from orchestrator.plan.run.planner import duration_ms

    console = Console(quiet=as_json)
    request = Request(
        benchmarks=benchmarks,
        target=None if target == AUTO else target,
        arch=arch,
        scenarios=tuple(one_of("scenario", name, (*SCENARIOS, "all")) for name in scenarios),
        mode=one_of("mode", mode, MODES),
        min_duration_ms=None if duration is None else duration_ms(duration),
        official=official,
        target_qps=target_qps,
        find=find,
        results=results_folder(results_dir),
        base_source=base_source,
        locked=wants_locked(locked),
        devices=devices.strip(),
    )
    check(request)
    context = Context(recipes, locked=request.locked, wanted_engine=engine)
    if dry_run:
        from orchestrator.engines.printers import PRINTERS, printer
        from orchestrator.operations.context import engine_name

        show = printer(engine_name(context.settings, engine, tuple(PRINTERS)))
        steps = dry_steps(context, request)
        if as_json:
            console.document(dry_document(steps, show))
        else:
            from orchestrator.commands.dry_run_view import show_dry

            show_dry(console, steps, show)
        return 0
    return _run(context, request, console, as_json=as_json, pull_policy=replace(pull_policy, build=not no_build))


def _run(context: Context, request: Request, console: Console, *, as_json: bool, pull_policy: PullPolicy) -> int:
    from orchestrator.commands.run_view import show
    from orchestrator.operations.run import perform

    done: list[Summary] = []
    try:
        perform(context, request, console, done=done, pull_policy=pull_policy)
    except BaseException:
        if done and not as_json:  # what ended before is kept, and worth seeing
            show(console, done, str(request.results))
        raise
    if as_json:
        from orchestrator.results.summary import document

        console.document({"results": [document(summary) for summary in done]})
    else:
        show(console, done, str(request.results))
    last = {(one.record.benchmark, one.record.scenario, one.record.mode): one for one in done}
    return 0 if last and all(summary.good for summary in last.values()) else 1


def one_of(what: str, word: str, known: Sequence[str]) -> str:
    """``word`` as ``known`` spells it, whatever its case; raises `UsageError` with the nearest names."""
    from orchestrator.errors import UsageError

    by_folded = {name.casefold().replace("-", ""): name for name in known}
    found = by_folded.get(word.casefold().replace("-", ""))
    if found is not None:
        return found
    near = [by_folded[key] for key in difflib.get_close_matches(word.casefold(), by_folded, n=2)]
    start = f"did you mean {' or '.join(f'`{name}`' for name in near)}? " if near else ""
    raise UsageError(f"there is no {what} `{word}`", hint=f"{start}known: {', '.join(known)}", slug=f"unknown-{what}")


def check(request: Request) -> None:
    """Options that exclude each other or mean nothing."""
    from orchestrator.errors import UsageError
    from orchestrator.plan.run.devices.choice import parse

    if request.target_qps is not None and not 0 < request.target_qps < 1e9:
        raise UsageError("--target-qps must be a positive number", slug="target-qps")
    if request.find and request.target_qps is not None:
        raise UsageError("--find and --target-qps exclude each other", hint="give one of them")
    parse(request.devices)
    if request.official and request.min_duration_ms is not None and request.min_duration_ms < 600_000:
        raise UsageError(
            "--official needs a duration of at least 600 s", hint="leave --duration out", slug="official-duration"
        )
    if request.find and request.mode == "accuracy":
        raise UsageError("--find measures performance, and --mode says accuracy only", hint="leave --mode out")
