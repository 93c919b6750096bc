"""Submissions: the verbs of `mlorch submission`, as documents."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.api.calls import OF_EVERY_CALL, document_of, only_context, progress_of, request_of, results_in

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from orchestrator.api.calls import Document
    from orchestrator.operations.submissions import SubmissionCheck


def build(
    round: str,  # noqa: A002 (as the option is called)
    submitter: str,
    tree: str | os.PathLike[str],
    *,
    results: str | os.PathLike[str] | None = None,
    overlay: str | os.PathLike[str] | None = None,
    **options: Any,
) -> Document:
    """The tree of a round from results, as ``mlorch submission build --json``.

    ``options`` are those of the command: ``division``, ``system``, ``runs``, ``short``, ``dry``.

    Raises:
        UsageError: a round or division of which none can be built, fields that nobody has said.
        DefinitionError: faults of the overlay.
        NothingSelectedError: no run can become a result.
        StepFailed: the place of a result is somebody else's.
    """
    from orchestrator.operations.submission_build import BuildRequest, build_submission

    context = only_context({name: options.pop(name) for name in OF_EVERY_CALL if name in options})
    request = request_of(
        BuildRequest,
        options,
        round=round,
        submitter=submitter,
        tree=Path(tree),
        results=results_in(results),
        overlay=None if overlay is None else Path(overlay),
    )
    return document_of(build_submission(context, request))


def check(tree: str | os.PathLike[str], *, round: str, **options: Any) -> Document:  # noqa: A002 (the option's name)
    """What breaks the rules of a round in a tree, as ``mlorch submission check --json``.

    ``options`` are fields of `CheckRequest` (``submitter``, ``skip``, ``as_official``, ``processes``). That something
    would be refused raises nothing: ``good`` says so. Raises `UsageError` for an unknown round, rule or folder.
    """
    return document_of(_checked(tree, round, options))


def check_official(
    tree: str | os.PathLike[str],
    *,
    round: str,  # noqa: A002 (the option's name)
    target: str | None = None,
    talk: bool = False,
    **options: Any,
) -> Document:
    """Our check and the round's own checker in its image, as ``mlorch submission check --official --json``.

    ``official`` of the document has the other verdict and every difference; ``options`` as `check`. Raises what `check`
    and a build raise.
    """
    from orchestrator.operations.submission_official import check_officially
    from orchestrator.operations.submissions import CheckRequest

    progress = progress_of(talk=talk)
    context = only_context({name: options.pop(name) for name in OF_EVERY_CALL if name in options}, progress)
    request = request_of(CheckRequest, options, tree=Path(tree), round=round)
    return document_of(check_officially(context, request, progress, target=target))


def summary(tree: str | os.PathLike[str], *, round: str, **options: Any) -> str:  # noqa: A002 (the option's name)
    """The summary of a tree as the text of a CSV file; ``options`` as `check`."""
    return _checked(tree, round, options).summary


def repair(tree: str | os.PathLike[str], *, round: str, **options: Any) -> Document:  # noqa: A002
    """What breaks the rules of a round and needs no answer is mended, as ``mlorch submission repair --json``.

    ``options`` are fields of `RepairRequest` (``submitter``, ``models``, ``kept``, ``dry``). Raises `UsageError` as
    `check`, and `StepFailed` where the tree changed meanwhile.
    """
    from orchestrator.operations.submission_repair import RepairRequest, repair_submission

    context = only_context({name: options.pop(name) for name in OF_EVERY_CALL if name in options})
    kept = options.pop("kept", None)
    request = request_of(
        RepairRequest, options, tree=Path(tree), round=round, kept=None if kept is None else Path(kept)
    )
    return document_of(repair_submission(context, request))


def explain(tree: str | os.PathLike[str], row: str, *, round: str, **options: Any) -> Document:  # noqa: A002
    """Where each column of a row comes from, as ``mlorch submission explain --json``.

    ``row`` is its Location, or names of folders on the way there; ``options``: ``as_official``. Raises `UsageError`
    for an unknown round, row or folder, or a row that may be several.
    """
    from orchestrator.operations.submission_explain import ExplainRequest, explain_row

    context = only_context({name: options.pop(name) for name in OF_EVERY_CALL if name in options})
    return document_of(explain_row(context, request_of(ExplainRequest, options, tree=Path(tree), row=row, round=round)))


def pack(
    tree: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    round: str,  # noqa: A002 (the option's name)
    key: str | os.PathLike[str] | None = None,
    **options: Any,
) -> Document:
    """A tree as one archive with a manifest, as ``mlorch submission pack --json``.

    ``options`` are fields of `PackRequest` (``submitter``, ``skip``, ``with_errors``); a key's password comes from
    MLORCH_KEY_PASSWORD. Raises `StepFailed` [submission-errors] where the check finds errors.
    """
    from orchestrator.images.attest.signatures import environment_password, signer_of
    from orchestrator.operations.submission_pack import PackRequest, pack_submission

    context = only_context({name: options.pop(name) for name in OF_EVERY_CALL if name in options})
    request = request_of(PackRequest, options, tree=Path(tree), output=Path(output), round=round)
    return document_of(pack_submission(context, request, signer_of(_path(key), environment_password)))


def verify(path: str | os.PathLike[str], *, key: str | os.PathLike[str] | None = None) -> Document:
    """An archive or a tree held to its manifest, as ``mlorch submission verify --json``; ``good`` says the verdict."""
    from orchestrator.images.attest.signatures import verifier_of
    from orchestrator.operations.submission_pack import verify_submission

    return document_of(verify_submission(Path(path), verifier_of(key)))


def redact(
    tree: str | os.PathLike[str],
    paths: Sequence[str],
    *,
    by: str,
    why: str,
    remove: bool = False,
    key: str | os.PathLike[str] | None = None,
) -> Document:
    """Files of a packed tree that were removed or changed, on record, as ``mlorch submission redact --json``."""
    from orchestrator.images.attest.signatures import environment_password, signer_of
    from orchestrator.operations.submission_pack import RedactRequest, redact_submission

    request = RedactRequest(tree=Path(tree), paths=tuple(paths), by=by, why=why, remove=remove)
    return document_of(redact_submission(request, signer_of(_path(key), environment_password)))


def _path(key: str | os.PathLike[str] | None) -> Path | None:
    return None if key is None else Path(key)


def _checked(tree: str | os.PathLike[str], round_name: str, options: dict[str, Any]) -> SubmissionCheck:
    from orchestrator.operations.submissions import CheckRequest, check_submission

    context = only_context({name: options.pop(name) for name in OF_EVERY_CALL if name in options})
    return check_submission(context, request_of(CheckRequest, options, tree=Path(tree), round=round_name))
