"""`images bundle` and `images load`: everything that benchmarks need in one file, taken in with no network."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from orchestrator.assets.store import Store
from orchestrator.errors import DefinitionError, StepFailed, UsageError
from orchestrator.host.folders import cache_home, data_home
from orchestrator.images.attest.attach import as_attached
from orchestrator.images.attest.check import Evidence, check_signature
from orchestrator.images.attest.documents import documents, find_documents, from_files
from orchestrator.images.attest.signatures import BadSignature, require_detached
from orchestrator.images.bundle.contents import KIND, bundled_plan
from orchestrator.images.bundle.load import (
    definitions_name,
    load_assets,
    load_definitions,
    load_documents,
    load_images,
)
from orchestrator.images.bundle.read import checked
from orchestrator.images.bundle.write import Order, Written, write
from orchestrator.operations.assets.provider import asset_provider
from orchestrator.operations.build import build_images
from orchestrator.operations.context import Context
from orchestrator.operations.images.pick import PlannedLayer, subject
from orchestrator.operations.plan_cache import Selection
from orchestrator.plan.build.layers import explain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from orchestrator.assets.store import Stored
    from orchestrator.facts.build import BuildPlan
    from orchestrator.images.attest.signatures import Signer, Verifier
    from orchestrator.images.bundle.contents import BundledPlan
    from orchestrator.images.bundle.read import Bundle
    from orchestrator.operations.progress import Progress, Talk


def bundle(
    context: Context, selections: Sequence[Selection], output: Path, progress: Progress, signer: Signer | None = None
) -> Written:
    """Build and fetch what is missing, and write images, models, data, recipes, locks and documents into one file.

    With a signer its list of contents is signed, and by that everything in it. A file at ``output`` is replaced when
    the new one is whole.

    Raises:
        UsageError: `base-path`, a base from a path, which no other machine has; `missing-path`, `exists`.
        StepFailed, AssetError, RegistryError, EngineError: as build, fetch and `images.bundle.write`.
    """
    order = replace(_order(context, selections, progress), signer=signer)
    return write(output, order, context.engine)


def _order(context: Context, selections: Sequence[Selection], progress: Progress) -> Order:
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
            made = documents(subject(context, PlannedLayer(plan=plan, step=plan.layers[-1]), digest))
        return made.files()

    return Order(
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


# -- taken in elsewhere --------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadResult:
    """What is here now: the JSON of `images load`."""

    bundle: str
    images: tuple[str, ...]
    assets: tuple[str, ...]
    """KIND NAME of each"""
    documents: int
    recipes: tuple[str, ...]
    """the recipes under which `run` finds the images; the bundle's own where those here plan others"""
    run: tuple[str, ...]
    """a command line a benchmark"""


def load(file: Path, talk: Talk, *, recipes: tuple[str, ...] = (), verifier: Verifier | None = None) -> LoadResult:
    """Take images, models, data and documents of a bundle in; every byte is checked before anything is used.

    With a verifier its list of contents and every image have to be signed with its key, else nothing is taken in.

    Raises:
        StepFailed: `signature`; `other-version`, no recipes here or in the bundle plan these images; the
            errors of `images.bundle.read` and `load`. What was in place before stays.
        EngineError: no engine answers.
    """
    with checked(file.absolute(), talk.say) as found:
        if verifier is not None:
            _require_signed(found, verifier)
        return _take(found, recipes, talk)


def _require_signed(bundle: Bundle, verifier: Verifier) -> None:
    """The list of all that is in the bundle is signed with the key, and so is every image with its documents.

    Raises:
        StepFailed: `signature`; nothing was taken in yet.
    """
    _require_signed_list(bundle, verifier)
    for image in bundle.images.values():
        attached = as_attached(from_files(image.digest, bundle.documents(image.digest)))
        found = Evidence(image=image, asked=image.digest, packages={}, attached=attached, published=True)
        check = check_signature(found, verifier.verify)
        if not check.passed:
            raise StepFailed(
                f"{bundle.archive.path}: {image.reference}: {check.detail}",
                hint="nothing was taken in; `mlorch images sign --key KEY` before `bundle` signs the images",
                slug="signature",
            )


