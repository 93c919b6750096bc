"""`images bundle`: everything that benchmarks need, in one file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator import __version__
from orchestrator.errors import UsageError
from orchestrator.images.attest.documents import documents, find_documents
from orchestrator.images.bundle.contents import bundled_plan
from orchestrator.images.bundle.write import Order, Written, write
from orchestrator.operations.asset_provider import asset_provider
from orchestrator.operations.build import build_images
from orchestrator.operations.images.pick import Planned, subject

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from orchestrator.assets.store import Stored
    from orchestrator.facts.build import BuildPlan
    from orchestrator.images.bundle.contents import BundledPlan
    from orchestrator.operations.context import Context
    from orchestrator.operations.plan_cache import Selection
    from orchestrator.operations.progress import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleRequest:
    """What goes into the file; one that exists is replaced when the new one is whole."""

    output: Path
    selections: tuple[Selection, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleResult:
    """The file that was written, and what is in it."""

    path: Path
    written: Written

    def document(self) -> dict[str, object]:
        """The JSON of `images bundle`."""
        contents = self.written.contents
        return {
            "bundle": str(self.path),
            "bytes": self.written.size,
            "sha256": self.written.sha256,
            "images": [{"image": image.reference, "digest": image.digest} for image in contents.images],
            "benchmarks": [plan.benchmark for plan in contents.plans],
            "assets": [{"kind": asset.kind, "name": asset.name, "key": asset.key} for asset in contents.assets],
            "files": len(contents.files),
        }


def bundle(context: Context, request: BundleRequest, progress: Progress) -> BundleResult:
    """Build and fetch what is missing, and write images, models, data, recipes, locks and documents into one file.

    Raises:
        UsageError: `base-path`, a base from a path, which no other machine has; `missing-path`, `exists`.
        StepFailed, AssetError, RegistryError, EngineError: as build, fetch and `images.bundle.write`.
    """
    order = make_order(context, request.selections, progress)
    return BundleResult(path=request.output, written=write(request.output.absolute(), order, context.engine))


def make_order(context: Context, selections: Sequence[Selection], progress: Progress) -> Order:
    """What belongs into the bundle; missing images are built and missing assets fetched. Raises as `bundle`."""
    plans: dict[str, BuildPlan] = {}
    bundled: dict[str, BundledPlan] = {}
    for selection in selections:
        _require_portable(selection)
        usual = {plan.image for plan in context.plans(selection).plans}
        for plan in build_images(context, selection, progress)[0]:
            plans[plan.image] = plan
            bundled[plan.image] = _bundled(plan, selection, usual)

    def documents_of(reference: str, digest: str) -> Mapping[str, bytes]:
        made = find_documents(digest)
        if made is None:
            plan = plans[reference]
            made = documents(subject(context, Planned(plan=plan, step=plan.layers[-1]), digest))
        return made.files()

    return Order(
        mlorch=__version__,
        plans=tuple(bundled[image] for image in sorted(bundled)),
        assets=_assets(context, list(plans.values()), progress),
        definitions=tuple(root.path for root in context.roots()),
        documents=documents_of,
        say=progress.say,
    )


def _require_portable(selection: Selection) -> None:
    if selection.base_source.startswith("oci:"):
        raise UsageError(
            "a base from a path of this machine cannot be planned on another",
            hint="bundle with a base from packages or a registry: `--base-source bootstrap`",
            slug="base-path",
        )


def _bundled(plan: BuildPlan, selection: Selection, usual: set[str]) -> BundledPlan:
    """The plan; its base source is named where the one that is tried first would give another image."""
    if selection.base_source or plan.image in usual:
        return bundled_plan(plan, selection.base_source, selection.round)
    return bundled_plan(plan, plan.layers[0].base_source, selection.round)


def _assets(context: Context, plans: Sequence[BuildPlan], progress: Progress) -> tuple[Stored, ...]:
    """Models and datasets of the plans' benchmarks, fetched and prepared where they are not here."""
    found: dict[tuple[str, str], Stored] = {}
    for plan in plans:
        if not plan.benchmark:
            continue
        benchmark = context.catalog.benchmark(plan.benchmark).definition
        provider = asset_provider(context, progress, target=plan.target)
        for entry in (context.catalog.model(benchmark.model), context.catalog.dataset(benchmark.dataset)):
            stored = provider.get(entry)
            found[stored.kind, stored.name] = stored
    return tuple(found[key] for key in sorted(found))
