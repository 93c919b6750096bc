"""`mlorch images load`: take a bundle in, with no network."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.commands.common import json_option, recipes_option
from orchestrator.operations.context import Context

if TYPE_CHECKING:
    from orchestrator.console import Console
    from orchestrator.images.attest.keys import Verifier
    from orchestrator.images.bundle.contents import BundledPlan
    from orchestrator.images.bundle.read import Bundle


@click.command("load")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--key",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    help="Public key (PEM) that every image has to be signed with; else nothing is taken in.",
)
@recipes_option
@json_option
def command(file: Path, key: Path | None, recipes: tuple[str, ...], *, as_json: bool) -> None:
    """Take images, models, data and documents of a bundle in. Every byte is checked before anything is used.

    Recipes of the bundle are taken along only where those of this machine would plan other images.
    """
    from orchestrator.console import Console
    from orchestrator.host.process import signals_interrupt
    from orchestrator.images.attest.keys import load_verifier
    from orchestrator.images.bundle.read import checked

    console = Console(quiet=as_json)
    verifier = load_verifier(key) if key is not None else None
    with signals_interrupt(), checked(file.absolute(), console.say) as bundle:
        require_signed(bundle, verifier)
        document = take(bundle, recipes, console)
    if as_json:
        console.document(document)
        return
    for what in ("images", "assets"):
        for name in document[what]:  # type: ignore[attr-defined]  # lists of text, see `take`
            console.result(f"  {what[:-1]:6} {name}")
    console.result("ready, with no network:")
    for line in document["run"]:  # type: ignore[attr-defined]
        console.result(f"  {line}")


def require_signed(bundle: Bundle, verifier: Verifier | None) -> None:
    """With a key: every image is signed with it, and so are its documents.

    Raises:
        StepFailed: `signature`; nothing was taken in yet.
    """
    from orchestrator.errors import StepFailed
    from orchestrator.images.attest.attach import Attached
    from orchestrator.images.attest.check import Evidence, check_signature
    from orchestrator.images.attest.kept import from_files

    if verifier is None:
        return
    for image in bundle.images.values():
        made = from_files(image.digest, bundle.documents(image.digest))
        beside = (
            Attached(
                sboms=(made.sbom,),
                provenances=(made.provenance,),
                signatures=(made.signature,) if made.signature else (),
                envelopes=made.envelopes,
            )
            if made is not None
            else Attached()
        )
        found = Evidence(image=image, asked=image.digest, packages={}, attached=beside, published=True)
        check = check_signature(found, verifier.verify)
        if not check.passed:
            raise StepFailed(
                f"{bundle.archive.path}: {image.reference}: {check.detail}",
                hint="nothing was taken in; `mlorch images sign --key KEY` before `bundle` signs the images",
                slug="signature",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """The recipes under which this mlorch plans exactly the images of a bundle."""

    context: Context
    recipes: tuple[str, ...]
    fresh: Path | None = None
    """The folder of recipes that was written for it just now."""


def take(bundle: Bundle, recipes: tuple[str, ...], console: Console) -> dict[str, object]:
    """Everything into its place; gives the JSON of `load`.

    Raises:
        StepFailed: `other-version`, no recipes here or in the bundle plan these images; the
            errors of `orchestrator.images.bundle.take_in`. What was in place before stays.
    """
    from orchestrator.assets.store import Store
    from orchestrator.host.folders import cache_home
    from orchestrator.images.bundle.take_in import take_assets, take_documents, take_images

    fit = fitting(bundle, recipes)
    try:
        engine = fit.context.engine  # first: without one nothing of the bundle is of use
        assets = take_assets(bundle, fit.context.catalog, Store(cache_home()), console.say)
        console.say("taking in the images")
        images = take_images(bundle, engine)
    except BaseException:
        if fit.fresh is not None:
            shutil.rmtree(fit.fresh, ignore_errors=True)
        raise
    documents = take_documents(bundle)
    return {
        "bundle": str(bundle.archive.path),
        "images": list(images),
        "assets": [f"{asset.kind} {asset.name}" for asset in assets],
        "documents": documents,
        "recipes": list(fit.recipes),
        "run": [_line(plan, fit.recipes) for plan in bundle.contents.plans],
    }


def fitting(bundle: Bundle, recipes: tuple[str, ...]) -> Fit:
    """The recipes of this machine where they plan the bundle's images, else the bundle's own, kept below the data."""
    from orchestrator.errors import StepFailed
    from orchestrator.host.folders import data_home
    from orchestrator.images.bundle.take_in import definitions_name, take_definitions

    own = Context(recipes)
    if not (why := _unlike(own, bundle)):
        return Fit(context=own, recipes=recipes)
    folder = data_home() / "bundles" / definitions_name(bundle)
    fresh = None if folder.is_dir() else folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    taken = tuple(str(path) for path in take_definitions(bundle, folder))
    theirs = Context(taken)
    if not _unlike(theirs, bundle):
        return Fit(context=theirs, recipes=taken, fresh=fresh)
    if fresh is not None:
        shutil.rmtree(folder, ignore_errors=True)
    raise StepFailed(
        f"this mlorch plans other images than those of {bundle.archive.path}, with its own recipes and with the "
        f"bundle's: they differ in {why}",
        hint=f"use the mlorch that made the bundle, {bundle.contents.mlorch}; nothing was taken in",
        slug="other-version",
    )


def _unlike(context: Context, bundle: Bundle) -> str:
    """The first difference between what is planned here and the bundle's images; empty where there is none."""
    from orchestrator.errors import DefinitionError, UsageError
    from orchestrator.images.bundle.take_in import changed_inputs
    from orchestrator.operations.kept_plans import Selection

    for plan in bundle.contents.plans:
        selection = Selection(
            target=plan.target,
            benchmarks=(plan.benchmark,),
            platform=plan.platform,
            arch=plan.arch or None,
            base_source=plan.base_source,
        )
        try:
            (made,) = context.plans(selection).plans
        except (UsageError, DefinitionError) as error:
            return error.message
        if made.image != plan.image:
            now = [{"name": step.name, "inputs": step.inputs} for step in made.layers]
            return changed_inputs(plan.layers, now)
    return ""


def _line(plan: BundledPlan, recipes: tuple[str, ...]) -> str:
    """The command that runs a benchmark of the bundle here."""
    words = ["mlorch", "run", plan.benchmark, "--target", plan.target, "--no-build"]
    if plan.base_source:
        words += ["--base-source", plan.base_source]
    for folder in recipes:
        words += ["--recipes", folder]
    return " ".join(words)
