"""Where the large parts of a build context come from: packages by pin, from the mirrors of this site."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from orchestrator.host.git import export
from orchestrator.images.context import Parts
from orchestrator.packages.fetch import Fetcher, fetch_sdist, pip_wheel
from orchestrator.packages.rootfs import build_rootfs

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from orchestrator.engines import BuildEvent
    from orchestrator.facts.build import LayerStep, SdistPin, TreePin
    from orchestrator.host.site import SiteConfig


def package_parts(site: SiteConfig) -> Parts:
    """The parts, each fetched when a layer that has it is built."""

    def rootfs(step: LayerStep, out: Path, on_event: Callable[[BuildEvent], None]) -> None:
        fetch = Fetcher(site=site, on_event=on_event)
        build_rootfs(step.debs, out, base=step.parent is None, fetch=fetch, on_event=on_event, relock=step.name)

    def tools(step: LayerStep, out: Path, on_event: Callable[[BuildEvent], None]) -> None:
        fetch = Fetcher(site=site, on_event=on_event)
        build_rootfs(step.tools, out, base=False, fetch=fetch, on_event=on_event, relock=step.toolchain)

    def pip(step: LayerStep, out: Path) -> None:
        assert step.pip is not None, "only a layer with wheels asks for pip"
        shutil.copyfile(pip_wheel(step.pip, Fetcher(site=site)), out)

    def sdist(pin: SdistPin, out: Path) -> None:
        shutil.copyfile(fetch_sdist(pin, Fetcher(site=site)), out)

    def tree(pin: TreePin, out: Path) -> None:
        export(pin.url, pin.commit, out)

    return Parts(rootfs=rootfs, pip=pip, tools=tools, sdist=sdist, tree=tree)
