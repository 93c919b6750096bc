"""`mlorch images list`: our images in the engine and in registries."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import click

from orchestrator.commands.common import json_option, recipes_option

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from orchestrator.console import Console
    from orchestrator.facts.references import RegistryPrefix
    from orchestrator.images.registry.client import Registry
    from orchestrator.operations.context import Context

_ID = re.compile(r"[0-9a-f]{64}")


@click.command("list")
@click.argument("registries", nargs=-1, metavar="[REGISTRY]...")
@click.option("--unused", is_flag=True, help="Only those that no current plan has.")
@recipes_option
@json_option
def command(registries: tuple[str, ...], recipes: tuple[str, ...], *, unused: bool, as_json: bool) -> int:
    """Show every image of mlorch: in the engine, and in each REGISTRY (default: the configured ones).

    "In use" means that some target's plan of the current recipes has it.
    """
    from orchestrator.console import Console
    from orchestrator.operations.context import Context
    from orchestrator.operations.images_in_use import current_ids

    context, console = Context(recipes), Console(quiet=as_json)
    needed = current_ids(context, console)
    rows = list(_engine_rows(context, needed))
    names = sorted({str(row["layer"]) for row in rows})
    good = True
    for name in registries or context.settings.registries:
        found = _registry_rows(name, names, needed, console)
        good &= found is not None
        rows += found or []
    if unused:
        rows = [row for row in rows if not row["in_use"]]
    if as_json:
        console.document({"images": rows})
    else:
        _show(console, rows)
    return 0 if good else 1


def _engine_rows(context: Context, needed: Collection[str]) -> Iterator[dict[str, object]]:
    from orchestrator.images.prune import ID_LABEL, own_images

    for facts in own_images(context.engine):
        yield {
            "layer": facts.labels.get("org.mlorch.layer", ""),
            "content_id": facts.labels[ID_LABEL],
            "platform": facts.labels.get("org.mlorch.platform", ""),
            "where": "engine",
            "reference": facts.image,
            "digest": facts.digest,
            "bytes": facts.size,
            "in_use": facts.labels[ID_LABEL] in needed,
        }


def _registry_rows(
    name: str, layers: list[str], needed: Collection[str], console: Console
) -> list[dict[str, object]] | None:
    """What a registry has; None, and said, where it cannot be asked."""
    from orchestrator.errors import RegistryError
    from orchestrator.facts.references import parse_registry_prefix
    from orchestrator.images.registry.client import Registry

    place = parse_registry_prefix(name)
    client = Registry.at(place.host)
    try:
        return [
            row
            for repository in _repositories(client, place, layers)
            for row in _tags(client, repository, place, needed)
        ]
    except RegistryError as error:
        console.warn(f"{error.message} [{error.slug}]")
        return None


def _repositories(client: Registry, place: RegistryPrefix, layers: list[str]) -> list[str]:
    """Our repositories below a place; those of known layers where the registry lists none."""
    from orchestrator.errors import RegistryError

    start = place.image("", "").repository
    try:
        found = client.repositories()
    except RegistryError as error:
        if error.slug not in {"registry-auth", "registry-refused", "digest-not-found"}:
            raise
        found = tuple(f"{start}{layer}" for layer in layers)
    return [name for name in found if name.startswith(start) and "/" not in name.removeprefix(start)]


def _tags(
    client: Registry, repository: str, place: RegistryPrefix, needed: Collection[str]
) -> Iterator[dict[str, object]]:
    for tag in client.tags(repository):
        if not _ID.fullmatch(tag):
            continue
        manifest = client.get_manifest(repository, tag)
        if manifest.is_index:
            continue
        config = json.loads(client.read_blob(repository, manifest.config().digest))
        yield {
            "layer": repository.rpartition("/")[2],
            "content_id": tag,
            "platform": f"{config.get('os', '')}/{config.get('architecture', '')}",
            "where": str(place),
            "reference": f"{client.host}/{repository}:{tag}",
            "digest": manifest.digest,
            "bytes": sum(layer.size for layer in manifest.layers()),
            "in_use": tag in needed,
        }


def _show(console: Console, rows: list[dict[str, object]]) -> None:
    if not rows:
        console.result("no images of mlorch")
        return
    console.table(
        ("layer", "content id", "platform", "where", "MB", "digest", "in use"),
        [
            (
                str(row["layer"]),
                str(row["content_id"])[:12],
                str(row["platform"]),
                str(row["where"]),
                f"{int(str(row['bytes'])) / 1e6:.1f}",
                str(row["digest"])[:19],
                "yes" if row["in_use"] else "no",
            )
            for row in rows
        ],
        right=(4,),
    )
