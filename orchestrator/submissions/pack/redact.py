"""Files of a packed tree taken out or changed later: put on record in its manifest, so that the rest still verifies."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from orchestrator.errors import UsageError
from orchestrator.facts.neutral import one_line
from orchestrator.host.files import atomic_write_text
from orchestrator.host.untrusted import FilesBelow, UnreadableFile
from orchestrator.images.attest.signatures import detached
from orchestrator.submissions.pack.manifest import KIND, NAME, Redacted, Redaction, text_of, unsigned_text
from orchestrator.submissions.pack.verify import tree_manifest

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from orchestrator.images.attest.signatures import Signer
    from orchestrator.submissions.pack.manifest import Manifest


def with_signature(manifest: Manifest, signer: Signer | None) -> Manifest:
    """The manifest, its last state signed where there is a key."""
    if signer is None:
        return manifest
    return manifest.signed(detached(KIND, unsigned_text(manifest).encode(), signer).decode().strip())


def redact_files(
    tree: Path, paths: Sequence[str], *, by: str, why: str, when: str, remove: bool, signer: Signer | None
) -> Redaction:
    """Put on record that files of a tree, or all below a folder of it, are gone or changed; ``remove`` removes them.

    Raises:
        UsageError: `not-in-manifest`; `not-redacted`, a file that is what it was; `not-signed`, a manifest that is
            signed and no key.
        StepFailed: `no-manifest`, `bad-manifest`, `write`; `unreadable-file` for a link in the place of a file.
    """
    manifest = tree_manifest(tree)
    if signer is None and any(manifest.signatures):
        raise UsageError(
            f"the manifest of {tree} is signed, so a redaction has to be signed too",
            hint="name the private key with --key",
            slug="not-signed",
        )
    files = _named(manifest, paths)
    with closing(FilesBelow(tree)) as below:
        for path in files if remove else ():
            below.remove(path)
        redaction = Redaction(by=by, when=when, why=why, files=tuple(_changes(below, manifest, files)))
    changed = with_signature(manifest.redacted(redaction), signer)
    atomic_write_text(tree / NAME, text_of(changed), overwrite=True)
    return redaction


def _named(manifest: Manifest, paths: Iterable[str]) -> tuple[str, ...]:
    """The files that are meant, each once."""
    found: set[str] = set()
    for given in paths:
        path = given.removeprefix("./").rstrip("/")
        below = [name for name in manifest.files if name == path or name.startswith(f"{path}/")]
        if not below:
            raise UsageError(
                f"the manifest has no file {one_line(given)}",
                hint="paths begin below the tree, as `mlorch submission verify` shows them: open/SUBMITTER/…",
                slug="not-in-manifest",
            )
        found.update(below)
    return tuple(sorted(found))


def _changes(below: FilesBelow, manifest: Manifest, files: Iterable[str]) -> Iterable[Redacted]:
    for path in files:
        was = manifest.files[path]
        try:
            now = below.hash_file(path)
        except UnreadableFile as error:
            if not error.missing:
                raise
            now = ""
        if now == was:
            raise UsageError(
                f"{one_line(path)} is what it was",
                hint="change or remove it first, or say --remove",
                slug="not-redacted",
            )
        yield Redacted(path=path, was=was, now=now)
