"""`mlorch tune`: search the parameters of a benchmark's harness, and show what was tried."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from orchestrator.commands.run_options import hardware_options, source_options, what_options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.console import Console
    from orchestrator.operations.context import Context
    from orchestrator.operations.pull_policy import PullPolicy
    from orchestrator.operations.tune_study import Tuning
    from orchestrator.runs.trials import Trial


@click.command("tune")
@what_options
@click.option("--trials", type=int, default=20, metavar="N", help="New trials of each scenario (default: 20).")
@click.option("--for", "for_time", default=None, metavar="TIME", help="Begin no trial after this time: 10m.")
@click.option("--seed", type=int, default=1, metavar="N", help="Of the sampler (default: 1).")
@click.option("--show", is_flag=True, help="Show what was tried on this system; run nothing.")
@hardware_options
@source_options
def command(
    results_dir: str | None, pull_policy: PullPolicy, context: Context, console: Console,
    *, show: bool, trials: int, for_time: str | None, seed: int, **options: Any,
) -> int:  # fmt: skip
    """Search batch, instances, threads and whatever a harness declares; keep the best for the next run.

    Every trial is kept as it ends: a search that was stopped goes on where it was. `--show` shows what was tried.
    """
    if show:
        return _show_tried(console, options["benchmarks"])
    from orchestrator.commands.build_view import ConsoleProgress
    from orchestrator.commands.run_view import RunView
    from orchestrator.operations.run.request import RunRequest, checked
    from orchestrator.operations.tune import Budget, tune

    if not options["benchmarks"]:
        raise click.UsageError("name the benchmark to tune, or --show")
    request = checked(
        RunRequest(
            results=context.settings.results_folder(results_dir),
            recipes=context.recipes,
            engine=context.wanted_engine,
            locked=context.locked,
            pull_policy=replace(pull_policy, build=True),
            caller=("mlorch", "tune"),
            **options,
        )
    )
    budget = Budget(trials=trials, time=for_time, seed=seed)
    done: list[Tuning] = []
    with RunView(console) as view:
        done.extend(tune(context, request, budget, ConsoleProgress(console), view))
    _show(console, done)
    return 0 if all(one.kept is not None for one in done) else 1


def _show_tried(console: Console, benchmarks: tuple[str, ...]) -> int:
    from orchestrator.errors import NothingSelectedError
    from orchestrator.host.facts import host_facts
    from orchestrator.host.folders import data_home
    from orchestrator.operations.tune import tried

    found = tried(data_home(), host_facts().system_id, benchmarks)
    if not found and not console.quiet:
        raise NothingSelectedError("nothing was tuned on this system", hint="`mlorch tune BENCHMARK` does that")
    _show(console, found)
    return 0


def _show(console: Console, tunings: Sequence[Tuning]) -> None:
    if console.quiet:
        console.document({"tuning": [one.document() for one in tunings]})
        return
    for one in tunings:
        names = sorted({name for trial in one.trials for name in trial.parameters})
        rows = [_row(at, trial, names) for at, trial in enumerate(one.trials, 1)]
        title = f"{one.benchmark} {one.scenario}, target {one.target}, image {one.content_id[:12]}"
        columns = ("trial", *names, "short test", "result", "state")
        console.table(columns, rows, title=title, right=(0, len(names) + 1, len(names) + 2))
        console.result(_kept(one))


def _row(number: int, trial: Trial, names: Sequence[str]) -> tuple[str, ...]:
    state = f"{trial.state}, accuracy {trial.accuracy}" if trial.accuracy else trial.state
    values = (str(trial.parameters.get(name, "–")) for name in names)
    return (str(number), *values, _figure(trial, trial.first), _figure(trial, trial.value), state)


def _figure(trial: Trial, value: float | None) -> str:
    from orchestrator.facts.metrics import text

    return "–" if value is None else text(value, trial.unit)


def _kept(one: Tuning) -> str:
    if one.kept is None:
        return f"{one.scenario}: nothing is kept{f': {one.why}' if one.why else ''}"
    settings = {**one.kept.settings, **one.kept.parameters}
    words = ", ".join(f"{name} {value}" for name, value in sorted(settings.items()))
    return f"{one.scenario}: kept for the next run: {words}"
