"""Records signed with a key, and held to their signatures: a record's seal alone anybody can make anew."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from orchestrator.facts.containers import RECORD
from orchestrator.host.files import atomic_write_bytes
from orchestrator.host.untrusted import UnreadableFile, read_bytes
from orchestrator.results.store import SIGNATURE
from orchestrator.results.verify.fault import Fault

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.images.attest.signatures import Signer, Verifier
    from orchestrator.results.verify.verification import Verification

KIND = "application/vnd.mlorch.run+json"
_LARGEST_SIGNATURE = 2**16


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedRun:
    """A run whose record was signed, and the key's fingerprint (sha256)."""

    run_id: str
    signature: str
    key: str


def sign_record(folder: Path, signer: Signer) -> SignedRun:
    """Sign the record in a run's folder as it is; an earlier signature is replaced. Raises `StepFailed`."""
    from orchestrator.images.attest.signatures import detached

    path = folder / SIGNATURE
    atomic_write_bytes(path, detached(KIND, read_bytes(folder, RECORD), signer), overwrite=True)
    return SignedRun(run_id=folder.name, signature=str(path), key=signer.public.fingerprint)


def held_to_signature(found: Verification, verifier: Verifier) -> Verification:
    """What was verified of a run, and whether its record was signed with a key."""
    from orchestrator.images.attest.signatures import BadSignature, require_detached

    checked = (*found.checked, f"the record's signature by the key {verifier.fingerprint[:12]}")
    try:
        record, data = read_bytes(found.folder, RECORD), read_bytes(found.folder, SIGNATURE, _LARGEST_SIGNATURE)
        require_detached(KIND, record, data, verifier)
    except UnreadableFile as error:
        why = "the record is not signed" if error.missing else f"the signature {error.reason}"
        fault = Fault(file=SIGNATURE, message=why)
    except BadSignature as error:
        fault = Fault(file=SIGNATURE, message=str(error))
    else:
        return replace(found, checked=checked, signed=True)
    return replace(found, checked=checked, faults=(*found.faults, fault), signed=False)
