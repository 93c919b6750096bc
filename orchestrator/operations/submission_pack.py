"""`submission pack`, `verify` and `redact`: a tree as one archive with a manifest, and held to it later."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from orchestrator import __version__
from orchestrator.errors import StepFailed, UsageError
from orchestrator.host import clock
from orchestrator.host.files import WriteFailed, atomic_write_text, output_path
from orchestrator.operations.submissions import CheckRequest, check_submission, rulebook_of
from orchestrator.submissions.pack.contents import contents_of
from orchestrator.submissions.pack.manifest import NAME, VERSION, Manifest, Packed, text_of
from orchestrator.submissions.pack.redact import redact_files, with_signature
from orchestrator.submissions.pack.verify import tree_manifest, verify_archive, verify_tree
from orchestrator.submissions.pack.write import SUFFIX, Archived, changed_error, hashes_of, write_archive
from orchestrator.submissions.tree import list_submission

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from orchestrator.images.attest.signatures import Signer, Verifier
    from orchestrator.operations.context import Context
    from orchestrator.submissions.pack.contents import Contents
    from orchestrator.submissions.pack.manifest import Redaction
    from orchestrator.submissions.pack.verify import Held


@dataclass(frozen=True, slots=True, kw_only=True)
class PackRequest:
    """What is packed, and what the check may find."""

    tree: Path
    output: Path
    """The archive: its name ends with .tar.gz."""
    round: str
    submitter: str = ""
    """Only this one's part; everybody's where it is empty."""
    skip: tuple[str, ...] = ()
    """Rules that are not looked at."""
    with_errors: bool = False
    """Whether it is packed although the check finds errors; the manifest says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmissionPack:
    """An archive that is there, and its manifest. ``unkept`` says why the tree did not get the manifest too."""

    archived: Archived
    manifest: Manifest
    contents: Contents
    unkept: str = ""

    def document(self) -> dict[str, Any]:
        """Its JSON."""
        return {
            "archive": str(self.archived.path),
            "bytes": self.archived.size,
            "sha256": self.archived.sha256,
            "files": len(self.contents.files),
            "left_out": list(self.contents.left_out),
            "signed": any(self.manifest.signatures),
            **manifest_document(self.manifest),
        }


def manifest_document(manifest: Manifest) -> dict[str, Any]:
    """What a manifest says beside its files."""
    return {
        "round": manifest.packed.round,
        "submitter": manifest.packed.submitter or None,
        "errors": dict(manifest.packed.errors),
        "redactions": [asdict(one) for one in manifest.redactions],
    }


def pack_submission(context: Context, request: PackRequest, signer: Signer | None = None) -> SubmissionPack:
    """Pack a tree that the check finds nothing wrong with, behind a manifest that the tree gets too.

    Raises:
        UsageError: what `check_submission` raises; `pack-name` for an archive of another form or inside the tree.
        StepFailed: `submission-errors`; `submission-unfit` for links and what else is no file; `submission-redacted`
            for a tree whose files are not those of the redactions on record; `changed`, `write`.
    """
    output = output_path(request.output)
    if not output.name.endswith(SUFFIX) or output.resolve().is_relative_to(request.tree.resolve()):
        raise UsageError(
            f"{request.output} cannot be the archive",
            hint=f"give it a name that ends with {SUFFIX}, outside of the tree",
            slug="pack-name",
        )
    divisions = rulebook_of(context, request.round, request.tree).checker.divisions
    listed = list_submission(request.tree, divisions, request.submitter)
    errors = _errors(context, request)
    contents = contents_of(listed, divisions, request.submitter)
    if contents.unfit:
        raise _unfit(contents)
    packed = Packed(
        version=VERSION,
        mlorch=__version__,
        round=request.round,
        divisions=tuple(divisions),
        submitter=request.submitter,
        errors=errors,
    )
    files = hashes_of(request.tree, contents.files)
    if list_submission(request.tree, divisions, request.submitter) != listed:
        raise changed_error(request.tree, "what was checked is not what would be packed")
    manifest = _redacted_before(request.tree, packed, files)
    if manifest is None:
        manifest = with_signature(Manifest(packed=packed, files=files), signer)
    text = text_of(manifest)
    archived = write_archive(request.tree, files, text, output)
    unkept = ""
    try:
        atomic_write_text(request.tree / NAME, text, overwrite=True)
    except WriteFailed as error:
        unkept = error.message
    return SubmissionPack(archived=archived, manifest=manifest, contents=contents, unkept=unkept)


