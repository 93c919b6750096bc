"""`mlorch results`: list, show, compare, verify and report what ran."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.commands.common import json_option, results_option
from orchestrator.commands.groups import Group
from orchestrator.commands.results_compare import compare

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.console import Console
    from orchestrator.results.store import Entry, Store
    from orchestrator.results.summary import Summary
    from orchestrator.results.verify import Verification

_run_argument = click.argument("run", default="latest")
_runs_argument = click.argument("runs", nargs=-1, metavar="[RUN]…")


@click.group("results", cls=Group)
def command() -> None:
    """List, show, compare, verify and report results.

    RUN is a run's id, a beginning or end of it that fits one run only, its folder, or `latest`.
    """


command.add_command(compare)


@command.command("list")
@results_option
@json_option
def list_(results_dir: str | None, *, as_json: bool) -> None:
    """List the runs, newest first."""
    from orchestrator.console import Console

    store, console = _store(results_dir), Console(quiet=as_json)
    _sweep(store, console)
    if as_json:
        console.document(list_document(store))
        return
    entries = store.entries()
    if not entries:
        console.say(f"no results in {store.root}; `mlorch run` makes some")
        return
    rows = [_list_row(entry) for entry in entries]
    console.table(("run", "target", "result", "accuracy", "verdict"), rows, right=(2, 3))
    for entry in entries:
        if entry.problem:
            console.warn(entry.problem)


@command.command("show")
@_run_argument
@results_option
@json_option
def show(run: str, results_dir: str | None, *, as_json: bool) -> None:
    """Show one run: verdict and why, metrics, latencies, settings and where they came from."""
    from dataclasses import asdict

    from orchestrator.commands.results_view import show_summary
    from orchestrator.console import Console
    from orchestrator.results.summary import document, summarise

    store, console = _store(results_dir), Console(quiet=as_json)
    _sweep(store, console)
    entry = store.find(run)
    summary = summarise(entry.need(), entry.folder)
    if as_json:
        settings = {name: asdict(setting) for name, setting in summary.record.settings.items()}
        console.document({"results": [{**document(summary), "settings": settings}]})
    else:
        show_summary(console, summary)


@command.command("verify")
@_runs_argument
@results_option
@json_option
@click.pass_context
def verify(ctx: click.Context, runs: tuple[str, ...], results_dir: str | None, *, as_json: bool) -> None:
    """Check that the files of runs are what was recorded and agree with each other (default: all runs).

    Exit status 1 when something does not hold.
    """
    from orchestrator.console import Console
    from orchestrator.results.verify import verify as check

    store, console = _store(results_dir), Console(quiet=as_json)
    _sweep(store, console)
    entries = [store.find(run) for run in runs] if runs else store.entries()
    if not entries:
        _nothing(store)
    found = [check(entry.folder, _labels(entry)) for entry in entries]
    if as_json:
        console.document({"results": [_verification(one) for one in found]})
    else:
        for one in found:
            _show_verification(console, one)
    ctx.exit(0 if all(one.ok for one in found) else 1)


@command.command("report")
@_runs_argument
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file to write (default: report-SESSION.html among the results).",
)
@click.option("--force", is_flag=True, help="Replace the file if there is one.")
@click.option(
    "--results", "results_dir", type=click.Path(file_okay=False), help="Folder of results (default: ./results)."
)
@json_option
def report(runs: tuple[str, ...], output: Path | None, results_dir: str | None, *, force: bool, as_json: bool) -> None:
    """Write a report as one HTML file: of the runs named, or of the latest session."""
    from orchestrator.console import Console
    from orchestrator.host.files import atomic_write_text
    from orchestrator.results.report import render
    from orchestrator.results.summary import summaries

    store, console = _store(results_dir), Console(quiet=as_json)
    _sweep(store, console)
    chosen = summaries(_chosen(store, runs))
    place = output or store.root / f"report-{chosen[0].record.session or chosen[0].record.run_id}.html"
    atomic_write_text(place, render(chosen), overwrite=force or output is None)
    if as_json:
        console.document({"report": str(place), "runs": [one.record.run_id for one in chosen]})
    else:
        console.result(str(place))


def list_document(store: Store) -> dict[str, object]:
    """The JSON of `results list`: every run, a broken record as one that cannot be read."""
    from orchestrator.results.summary import document, summarise

    entries = store.entries()
    return {"results": [document(summarise(e.record, e.folder)) if e.record else _unreadable(e) for e in entries]}


def _store(results_dir: str | None) -> Store:
    from orchestrator.commands.common import results_folder
    from orchestrator.results.store import Store

    return Store(results_folder(results_dir))


def _sweep(store: Store, console: Console) -> None:
    """What a killed mlorch left as running is interrupted, whoever asks first; its container goes."""
    from orchestrator.operations.sweep import sweep_containers

    sweep_containers(console)
    for record in store.sweep():
        console.warn(f"{record.run_id}: its mlorch is gone; the run counts as interrupted")


def _chosen(store: Store, runs: Sequence[str]) -> list[Entry]:
    if runs:
        entries = [store.find(run) for run in runs]
        for entry in entries:
            entry.need()
        return entries
    for entry in store.entries():
        if entry.record is not None:
            return store.session(entry.record)
    return _nothing(store)


def _nothing(store: Store) -> list[Entry]:
    from orchestrator.errors import NothingSelectedError

    raise NothingSelectedError(f"there are no results in {store.root}", hint="run a benchmark: `mlorch run`")


def _unreadable(entry: Entry) -> dict[str, object]:
    return {
        "run_id": entry.run_id,
        "status": "unreadable",
        "verdict": "UNREADABLE",
        "valid": None,
        "metrics": {},
        "reasons": [entry.problem],
        "record": str(entry.folder / "run.json"),
    }


def _list_row(entry: Entry) -> tuple[str, ...]:
    from orchestrator.results.summary import row, summarise

    if entry.record is None:
        return (entry.run_id, "–", "–", "–", "[bold red]UNREADABLE[/]")
    summary: Summary = summarise(entry.record, entry.folder)
    cells = row(summary)
    return (entry.run_id, entry.record.target, cells[3], cells[-2], cells[-1])


def _labels(entry: Entry) -> Path | None:
    """The labels of the run's dataset, where the cache still holds exactly those."""
    from orchestrator.host.files import sha256_file
    from orchestrator.host.folders import cache_home

    dataset = entry.record.dataset if entry.record else None
    known = dataset.files.get("labels.npy") if dataset else None
    if dataset is None or known is None:
        return None
    for path in sorted((cache_home() / "assets").glob(f"dataset*/{dataset.name}*/**/labels.npy")):
        if sha256_file(path) == known:
            return path
    return None


def _verification(one: Verification) -> dict[str, object]:
    faults = [{"file": fault.file, "message": fault.message} for fault in one.faults]
    return {"run_id": one.run_id, "ok": one.ok, "checked": list(one.checked), "faults": faults}


def _show_verification(console: Console, one: Verification) -> None:
    console.result(f"{one.run_id}: {'ok' if one.ok else f'{len(one.faults)} faults'}: {', '.join(one.checked)}")
    for fault in one.faults:
        console.result(f"  {one.folder / fault.file}: {fault.message}")
