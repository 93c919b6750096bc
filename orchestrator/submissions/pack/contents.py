"""Which files of a listed tree are the submission: those of the divisions, and texts beside them. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.facts.neutral import one_line
from orchestrator.images.layout.archive import LONGEST_NAME, MOST_MEMBERS
from orchestrator.submissions.pack.manifest import NAME, is_plain_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orchestrator.submissions.tree import Folder, Tree

_TEXTS = (".md", ".pdf")
"""How the names of files end that may lie beside the divisions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """The files of a submission, what is in it that cannot be packed and why, and what lies beside it."""

    files: tuple[str, ...]
    unfit: tuple[tuple[str, str], ...]
    left_out: tuple[str, ...]


def contents_of(tree: Tree, divisions: Sequence[str], submitter: str = "") -> Contents:
    """What is submitted of a tree: with ``submitter`` that one's part alone. The manifest itself does not count."""
    files = [name for name in tree.root.files if name.endswith(_TEXTS) and name != NAME]
    links = [name for name in tree.root.links if name.endswith(_TEXTS) or name in divisions]
    for folder in _folders(tree, divisions, submitter):
        files += map(folder.below, folder.files)
        links += map(folder.below, folder.links)
    unfit = [(path, "is a link") for path in links]
    unfit += [(one.path, one.why) for one in tree.odd if _counts(one.path, divisions, submitter)]
    unfit += _refused_later(files)
    if tree.cut:
        unfit.append(("", tree.cut))
    return Contents(
        files=tuple(sorted(files)),
        unfit=tuple(sorted((one_line(path), why) for path, why in unfit)),
        left_out=tuple(_beside(tree, divisions)),
    )


def _refused_later(files: Sequence[str]) -> Iterator[tuple[str, str]]:
    """What `verify` would refuse in an archive."""
    for path in files:
        if not is_plain_path(path):
            yield path, "has a name that no list can have"
        elif len(path) > LONGEST_NAME:
            yield path, f"has a path of {len(path):,} characters"
    if len(files) >= MOST_MEMBERS:  # the manifest is one too
        yield "", f"has {len(files):,} files; {MOST_MEMBERS - 1:,} are the most that an archive may have"


def _beside(tree: Tree, divisions: Sequence[str]) -> Iterator[str]:
    for name in sorted((*tree.root.folders, *tree.root.files, *tree.root.links)):
        if name not in divisions and not name.endswith(_TEXTS):
            yield one_line(name)


def _folders(tree: Tree, divisions: Sequence[str], submitter: str) -> Iterator[Folder]:
    for name in divisions:
        top = tree.root.folders.get(name)
        if top is not None and submitter:
            top = top.folders.get(submitter)
        if top is not None:
            yield from top.walk()


def _counts(path: str, divisions: Sequence[str], submitter: str) -> bool:
    division, _, rest = path.partition("/")
    return division in divisions and (not submitter or rest.split("/", 1)[0] == submitter)
