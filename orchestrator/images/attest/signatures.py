"""Keys, ECDSA on P-256 in PEM, and what they sign, as cosign does: simple signing for images, DSSE for statements.

A private key is read, used and forgotten; neither it nor its password is ever printed
or kept anywhere. Formats: https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md and
https://github.com/secure-systems-lab/dsse (protocol.md, envelope.md).
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.definitions.given_files import read_given
from orchestrator.errors import UsageError
from orchestrator.facts.strict_json import strict_json
from orchestrator.images.attest.sbom import canonical

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey

PASSWORD_VARIABLE = "MLORCH_KEY_PASSWORD"  # noqa: S105 (the name of a variable)
_MAKE = "`mlorch images keygen` makes one; so does `openssl ecparam -name prime256v1 -genkey -noout`"
_LARGEST = 1 << 16
PAYLOAD_MEDIA_TYPE = "application/vnd.dev.cosign.simplesigning.v1+json"
SIGNATURE_ANNOTATION = "dev.cosignproject.cosign/signature"
SIGNATURE_ARTIFACT = "application/vnd.dev.cosign.artifact.sig.v1+json"
ENVELOPE_MEDIA_TYPE = "application/vnd.dsse.envelope.v1+json"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
_KIND = "cosign container image signature"


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs with a private key."""

    _key: EllipticCurvePrivateKey = field(repr=False)

    def sign(self, data: bytes) -> bytes:
        """A signature in DER."""
        from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
        from cryptography.hazmat.primitives.hashes import SHA256

        return self._key.sign(data, ECDSA(SHA256()))

    @property
    def public(self) -> Verifier:
        """The public half."""
        return Verifier(self._key.public_key())


@dataclass(frozen=True, slots=True)
class Verifier:
    """Checks signatures with a public key."""

    _key: EllipticCurvePublicKey = field(repr=False)

    def verify(self, data: bytes, signature: bytes) -> bool:
        """Whether ``signature`` (DER) over ``data`` was made with the private half."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
        from cryptography.hazmat.primitives.hashes import SHA256

        try:
            self._key.verify(signature, data, ECDSA(SHA256()))
        except InvalidSignature:
            return False
        return True

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the key in DER: what people compare."""
        from hashlib import sha256

        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        return sha256(self._key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def generate(password: str) -> tuple[bytes, bytes]:
    """A new key pair in PEM, the private half encrypted unless the password is empty."""
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
    from cryptography.hazmat.primitives.serialization import (
        BestAvailableEncryption,
        Encoding,
        NoEncryption,
        PrivateFormat,
        PublicFormat,
    )

    key = generate_private_key(SECP256R1())
    locked = BestAvailableEncryption(password.encode()) if password else NoEncryption()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, locked)
    return private, key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def load_signer(path: Path, password: Callable[[], str]) -> Signer:
    """The private key in ``path``; ``password`` is asked only where the key is encrypted.

    Raises:
        UsageError: no such file, no such key (`bad-key`), or the wrong password (`key-password`).
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    data = _read(path)
    if b"SIGSTORE PRIVATE KEY" in data or b"COSIGN PRIVATE KEY" in data:
        raise _bad(path, "it is in cosign's own encrypted form, which only cosign reads")
    try:
        try:
            key = load_pem_private_key(data, None)
        except TypeError:  # the library's word for: it is encrypted
            key = load_pem_private_key(data, _asked(path, password))
    except UnsupportedAlgorithm as error:
        raise _bad(path, str(error)) from None
    except ValueError:
        if b"ENCRYPTED" in data:
            raise UsageError(
                f"the password does not open the key {path}",
                hint=f"{PASSWORD_VARIABLE} or the prompt gives it",
                slug="key-password",
            ) from None
        raise _bad(path, "it holds no private key in PEM") from None
    if not isinstance(key, EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
        raise _bad(path, "it is of another kind than ECDSA on P-256")
    return Signer(key)


def environment_password() -> str:
    """The password that the environment has for keys, for who cannot ask."""
    return os.environ.get(PASSWORD_VARIABLE, "")


def signer_of(key: Path | str | None, password: Callable[[], str]) -> Signer | None:
    """The private key where one is named. Raises as `load_signer`."""
    return load_signer(Path(key), password) if key else None


def verifier_of(key: os.PathLike[str] | str | None) -> Verifier | None:
    """The public key where one is named. Raises as `load_verifier`."""
    return load_verifier(Path(key)) if key else None


def _asked(path: Path, password: Callable[[], str]) -> bytes:
    given = password()
    if not given:
        raise UsageError(
            f"the key {path} is encrypted and no password was given",
            hint=f"set {PASSWORD_VARIABLE}, or run it where it can ask",
            slug="key-password",
        )
    return given.encode()


def load_verifier(path: Path) -> Verifier:
    """The public key in ``path``. Raises `UsageError` (`bad-key`)."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    data = _read(path)
    if b"PRIVATE KEY" in data:
        raise _bad(path, "it is a private key; checking takes the public half only")
    try:
        key = load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm):
        raise _bad(path, "it holds no public key in PEM") from None
    if not isinstance(key, EllipticCurvePublicKey) or key.curve.name != "secp256r1":
        raise _bad(path, "it is of another kind than ECDSA on P-256")
    return Verifier(key)


def _read(path: Path) -> bytes:
    try:
        return read_given(path, _LARGEST)
    except OSError as error:
        raise _bad(path, error.strerror or str(error)) from None


def _bad(path: Path, why: str) -> UsageError:
    return UsageError(f"the key {path} cannot be used: {why}", hint=_MAKE, slug="bad-key")


# -- what is signed ------------------------------------------------------------------------


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
        critical = strict_json(payload.decode())["critical"]
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


def detached(kind: str, body: bytes, signer: Signer) -> bytes:
    """A signature over ``body``, as a file of its own beside it; ``kind`` says what it is, and is signed too."""
    signature = base64.b64encode(signer.sign(authenticated(kind, body))).decode()
    return json.dumps({"payloadType": kind, "key": signer.public.fingerprint, "sig": signature}).encode() + b"\n"


def require_detached(kind: str, body: bytes, data: bytes, verifier: Verifier) -> None:
    """Raise `BadSignature` where ``data`` is no signature of that key over ``body``."""
    try:
        document = strict_json(data.decode())
        signature = base64.b64decode(document["sig"], validate=True)
        named, key = str(document["payloadType"]), str(document["key"])
    except (ValueError, KeyError, TypeError, binascii.Error):
        raise BadSignature("it is no signature") from None
    if named != kind or not verifier.verify(authenticated(kind, body), signature):
        whose = f" (it names the key {key[:12]})" if key != verifier.fingerprint else ""
        raise BadSignature(f"it was not made with this key, or what it signs was changed{whose}")


def opened(data: bytes, verify: Callable[[bytes, bytes], bool] | None) -> bytes:
    """The statement in an envelope; with ``verify``, one of its signatures has to fit.

    Raises:
        BadSignature: no envelope, or none of its signatures was made with the key.
    """
    try:
        document = strict_json(data.decode())
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
