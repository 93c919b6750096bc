"""How an image came to be: an in-toto statement with a SLSA provenance predicate; pure.

It holds the named inputs of every layer. A content id is the hash of those inputs, and
one of them is the parent's content id; so the whole statement can be checked against the
one content id in the image's label, without trusting who wrote it (`broken_links`).
No host, path, user, time or secret is in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.facts.strict_json import strict_json
from orchestrator.images.attest.sbom import canonical
from orchestrator.images.attest.subject import base_image, packages_of
from orchestrator.plan.build.content import content_id

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from orchestrator.facts.build import LayerStep
    from orchestrator.images.attest.subject import Subject

MEDIA_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "urn:mlorch:build:layers:1"
BUILDER = "urn:mlorch:builder"


def provenance(subject: Subject, version: str) -> bytes:
    """The statement in canonical form; ``version`` is mlorch's."""
    parameters = {
        "target": subject.target,
        "benchmark": subject.benchmark,
        "platform": subject.platform,
        "base": subject.layers[0].base_source,
    }
    if subject.recipe_sha256:
        parameters |= {"recipe": subject.benchmark, "recipeSha256": subject.recipe_sha256}
    predicate = {
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": parameters,
            "internalParameters": {"layers": [_layer(layer) for layer in subject.layers]},
            "resolvedDependencies": list(_dependencies(subject)),
        },
        "runDetails": {"builder": {"id": BUILDER, "version": {"mlorch": version}}},
    }
    return statement(subject, PREDICATE_TYPE, predicate)


def statement(subject: Subject, predicate_type: str, predicate: object) -> bytes:
    """An in-toto statement about an image."""
    return canonical(
        {
            "_type": STATEMENT_TYPE,
            "subject": [{"name": subject.name, "digest": {"sha256": subject.digest.partition(":")[2]}}],
            "predicateType": predicate_type,
            "predicate": predicate,
        }
    )


def _layer(layer: LayerStep) -> dict[str, object]:
    described: dict[str, object] = {
        "name": layer.name,
        "level": layer.level,
        "platform": layer.platform,
        "contentId": layer.content_id,
        "inputs": dict(sorted(layer.inputs.items())),
    }
    if layer.base_source:
        described["base"] = layer.base_source
    return described


def _dependencies(subject: Subject) -> Iterator[dict[str, object]]:
    """Everything fetched or copied, each with its hash; a package with several files once a file."""
    found = base_image(subject.layers)
    if found is not None:
        yield {"name": found[0], "uri": f"oci:{found[0]}@{found[1]}", "digest": {"sha256": found[1].partition(":")[2]}}
    for part in packages_of(subject.layers):
        for sha256 in part.sha256:
            yield {"name": part.name, "uri": part.purl, "digest": {"sha256": sha256}}
    for layer in subject.layers:
        for name, value in sorted(layer.inputs.items()):
            what, _, path = name.partition(":")
            if what == "file":
                yield {"name": f"{layer.name}/{path}", "digest": {"sha256": value.partition(" ")[0]}}
            elif name == "pip":
                yield {"name": "pip", "annotations": {"use": "build only"}, "digest": {"sha256": value.split()[-1]}}


# -- reading -----------------------------------------------------------------------------


def read_statement(data: bytes, predicate_type: str) -> tuple[str, Mapping[str, object]]:
    """The subject's digest (``sha256:…``) and the predicate of a statement.

    Raises `ValueError` where it is no in-toto statement with such a predicate about one subject.
    """
    document = strict_json(data.decode())
    if not isinstance(document, dict) or document.get("_type") != STATEMENT_TYPE:
        raise ValueError(f"not a statement of type {STATEMENT_TYPE}")
    if document.get("predicateType") != predicate_type:
        raise ValueError(f"its predicate is {document.get('predicateType')}, not {predicate_type}")
    subjects, predicate = document.get("subject"), document.get("predicate")
    if not isinstance(subjects, list) or len(subjects) != 1 or not isinstance(predicate, dict):
        raise ValueError("a statement about one image has one subject and a predicate")
    try:
        return f"sha256:{subjects[0]['digest']['sha256']}", predicate
    except (KeyError, TypeError):
        raise ValueError("its subject has no sha256") from None


def layers_of(predicate: Mapping[str, object]) -> tuple[Mapping[str, object], ...]:
    """The layers that a provenance predicate of ours describes, base first. Raises `ValueError`."""
    try:
        layers = predicate["buildDefinition"]["internalParameters"]["layers"]  # type: ignore[index]  # of any shape
    except (KeyError, TypeError):
        raise ValueError("the provenance does not list mlorch's layers") from None
    if not isinstance(layers, list) or not layers or not all(isinstance(layer, dict) for layer in layers):
        raise ValueError("the provenance does not list mlorch's layers")
    return tuple(layers)


def broken_links(layers: Sequence[Mapping[str, object]], wanted: str) -> list[str]:
    """What is wrong with layers that should lead to the content id ``wanted``; empty where nothing is.

    Each layer's id has to be the hash of its inputs, each parent the layer below.
    """
    wrong, below = [], ""
    for layer in layers:
        inputs, named = layer.get("inputs"), str(layer.get("contentId", ""))
        name = str(layer.get("name", "?"))
        if not isinstance(inputs, dict) or content_id({str(k): str(v) for k, v in inputs.items()}) != named:
            wrong.append(f"the inputs of `{name}` do not hash to its content id")
        elif below and inputs.get("parent") != below:
            wrong.append(f"the parent of `{name}` is not the layer below it")
        below = named
    if below != wanted:
        wrong.append(f"its last layer is {below[:12] or 'none'}, the image is {wanted[:12]}")
    return wrong
