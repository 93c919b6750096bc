"""Documents of an image on this machine, by the image's digest: what `sign` made and what a bundle brought.

Their digests stand in every result; those are computed once an image and kept in the
cache, so that a run pays for reading a small file only.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.facts.strict_json import strict_json
from orchestrator.host.files import atomic_write_bytes, atomic_write_text
from orchestrator.host.folders import cache_home, data_home
from orchestrator.images.registry.manifests import digest_of

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.images.attest.signatures import Signer
    from orchestrator.images.attest.subject import Subject

SBOM, PROVENANCE, SIGNATURE = "sbom.json", "provenance.json", "signature.json"
ENVELOPES = ("provenance.dsse.json", "sbom.dsse.json")
NAMES = (SBOM, PROVENANCE, SIGNATURE, *ENVELOPES)
_SCHEME = "1"
"""The version of what is in the documents: raise it when the same image would get other ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """What was signed of an image, and the signature in DER."""

    payload: bytes
    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Documents:
    """Everything that speaks of one image; signature and envelopes only where a key signed."""

    digest: str
    sbom: bytes
    provenance: bytes
    signature: Signature | None = None
    envelopes: tuple[bytes, ...] = ()
    """provenance, then SBOM, as signed statements"""

    def files(self) -> dict[str, bytes]:
        """By the names that they have on disk and in a bundle."""
        found = {SBOM: self.sbom, PROVENANCE: self.provenance}
        if self.signature is not None:
            signed = {key: base64.b64encode(getattr(self.signature, key)).decode() for key in ("payload", "signature")}
            found[SIGNATURE] = json.dumps(signed, sort_keys=True).encode() + b"\n"
        return found | dict(zip(ENVELOPES, self.envelopes, strict=False))


def documents(subject: Subject, signer: Signer | None = None, reference: str = "") -> Documents:
    """SBOM and provenance of an image; signed with a key, for the name ``reference``."""
    from orchestrator import __version__
    from orchestrator.images.attest.provenance import provenance, statement
    from orchestrator.images.attest.sbom import PREDICATE_TYPE, sbom
    from orchestrator.images.attest.signatures import envelope, image_payload

    bill, origin = sbom(subject), provenance(subject, __version__)
    if signer is None:
        return Documents(digest=subject.digest, sbom=bill, provenance=origin)
    payload = image_payload(subject.digest, reference)
    stated = statement(subject, PREDICATE_TYPE, json.loads(bill))
    return Documents(
        digest=subject.digest,
        sbom=bill,
        provenance=origin,
        signature=Signature(payload=payload, signature=signer.sign(payload)),
        envelopes=(envelope(origin, signer.sign), envelope(stated, signer.sign)),
    )


def keep_documents(made: Documents) -> Path:
    """Write documents below the data folder, over earlier ones of the same image; gives their folder."""
    folder = folder_of(made.digest)
    folder.mkdir(parents=True, exist_ok=True)
    files = made.files()
    for name, data in files.items():
        atomic_write_bytes(folder / name, data, overwrite=True)
    for name in NAMES:  # a signature of documents that were replaced would speak of others
        if name not in files:
            (folder / name).unlink(missing_ok=True)
    return folder


def find_documents(digest: str) -> Documents | None:
    """The documents of an image on this machine, or None."""
    folder = folder_of(digest)
    try:
        files = {path.name: path.read_bytes() for path in folder.iterdir() if path.name in NAMES}
    except OSError:
        return None
    return from_files(digest, files)


def from_files(digest: str, files: dict[str, bytes]) -> Documents | None:
    """Documents from their files; None without both an SBOM and a provenance."""
    if SBOM not in files or PROVENANCE not in files:
        return None
    return Documents(
        digest=digest,
        sbom=files[SBOM],
        provenance=files[PROVENANCE],
        signature=_signature(files.get(SIGNATURE)),
        envelopes=tuple(files[name] for name in ENVELOPES if name in files),
    )


def _signature(data: bytes | None) -> Signature | None:
    try:
        found = strict_json((data or b"null").decode())
        return Signature(**{key: base64.b64decode(found[key]) for key in ("payload", "signature")})
    except (ValueError, KeyError, TypeError):
        return None


def folder_of(digest: str) -> Path:
    """The folder of an image's documents; it need not be there."""
    return data_home() / "supply" / digest.partition(":")[2]


# -- what a result says ----------------------------------------------------------------------


def digests(subject: Subject) -> tuple[str, str]:
    """The digests of an image's SBOM and provenance (``sha256:…``), from the cache where they were computed before."""
    from orchestrator import __version__

    form = [_SCHEME, __version__, subject.digest, subject.content_id, subject.target, subject.recipe_sha256]
    name = hashlib.sha256(json.dumps(form).encode()).hexdigest()[:32]
    path = cache_home() / "supply" / f"{name}.json"
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        found = strict_json(path.read_text(encoding="utf-8"))
        return str(found["sbom"]), str(found["provenance"])
    made = documents(subject)
    fresh = {"sbom": digest_of(made.sbom), "provenance": digest_of(made.provenance)}
    with contextlib.suppress(OSError):  # only saves the next run from computing them again
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write_text(path, json.dumps(fresh) + "\n", overwrite=True)
    return fresh["sbom"], fresh["provenance"]
