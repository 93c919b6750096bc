"""The asset provider of a context: models and datasets from the cache, else fetched and prepared in the prep image.

A user who has the data already names its folder, on the command line or in the settings: `given_folders`.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from orchestrator.assets.store import Store, key_of
from orchestrator.assets.use import hold
from orchestrator.definitions.asset_locks import full_name
from orchestrator.definitions.expand import expanded
from orchestrator.definitions.yaml import suggestion
from orchestrator.engines.users import container_user
from orchestrator.errors import AssetError, UsageError
from orchestrator.host.folders import cache_home
from orchestrator.operations.plan_cache import Selection
from orchestrator.operations.pull_policy import DEFAULT_PULL_POLICY, PullPolicy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from orchestrator.assets.provider import AssetProvider, Prep
    from orchestrator.assets.store import Stored
    from orchestrator.definitions.catalog import Catalog, Entry
    from orchestrator.definitions.kinds.assets import Asset
    from orchestrator.engines import BuildEvent, Engine
    from orchestrator.operations.context import Context
    from orchestrator.operations.progress import Progress
    from orchestrator.plan.run.devices.plan import Devices


def asset_provider(
    context: Context,
    progress: Progress,
    *,
    target: str | None = None,
    base_source: str = "",
    pull_policy: PullPolicy = DEFAULT_PULL_POLICY,
    data: Sequence[str] = (),
    devices: str = "",
) -> AssetProvider:
    """Gets assets; the image that prepares them is built when the first asset needs it.

    A step that computes on a device gets those of the target that ``devices`` chooses, said before it is made.
    ``data`` are ``NAME=FOLDER`` of a user who has them, over those of the settings. Raises as `given_folders`.
    """
    from orchestrator.assets.hub import this_hub
    from orchestrator.assets.provider import AssetProvider
    from orchestrator.assets.sources import Sources
    from orchestrator.packages.fetch import Fetcher

    on_event = _listener(progress)
    fetcher = Fetcher(site=context.site, on_event=on_event)
    return AssetProvider(
        catalog=context.catalog,
        store=Store(cache_home()),
        sources=Sources(context.catalog, fetcher, hub=lambda: this_hub(context.settings.hf_endpoint)),
        prep=_prep(context, progress, target, base_source, pull_policy, devices),
        on_event=on_event,
        given=given_folders(context, data),
    )


def _prep(
    context: Context, progress: Progress, target: str | None, base_source: str, pull_policy: PullPolicy, devices: str
) -> Prep:
    """What prepare steps run with; none of it is asked for before the first step needs it."""
    from orchestrator.assets.provider import Prep

    def image(layer: str) -> str:
        from orchestrator.operations.build import build_images

        selection = Selection(target=target, base_source=base_source, side=layer)
        plans, _ = build_images(context, selection, progress, pull_policy=pull_policy)
        return plans[0].image

    def engine() -> Engine:
        from orchestrator.runs.sweep import sweep_and_warn

        sweep_and_warn(context.engine, progress.warn)  # a step of a killed mlorch may still compute
        return context.engine

    @functools.cache
    def step_devices() -> Devices:
        from orchestrator.operations.assets.devices import prepare_devices

        found = prepare_devices(context, target, devices, context.engine.facts())
        how = found.device_injection
        names = ", ".join(f"{each.product or 'device'} {each.index}" for each in how.devices) or "all devices"
        progress.say(f"a prepare step computes on {names}, passed by {how.method}")
        return found

    def user() -> str:
        return container_user(context.engine.facts()).inside

    return Prep(engine=engine, image=image, devices=step_devices, user=user)


def _listener(progress: Progress) -> Callable[[BuildEvent], None]:
    """Says what becomes of a download: its start, how far it is, its end, and that it is tried again."""
    from orchestrator.assets.room import in_words

    def on_event(event: BuildEvent) -> None:
        if event.kind == "start":
            progress.say(f"{event.step}  fetching")
        elif event.kind == "done":
            progress.say(f"{event.step}  fetched, {event.total / 2**20:.1f} MiB")
        elif event.kind == "progress":
            whole = f" of {in_words(event.total)}" if event.total else ""
            progress.say(f"{event.step}  {in_words(event.current)}{whole}", style="dim")
        elif event.kind == "retry":
            progress.warn(f"{event.step}: {event.text}")

    return on_event


def given_folders(context: Context, data: Sequence[str] = ()) -> dict[str, Path]:
    """The folders of a user who has models or datasets, by ``kind/NAME``: of the settings, ``data`` over them.

    Each text is ``NAME=FOLDER`` or ``kind/NAME=FOLDER``. Nothing is looked at but whether the folder is there.

    Raises:
        UsageError: `bad-data` for a text that is none; `unknown-asset`; `no-data`, there is no such folder.
    """
    found: dict[str, Path] = {}
    for text in (*context.settings.data, *data):
        name, equals, folder = text.partition("=")
        if not equals or not name or not folder:
            raise UsageError(
                f"`{text[:120]}` does not say where which data is",
                hint="write --data NAME=FOLDER, as in --data imagenet=/mnt/imagenet",
                slug="bad-data",
            )
        path = expanded(folder).absolute()
        asset = _meant(context.catalog, name)
        if not path.is_dir():
            raise UsageError(
                f"there is no folder {path}, which is given for {asset}",
                hint="give the folder that holds the files; nothing is made where nothing is",
                slug="no-data",
            )
        found[asset] = path
    return found


def _meant(catalog: Catalog, name: str) -> str:
    """The ``kind/NAME`` that a name means. Raises `UsageError`."""
    known = [full_name(entry.definition) for entry in catalog.assets()]
    meant = [each for each in known if name in {each, each.partition("/")[2]}]
    if len(meant) == 1:
        return meant[0]
    if meant:
        hint = f"say which: {' or '.join(meant)}"
        raise UsageError(f"`{name}` is a model and a dataset", hint=hint, slug="unknown-asset")
    hint = suggestion(name.rpartition("/")[2], [each.partition("/")[2] for each in known])
    raise UsageError(f"there is no model or dataset `{name}`", hint=hint, slug="unknown-asset")


def planned_folder(context: Context, entry: Entry[Asset], given: Mapping[str, Path]) -> Path:
    """What would be mounted for an asset, for a plan: nothing is fetched or checked. ``given`` is `given_folders`."""
    asset = entry.definition
    folder = given.get(full_name(asset))
    if folder is not None:
        return folder
    return Store(cache_home()).folder_of(asset, key_of(entry, context.catalog)) / "files"


def kept_in_use(stored: Stored) -> Stored:
    """The same asset, which nobody prunes before this process ends.

    Raises `AssetError` [pruned] where somebody just has.
    """
    if stored.given is not None:
        return stored
    hold(stored.path)
    if not stored.path.is_dir():
        raise AssetError(
            f"{stored.kind} {stored.name} was removed right after it was found",
            hint="somebody prunes at the same time; run it again",
            slug="pruned",
        )
    return stored
