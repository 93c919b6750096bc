"""Reads and writes published lists: the digests that a site has decided on."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from orchestrator.errors import UsageError
from orchestrator.host.files import atomic_write_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """An image of a layer in a registry, by digest."""

    layer: str
    content_id: str
    platform: str
    digest: str
    registry: str


def read_published(path: Path) -> dict[str, Published]:
    """The images of a list by content id.

    Raises:
        UsageError: `no-published-list`, there is no such file.
        DefinitionError: faults of the file, located.
    """
    from orchestrator.definitions.kinds.settings import PublishedList
    from orchestrator.definitions.yaml import decode, read_document

    if not path.is_file():
        raise UsageError(
            f"there is no list of published images at {path}",
            hint="`mlorch images push REGISTRY -o FILE` writes one",
            slug="no-published-list",
        )
    said = decode(read_document(path), PublishedList)
    return {image.content_id: Published(**image.model_dump()) for image in said.images}


def write_published(path: Path, images: Iterable[Published]) -> None:
    """Write a list: JSON where the name ends so, else YAML; what it says of other layers stays out.

    Raises `WriteFailed`.
    """
    document = {"version": 1, "images": [asdict(image) for image in images]}
    if path.suffix == ".json":
        text = json.dumps(document, indent=1) + "\n"
    else:
        head = "# Images that were published, by digest. Written by mlorch; `images: FILE` in mlorch.yaml binds them.\n"
        text = head + "version: 1\nimages:\n" + "".join(_yaml(asdict(image)) for image in images)
    atomic_write_text(path, text, overwrite=True, mode=0o644)


def _yaml(fields: Mapping[str, str]) -> str:
    """One element; every value is a name, a hash or a host, and JSON's strings are YAML's."""
    lines = [f"{key}: {json.dumps(value)}" for key, value in fields.items()]
    return "".join(f"{'- ' if number == 0 else '  '}{line}\n" for number, line in enumerate(lines))
