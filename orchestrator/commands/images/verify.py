"""`mlorch images verify`: is an image what the plan says, and do its documents tell the truth?"""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 (an annotation that click's options give)
from typing import TYPE_CHECKING

import click

from orchestrator.commands.common import context_for, json_option, recipes_option, selection_options
from orchestrator.commands.images.options import key_option, names_argument, registry_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.console import Console
    from orchestrator.operations.images.verify import VerifiedImage
    from orchestrator.operations.plan_cache import Selection

_WORDS = {True: "pass", False: "FAIL", None: "none"}


@click.command("verify")
@names_argument
@selection_options
@key_option("Public key (PEM) that the images have to be signed with.")
@registry_option
@recipes_option
@json_option
def command(
    names: tuple[str, ...],
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
    from orchestrator.console import Console
    from orchestrator.images.attest.keys import load_verifier
    from orchestrator.operations.images.verify import VerifyRequest, verify

    console = Console(quiet=as_json)
    verifier = load_verifier(key) if key is not None else None
    request = VerifyRequest(selections=tuple(chosen), names=names, registry=registry, verifier=verifier)
    found = []
    for image in verify(context_for(console, recipes), request):
        found.append(image)
        if not as_json:
            _show(console, image)
    if as_json:
        console.document({"images": found})
    return 0 if all(image.good for image in found) else 1


def _show(console: Console, image: VerifiedImage) -> None:
    console.result(image.image)
    for check in image.checks:
        console.result(f"  {_WORDS[check.passed]}  {check.name:10}  {check.detail}")
        if check.passed is False and check.hint:
            console.result(f"        = help: {check.hint}")
