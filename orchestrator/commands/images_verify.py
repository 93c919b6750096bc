"""`mlorch images verify`: is an image what the plan says, and do its documents tell the truth?"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.commands.common import json_option, recipes_option, selection_options

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from orchestrator.commands.images_pick import Pick
    from orchestrator.console import Console
    from orchestrator.images.attest.check import Check, Evidence
    from orchestrator.operations.context import Context
    from orchestrator.operations.kept_plans import Selection

_WORDS = {True: "pass", False: "FAIL", None: "none"}


@click.command("verify")
@click.argument("images", nargs=-1, metavar="[LAYER|IMAGE]...")
@selection_options
@click.option(
    "--key",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    help="Public key (PEM) that the images have to be signed with.",
)
@click.option("--registry", default="", metavar="HOST[:PORT][/PATH]", help="The images of that registry.")
@recipes_option
@json_option
def command(
    images: tuple[str, ...],
    chosen: Sequence[Selection],
    key: Path | None,
    registry: str,
    recipes: tuple[str, ...],
    *,
    as_json: bool,
) -> int:
    """Check images against the plan and their documents: digest, content id, packages inside, provenance, signature.

    An IMAGE with a registry's name is checked there, without an engine. Exit 1 when a check fails.
    """
    from orchestrator.commands.images_pick import pick
    from orchestrator.console import Console
    from orchestrator.images.attest.check import good
    from orchestrator.images.attest.keys import load_verifier
    from orchestrator.operations.context import Context

    context, console = Context(recipes), Console(quiet=as_json)
    verify = load_verifier(key).verify if key is not None else None
    rows, all_good = [], True
    for one in pick(context, chosen, images, registry):
        checks = verify_one(context, one, chosen, verify)
        fine = good(checks)
        all_good = all_good and fine
        rows.append({"image": one.reference, "good": fine, "checks": [asdict(check) for check in checks]})
        if not as_json:
            _show(console, one.reference, checks)
    if as_json:
        console.document({"images": rows})
    return 0 if all_good else 1


def verify_one(
    context: Context,
    one: Pick,
    chosen: Sequence[Selection],
    verify: Callable[[bytes, bytes], bool] | None,
) -> tuple[Check, ...]:
    """The checks of one image; bytes that are not what their digest says are a failed check, not an error.

    Raises:
        StepFailed, RegistryError, EngineError: the image is not there, or cannot be had.
    """
    from orchestrator.commands.images_pick import subject, with_content_id
    from orchestrator.errors import StepFailed
    from orchestrator.images.attest.check import Check, check_all

    try:
        found = _evidence(context, one, chosen)
    except StepFailed as error:
        if error.slug not in {"digest-mismatch", "bad-archive", "hostile-archive", "bad-manifest"}:
            raise
        hint = "do not use it: pull, load or push it again from a source that you trust"
        return (Check(name="digest", passed=False, detail=error.message, hint=hint),)
    label = found.image.labels.get("org.mlorch.content-id", "")
    known = (one.plan, one.step) if one.plan is not None and one.step is not None else None
    if known is None:
        known = with_content_id([plan for selection in chosen for plan in context.plans(selection).plans], label)
    wanted = subject(context, *known, found.image.digest) if known is not None else None
    return check_all(found, wanted, verify)


def _evidence(context: Context, one: Pick, chosen: Sequence[Selection]) -> Evidence:
    from orchestrator.images.attest import evidence

    if one.local:
        from orchestrator.commands.images_pick import digest_in_engine

        return evidence.of_engine(context.engine, one.reference, digest_in_engine(context, one.reference))
    from orchestrator.facts.references import parse_reference
    from orchestrator.images.registry.client import Registry

    reference = parse_reference(one.reference)
    platform = one.step.platform if one.step is not None else context.plans(chosen[0]).plans[0].platform
    return evidence.of_registry(Registry.at(reference.host), reference, platform)[0]


def _show(console: Console, reference: str, checks: Sequence[Check]) -> None:
    console.result(reference)
    for check in checks:
        console.result(f"  {_WORDS[check.passed]}  {check.name:10}  {check.detail}")
        if check.passed is False and check.hint:
            console.result(f"        = help: {check.hint}")
