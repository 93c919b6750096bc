"""Have an asset: from the store, or fetched, prepared in a container, checked and stored."""

from __future__ import annotations

import os
import secrets
import shutil
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from orchestrator.assets.beside import folder_beside, hash_folder
from orchestrator.assets.given import require_given
from orchestrator.assets.licences import licence_text
from orchestrator.assets.room import in_bytes, require_room, room_for
from orchestrator.assets.sources import data_missing, source_name
from orchestrator.assets.store import input_entry, key_of, key_parts, write_parts
from orchestrator.assets.use import held
from orchestrator.definitions.asset_locks import full_name, kind_of, missing_hashes, source_label
from orchestrator.engines import BuildEvent
from orchestrator.engines.stopper import Stopper
from orchestrator.errors import AssetError
from orchestrator.facts.containers import OWNER_LABEL, ContainerSpec, Mount
from orchestrator.facts.runs import TimeLimit
from orchestrator.host.left_behind import give, take_over
from orchestrator.host.process import owner_label, this_process, this_user
from orchestrator.plan.run.devices.plan import Devices

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from orchestrator.assets.sources import Sources
    from orchestrator.assets.store import Store, Stored
    from orchestrator.definitions.catalog import Catalog, Entry
    from orchestrator.definitions.kinds.assets import Asset, Prepare
    from orchestrator.engines import Engine

