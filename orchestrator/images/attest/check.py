"""Whether an image is what the plan says and its documents tell the truth about it; pure.

Every check is made, whatever the others found; each says what it compared and, where it
fails, what to do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.facts.strict_json import strict_json
from orchestrator.images.attest.provenance import PREDICATE_TYPE, broken_links, layers_of, read_statement
from orchestrator.images.attest.sbom import PREDICATE_TYPE as SBOM_PREDICATE
from orchestrator.images.attest.sbom import canonical, read_sbom
from orchestrator.images.attest.signatures import BadSignature, check_payload, opened
from orchestrator.images.attest.subject import base_image, packages_of, pinned_packages
from orchestrator.plan.build.content import content_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from orchestrator.images.attest.attach import Attached
    from orchestrator.images.attest.subject import Subject
    from orchestrator.images.layout.oci import LaidImage

    Verify = Callable[[bytes, bytes], bool]
    Packages = Mapping[tuple[str, str], str]

_REBUILD = "build it again from recipes that you trust: `mlorch build`, then push and sign it"
_ATTACH = "`mlorch images sign IMAGE` writes it and puts it beside the image"
_SHOWN = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check: ``passed`` is None where there was nothing to compare with."""

    name: str
    passed: bool | None
    detail: str
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What is known of an image: where it is, what it is, what is inside, what lies beside it.

    ``published`` says that the documents should be beside it; ``asked`` is the digest that
    it was asked for by, or that its engine reports.
    """

    image: LaidImage
    asked: str
    packages: Packages
    attached: Attached
    published: bool


def check_all(found: Evidence, wanted: Subject | None, verify: Verify | None) -> tuple[Check, ...]:
    """Every check; ``wanted`` is the image as this checkout plans it, ``verify`` the public key."""
    return (
        _digest(found),
        _content_id(found, wanted),
        _sbom(found, wanted),
        _provenance(found),
        check_signature(found, verify),
    )


def good(checks: Iterable[Check]) -> bool:
    """Whether none failed."""
    return all(check.passed is not False for check in checks)


def _failed(name: str, detail: str, hint: str = _REBUILD) -> Check:
    return Check(name=name, passed=False, detail=detail, hint=hint)


def _digest(found: Evidence) -> Check:
    if found.asked != found.image.digest:
        return _failed("digest", f"it was asked for as {found.asked}, but its manifest is {found.image.digest}")
    count = len(found.image.layers)
    return Check(name="digest", passed=True, detail=f"{found.asked}: manifest, configuration and {count} layers hash")


def _content_id(found: Evidence, wanted: Subject | None) -> Check:
    labels = found.image.labels
    label = labels.get("org.mlorch.content-id", "")
    if not label:
        return _failed("content-id", "it has no label of mlorch")
    try:
        inputs = strict_json(labels.get("org.mlorch.inputs", ""))
        hashed = content_id({str(k): str(v) for k, v in inputs.items()})
    except (ValueError, AttributeError):
        hashed = ""
    if hashed != label:
        return _failed("content-id", f"the inputs in its label do not hash to {label[:12]}, its content id")
    if wanted is None:
        hint = "check with the recipes that it was built from (a tag, --recipes), and the same --base-source"
        return _failed("content-id", f"no layer that these recipes plan has the content id {label[:12]}", hint)
    if label != wanted.content_id:
        return _failed("content-id", f"it is {label[:12]}, the plan says {wanted.content_id[:12]}")
    return Check(name="content-id", passed=True, detail=f"{label[:12]}, as planned, and the hash of its inputs")


# -- packages ----------------------------------------------------------------------------


def _sbom(found: Evidence, wanted: Subject | None) -> Check:
    based = wanted is not None and base_image(wanted.layers) is not None
    wrong: list[str] = []
    if wanted is not None:
        pinned = {(package.kind, package.name): package.version for package in packages_of(wanted.layers)}
        wrong += [f"the plan: {each}" for each in differences(pinned, found.packages, more_inside=based)]
    for data in found.attached.sboms:
        wrong += _wrong_in_sbom(data, found, based=based)
    if wrong:
        return _failed("sbom", _some(wrong))
    inside = f"{len(found.packages)} packages in the image"
    if found.attached.sboms:
        detail = f"{inside}, listed" if based else f"it lists exactly the {inside}"
        return Check(name="sbom", passed=True, detail=detail)
    if found.published:
        return _failed("sbom", "none lies beside the image", _ATTACH)
    if wanted is None:
        return Check(name="sbom", passed=None, detail="none is kept here", hint=_ATTACH)
    return Check(name="sbom", passed=True, detail=f"none is kept here; the plan pins exactly the {inside}")


def _wrong_in_sbom(data: bytes, found: Evidence, *, based: bool) -> list[str]:
    """In what a bill of materials and the image differ; ``based`` where a base image brings packages of its own."""
    try:
        listed = read_sbom(data)
    except ValueError as error:
        return [f"it cannot be read: {error}"]
    more = based or '"mlorch:packages","value":"pinned' in data.decode(errors="replace")
    wrong = [] if listed.digest == found.image.digest else [f"it is about {listed.digest}"]
    return [*wrong, *differences(listed.packages, found.packages, more_inside=more)]


def differences(listed: Packages, inside: Packages, *, more_inside: bool = False) -> Iterable[str]:
    """In what a list and an image differ; ``more_inside`` where a base image brings packages of its own."""
    for key in sorted(listed.keys() | inside.keys()):
        pinned, found = listed.get(key), inside.get(key)
        if pinned == found or (pinned is None and more_inside):
            continue
        name = " ".join(key)
        if pinned is None:
            yield f"{name} {found} is inside, but not listed"
        elif found is None:
            yield f"{name} {pinned} is listed, but not inside"
        else:
            yield f"{name} is listed as {pinned}, inside is {found}"


# -- how it came to be ---------------------------------------------------------------------


def _provenance(found: Evidence) -> Check:
    label = found.image.labels.get("org.mlorch.content-id", "")
    wrong: list[str] = []
    for data in found.attached.provenances:
        try:
            digest, predicate = read_statement(data, PREDICATE_TYPE)
            if digest != found.image.digest:
                wrong.append(f"it is about {digest}")
            layers = layers_of(predicate)
            wrong += broken_links(layers, label)
            wrong += _undeclared(predicate, layers)
        except (ValueError, RecursionError) as error:
            wrong.append(f"it cannot be read: {error}")
    if wrong:
        return _failed("provenance", _some(wrong))
    if found.attached.provenances:
        return Check(name="provenance", passed=True, detail="its layers and their inputs hash to the content id")
    if found.published:
        return _failed("provenance", "none is beside the image", _ATTACH)
    return Check(name="provenance", passed=None, detail="none is kept here", hint=_ATTACH)


def _undeclared(predicate: Mapping[str, object], layers: Iterable[Mapping[str, object]]) -> list[str]:
    """Dependencies that the layers' inputs do not name, and the other way round: both lists have to agree."""
    definition = predicate.get("buildDefinition")
    given = definition.get("resolvedDependencies") if isinstance(definition, dict) else None
    if not isinstance(given, list):
        return ["it lists no dependencies"]
    declared = {_sha256(each) for each in given}
    packages: dict[tuple[str, str], tuple[str, ...]] = {}
    hashed: set[str] = set()
    for layer in layers:
        inputs = layer.get("inputs")
        texts = {str(key): str(value) for key, value in inputs.items()} if isinstance(inputs, dict) else {}
        packages |= {(kind, name): sha256 for kind, name, _, sha256 in pinned_packages(texts)}
        for value in texts.values():
            hashed.update(value.replace("@sha256:", " ").split())
    needed = {sha256 for hashes in packages.values() for sha256 in hashes}
    wrong = [f"the dependency {each[:12]} is in no layer's inputs" for each in sorted(declared - hashed)]
    return wrong + [f"the package {each[:12]} is not among its dependencies" for each in sorted(needed - declared)]


