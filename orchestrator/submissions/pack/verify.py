"""A tree or an archive held to its manifest: every file, none too many, and who signed what."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from orchestrator.errors import StepFailed
from orchestrator.facts.neutral import neutral, one_line
from orchestrator.host.untrusted import FilesBelow, UnreadableFile, read_bytes
from orchestrator.images.attest.signatures import BadSignature, require_detached
from orchestrator.images.layout.archive import broken, opened
from orchestrator.results.verify.fault import Fault
from orchestrator.submissions.pack.contents import contents_of
from orchestrator.submissions.pack.manifest import KIND, LARGEST, NAME, BadManifest, Manifest, read_manifest, states
from orchestrator.submissions.tree import list_submission

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from orchestrator.images.attest.signatures import Verifier

_MOST_UNSIGNED = 20
"""Signatures that are told to be wrong: each is over the whole text as it was, and anybody may have added many."""
MOST_BYTES = 64 * 2**30
"""What the files of an archive may have together: the largest public round has 7 GB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What a tree or an archive is, compared with its manifest. ``signed`` is None where no key was given."""

    path: Path
    manifest: Manifest
    faults: tuple[Fault, ...]
    signed: bool | None = None

    @property
    def good(self) -> bool:
        """Whether every file is what the manifest says, and with a key: whether that signed all of it."""
        return not self.faults


def verify_archive(path: Path, verifier: Verifier | None = None) -> Held:
    """An archive that anybody may have made; nothing of it is written anywhere.

    Raises `StepFailed`: `hostile-archive`, `bad-archive`, `no-archive`, `bad-manifest`.
    """
    with opened(path, packed=True, most_bytes=MOST_BYTES) as archive:
        if archive.find(NAME) is None:
            raise broken(path, f"it has no {NAME}: `mlorch submission pack` did not write it, or it is cut short")
        manifest = _read(archive.read(NAME, LARGEST), path)
        there = {name: archive.read_through(name) for name in archive.members if name != NAME}
    return _held(path, manifest, tuple(_differences(manifest.files, there)), verifier)


def verify_tree(tree: Path, verifier: Verifier | None = None) -> Held:
    """A tree that has a manifest: packed from here, or unpacked. Raises `StepFailed`: `no-manifest`, `bad-manifest`."""
    manifest = tree_manifest(tree)
    packed = manifest.packed
    contents = contents_of(
        list_submission(tree, packed.divisions, packed.submitter), packed.divisions, packed.submitter
    )
    faults = [Fault(file=path, message=why) for path, why in contents.unfit]
    there: dict[str, str] = {}
    with closing(FilesBelow(tree)) as below:
        for name in contents.files:
            try:
                there[name] = below.hash_file(name)
            except UnreadableFile as error:
                there[name] = ""
                faults.append(Fault(file=one_line(name), message=error.reason))
    unread = {fault.file for fault in faults}
    faults += [one for one in _differences(manifest.files, there) if one.file not in unread]
    return _held(tree, manifest, tuple(faults), verifier)


def tree_manifest(tree: Path) -> Manifest:
    """The manifest that lies in a tree. Raises `StepFailed`: `no-manifest`, `bad-manifest`."""
    try:
        data = read_bytes(tree, NAME, LARGEST)
    except UnreadableFile as error:
        if not error.missing:
            raise
        raise StepFailed(
            f"there is no {NAME} in {neutral(str(tree))}",
            hint="`mlorch submission pack` writes one into the tree and into the archive",
            slug="no-manifest",
        ) from None
    return _read(data, tree / NAME)


def _read(data: bytes, path: Path) -> Manifest:
    try:
        return read_manifest(data)
    except BadManifest as error:
        raise StepFailed(
            f"{neutral(str(path))} has a manifest that cannot be believed: {neutral(str(error))}",
            hint="take the one of the archive as it was packed",
            slug="bad-manifest",
        ) from None


def _differences(listed: Mapping[str, str], there: Mapping[str, str]) -> Iterator[Fault]:
    for name in sorted(listed.keys() | there.keys()):
        if name not in there:
            yield Fault(file=one_line(name), message="the file is missing")
        elif name not in listed:
            yield Fault(file=one_line(name), message="the manifest has no such file")
        elif there[name] != listed[name]:
            yield Fault(file=one_line(name), message="the content differs from what the manifest says")


def _held(path: Path, manifest: Manifest, faults: tuple[Fault, ...], verifier: Verifier | None) -> Held:
    if verifier is None:
        return Held(path=path, manifest=manifest, faults=faults)
    unsigned = tuple(islice(_unsigned(manifest, verifier), _MOST_UNSIGNED))
    return Held(path=path, manifest=manifest, faults=(*faults, *unsigned), signed=not unsigned)


def _unsigned(manifest: Manifest, verifier: Verifier) -> Iterator[Fault]:
    """What was not signed with the key."""
    for what, text, signature in states(manifest):
        if not signature:
            yield Fault(file=NAME, message=f"{what} is not signed")
            continue
        try:
            require_detached(KIND, text.encode(), signature.encode(), verifier)
        except BadSignature as error:
            yield Fault(file=NAME, message=f"the signature of {what}: {error}")