_MEMORY = 4 << 30
_TAIL = 20
_SCRIPT = "script"
LIMIT_S = 7 * 86400
"""Of a prepare step: the largest model takes a day to quantise, and what takes a week has hung."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prep:
    """Where prepare scripts run: an engine, and the image of a side layer (built when asked for)."""

    engine: Callable[[], Engine]
    image: Callable[[str], str]
    devices: Callable[[], Devices] = Devices
    """What a step that computes on a device is given; asked before anything is made."""
    user: Callable[[], str] = lambda: this_user().inside
    """Who runs them on that engine, ``uid:gid``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetProvider:
    """Gets assets into a store. ``given`` are the folders of a user who has the data, by ``kind/NAME``."""

    catalog: Catalog
    store: Store
    sources: Sources
    prep: Prep
    on_event: Callable[[BuildEvent], None] = lambda _event: None
    given: Mapping[str, Path] = field(default_factory=dict)

    def get(self, entry: Entry[Asset]) -> Stored:
        """The asset of ``entry``, made when it is not there; the user's own folder, checked, where one was given.

        Raises:
            AssetError: nobody has hashed it yet (`asset-unlocked`); there is no room (`disk-full`); a source
                cannot be had or has other bytes; a step failed (`prepare-failed`), computes on a device for a target
                without one (`prepare-device`), or made something else (`hash-mismatch`); a given folder is not what the
                recipe says (`data-missing`, `data-wrong`).
            EngineError: a step has to run and no engine answers.
        """
        return self._found(entry) or self._made(entry)

    def require_obtainable(self, entries: Sequence[Entry[Asset]]) -> None:
        """Whether assets, and what they are made of, can be had at all; told before anything is built or fetched.

        Raises:
            AssetError: `asset-unlocked`, `data-missing`, `prepare-device`, `token-missing`; `disk-full`.
            UsageError, HostLimitError: a step computes on a device, and none can be given to it.
        """
        self._require_obtainable(self.absent(entries))

    def _require_obtainable(self, absent: Sequence[Entry[Asset]]) -> None:
        for entry in absent:
            _require_no_obstacle(entry.definition)
            self.sources.require_access(entry.definition)
        if any(entry.definition.prepare is not None and entry.definition.prepare.needs_device for entry in absent):
            self.prep.devices()
        missing = [(full_name(one.definition), room_for(one.definition, self.sources.has).missing) for one in absent]
        require_room(self.store.root, missing)

    def absent(self, entries: Sequence[Entry[Asset]]) -> list[Entry[Asset]]:
        """Those of some assets that were never made here, with what of their inputs was not."""
        found: dict[str, Entry[Asset]] = {}
        waiting = list(entries)
        while waiting:
            entry = waiting.pop(0)
            name = full_name(entry.definition)
            if name in found or name in self.given or self.store.was_made(entry, self.catalog):
                continue
            found[name] = entry
            waiting += self._inputs(entry.definition)
        return list(found.values())

    def _found(self, entry: Entry[Asset]) -> Stored | None:
        """The asset as it is here already, or as a user has it."""
        folder = self.given.get(full_name(entry.definition))
        if folder is not None:
            return require_given(self.store, self.catalog, entry, folder)
        return self.store.find(entry, self.catalog)

    def _made(self, entry: Entry[Asset]) -> Stored:
        asset = entry.definition
        absent = self.absent([entry]) or [entry]  # it was made, and changed on disk since
        self._require_obtainable(absent)
        # The inputs and the image first: they may take minutes, and nobody else should wait for the folder's lock.
        inputs = {each.definition.name: self.get(each) for each in self._inputs(asset)}
        image = self._image(asset)
        parts, key = key_parts(entry, self.catalog), key_of(entry, self.catalog)
        with self.store.alone(asset, key):
            found = self.store.find(entry, self.catalog)  # another mlorch may have made it meanwhile
            if found is None:
                self.on_event(BuildEvent(kind="start", step=asset.name))
                with self.store.making(asset, key, note=lambda made: write_parts(made, entry, parts)) as folder:
                    self.fill(entry, folder, image, inputs)
                    _require_same(entry, parts)
                found = self.store.find(entry, self.catalog)
        if found is None:
            raise AssetError(f"{asset.name} changed on disk right after it was made", slug="asset")
        self.on_event(BuildEvent(kind="done", step=asset.name, total=found.size))
        return found

    def _inputs(self, asset: Asset) -> list[Entry[Asset]]:
        names = asset.prepare.inputs if asset.prepare is not None else ()
        return [input_entry(self.catalog, name) for name in names]

    def _image(self, asset: Asset) -> str:
        if asset.prepare is None:
            return ""
        return self.prep.image(asset.prepare.layer)

    def make_trusting(self, entry: Entry[Asset], key: str) -> dict[str, str]:
        """Make an asset whose outputs nobody has hashed, as it comes, at the place of ``key``: the hash of each file.

        For `assets lock` alone, under `Store.alone`; its sources have hashes. Raises as `get`.
        """
        asset, hashes = entry.definition, dict[str, str]()
        inputs = {each.definition.name: self.get(each) for each in self._inputs(asset)}
        image = self._image(asset)
        with self.store.making(asset, key, found=hashes) as folder:
            self.fill(entry, folder, image, inputs)
        return hashes

    def fill(self, entry: Entry[Asset], folder: Path, image: str, inputs: Mapping[str, Stored]) -> None:
        """Lay the asset below ``folder`` (`Store.making`): its sources, or what the prepare step makes of them."""
        asset = entry.definition
        into = folder / ("sources" if asset.prepare else "out")
        paths = self.sources.fetch_into(entry, asset, into)
        for number, source in enumerate(asset.sources, start=1):
            text = licence_text(source, paths[number - 1] if paths else None)  # what is generated has no source
            name = source_name(source).replace("/", "-")
            (folder / "licences" / f"{number}-{name}.txt").write_text(text, encoding="utf-8")
        if asset.prepare:
            with held([stored.path for stored in inputs.values() if stored.given is None]):
                self._prepare(entry, asset.prepare, folder, image, inputs)

    def _prepare(
        self, entry: Entry[Asset], prepare: Prepare, folder: Path, image: str, inputs: Mapping[str, Stored]
    ) -> None:
        asset = entry.definition
        what = prepare.script or prepare.command[0]
        scripts = script_files(folder, prepare)
        for name, script in zip(prepare.files, scripts, strict=True):
            # A copy: who runs it is another user where the caller is root, and may not read the caller's files.
            script.parent.mkdir(exist_ok=True)
            shutil.copyfile(self.catalog.file(entry, name), script)
            script.chmod(0o644)
        sources = folder / "sources" if asset.beside is None else folder_beside(entry, asset.beside)
        folders = {name: stored.folder for name, stored in inputs.items()}
        spec = prep_spec(asset, prepare, image, folder, scripts, folders, sources)
        spec = replace(spec, user=self.prep.user())
        if prepare.needs_device:
            spec = self.prep.devices().given_to(spec)
        tail: list[str] = []

        def on_line(line: str) -> None:
            clock.heard()
            text = line.rstrip()
            tail[:] = [*tail[-_TAIL:], text]
            self.on_event(BuildEvent(kind="log", step=asset.name, text=text))

        self.on_event(BuildEvent(kind="log", step=asset.name, text=f"preparing with {what}"))
        give(folder / "out", spec.user)
        engine = self.prep.engine()
        clock = Stopper(engine, spec.name, TimeLimit(total_s=LIMIT_S))
        try:
            with clock.running():
                ended = engine.run(spec, on_line)
        finally:
            _take_back(folder)
        if clock.timed_out:
            why = f"{what} was stopped after {LIMIT_S:,} s"
            raise AssetError(f"{asset.name}: {why}", slug="timeout", detail="\n".join(tail))
        if ended.exit_code != 0:
            why = "was killed for its memory" if ended.out_of_memory else f"ended with status {ended.exit_code}"
            raise AssetError(f"{asset.name}: {what} {why}", slug="prepare-failed", detail="\n".join(tail))


