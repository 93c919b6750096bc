"""`mlorch assets`: models and datasets on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orchestrator.commands.common import json_option, recipes_option
from orchestrator.commands.groups import ListGroup

if TYPE_CHECKING:
    from orchestrator.assets.store import Store, Stored
    from orchestrator.definitions.catalog import Catalog, Entry
    from orchestrator.definitions.kinds.recipes import Asset


@click.group("assets", cls=ListGroup)
def command() -> None:
    """List, get and verify models and datasets. They are kept by content and shared between runs."""


@command.command("list")
@recipes_option
@json_option
def list_command(recipes: tuple[str, ...], *, as_json: bool) -> None:
    """List models and datasets: what is here, where it comes from, under which terms."""
    from orchestrator.console import Console
    from orchestrator.operations.context import Context

    catalog, store, console = Context(recipes).catalog, _store(), Console(quiet=as_json)
    facts = [_facts(entry, store.find(entry, catalog)) for entry in _select(catalog, ())]
    if as_json:
        console.document({"assets": facts})
        return
    rows = [
        (
            str(each["kind"]),
            str(each["name"]),
            str(each["state"]),
            f"{_megabytes(each['bytes'])}",
            "; ".join(each["sources"]),  # type: ignore[arg-type]  # a list of text, see _facts
            "; ".join(each["licences"]),  # type: ignore[arg-type]
        )
        for each in facts
    ]
    console.table(("kind", "name", "state", "MB", "from", "licence"), rows, right=(3,))


@command.command("get")
@click.argument("names", nargs=-1)
@click.option(
    "--target", "-t", default=None, metavar="NAME", help="Whose prep image prepares them (default: detected)."
)
@recipes_option
@json_option
def get_command(names: tuple[str, ...], target: str | None, recipes: tuple[str, ...], *, as_json: bool) -> None:
    """Fetch, check and prepare models and datasets; all of them when none is named."""
    from orchestrator.commands.progress import ConsoleProgress
    from orchestrator.console import Console
    from orchestrator.operations.asset_provider import asset_provider
    from orchestrator.operations.context import Context

    context, console = Context(recipes), Console(quiet=as_json)
    entries = _select(context.catalog, names)
    shelf = asset_provider(context, ConsoleProgress(console), target=target)
    facts = []
    for entry in entries:
        stored = shelf.get(entry)
        facts.append(_facts(entry, stored))
        if not as_json:
            console.result(f"{stored.kind} {stored.name}: {_megabytes(stored.size)} MB in {stored.folder}")
    if as_json:
        console.document({"assets": facts})


@command.command("verify")
@click.argument("names", nargs=-1)
@recipes_option
@json_option
def verify_command(names: tuple[str, ...], recipes: tuple[str, ...], *, as_json: bool) -> int:
    """Hash every file of the models and datasets that are here; wrong ones are moved aside. Exit 1 if any is."""
    from orchestrator.console import Console
    from orchestrator.operations.context import Context

    catalog, store, console = Context(recipes).catalog, _store(), Console(quiet=as_json)
    facts, bad = [], 0
    for entry in _select(catalog, names):
        stored, wrong = store.verify(entry, catalog)
        facts.append({**_facts(entry, stored), "wrong": list(wrong)})
        name = entry.definition.name
        if stored is None:
            console.say(f"absent   {name}")
            continue
        if wrong:
            bad += 1
            aside = store.set_aside(stored.place, wrong)
            facts[-1] |= {"state": "wrong", "folder": str(aside)}
            console.say(f"WRONG    {name}: {', '.join(wrong)}; moved to {aside}", style="red")
        elif not as_json:
            console.result(f"verified {name}: {_megabytes(stored.size)} MB")
    if as_json:
        console.document({"assets": facts})
    return 1 if bad else 0


def _store() -> Store:
    from orchestrator.assets.store import Store
    from orchestrator.host.folders import cache_home

    return Store(cache_home())


def _select(catalog: Catalog, names: tuple[str, ...]) -> list[Entry[Asset]]:
    """The entries that ``names`` mean (``NAME`` or ``model/NAME``); all when there are none."""
    every = [*catalog.assets()]
    if not names:
        return every
    found: list[Entry[Asset]] = []
    for name in names:
        kind, slash, rest = name.partition("/")
        matching = [
            entry
            for entry in every
            if entry.definition.name == (rest if slash else name)
            and (not slash or type(entry.definition).__name__.lower() == kind)
        ]
        if not matching:
            raise _unknown(name, [entry.definition.name for entry in every])
        found += [entry for entry in matching if entry not in found]
    return found


def _unknown(name: str, known: list[str]) -> Exception:
    from orchestrator.definitions.yaml import nearest
    from orchestrator.errors import UsageError

    near = nearest(name.rpartition("/")[2], known)
    hint = f"did you mean `{near[0]}`?" if near else f"there are: {', '.join(known)}"
    return UsageError(f"there is no model or dataset `{name}`", hint=hint, slug="unknown-asset")


def _facts(entry: Entry[Asset], stored: Stored | None) -> dict[str, object]:
    from orchestrator.assets.sources import source_name
    from orchestrator.assets.store import kind_of

    asset = entry.definition
    return {
        "kind": kind_of(asset),
        "name": asset.name,
        "title": asset.title,
        "state": "present" if stored else "absent",
        "key": stored.key if stored else None,
        "folder": str(stored.folder) if stored else None,
        "bytes": stored.size if stored else None,
        "files": {output.file: output.sha256 for output in asset.outputs},
        "sources": [source_name(source) for source in asset.sources],
        "licences": [source.licence.spdx for source in asset.sources],
    }


def _megabytes(count: object) -> str:
    return f"{count / 1e6:.1f}" if isinstance(count, int) else ""
