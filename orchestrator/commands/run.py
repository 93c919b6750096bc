"""`mlorch run`: benchmark a target and show the result."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator.commands.common import (
    ARCH_HELP,
    ROUND_HELP,
    context_options,
    engine_option,
    locked_option,
    pull_options,
    results_option,
    set_option,
)
from orchestrator.facts.scenarios import SCENARIOS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orchestrator.console import Console
    from orchestrator.engines.printers import Printer
    from orchestrator.facts.containers import ContainerSpec, Mount
    from orchestrator.facts.runs import RunStep
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
@set_option
@click.option("--dry-run", is_flag=True, help="Print the commands that would start each container; run nothing.")
@click.option("--no-build", is_flag=True, help="Pull a missing image or fail; build none.")
@pull_options
@click.option(
    "--base-source", default="", metavar="SOURCE", help="Where the base image comes from; see `mlorch build`."
)
@locked_option
@engine_option
@results_option
@context_options
def command(
    results_dir: str | None, pull_policy: PullPolicy, context: Context, console: Console,
    *, dry_run: bool, no_build: bool, **options: Any,
) -> int:  # fmt: skip
    """Benchmark a target: build what is missing, run LoadGen in containers, show the result.

    Without BENCHMARK it runs the target's default ones: accuracy, then every scenario.
    Exits with 0 only when every test ended, is VALID and reached its accuracy.
    """
    from orchestrator.operations.run_request import RunRequest, checked

    request = checked(
        RunRequest(
            results=context.settings.results_folder(results_dir),
            recipes=context.recipes,
            engine=context.wanted_engine,
            locked=context.locked,
            pull_policy=replace(pull_policy, build=not no_build),
            **options,
        )
    )
    if not dry_run:
        return _run(context, request, console)
    from orchestrator.engines.printers import PRINTERS, printer
    from orchestrator.operations.context import engine_name
    from orchestrator.operations.run import dry_run as dry
    from orchestrator.operations.run import dry_run_document

    show = printer(engine_name(context.settings, request.engine, tuple(PRINTERS)), context.engine_access)
    steps = dry(context, request)
    if console.quiet:
        console.document(dry_run_document(steps, show))
    else:
        show_dry(console, steps, show)
    return 0


def _run(context: Context, request: RunRequest, console: Console) -> int:
    from orchestrator.commands.build_view import ConsoleProgress
    from orchestrator.commands.run_view import RunView, show
    from orchestrator.operations.run import last_of_each_test, run
    from orchestrator.results.summary import document

    done: list[Summary] = []
    try:
        with RunView(console) as view:
            done.extend(run(context, request, ConsoleProgress(console), view))
    except BaseException:
        if done and not console.quiet:  # what ended before is kept, and worth seeing
            show(console, done, str(request.results))
        raise
    if console.quiet:
        console.document({"results": [document(summary) for summary in done]})
    else:
        show(console, done, str(request.results))
    counting = last_of_each_test(done)
    return 0 if counting and all(summary.good for summary in counting) else 1


# -- a dry run: a script of each test's container, to read or to paste into a shell ---------


def show_dry(console: Console, steps: Sequence[RunStep], show: Printer) -> None:
    """For each test the line that makes its folders and files, and a line that starts each of its containers."""
    from orchestrator.commands.targets import device_injection_lines
    from orchestrator.operations.run import containers_of

    notes = [note for step in steps for note in (*show.notes(step.container), *_missing(step.container))]
    for note in dict.fromkeys(notes):
        console.say(f"note: {note}")
    for step in steps:
        console.result(prepared(step))
        for container in containers_of(step):
            console.result(show.line(container))
    for words in dict.fromkeys(line for step in steps for line in device_injection_lines(step.device_injection)):
        console.say(words)
    for text in dict.fromkeys(text for step in steps if step.external for text in step.external.deviations):
        console.say(f"beyond the run contract: {text}")


def prepared(step: RunStep) -> str:
    """A shell line that makes the folders which the containers write to, and the files that their programs read.

    Root's containers are somebody else: the folders become theirs.
    """
    from orchestrator.facts.containers import RECORD, RESULTS
    from orchestrator.operations.run import containers_of

    mounts = [mount for container in containers_of(step) for mount in container.mounts]
    writable = list(dict.fromkeys(mount.source for mount in mounts if not mount.read_only))
    results = next(mount.source for mount in mounts if mount.target == RESULTS)
    files = {"settings.json": json.dumps(dict(step.settings), separators=(",", ":")), **_files(step)}
    folders = [f"{results}/{name.rpartition('/')[0]}" for name in files if "/" in name]
    folders += _places(mounts)
    words = [shlex.join(["mkdir", "-p", *dict.fromkeys([*writable, *folders])])]
    words.append(f"touch {shlex.quote(f'{results}/{RECORD}')}")
    words += [f"printf %s {shlex.quote(text)} > {shlex.quote(f'{results}/{name}')}" for name, text in files.items()]
    if step.container.user != step.results_owner:
        words.append(shlex.join(["chown", step.container.user, *writable]))
    return " && ".join(words)


def _places(mounts: Sequence[Mount]) -> list[str]:
    """Where artefacts are mounted in the folder of artefacts, so that no engine makes the place as root."""
    from orchestrator.facts.containers import ARTIFACTS

    home = next((mount.source for mount in mounts if mount.target == ARTIFACTS), "")
    inside = [mount.target.removeprefix(ARTIFACTS) for mount in mounts if mount.target.startswith(f"{ARTIFACTS}/")]
    return [f"{home}{name}" for name in inside]


def _files(step: RunStep) -> dict[str, str]:
    """The files that are written for somebody else's harness, by their names below the run's folder."""
    from orchestrator.facts.external import CONFIG_FOLDER

    return {} if step.external is None else {f"{CONFIG_FOLDER}/{one.name}": one.text for one in step.external.files}


def _missing(spec: ContainerSpec) -> Iterator[str]:
    """What a reader of those lines has to get first."""
    assets = [mount for mount in spec.mounts if mount.target.startswith(("/models/", "/data/"))]
    if not all(Path(mount.source).exists() for mount in assets):
        yield "models or data are not here yet: `mlorch assets get`"
