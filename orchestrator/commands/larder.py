"""Wires the store of models and datasets to this machine's engine, mirrors and cache."""

from __future__ import annotations

from orchestrator.compiled import Selection
from orchestrator.system.places import cache_home

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.assets.get import Larder
    from orchestrator.commands.wiring import Workbench
    from orchestrator.console import Console
    from orchestrator.engines import BuildEvent


def larder(
    bench: Workbench,
    console: Console,
    *,
    target: str | None = None,
    platform: str | None = None,
    base_source: str = "",
    on_event: Callable[[BuildEvent], None] | None = None,
) -> Larder:
    """What gets assets here. The prep image is the target's, and is built when a script first has to run."""
    from orchestrator.assets.debs import Fetcher
    from orchestrator.assets.get import Larder, Prep
    from orchestrator.assets.sources import Sources
    from orchestrator.assets.store import Store

    tell = on_event or speaker(console)

    def image(layer: str) -> str:
        from orchestrator.commands.build import build_images

        selection = Selection(target=target, platform=platform, base_source=base_source, side=layer)
        plans, _ = build_images(bench, selection, console)
        return plans[-1].image

    root = cache_home()
    return Larder(
        catalog=bench.catalog,
        store=Store(root),
        sources=Sources(bench.catalog, Fetcher(root, on_event=tell)),
        prep=Prep(engine=lambda: bench.engine, image=image),
        on_event=tell,
    )


def speaker(console: Console) -> Callable[[BuildEvent], None]:
    """Says what is fetched and prepared, and every retry."""

    def on_event(event: BuildEvent) -> None:
        if event.kind == "start" and event.total:
            console.say(f"  fetching {event.step} ({event.total / 1e6:.1f} MB)")
        elif event.kind == "retry":
            console.warn(f"{event.step}: {event.text}")
        elif event.kind == "log":
            console.say(f"  {event.step}: {event.text}", style="dim")

    return on_event
