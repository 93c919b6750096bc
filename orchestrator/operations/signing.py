"""The records of runs, signed with a key: a record's seal alone anybody can make anew."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.errors import StepFailed
from orchestrator.operations.results import latest_session, swept
from orchestrator.results.verify.signature import SignedRun, sign_record
from orchestrator.results.verify.verification import verify

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from orchestrator.images.attest.signatures import Signer
    from orchestrator.operations.progress import Talk


def sign_runs(folder: Path, runs: Sequence[str], signer: Signer, talk: Talk) -> tuple[SignedRun, ...]:
    """Sign the records of runs (none named: of the latest session) whose files are what was recorded.

    Raises `StepFailed` [verify] for the first run that is not, before any is signed, and what `verify_runs` raises.
    """
    store = swept(folder, talk)
    entries = [store.find(run) for run in runs] if runs else latest_session(store)
    for entry in entries:
        found = verify(entry.folder)
        if not found.ok:
            raise StepFailed(
                f"{found.run_id} is not signed: {found.faults[0].file}: {found.faults[0].message}",
                hint="`mlorch results verify` has every fault; no run was signed",
                slug="verify",
            )
    return tuple(sign_record(entry.folder, signer) for entry in entries)


def record_signing(key: str) -> Callable[[Path], object]:
    """What signs the record in a run's folder with the private key ``key``, which is read now; empty: nothing does.

    Nobody is asked for its password: a run may go on for hours. Raises `UsageError` as `load_signer`.
    """
    if not key:
        return lambda _folder: None
    from orchestrator.images.attest.signatures import environment_password, load_signer

    signer = load_signer(Path(key), environment_password)
    return lambda folder: sign_record(folder, signer)
