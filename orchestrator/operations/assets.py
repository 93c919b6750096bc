"""`assets`: models and datasets on this machine. They are stored by content and shared between runs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from orchestrator.assets.sources import source_name
from orchestrator.assets.store import Store, kind_of
from orchestrator.definitions.yaml import suggestion
from orchestrator.errors import UsageError
from orchestrator.host.folders import cache_home
from orchestrator.operations.plan_cache import Selection
from orchestrator.operations.pull_policy import DEFAULT_PULL_POLICY

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from orchestrator.assets.provider import AssetProvider
    from orchestrator.assets.store import Stored
    from orchestrator.definitions.catalog import Catalog, Entry
    from orchestrator.definitions.kinds.recipes import Asset
    from orchestrator.engines import BuildEvent
    from orchestrator.operations.context import Context
    from orchestrator.operations.progress import Progress
    from orchestrator.operations.pull_policy import PullPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetFacts:
    """A model or dataset: an element of `assets` in the JSON of `assets list`, `get` and `verify`."""

    kind: str
    """model or dataset"""
    name: str
    title: str
    state: str
    """present, absent, or wrong (its files differ from the recipe and were moved aside)"""
    key: str | None
    folder: Path | None
    bytes: int | None
    files: Mapping[str, str]
    """the sha256 of each by its name"""
    sources: tuple[str, ...]
    licences: tuple[str, ...]
    wrong: tuple[str, ...] | None = None
    """the names of files that are not what the recipe says; None where nobody looked (only `verify` does)"""


def list_assets(context: Context) -> tuple[AssetFacts, ...]:
    """Every model and dataset of the recipes, and whether it is here. Changes nothing.

    Raises:
        DefinitionError: invalid recipes.
    """
    catalog, store = context.catalog, Store(cache_home())
    return tuple(_facts(entry, store.find(entry, catalog)) for entry in catalog.assets())


def get_assets(
    context: Context, names: Sequence[str], progress: Progress, *, target: str | None = None
) -> Iterator[AssetFacts]:
    """Fetch, check and prepare the named assets (all where none is named); gives each as soon as it is here.

    ``target`` says whose prep image prepares them; None takes the detected one.

    Raises:
        UsageError: `unknown-asset`.
        AssetError: a source cannot be had, or gives other bytes. EngineError: none to prepare it with.
    """
    entries = _named(context.catalog, names)
    provider = asset_provider(context, progress, target=target)
    for entry in entries:
        yield _facts(entry, provider.get(entry))


def verify_assets(context: Context, names: Sequence[str]) -> Iterator[AssetFacts]:
    """Hash every file of the named assets (all where none is named); those with a wrong file are moved aside.

    Raises:
        UsageError: `unknown-asset`. DefinitionError.
    """
    catalog, store = context.catalog, Store(cache_home())
    for entry in _named(catalog, names):
        stored, wrong = store.verify(entry, catalog)
        facts = replace(_facts(entry, stored), wrong=tuple(wrong))
        if stored is not None and wrong:
            facts = replace(facts, state="wrong", folder=store.set_aside(stored.path, wrong))
        yield facts


def asset_provider(
    context: Context,
    progress: Progress,
    *,
    target: str | None = None,
    base_source: str = "",
    pull_policy: PullPolicy = DEFAULT_PULL_POLICY,
) -> AssetProvider:
    """Gets assets from the cache, else fetches and prepares them; the image that does is built when it is needed."""
    from orchestrator.assets.provider import AssetProvider, Prep
    from orchestrator.assets.sources import Sources
    from orchestrator.operations.build import build_images
    from orchestrator.packages.fetch import Fetcher

    def image(layer: str) -> str:
        selection = Selection(target=target, base_source=base_source, side=layer)
        plans, _ = build_images(context, selection, progress, pull_policy=pull_policy)
        return plans[0].image

    def on_event(event: BuildEvent) -> None:
        if event.kind == "start":
            progress.say(f"{event.step}  fetching")
        elif event.kind == "done":
            progress.say(f"{event.step}  fetched, {event.total / 2**20:.1f} MiB")
        elif event.kind == "retry":
            progress.warn(f"{event.step}: {event.text}")

    return AssetProvider(
        catalog=context.catalog,
        store=Store(cache_home()),
        sources=Sources(context.catalog, Fetcher(site=context.site, on_event=on_event)),
        prep=Prep(engine=lambda: context.engine, image=image),
        on_event=on_event,
    )


def _named(catalog: Catalog, names: Sequence[str]) -> list[Entry[Asset]]:
    """The entries that ``names`` mean (``NAME`` or ``model/NAME``); all when there are none."""
    if not names:
        return list(catalog.assets())
    found: list[Entry[Asset]] = []
    for name in names:
        matching = [entry for entry in catalog.assets() if _is_named(entry.definition, name)]
        if not matching:
            known = [entry.definition.name for entry in catalog.assets()]
            hint = suggestion(name.rpartition("/")[2], known)
            raise UsageError(f"there is no model or dataset `{name}`", hint=hint, slug="unknown-asset")
        found += [entry for entry in matching if entry not in found]
    return found


def _is_named(asset: Asset, name: str) -> bool:
    return name in {asset.name, f"{kind_of(asset)}/{asset.name}"}


def _facts(entry: Entry[Asset], stored: Stored | None) -> AssetFacts:
    asset = entry.definition
    return AssetFacts(
        kind=kind_of(asset),
        name=asset.name,
        title=asset.title,
        state="present" if stored else "absent",
        key=stored.key if stored else None,
        folder=stored.folder if stored else None,
        bytes=stored.size if stored else None,
        files={output.path: output.sha256 for output in asset.outputs},
        sources=tuple(source_name(source) for source in asset.sources),
        licences=tuple(source.licence.spdx for source in asset.sources),
    )
