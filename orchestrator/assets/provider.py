"""Have an asset: from the store, or fetched, prepared in a container, checked and stored."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.assets.sources import licence_text, source_name
from orchestrator.assets.store import key_of
from orchestrator.engines import BuildEvent
from orchestrator.errors import AssetError
from orchestrator.facts.containers import OWNER_LABEL, ContainerSpec, Mount
from orchestrator.host.process import owner_label, this_process

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from orchestrator.assets.sources import Sources
    from orchestrator.assets.store import Store, Stored
    from orchestrator.definitions.catalog import Catalog, Entry
    from orchestrator.definitions.kinds.recipes import Asset, Prepare
    from orchestrator.engines import Engine

_MEMORY = 4 << 30
_TAIL = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Prep:
    """Where prepare scripts run: an engine, and the image of a side layer (built when asked for)."""

    engine: Callable[[], Engine]
    image: Callable[[str], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetProvider:
    """Gets assets into a store."""

    catalog: Catalog
    store: Store
    sources: Sources
    prep: Prep
    on_event: Callable[[BuildEvent], None] = lambda _event: None

    def get(self, entry: Entry[Asset]) -> Stored:
        """The asset of ``entry``, made when it is not there.

        Raises:
            AssetError: a source cannot be had or has other bytes, the script failed
                (`prepare-failed`), or it made something else (`hash-mismatch`).
            EngineError: a script has to run and no engine answers.
        """
        found = self.store.find(entry, self.catalog)
        if found is not None:
            return found
        asset, key = entry.definition, key_of(entry, self.catalog)
        # The image first: building it may take minutes, and nobody else should wait for the folder's lock.
        image = self.prep.image(asset.prepare.layer) if asset.prepare else ""
        with self.store.alone(asset, key):
            found = self.store.find(entry, self.catalog)  # another mlorch may have made it meanwhile
            if found is None:
                self.on_event(BuildEvent(kind="start", step=asset.name))
                with self.store.making(asset, key) as folder:
                    self._fill(entry, asset, folder, image)
                found = self.store.find(entry, self.catalog)
        if found is None:
            raise AssetError(f"{asset.name} changed on disk right after it was made", slug="asset")
        self.on_event(BuildEvent(kind="done", step=asset.name, total=found.size))
        return found

    def _fill(self, entry: Entry[Asset], asset: Asset, folder: Path, image: str) -> None:
        into = folder / ("sources" if asset.prepare else "out")
        paths = self.sources.fetch_into(entry, asset, into)
        for number, (source, path) in enumerate(zip(asset.sources, paths, strict=True), start=1):
            text = licence_text(source, path)
            (folder / "licences" / f"{number}-{source_name(source)}.txt").write_text(text, encoding="utf-8")
        if asset.prepare:
            self._prepare(entry, asset, asset.prepare, folder, image)

    def _prepare(self, entry: Entry[Asset], asset: Asset, prepare: Prepare, folder: Path, image: str) -> None:
        script = self.catalog.file(entry, prepare.script)
        spec = prep_spec(asset.name, image, script, folder, prepare.args)
        tail: list[str] = []

        def on_line(line: str) -> None:
            text = line.rstrip()
            tail[:] = [*tail[-_TAIL:], text]
            self.on_event(BuildEvent(kind="log", step=asset.name, text=text))

        self.on_event(BuildEvent(kind="log", step=asset.name, text=f"preparing with {prepare.script}"))
        ended = self.prep.engine().run(spec, on_line)
        if ended.exit_code != 0:
            why = "was killed for its memory" if ended.out_of_memory else f"ended with status {ended.exit_code}"
            raise AssetError(f"{asset.name}: {prepare.script} {why}", slug="prepare-failed", detail="\n".join(tail))


def prep_spec(name: str, image: str, script: Path, folder: Path, args: tuple[str, ...]) -> ContainerSpec:
    """The container of a prepare script: no network, a read-only root, the caller's user, sources read-only."""
    return ContainerSpec(
        name=f"mlorch-prep-{name}-{secrets.token_hex(4)}",
        image=image,
        command=("python3", f"/script/{script.name}", "--sources", "/sources", "--out", "/out", *args),
        user=f"{os.getuid()}:{os.getgid()}",
        mounts=(
            Mount(source=str(script), target=f"/script/{script.name}"),
            Mount(source=str(folder / "sources"), target="/sources"),
            Mount(source=str(folder / "out"), target="/out", read_only=False),
        ),
        tmpfs={"/tmp": "rw,nosuid,nodev,noexec,mode=1777,size=1073741824"},  # noqa: S108 (in the container)
        env={"HOME": "/tmp", "LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"},  # noqa: S108
        # A run's labels, so that the sweep after a crash finds it.
        labels={"org.mlorch.run": f"prep-{name}", OWNER_LABEL: owner_label(this_process())},
        network="none",
        read_only=True,
        memory=_MEMORY,
        pids=256,
        workdir="/out",
    )