def _sha256(dependency: object) -> str:
    digest = dependency.get("digest") if isinstance(dependency, dict) else None
    return str(digest.get("sha256", "")) if isinstance(digest, dict) else ""


# -- who vouches for it --------------------------------------------------------------------


def check_signature(found: Evidence, verify: Verify | None) -> Check:
    """Whether the image, its SBOM and its provenance are signed with a key; without one nothing is decided."""
    signed, stated = found.attached.signatures, found.attached.envelopes
    if verify is None:
        if not signed:
            return Check(name="signature", passed=None, detail="it is not signed")
        return Check(name="signature", passed=None, detail="it is signed; --key PUB checks by whom")
    if not signed:
        return _failed("signature", "it is not signed", "`mlorch images sign IMAGE --key KEY` signs it")
    reasons = []
    for each in signed:
        try:
            name = check_payload(each.payload, each.signature, found.image.digest, verify)
            break
        except BadSignature as error:
            reasons.append(str(error))
    else:
        return _failed("signature", _some(reasons), "do not use it: " + _REBUILD)
    if why := _untrue(found, stated, verify):
        return _failed("signature", why, "do not use it: " + _REBUILD)
    return Check(name="signature", passed=True, detail=f"by this key, as {name}; so are its SBOM and its provenance")


def _untrue(found: Evidence, stated: Iterable[bytes], verify: Verify) -> str:
    """What is wrong with the signed statements; empty where they say what the documents say."""
    bodies: dict[str, list[bytes]] = {}
    for data in stated:
        try:
            body = opened(data, verify)
            kind = str(strict_json(body.decode()).get("predicateType"))
        except (BadSignature, ValueError, AttributeError):
            continue  # somebody else's, perhaps: what counts is that ours are among them
        bodies.setdefault(kind, []).append(body)
    for data in found.attached.provenances:
        if data not in bodies.get(PREDICATE_TYPE, ()):
            return "the provenance is not what this key signed"
    bills = [read_statement(body, SBOM_PREDICATE) for body in bodies.get(SBOM_PREDICATE, ())]
    true = {canonical(predicate) for digest, predicate in bills if digest == found.image.digest}
    if any(data not in true for data in found.attached.sboms):
        return "the SBOM is not what this key signed"
    return ""


def _some(reasons: list[str]) -> str:
    return "; ".join(reasons[:_SHOWN]) + (f"; and {len(reasons) - _SHOWN} more" if len(reasons) > _SHOWN else "")