def _errors(context: Context, request: PackRequest) -> dict[str, int]:
    """How often each rule is broken; raises where that is not allowed."""
    asked = CheckRequest(tree=request.tree, round=request.round, submitter=request.submitter, skip=request.skip)
    checked = check_submission(context, asked).checked
    if checked.good:
        return {}
    found = Counter(one.rule for one in checked.findings if one.level == "error")
    if not request.with_errors:
        words = ", ".join(f"{rule} {number:,}" for rule, number in found.most_common(5))
        raise StepFailed(
            f"the check of {request.tree} finds {found.total():,} error{'s' * (found.total() != 1)}: {words}",
            hint="`mlorch submission check` tells each; --with-errors packs it all the same, and the manifest says so",
            slug="submission-errors",
        )
    return dict(found)


def _unfit(contents: Contents) -> StepFailed:
    path, why = contents.unfit[0]
    more = f", and {len(contents.unfit) - 1:,} more cannot be packed either" if len(contents.unfit) > 1 else ""
    return StepFailed(
        f"{path or 'the tree'} {why}{more}",
        hint="an archive has files and folders only: put a copy in the place of a link, remove what is neither",
        slug="submission-unfit",
    )


def _redacted_before(tree: Path, packed: Packed, files: dict[str, str]) -> Manifest | None:
    """The manifest that the tree has where redactions are on record in it, which must not get lost."""
    try:
        manifest = tree_manifest(tree)
    except StepFailed as error:
        if error.slug == "no-manifest":
            return None
        raise
    if not manifest.redactions:
        return None
    same = (packed.round, packed.submitter) == (manifest.packed.round, manifest.packed.submitter)
    if manifest.files == files and same:
        return manifest
    changed = sorted(
        path for path in files.keys() | manifest.files.keys() if files.get(path) != manifest.files.get(path)
    )
    raise StepFailed(
        f"{tree} has redactions on record, and is not what it was after them: {', '.join(changed[:3]) or packed.round}",
        hint=f"`mlorch submission redact` puts a change on record; without {NAME} a pack begins anew and loses them",
        slug="submission-redacted",
    )


# -- held to it later ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmissionVerification:
    """Whether a tree or an archive is what its manifest says."""

    held: Held

    @property
    def good(self) -> bool:
        """Whether nothing is wrong."""
        return self.held.good

    def document(self) -> dict[str, Any]:
        """Its JSON."""
        held = self.held
        return {
            "path": str(held.path),
            "good": held.good,
            "signed": held.signed,
            "files": len(held.manifest.files),
            "faults": [asdict(fault) for fault in held.faults],
            **manifest_document(held.manifest),
        }


def verify_submission(path: Path, verifier: Verifier | None = None) -> SubmissionVerification:
    """Hold an archive, or a tree, to its manifest; with a verifier all of that has to be signed with its key.

    Raises `StepFailed`: `no-manifest`, `bad-manifest`, `no-archive`, `bad-archive`, `hostile-archive`.
    """
    held = verify_tree(path, verifier) if path.is_dir() else verify_archive(path, verifier)
    return SubmissionVerification(held=held)


@dataclass(frozen=True, slots=True, kw_only=True)
class RedactRequest:
    """Which files of a tree are gone or changed, who did it and why; ``remove`` removes them now."""

    tree: Path
    paths: Sequence[str]
    by: str
    why: str
    remove: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmissionRedaction:
    """What was put on record."""

    redaction: Redaction
    signed: bool

    def document(self) -> dict[str, Any]:
        """Its JSON."""
        return {**asdict(self.redaction), "signed": self.signed}


def redact_submission(request: RedactRequest, signer: Signer | None = None) -> SubmissionRedaction:
    """Put on record that files are gone or changed. Raises as `redact_files`, and `UsageError` [no-reason]."""
    for word, said in (("--by", request.by), ("--why", request.why)):
        if not said.strip():
            raise UsageError("a redaction says who made it and why", hint=f"say it with {word}", slug="no-reason")
    redaction = redact_files(
        request.tree,
        request.paths,
        by=request.by,
        why=request.why,
        when=clock.now().utc,
        remove=request.remove,
        signer=signer,
    )
    return SubmissionRedaction(redaction=redaction, signed=signer is not None)
