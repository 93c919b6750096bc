"""`images keygen`: a key pair to sign images with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.host.files import atomic_write_bytes
from orchestrator.images.attest.keys import generate, load_verifier

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class KeygenRequest:
    """Where the pair goes: PREFIX.key (0600) and PREFIX.pub; an empty password leaves the key unencrypted."""

    prefix: Path
    password: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPair:
    """The files of the pair, and the sha256 of the public key: the JSON of `images keygen`."""

    key: Path
    pub: Path
    sha256: str


def keygen(request: KeygenRequest) -> KeyPair:
    """Make a key pair (ECDSA on P-256, PEM).

    Raises:
        WriteFailed: a file is there already, or cannot be written; then there is neither.
    """
    private, public = generate(request.password)
    prefix = request.prefix
    key, pub = prefix.with_name(f"{prefix.name}.key"), prefix.with_name(f"{prefix.name}.pub")
    atomic_write_bytes(key, private, mode=0o600)
    try:
        atomic_write_bytes(pub, public, mode=0o644)
    except BaseException:
        key.unlink()  # half a pair helps nobody
        raise
    return KeyPair(key=key, pub=pub, sha256=load_verifier(pub).fingerprint)
