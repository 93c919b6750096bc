"""The asset provider of a context: models and datasets from the cache, else fetched and prepared in the prep image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.assets.provider import AssetProvider, Prep
from orchestrator.assets.sources import Sources
from orchestrator.assets.store import Store
from orchestrator.host.folders import cache_home
from orchestrator.operations.build import build_images
from orchestrator.operations.plan_cache import Selection
from orchestrator.operations.pull_policy import DEFAULT_PULL_POLICY, PullPolicy
from orchestrator.packages.fetch import Fetcher

if TYPE_CHECKING:
    from orchestrator.engines import BuildEvent
    from orchestrator.operations.context import Context
    from orchestrator.operations.progress import Progress


def asset_provider(
    context: Context,
    progress: Progress,
    *,
    target: str | None = None,
    base_source: str = "",
    pull_policy: PullPolicy = DEFAULT_PULL_POLICY,
) -> AssetProvider:
    """Gets assets; the image that prepares them is built when the first asset needs it."""

    def image(layer: str) -> str:
        selection = Selection(target=target, base_source=base_source, side=layer, locked=context.locked)
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
