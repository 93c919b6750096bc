"""What is signed and how it is wrapped, as cosign does it: simple signing for images, DSSE for statements; pure.

Formats: https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md and
https://github.com/secure-systems-lab/dsse (protocol.md, envelope.md).
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import TYPE_CHECKING

from orchestrator.images.attest.sbom import canonical

if TYPE_CHECKING:
    from collections.abc import Callable

PAYLOAD_MEDIA_TYPE = "application/vnd.dev.cosign.simplesigning.v1+json"
SIGNATURE_ANNOTATION = "dev.cosignproject.cosign/signature"
SIGNATURE_ARTIFACT = "application/vnd.dev.cosign.artifact.sig.v1+json"
ENVELOPE_MEDIA_TYPE = "application/vnd.dsse.envelope.v1+json"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
_KIND = "cosign container image signature"


class BadSignature(ValueError):
    """A signature that does not fit; the text says why."""


def image_payload(digest: str, reference: str) -> bytes:
    """What is signed of an image: its digest, and the name it goes by (a repository without a tag)."""
    critical = {
        "identity": {"docker-reference": reference},
        "image": {"docker-manifest-digest": digest},
        "type": _KIND,
    }
    return json.dumps({"critical": critical, "optional": None}, separators=(",", ":")).encode()


def check_payload(payload: bytes, signature: bytes, digest: str, verify: Callable[[bytes, bytes], bool]) -> str:
    """The reference that a signature over ``digest`` names.

    Raises:
        BadSignature: it was not made with the key, or it is about another image.
    """
    if not verify(payload, signature):
        raise BadSignature("it was not made with this key, or what it signs was changed")
    try:
        critical = json.loads(payload)["critical"]
        signed, kind = critical["image"]["docker-manifest-digest"], critical["type"]
        reference = str(critical["identity"]["docker-reference"])
    except (ValueError, KeyError, TypeError):
        raise BadSignature("what it signs is no image") from None
    if kind != _KIND or signed != digest:
        raise BadSignature(f"it is about {signed}, not about {digest}")
    return reference


def authenticated(payload_type: str, body: bytes) -> bytes:
    """The bytes that a DSSE signature covers (its pre-authentication encoding)."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(body), body)


def envelope(body: bytes, sign: Callable[[bytes], bytes]) -> bytes:
    """A statement in a signed DSSE envelope."""
    signature = sign(authenticated(PAYLOAD_TYPE, body))
    return canonical(
        {
            "payloadType": PAYLOAD_TYPE,
            "payload": base64.b64encode(body).decode(),
            "signatures": [{"keyid": "", "sig": base64.b64encode(signature).decode()}],
        }
    )


def opened(data: bytes, verify: Callable[[bytes, bytes], bool] | None) -> bytes:
    """The statement in an envelope; with ``verify``, one of its signatures has to fit.

    Raises:
        BadSignature: no envelope, or none of its signatures was made with the key.
    """
    try:
        document = json.loads(data)
        body = base64.b64decode(document["payload"], validate=True)
        kind = document["payloadType"]
        signatures = [base64.b64decode(each["sig"], validate=True) for each in document["signatures"]]
    except (ValueError, KeyError, TypeError, binascii.Error):
        raise BadSignature("it is no DSSE envelope") from None
    if kind != PAYLOAD_TYPE:
        raise BadSignature(f"its payload is {kind}, not {PAYLOAD_TYPE}")
    if verify is not None and not any(verify(authenticated(kind, body), each) for each in signatures):
        raise BadSignature("none of its signatures was made with this key, or what they sign was changed")
    return body
