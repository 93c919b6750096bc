"""`images load`: take a bundle in, with no network."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.assets.store import Store
from orchestrator.errors import DefinitionError, StepFailed, UsageError
from orchestrator.host.folders import cache_home, data_home
from orchestrator.images.attest.attach import Attached
from orchestrator.images.attest.check import Evidence, check_signature
from orchestrator.images.attest.documents import from_files
from orchestrator.images.bundle.load import (
    changed_inputs,
    definitions_name,
    load_assets,
    load_definitions,
    load_documents,
    load_images,
)
from orchestrator.images.bundle.read import checked
from orchestrator.operations.context import Context
from orchestrator.operations.plan_cache import Selection

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.images.attest.keys import Verifier
    from orchestrator.images.bundle.contents import BundledPlan
    from orchestrator.images.bundle.read import Bundle
    from orchestrator.operations.progress import Talk


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadRequest:
    """The file; with a verifier every image has to be signed with its key, else nothing is taken in."""

    file: Path
    recipes: tuple[str, ...] = ()
    verifier: Verifier | None = None


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


def load(request: LoadRequest, talk: Talk) -> LoadResult:
    """Take images, models, data and documents of a bundle in; every byte is checked before anything is used.

    Raises:
        StepFailed: `signature`; `other-version`, no recipes here or in the bundle plan these images; the
            errors of `images.bundle.read` and `load`. What was in place before stays.
        EngineError: no engine answers.
    """
    with checked(request.file.absolute(), talk.say) as bundle:
        require_signed(bundle, request.verifier)
        return take(bundle, request.recipes, talk)


def require_signed(bundle: Bundle, verifier: Verifier | None) -> None:
    """With a key: every image is signed with it, and so are its documents.

    Raises:
        StepFailed: `signature`; nothing was taken in yet.
    """
    if verifier is None:
        return
    for image in bundle.images.values():
        attached = _attached(image.digest, bundle.documents(image.digest))
        found = Evidence(image=image, asked=image.digest, packages={}, attached=attached, published=True)
        check = check_signature(found, verifier.verify)
        if not check.passed:
            raise StepFailed(
                f"{bundle.archive.path}: {image.reference}: {check.detail}",
                hint="nothing was taken in; `mlorch images sign --key KEY` before `bundle` signs the images",
                slug="signature",
            )


def _attached(digest: str, files: dict[str, bytes]) -> Attached:
    """The documents of an image as a registry would hold them beside it."""
    made = from_files(digest, files)
    if made is None:
        return Attached()
    return Attached(
        sboms=(made.sbom,),
        provenances=(made.provenance,),
        signatures=(made.signature,) if made.signature else (),
        envelopes=made.envelopes,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """The recipes under which this mlorch plans exactly the images of a bundle."""

    context: Context
    recipes: tuple[str, ...]
    fresh: Path | None = None
    """The folder of recipes that was written for it just now."""


def take(bundle: Bundle, recipes: tuple[str, ...], talk: Talk) -> LoadResult:
    """Everything into its place. Raises as `load`."""
    fit = fitting(bundle, recipes)
    try:
        engine = fit.context.engine  # first: without one nothing of the bundle is of use
        assets = load_assets(bundle, fit.context.catalog, Store(cache_home()), talk.say)
        talk.say("taking in the images")
        images = load_images(bundle, engine)
    except BaseException:
        if fit.fresh is not None:
            shutil.rmtree(fit.fresh, ignore_errors=True)
        raise
    return LoadResult(
        bundle=str(bundle.archive.path),
        images=tuple(images),
        assets=tuple(f"{asset.kind} {asset.name}" for asset in assets),
        documents=load_documents(bundle),
        recipes=fit.recipes,
        run=tuple(_command_line(plan, fit.recipes) for plan in bundle.contents.plans),
    )


def fitting(bundle: Bundle, recipes: tuple[str, ...]) -> Fit:
    """The recipes of this machine where they plan the bundle's images, else the bundle's own, kept below the data.

    Raises:
        StepFailed: `other-version`, neither does.
    """
    own = Context(recipes)
    why = _difference(own, bundle)
    if not why:
        return Fit(context=own, recipes=recipes)
    folder = data_home() / "bundles" / definitions_name(bundle)
    fresh = None if folder.is_dir() else folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    taken = tuple(str(path) for path in load_definitions(bundle, folder))
    theirs = Context(taken)
    if not _difference(theirs, bundle):
        return Fit(context=theirs, recipes=taken, fresh=fresh)
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
            now = [{"name": step.name, "inputs": step.inputs} for step in made.layers]
            return changed_inputs(plan.layers, now)
    return ""


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
