"""The big parts of a build context: root file systems from packages, and pip to install wheels with."""

from __future__ import annotations

import shutil

from orchestrator.assets.debs import Fetcher, pip_wheel
from orchestrator.assets.rootfs import build_rootfs
from orchestrator.errors import AssetError
from orchestrator.model.steps import DebPin

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from orchestrator.catalog import Catalog
    from orchestrator.engines import BuildEvent
    from orchestrator.model.steps import LayerStep

PIP_LAYER = "pip"
"""The layer whose lock pins the package that pip comes from."""


def rootfs_into(step: LayerStep, out: Path, say: Callable[[str], None], *, cache: Path) -> None:
    """Write the packages of ``step`` to ``out`` as one tar; a base also gets what a base needs.

    Raises:
        AssetError: see `build_rootfs`.
    """
    fetch = Fetcher(cache, on_event=_speak(say))
    build_rootfs(step.debs, out, base=step.parent is None, fetch=fetch, on_event=_speak(say), relock=step.name)


def pip_into(out: Path, say: Callable[[str], None], *, cache: Path, catalog: Callable[[], Catalog]) -> None:
    """Put the pinned pip wheel at ``out``; it is bind-mounted into a build step and reaches no image.

    Raises:
        AssetError: see `pip_wheel`; `no-pip` when no lock pins it.
    """
    lock = catalog().lock(PIP_LAYER)
    if lock is None:
        raise AssetError(
            "no lock pins pip", hint=f"run `mlorch images lock {PIP_LAYER}`", slug="no-pip"
        )  # the built-in definitions always have one
    # The package holds no machine code: the pin of any platform serves all.
    debs = next(iter(lock.platforms.values())).debs
    pins = [DebPin(**deb.model_dump()) for deb in debs]
    shutil.copyfile(pip_wheel(pins, Fetcher(cache, on_event=_speak(say))), out)


def _speak(say: Callable[[str], None]) -> Callable[[BuildEvent], None]:
    """Downloads, retries and progress as lines."""

    def on_event(event: BuildEvent) -> None:
        if event.kind == "start":
            say(f"fetching {event.step} ({event.total / 1e6:.1f} MB)")
        elif event.kind == "retry":
            say(f"{event.step}: {event.text}")
        elif event.kind == "log":
            say(f"[{event.current}/{event.total}] {event.text}")

    return on_event