def _require_signed_list(bundle: Bundle, verifier: Verifier) -> None:
    """Recipes, models and data of a bundle have no signature of their own: that of its list covers them."""
    listed, signature = bundle.signed_list()
    try:
        if not signature:
            raise BadSignature("it is not there")  # noqa: TRY301 (one place that explains)
        require_detached(KIND, listed, signature, verifier)
    except BadSignature as error:
        raise StepFailed(
            f"{bundle.archive.path}: the signature of its list of contents: {error}",
            hint="nothing was taken in; `mlorch images bundle --key KEY` signs all that is in one, its recipes too",
            slug="signature",
        ) from None


def _take(bundle: Bundle, recipes: tuple[str, ...], talk: Talk) -> LoadResult:
    """Everything into the engine, the store and the folders of this machine. Raises as `load`."""
    context, fresh = _fitting(bundle, recipes)
    try:
        engine = context.engine  # first: without one nothing of the bundle is of use
        assets = load_assets(bundle, context.catalog, Store(cache_home()), talk.say)
        talk.say("taking in the images")
        images = load_images(bundle, engine)
    except BaseException:
        if fresh is not None:
            shutil.rmtree(fresh, ignore_errors=True)
        raise
    return LoadResult(
        bundle=str(bundle.archive.path),
        images=tuple(images),
        assets=tuple(f"{asset.kind} {asset.name}" for asset in assets),
        documents=load_documents(bundle),
        recipes=context.recipes,
        run=tuple(_command_line(plan, context.recipes) for plan in bundle.contents.plans),
    )


def _fitting(bundle: Bundle, recipes: tuple[str, ...]) -> tuple[Context, Path | None]:
    """A context that plans exactly the bundle's images, and the folder of recipes that was written for it just now.

    Its recipes are those of this machine where they do, else the bundle's own, kept below the data.

    Raises:
        StepFailed: `other-version`, neither does.
    """
    own = Context(recipes)
    why = _difference(own, bundle)
    if not why:
        return own, None
    folder = data_home() / "bundles" / definitions_name(bundle)
    fresh = None if folder.is_dir() else folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    taken = tuple(str(path) for path in load_definitions(bundle, folder))
    theirs = Context(taken)
    if not _difference(theirs, bundle):
        return theirs, fresh
    if fresh is not None:
        shutil.rmtree(folder, ignore_errors=True)
    raise StepFailed(
        f"this mlorch plans other images than those of {bundle.archive.path}, with its own recipes and with the "
        f"bundle's: they differ in {why}",
        hint=f"use the mlorch that made the bundle, {bundle.contents.mlorch}; nothing was taken in",
        slug="other-version",
    )


def _difference(context: Context, bundle: Bundle) -> str:
    """The first difference between what is planned here and the bundle's images; empty where there is none."""
    for plan in bundle.contents.plans:
        selection = Selection(
            target=plan.target,
            benchmarks=(plan.benchmark,),
            platform=plan.platform,
            arch=plan.arch or None,
            base_source=plan.base_source,
            round=plan.round,
        )
        try:
            (made,) = context.plans(selection).plans
        except (UsageError, DefinitionError) as error:
            return error.message
        if made.image != plan.image:
            return _first_change(made, plan)
    return ""


def _first_change(made: BuildPlan, bundled: BundledPlan) -> str:
    """The first input in which two plans of an image differ, for people."""
    for step, layer in zip(made.layers, bundled.layers, strict=False):
        was = layer["inputs"]
        assert isinstance(was, dict), "the bundle's list was checked"
        for change in explain(step.inputs, was):
            if change.input != "parent":
                return f"{change.input} of layer `{layer['name']}`"
    return "its layers"


def _command_line(plan: BundledPlan, recipes: tuple[str, ...]) -> str:
    """The command that runs a benchmark of the bundle here."""
    words = ["mlorch", "run", plan.benchmark, "--target", plan.target, "--no-build"]
    if plan.base_source:
        words += ["--base-source", plan.base_source]
    if plan.round:
        words += ["--round", plan.round]
    for folder in recipes:
        words += ["--recipes", folder]
    return " ".join(words)
