"""`mlorch assets`: models and datasets on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orchestrator.commands.common import context_options, data_option, locked_option
from orchestrator.commands.groups import ListGroup

if TYPE_CHECKING:
    from orchestrator.console import Console
    from orchestrator.operations.assets.facts import AssetFacts
    from orchestrator.operations.assets.prune import PruneResult
    from orchestrator.operations.assets.why import AssetWhy
    from orchestrator.operations.context import Context

_SHOWN = 12
"""Characters of a hash that tell it from others."""


_target_option = click.option(
    "--target", "-t", default=None, metavar="NAME", help="Whose prep image prepares them (default: detected)."
)


@click.group("assets", cls=ListGroup)
def command() -> None:
    """List, get and verify models and datasets. They are kept by content and shared between runs."""


@command.command("list")
@context_options
def list_command(context: Context, console: Console) -> None:
    """List models and datasets: what is here, what must still come, from where, under which terms."""
    from orchestrator.operations.assets.listing import list_assets

    found = list_assets(context)
    if console.quiet:
        console.document({"assets": found})
        return
    rows = [
        (
            each.kind,
            each.name,
            each.state,
            _megabytes(each.bytes_needed),
            _megabytes(each.bytes),
            "; ".join(dict.fromkeys(each.licences)),
            "; ".join(each.sources),
        )
        for each in found
    ]
    columns = ("kind", "name", "state", "needs MB", "here MB", "licence", "from")
    console.table(columns, rows, right=(3, 4), drop=(6, 5))


@command.command("get")
@click.argument("names", nargs=-1)
@_target_option
@data_option
@context_options
def get_command(
    names: tuple[str, ...], target: str | None, data: tuple[str, ...], context: Context, console: Console
) -> None:
    """Fetch, check and prepare models and datasets; those of the default benchmarks where none is named."""
    from orchestrator.commands.build_view import ConsoleProgress
    from orchestrator.operations.assets.get import get_assets

    done = []
    for each in get_assets(context, names, ConsoleProgress(console), target=target, data=data):
        done.append(each)
        if not console.quiet:
            console.result(f"{each.kind} {each.name}: {_megabytes(each.bytes)} MB in {each.folder}")
    if console.quiet:
        console.document({"assets": done})


@command.command("verify")
@click.argument("names", nargs=-1)
@data_option
@context_options
def verify_command(names: tuple[str, ...], data: tuple[str, ...], context: Context, console: Console) -> int:
    """Hash every file of the models and datasets that are here; wrong ones are moved aside. Exit 1 if any is."""
    from orchestrator.operations.assets.verify import verify_assets

    done = []
    for each in verify_assets(context, names, data=data):
        done.append(each)
        _show_verified(console, each)
    if console.quiet:
        console.document({"assets": done})
    return 1 if any(each.state == "wrong" for each in done) else 0


def _show_verified(console: Console, each: AssetFacts) -> None:
    if each.state == "wrong":
        console.say(f"WRONG    {each.name}: {', '.join(each.wrong or ())}; now in {each.folder}", style="red")
    elif each.bytes is None:
        console.say(f"{each.state:8} {each.name}")
    elif not console.quiet:
        console.result(f"verified {each.name}: {_megabytes(each.bytes)} MB")


@command.command("why")
@click.argument("name")
@data_option
@context_options
def why_command(name: str, data: tuple[str, ...], context: Context, console: Console) -> None:
    """Say why a model or dataset is taken as it is here, or would be made, and which input changed."""
    from orchestrator.operations.assets.why import why

    found = why(context, name, data=data)
    if console.quiet:
        console.document(found)
    else:
        _show_why(console, found)


def _show_why(console: Console, found: AssetWhy) -> None:
    console.result(f"{found.state}  {found.kind}/{found.name}  {found.key}: {found.why}")
    for one in found.changed:
        console.result(f"  {one.input}: {_short(one.was)} → {_short(one.now)}")
    for name in found.wrong:
        console.result(f"  changed on disk: {name}")
    if not found.changed and not found.wrong:
        console.facts([(name, _short(value)) for name, value in found.inputs.items()])


def _short(value: str) -> str:
    """A value for people: a hash is cut, what is not there is a word."""
    if not value:
        return "none"
    first, space, rest = value.partition(" ")
    if len(first) > 2 * _SHOWN and first.isalnum():
        first = f"{first[:_SHOWN]}…"
    return f"{first}{space}{rest}"


@command.command("prune")
@click.option("--all", "everything", is_flag=True, help="Remove all of them, also those that recipes name.")
@click.option(
    "--older-than", default="", metavar="TIME", help="Only what was last used so long ago: 30d, 12h, 90m, 10s."
)
@click.option("--dry-run", is_flag=True, help="Only show what would go.")
@context_options
def prune_command(*, everything: bool, older_than: str, dry_run: bool, context: Context, console: Console) -> None:
    """Remove models and datasets that no recipe names any more, and what was left unfinished; never what is in use."""
    from orchestrator.operations.assets.prune import PruneRequest, prune

    age = _seconds(older_than) if older_than else None
    request = PruneRequest(all=everything, older_than_s=age, dry_run=dry_run)
    result = prune(context, request)
    if console.quiet:
        console.document(result)
    else:
        _show_pruned(console, result)


def _show_pruned(console: Console, result: PruneResult) -> None:
    rows = [(one.what, one.state, _megabytes(one.bytes), one.why) for one in result.removed]
    if rows:
        console.table(("what", "state", "MB", "why"), rows, right=(2,))
    verb = "would go" if result.dry_run else "went"
    console.result(f"{_megabytes(result.bytes)} MB {verb}")


def _seconds(text: str) -> float:
    """A time in seconds. Raises `UsageError`."""
    from orchestrator.errors import UsageError
    from orchestrator.facts.times import seconds_of

    try:
        return float(seconds_of(text))
    except ValueError:
        raise UsageError(f"`{text[:40]}` is no time", hint="write 30d, 12h, 90m or 10s", slug="bad-time") from None


@command.command("export")
@click.argument("name")
@click.argument("folder", type=click.Path(file_okay=False))
@click.option("--copy", is_flag=True, help="Copy the bytes, where hard links into the cache would do.")
@context_options
def export_command(name: str, folder: str, context: Context, console: Console, *, copy: bool) -> None:
    """Lay the files of a model or dataset into an empty FOLDER, with a manifest that `sha256sum -c` reads."""
    from pathlib import Path

    from orchestrator.operations.assets.export import export_asset

    done = export_asset(context, name, Path(folder), copy=copy)
    if console.quiet:
        console.document(done)
        return
    how = "linked; they are the cache's own, so leave them as they are" if done.linked else "copied"
    console.result(f"{done.files:,} files, {_megabytes(done.bytes)} MB, in {done.folder} ({how})")
    console.result(f"check them there with: sha256sum -c {done.manifest.name}")


@command.command("lock")
@click.argument("name")
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False),
    default=None,
    metavar="DIR",
    help="Folder of the lock (default: images/ of the recipe's own folder, else this machine's own locks).",
)
@_target_option
@data_option
@locked_option
@context_options
def lock_command(
    name: str,
    output: str | None,
    target: str | None,
    data: tuple[str, ...],
    context: Context,
    console: Console,
) -> None:
    """Fetch a model or dataset without hashes once, trust what comes, and write its hashes into a lock."""
    from pathlib import Path

    from orchestrator.commands.build_view import ConsoleProgress
    from orchestrator.operations.assets.lock import AssetLockRequest, lock_asset

    request = AssetLockRequest(name=name, target=target, data=data, output=Path(output) if output else None)
    done = lock_asset(context, request, ConsoleProgress(console))
    if console.quiet:
        console.document(done)
    elif done.path is None:
        console.result(f"{done.kind} {done.name}: its recipe has every hash, nothing to lock")
    else:
        console.result(f"{done.kind} {done.name}: {_megabytes(done.bytes)} MB, locked in {done.path}")


def _megabytes(size: int | None) -> str:
    return "" if not size else f"{size / 1e6:.1f}"