def _require_same(entry: Entry[Asset], parts: Mapping[str, str]) -> None:
    """Raises `AssetError` [data-changed] where the folder that a step has read is no longer what its key says."""
    source = entry.definition.beside
    if source is None:
        return
    name = full_name(entry.definition)
    if hash_folder(folder_beside(entry, source), name) != parts[f"source {source_label(source)}"]:
        raise AssetError(
            f"{name}: files below `{source.path}` changed while they were read",
            hint="run it again once nobody writes there",
            slug="data-changed",
        )


def _take_back(folder: Path) -> None:
    """What a step left belongs to this process, whatever it did to its rights; its script goes."""
    take_over(folder / "out", f"{os.getuid()}:{os.getgid()}")
    shutil.rmtree(folder / _SCRIPT, ignore_errors=True)


def _require_no_obstacle(asset: Asset) -> None:
    """Raises `AssetError` for what nobody could fetch or make here."""
    require_locked(asset)
    if asset.local is not None:
        raise data_missing(asset, asset.local)


def require_locked(asset: Asset) -> None:
    """Raises `AssetError` [asset-unlocked] for an asset of which something has no hash, and is for no user to bring."""
    missing = missing_hashes(asset)
    if not missing:
        return
    name, local = full_name(asset), asset.local
    shown = ", ".join(missing[:3]) + (" …" if len(missing) > 3 else "")
    if local is not None:
        raise AssetError(
            f"{name} is not handed on, and its recipe has no hash to know it by ({shown})",
            hint=f"get it: {local.where}; then `mlorch assets lock {name} --data {asset.name}=FOLDER` trusts that "
            f"folder once; it is to be like this: {local.looks_like}",
            slug="asset-unlocked",
        )
    raise AssetError(
        f"{name} is unlocked: nobody has looked up the hash of {shown}",
        hint=f"`mlorch assets lock {name}` fetches it once, trusts what comes, and writes its hashes into a lock",
        slug="asset-unlocked",
    )


def script_files(folder: Path, prepare: Prepare) -> tuple[Path, ...]:
    """Where the script of a step and what it imports are laid on this host, below the folder that is made."""
    return tuple(folder / _SCRIPT / PurePosixPath(name).name for name in prepare.files)


def prep_spec(
    asset: Asset,
    prepare: Prepare,
    image: str,
    folder: Path,
    scripts: Sequence[Path],
    inputs: Mapping[str, Path],
    sources: Path | None = None,
) -> ContainerSpec:
    """The container of a prepare step: no network, a read-only root, a user without rights, everything but /out ro.

    ``scripts`` is the script with what it imports, none of a command; ``inputs`` are the folders of the assets that it
    reads.
    """
    command = prepare.command
    mounts = [Mount(source=str(sources or folder / "sources"), target="/sources")]
    mounts += [Mount(source=str(path), target=f"/inputs/{name}") for name, path in inputs.items()]
    if scripts:
        command = ("python3", f"/script/{scripts[0].name}", "--sources", "/sources", "--out", "/out", *prepare.args)
    mounts = [Mount(source=str(script), target=f"/script/{script.name}") for script in scripts] + mounts
    return ContainerSpec(
        name=f"mlorch-prep-{asset.name}-{secrets.token_hex(4)}",
        image=image,
        command=command,
        user=this_user().inside,
        mounts=(*mounts, Mount(source=str(folder / "out"), target="/out", read_only=False)),
        tmpfs={"/tmp": "rw,nosuid,nodev,noexec,mode=1777,size=1073741824"},  # noqa: S108 (in the container)
        env={"HOME": "/tmp", "LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"},  # noqa: S108
        # A run's labels, so that the sweep after a crash finds it.
        labels={"org.mlorch.run": f"prep-{kind_of(asset)}-{asset.name}", OWNER_LABEL: owner_label(this_process())},
        network="none",
        read_only=True,
        memory=max(_MEMORY, _stated_memory(asset)),
        pids=256,
        workdir="/out",
    )


def _stated_memory(asset: Asset) -> int:
    return in_bytes(asset.needs.memory) if asset.needs.memory else 0
