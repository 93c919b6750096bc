"""`mlorch submission pack`, `verify` and `redact`: one archive with a manifest, and what happens to it later."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.commands.common import context_options, counted, output_option
from orchestrator.commands.images.options import key_option, password

if TYPE_CHECKING:
    from orchestrator.console import Console
    from orchestrator.operations.context import Context
    from orchestrator.operations.submission_pack import SubmissionPack, SubmissionVerification


@click.command("pack")
@click.argument("tree", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", required=True, type=click.Path(dir_okay=False, path_type=Path), metavar="FILE.tar.gz",
    help="The archive; one that is there is replaced when the new one is whole.",
)  # fmt: skip
@click.option("--round", "round_name", required=True, metavar="NAME", help="The round, such as v5.1.")
@click.option("--submitter", default="", metavar="NAME", help="Only this submitter's part of the tree.")
@click.option("--skip", multiple=True, metavar="RULE", help="A rule of the check that is not looked at; repeatable.")
@click.option("--with-errors", is_flag=True, help="Pack it although the check finds errors; the manifest says so.")
@key_option("Private key (PEM) to sign the manifest with; `verify --key` checks that.")
@context_options
def pack(
    tree: Path, output: Path, round_name: str, submitter: str, skip: tuple[str, ...], key: Path | None,
    context: Context, console: Console, *, with_errors: bool,
) -> None:  # fmt: skip
    """Pack the submission in TREE into one archive, with a manifest of the sha256 of every file.

    The check of the round comes first. The manifest, mlorch-manifest.md, is put into the tree too; `sha256sum -c`
    reads it. The same files give the same archive, byte by byte.
    """
    from orchestrator.images.attest.signatures import signer_of
    from orchestrator.operations.submission_pack import PackRequest, pack_submission

    signer = signer_of(key, password)
    request = PackRequest(
        tree=tree, output=output, round=round_name, submitter=submitter, skip=skip, with_errors=with_errors
    )
    made = pack_submission(context, request, signer)
    if console.quiet:
        console.document(made.document())
        return
    _show_packed(console, made)


def _show_packed(console: Console, made: SubmissionPack) -> None:
    for name in made.contents.left_out:
        console.say(f"left out: {name} is no part of the submission")
    if made.unkept:
        console.warn(f"the tree has no manifest of its own: {made.unkept}")
    errors = made.manifest.packed.errors
    if errors:
        console.warn(f"packed with {counted(sum(errors.values()), 'error')}, which the manifest tells")
    archived = made.archived
    size = f"{archived.size / 1e6:.1f} MB"
    files = counted(len(made.contents.files), "file")
    console.result(f"{archived.path}: {size}, {files}, sha256 {archived.sha256}")


@click.command("verify")
@click.argument("path", metavar="FILE|TREE", type=click.Path(path_type=Path))
@key_option("Public key (PEM) that the manifest and every redaction have to be signed with.")
@output_option
def verify(path: Path, key: Path | None, console: Console) -> int:
    """Hold an archive of `pack`, or the tree itself, to its manifest: every file, and none too many.

    Files that were redacted are held to the record of that. Exit status 1 when something does not hold.
    """
    from orchestrator.images.attest.signatures import verifier_of
    from orchestrator.operations.submission_pack import verify_submission

    found = verify_submission(path, verifier_of(key))
    if console.quiet:
        console.document(found.document())
    else:
        _show_verified(console, found)
    return 0 if found.good else 1


def _show_verified(console: Console, found: SubmissionVerification) -> None:
    held = found.held
    for fault in held.faults:
        console.result(f"{fault.file or held.path}: error: {fault.message}")
    for one in held.manifest.redactions:
        for file in one.files:
            what = f"changed to {file.now[:12]}" if file.now else "removed"
            console.result(f"{file.path}: {what} (it was {file.was[:12]}) {one.when} by {one.by}: {one.why}")
    errors = held.manifest.packed.errors
    if errors:
        console.result("packed with errors: " + ", ".join(f"{rule} {number}" for rule, number in errors.items()))
    verdict = "as its manifest says" if found.good else counted(len(held.faults), "fault")
    if held.signed:
        verdict += ", all of it signed with this key"
    elif held.signed is None:
        verdict += "; whoever can write there could have made both (--key)"
    console.result(f"{held.path}: {counted(len(held.manifest.files), 'file')}: {verdict}")


@click.command("redact")
@click.argument("tree", type=click.Path(path_type=Path))
@click.argument("paths", nargs=-1, required=True, metavar="PATH…")
@click.option("--by", required=True, metavar="NAME", help="Who did it.")
@click.option("--why", required=True, metavar="TEXT", help="Why.")
@click.option("--remove", is_flag=True, help="Remove the files; else they have been changed or removed already.")
@key_option("Private key (PEM) to sign the record with; needed where the manifest is signed.")
@output_option
def redact(
    tree: Path, paths: tuple[str, ...], by: str, why: str, key: Path | None, console: Console, *, remove: bool
) -> None:
    """Put on record that files of the packed TREE were removed or changed, so that the rest still verifies.

    PATH is a file, or a folder with all below it, as the manifest has it. The record has the hash that each file had
    and the one that it has now, who, when and why; pack the tree again to hand it on.
    """
    from orchestrator.images.attest.signatures import signer_of
    from orchestrator.operations.submission_pack import RedactRequest, redact_submission

    signer = signer_of(key, password)
    done = redact_submission(RedactRequest(tree=tree, paths=paths, by=by, why=why, remove=remove), signer)
    if console.quiet:
        console.document(done.document())
        return
    for file in done.redaction.files:
        console.result(f"{file.path}: {'changed' if file.now else 'removed'}, on record")
    if not done.signed:
        console.warn("the record is not signed: whoever can write there could have made it (--key)")
