"""`assets get`: have models and datasets here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.assets.room import in_words
from orchestrator.definitions.asset_locks import full_name, missing_hashes
from orchestrator.operations.assets.facts import AssetFacts, facts_of, named

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orchestrator.assets.provider import AssetProvider
    from orchestrator.definitions.catalog import Catalog, Entry
    from orchestrator.definitions.kinds.assets import Asset
    from orchestrator.operations.context import Context
    from orchestrator.operations.progress import Progress


def get_assets(
    context: Context,
    names: Sequence[str],
    progress: Progress,
    *,
    target: str | None = None,
    data: Sequence[str] = (),
) -> Iterator[AssetFacts]:
    """Fetch, check and prepare the named assets; gives each as soon as it is here.

    Where none is named those of the benchmarks that run by default are meant, as far as they can be had without asking
    anybody: not what is unlocked or gated, nor what only a user can bring and has not named. ``target`` says whose prep
    image prepares them; None takes the detected one. ``data`` are ``NAME=FOLDER`` of a user who has some already.

    Raises:
        UsageError: `unknown-asset`, `bad-data`, `no-data`.
        AssetError: as `assets.provider.AssetProvider.get`; `disk-full` before anything is fetched.
        EngineError: none to prepare it with.
    """
    from orchestrator.operations.assets.provider import asset_provider

    provider = asset_provider(context, progress, target=target, data=data)
    wanted = names or _by_default(context.catalog)
    entries = named(context.catalog, wanted) if wanted else []
    if not names:
        entries = [entry for entry in entries if _can_be_had(entry, provider, progress)]
    provider.require_obtainable(entries)
    for entry in provider.absent(entries):
        _tell(entry, progress)
    for entry in entries:
        yield facts_of(entry, provider.get(entry))


def _by_default(catalog: Catalog) -> tuple[str, ...]:
    """The assets of the benchmarks that run by default; the catalogue holds others of a terabyte."""
    benchmarks = [entry.definition for entry in catalog.benchmarks() if entry.definition.default]
    kinds = (*(f"model/{each.model}" for each in benchmarks), *(f"dataset/{each.dataset}" for each in benchmarks))
    return tuple(dict.fromkeys(kinds))


def _tell(entry: Entry[Asset], progress: Progress) -> None:
    """What an asset that is not here yet will take, and under which terms it comes."""
    name = full_name(entry.definition)
    facts = facts_of(entry, None)
    words = [f"licence {licence}" for licence in dict.fromkeys(facts.licences)]
    if facts.bytes_missing:
        words.insert(0, f"{in_words(facts.bytes_missing)} to come")
    if facts.needs.memory is not None:
        words.append(f"wants {in_words(facts.needs.memory)} of memory")
    if facts.gated:
        words.append("only for those who accepted its terms")
    progress.say(f"{name}  {', '.join(words)}")


def _can_be_had(entry: Entry[Asset], provider: AssetProvider, progress: Progress) -> bool:
    asset = entry.definition
    name = full_name(asset)
    if name in provider.given:
        return True
    if missing_hashes(asset):
        progress.say(f"{name}  left out: unlocked (`mlorch assets lock {name}`)", style="dim")
        return False
    if asset.local is not None:
        progress.say(f"{name}  left out: only who has it can bring it (--data {asset.name}=FOLDER)", style="dim")
        return False
    if any(getattr(source, "gated", False) for source in asset.sources):
        progress.say(f"{name}  left out: its terms must be accepted first (name it to fetch it)", style="dim")
        return False
    needs_more = asset.prepare is not None and asset.prepare.needs_device
    if needs_more:
        progress.say(f"{name}  left out: its prepare step needs a device (name it, with --target)", style="dim")
    return not needs_more
