"""The larder of this command: assets from the cache, else fetched and prepared in the prep image."""

from __future__ import annotations

from orchestrator.commands.pulling import ANY, Wish

TYPE_CHECKING = False
if TYPE_CHECKING:
    from orchestrator.assets.get import Larder
    from orchestrator.commands.wiring import Workbench
    from orchestrator.console import Console
    from orchestrator.engines import BuildEvent


def larder(
    bench: Workbench, console: Console, *, target: str | None = None, base_source: str = "", wish: Wish = ANY
) -> Larder:
    """Gets assets; the image that prepares them is built when the first asset needs it."""
    from orchestrator.assets.debs import Fetcher
    from orchestrator.assets.get import Larder, Prep
    from orchestrator.assets.sources import Sources
    from orchestrator.assets.store import Store
    from orchestrator.commands.build import build_images
    from orchestrator.compiled import Selection
    from orchestrator.system.places import cache_home

    def image(layer: str) -> str:
        selection = Selection(target=target, base_source=base_source, side=layer, locked=bench.locked)
        plans, _ = build_images(bench, selection, console, wish=wish)
        return plans[0].image

    def on_event(event: BuildEvent) -> None:
        if event.kind == "start":
            console.say(f"{event.step}  fetching")
        elif event.kind == "done":
            console.say(f"{event.step}  there, {event.total / 2**20:.1f} MiB")
        elif event.kind == "retry":
            console.warn(f"{event.step}: {event.text}")

    return Larder(
        catalog=bench.catalog,
        store=Store(cache_home()),
        sources=Sources(bench.catalog, Fetcher(on_event=on_event)),
        prep=Prep(engine=lambda: bench.engine, image=image),
        on_event=on_event,
    )
