"""The bill of materials of an image: CycloneDX 1.6 in JSON, the same bytes for the same image; pure.

No time, no host, no random number: the serial number is made of the image's digest.
Models and datasets are not listed, as no image holds them.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.facts.strict_json import strict_json
from orchestrator.images.attest.subject import base_image, packages_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cyclonedx.model.component import Component
    from packageurl import PackageURL

    from orchestrator.images.attest.subject import Package, Subject

MEDIA_TYPE = "application/vnd.cyclonedx+json"
PREDICATE_TYPE = "https://cyclonedx.org/bom"
"""What an in-toto statement calls a CycloneDX document."""


def sbom(subject: Subject) -> bytes:
    """The document, in a canonical form (sorted keys, no spaces, a newline at the end)."""
    from cyclonedx.model.bom import Bom
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.output.json import JsonV1Dot6

    bom = Bom(serial_number=uuid.uuid5(uuid.NAMESPACE_URL, f"urn:mlorch:sbom:{subject.digest}"))
    whole = _image(subject)
    bom.metadata.component = whole
    bom.metadata.tools.components.add(Component(name="mlorch", type=ComponentType.APPLICATION, bom_ref="mlorch"))
    contained = [*_base(subject), *(_package(part) for part in packages_of(subject.layers))]
    for component in contained:
        bom.components.add(component)
    bom.register_dependency(whole, contained)
    document = json.loads(JsonV1Dot6(bom).output_as_string())
    document["metadata"].pop("timestamp", None)  # the library's own; the same image would get another one each time
    return canonical(document)


def canonical(document: object) -> bytes:
    """A JSON document as the bytes that are hashed and signed."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def _image(subject: Subject) -> Component:
    from packageurl import PackageURL

    purl = PackageURL("oci", None, subject.name.lower(), subject.digest, {"arch": subject.architecture})
    facts = {
        "mlorch:content-id": subject.content_id,
        "mlorch:target": subject.target,
        "mlorch:benchmark": subject.benchmark,
        # What a base from a registry brings is listed by its digest alone, so the list is whole only without one.
        "mlorch:packages": "pinned packages and the base image" if base_image(subject.layers) else "complete",
    }
    return _container(subject.name, subject.content_id, purl, subject.digest, facts)


def _container(name: str, version: str, purl: PackageURL, digest: str, facts: Mapping[str, str]) -> Component:
    from cyclonedx.model import HashAlgorithm, HashType, Property
    from cyclonedx.model.component import Component, ComponentType

    return Component(
        name=name,
        type=ComponentType.CONTAINER,
        version=version,
        purl=purl,
        bom_ref=purl.to_string(),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest.partition(":")[2])],
        properties=[Property(name=key, value=value) for key, value in facts.items() if value],
    )


def _base(subject: Subject) -> Iterator[Component]:
    from packageurl import PackageURL

    found = base_image(subject.layers)
    if found is None:
        return
    name, digest = found
    purl = PackageURL("oci", None, name.rpartition("/")[2].lower(), digest, {"repository_url": name})
    yield _container(name, digest, purl, digest, {})


def _package(part: Package) -> Component:
    from cyclonedx.model import HashAlgorithm, HashType, Property
    from cyclonedx.model.component import Component, ComponentType
    from packageurl import PackageURL

    properties = [Property(name="mlorch:layer", value=part.layer)]
    if part.level == "loadgen":
        properties.append(Property(name="mlorch:role", value="loadgen"))
    return Component(
        name=part.name,
        type=ComponentType.LIBRARY,
        version=part.version,
        purl=PackageURL.from_string(part.purl),
        bom_ref=part.purl,
        # Several hashes are files of which any may be installed: only one of one is that of what is inside.
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=part.sha256[0])] if len(part.sha256) == 1 else [],
        properties=properties,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """What a bill of materials says: its image's digest, and versions by kind and name."""

    digest: str
    packages: dict[tuple[str, str], str]


def read_sbom(data: bytes) -> Listed:
    """What a CycloneDX document lists. Raises `ValueError` where it is none."""
    document = strict_json(data.decode())
    if not isinstance(document, dict) or document.get("bomFormat") != "CycloneDX":
        raise ValueError("not a CycloneDX document")
    try:
        subject = document["metadata"]["component"]["hashes"][0]["content"]
        packages = {}
        for component in document.get("components", []):
            kind = str(component["purl"]).removeprefix("pkg:").partition("/")[0]
            if kind in {"deb", "pypi"}:
                packages[kind, str(component["name"])] = str(component["version"])
    except (KeyError, IndexError, TypeError) as error:
        raise ValueError(f"a CycloneDX document without {error}") from None
    return Listed(digest=f"sha256:{subject}", packages=packages)
