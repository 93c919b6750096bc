"""`mlorch run`: benchmark a target and show the result."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator.commands.run_options import hardware_options, source_options, what_options

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orchestrator.console import Console
    from orchestrator.engines.printers import Printer
    from orchestrator.facts.runs import RunStep
    from orchestrator.operations.context import Context
    from orchestrator.operations.pull_policy import PullPolicy
    from orchestrator.operations.run.prepare_steps import PlannedPrepareStep
    from orchestrator.operations.run.request import RunRequest
    from orchestrator.operations.run.suite import SuiteRun
    from orchestrator.results.summary import Summary


def _rate(context: click.Context, parameter: click.Parameter, text: str | None) -> float | None:  # noqa: ARG001 (click's)
    """Of `--target-qps`. Raises `UsageError` for what is no number."""
    if text is None:
        return None
    from orchestrator.operations.run.request import rate_of

    return rate_of(text)


@click.command("run")
@what_options
@click.option(
    "--suite",
    default="",
    metavar="NAME",
    help="All benchmarks of a suite (reference), beside those that are named; what cannot run here is left out.",
)
@click.option(
    "--mode",
    "-m",
    default="all",
    metavar="MODE",
    help="performance, accuracy, compliance or all (default).",
)
@click.option(
    "--division",
    default="",
    metavar="NAME",
    help="closed or network: with compliance tests; open: without (default, but for --mode compliance).",
)
@click.option("--duration", default=None, metavar="TIME", help="Least duration of a performance test: 30s, 10m.")
@click.option(
    "--timeout",
    default=None,
    metavar="TIME",
    help="How long each test may take: 90m, 12h (default: a day and 20 times the least duration).",
)
@click.option("--official", is_flag=True, help="The round's rules: 600 s, accuracy in every scenario.")
@click.option(
    "--target-qps",
    callback=_rate,
    default=None,
    metavar="N",
    help="Rate of Server and Interactive, expectation of Offline.",
)
@click.option(
    "--find", is_flag=True, help="Search the highest valid rate of Server and Interactive; kept for this system."
)
@hardware_options
@click.option(
    "--power",
    default="",
    metavar="server=HOST|informal",
    help="Measure performance tests with MLCommons' power server at HOST[:PORT], or by this host's own counters.",
)
@click.option("--endpoint", default="", metavar="URL", help="A server of OpenAI's interface that is there already.")
@click.option("--model", "endpoint_model", default="", metavar="NAME", help="What the endpoint calls its model.")
@click.option("--dataset", "endpoint_dataset", default="", metavar="NAME", help="Whose questions it gets: llm-chat.")
@click.option("--endpoint-key-file", default="", metavar="FILE", help="The key that the endpoint wants.")
@click.option("--endpoint-key-env", default="", metavar="NAME", help="The variable that holds it.")
@click.option("--endpoint-ca-file", default="", metavar="FILE", help="Who vouches for its certificate (PEM).")
@click.option("--sign-key", default="", metavar="FILE", help="Sign each record with this private key (PEM).")
@click.option("--dry-run", is_flag=True, help="Print the commands that would start each container; run nothing.")
@click.option("--no-build", is_flag=True, help="Pull a missing image or fail; build none.")
@source_options
def command(
    results_dir: str | None, pull_policy: PullPolicy, context: Context, console: Console,
    *, dry_run: bool, no_build: bool, **options: Any,
) -> int:  # fmt: skip
    """Benchmark a target: build what is missing, run LoadGen in containers, show the result.

    Without BENCHMARK it runs the target's default ones: accuracy, then every scenario. With --suite a
    benchmark that cannot be run stops no other one, and one report shows all.
    Exits with 0 only when every test ended, is VALID and reached its accuracy.
    """
    from orchestrator.operations.run.request import RunRequest, checked

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
    from orchestrator.engines import engine_name
    from orchestrator.engines.printers import PRINTERS, printer
    from orchestrator.operations.run.dry_run import dry_run as dry
    from orchestrator.operations.run.dry_run import dry_run_document
    from orchestrator.operations.run.prepare_steps import planned_prepare_steps

    suite = _suite(context, request)
    for each in suite.chosen.left_out if suite is not None else ():
        console.say(f"note: {each.benchmark} is left out: {each.reason}")
    show = printer(engine_name(context.settings, request.engine, tuple(PRINTERS)), context.engine_access)
    steps, prepares = dry(context, request), planned_prepare_steps(context, request)
    if console.quiet:
        console.document(dry_run_document(steps, show, prepares))
    else:
        show_prepares(console, prepares, show)
        show_dry(console, steps, show)
    return 0


def _run(context: Context, request: RunRequest, console: Console) -> int:
    _ = context.engine_answers  # asked while the rest is imported
    from orchestrator.commands.build_view import ConsoleProgress
    from orchestrator.commands.run_view import RunView, show, show_suite
    from orchestrator.operations.run.order import last_of_each_test, run
    from orchestrator.results.summary import document

    suite = _suite(context, request)
    done: list[Summary] = []
    try:
        with RunView(console) as view:
            progress = ConsoleProgress(console)
            done.extend(run(context, request, progress, view) if suite is None else suite.run(progress, view))
    except BaseException:
        if done and not console.quiet:  # what ended before is kept, and worth seeing
            show(console, done, str(request.results))
        raise
    if console.quiet:
        more = {} if suite is None else suite.document()
        console.document({"results": [document(summary) for summary in done], **more})
    else:
        show(console, done, str(request.results))
        if suite is not None:
            show_suite(console, suite)
    counting = last_of_each_test(done)
    failed = suite is not None and suite.failed
    return 0 if counting and not failed and all(summary.good for summary in counting) else 1


def _suite(context: Context, request: RunRequest) -> SuiteRun | None:
    """The run of the suite that is asked for, if one is."""
    if not request.suite:
        return None
    from orchestrator.operations.run.suite import suite_run

    return suite_run(context, request)


# -- a dry run: a script of each test's container, to read or to paste into a shell ---------


def show_prepares(console: Console, prepares: Sequence[PlannedPrepareStep], show: Printer) -> None:
    """What is not here yet and is made first; of a step on a device, how it is passed and the line that starts it."""
    from orchestrator.commands.targets import device_injection_lines

    for step in prepares:
        console.say(f"note: {step.asset} is not here: its prepare step runs first")
        if step.devices.method != "none":
            for line in device_injection_lines(step.devices):
                console.say(f"  {line}")
            console.say(f"  {shlex.join(show.argv(step.container))}")


def show_dry(console: Console, steps: Sequence[RunStep], show: Printer) -> None:
    """For each test the line that makes its folders and settings, and the line that starts its container."""
    from orchestrator.commands.targets import device_injection_lines

    for note in dict.fromkeys(_notes(steps, show)):
        console.say(f"note: {note}")
    for step in steps:
        console.result(prepared(step))
        for container in step.containers:
            console.result(show.line(container) + (" &" if container in step.beside else ""))
        if step.beside:
            console.result(show.stop_line(step.beside))
    for words in dict.fromkeys(line for step in steps for line in device_injection_lines(step.device_injection)):
        console.say(words)


def _notes(steps: Sequence[RunStep], show: Printer) -> Iterator[str]:
    """What those lines do not show, or do otherwise than a run."""
    for step in steps:
        yield from show.notes(step.container)
        yield from _missing(step)
        yield from _compared(step)
    for step in steps:
        yield from (f"beyond the run contract: {text}" for text in step.deviations)
    if any(step.roles is not None and step.roles.restart == "run" for step in steps):
        yield "servers stay up over the tests of a benchmark (restart: run); here each test starts its own"


def prepared(step: RunStep) -> str:
    """A shell line that makes the folders which the container writes to, and the settings that its harness reads.

    Root's containers are somebody else: the folders become theirs.
    """
    from orchestrator.facts.containers import RECORD, RESULTS
    from orchestrator.facts.external import CONFIG_FOLDER

    mounts = [mount for container in step.containers for mount in container.mounts]
    writable = {mount.target: mount.source for mount in mounts if not mount.read_only}
    sources = list(dict.fromkeys(writable.values()))
    folders = shlex.join(["mkdir", "-p", *sources])
    settings = json.dumps(dict(step.settings), separators=(",", ":"))
    record, path = (shlex.quote(f"{writable[RESULTS]}/{name}") for name in (RECORD, "settings.json"))
    line = f"{folders} && touch {record} && printf %s {shlex.quote(settings)} > {path}"
    for file in step.external.files if step.external is not None else ():
        path = shlex.quote(f"{writable[RESULTS]}/{CONFIG_FOLDER}/{file.name}")
        line += f" && mkdir -p $(dirname {path}) && printf %s {shlex.quote(file.text)} > {path}"
        if file.executable:
            line += f" && chmod +x {path}"
    if step.container.user != step.results_owner:
        line += f" && {shlex.join(['chown', step.container.user, *sources])}"
    return line


def _compared(step: RunStep) -> Iterator[str]:
    """What a compliance test is compared with."""
    for one in () if step.compliance is None else step.compliance.compared:
        when = "which counts and has run before" if one.stored else "which runs before it"
        test = f"{step.name} of {step.benchmark} {step.scenario}"
        yield f"{test} is compared with the {one.mode} test {one.run_id}, {when}"


def _missing(step: RunStep) -> Iterator[str]:
    """What a reader of those lines has to get first."""
    contents = step.contents
    missing = [
        contents[mount.target].replace(":", "/", 1)
        for mount in step.container.mounts
        if mount.target in contents and not Path(mount.source).exists()
    ]
    if missing:
        yield f"models or data are not here yet: `mlorch assets get {' '.join(missing)}`"
