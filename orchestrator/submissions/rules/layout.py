"""Rules of names, links, sizes and of what has to be beside the results. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from orchestrator.submissions.findings import Rule, Said
from orchestrator.submissions.places import before, filled
from orchestrator.submissions.tree import Folder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.submissions.facts import Unread
    from orchestrator.submissions.findings import Rulebook
    from orchestrator.submissions.tree import Tree

_TREE = "submission_checker.py: check_results_dir"


class Survey(NamedTuple):
    """What is unusual below a submitter's folder, by path: collected in one walk, as there are tens of thousands."""

    links: tuple[tuple[str, str], ...]
    """With their targets."""
    large: tuple[tuple[str, int], ...]
    """Files above the round's limit, with their bytes."""
    hidden: tuple[str, ...]
    spaces: tuple[str, ...]
    caches: tuple[str, ...]
    empty: tuple[str, ...]


def survey(top: Folder, largest: int) -> Survey:
    """Look through a submitter's folder."""
    links: list[tuple[str, str]] = []
    large: list[tuple[str, int]] = []
    hidden: list[str] = []
    spaces: list[str] = []
    caches: list[str] = []
    empty: list[str] = []
    for folder in top.walk():
        names = (*folder.folders, *folder.files, *folder.links)
        if not names:
            empty.append(folder.path)
        if folder.path.endswith("__pycache__"):
            caches.append(folder.path)
        hidden += [folder.below(name) for name in names if name.startswith(".")]
        spaces += [folder.below(name) for name in names if " " in name]
        links += [(folder.below(name), target) for name, target in folder.links.items()]
        large += [(folder.below(name), fact.size) for name, fact in folder.files.items() if fact.size > largest > 0]
    return Survey(tuple(links), tuple(large), tuple(hidden), tuple(spaces), tuple(caches), tuple(empty))


@dataclass(frozen=True, slots=True)
class SubmitterFacts:
    """A submitter's folder in a division."""

    tree: Tree
    path: str
    """Below the root."""
    division: str
    name: str
    survey: Survey
    mapping_fault: Unread | None = None


def _divisions(tree: Tree, book: Rulebook) -> Iterator[Said]:
    known = (*book.checker.divisions, *book.checker.root_folders)
    for name in tree.root.folders:
        if name not in known:
            yield Said(name, f"`{name}` is no division")


def _root_files(tree: Tree, _book: Rulebook) -> Iterator[Said]:
    for name in tree.root.files:
        if not name.endswith((".md", ".pdf")):
            yield Said(name, "a file that lies outside the divisions")


def _division_files(tree: Tree, book: Rulebook) -> Iterator[Said]:
    for division in book.checker.divisions:
        folder = tree.root.folders.get(division)
        for name in folder.files if folder is not None else ():
            yield Said(f"{division}/{name}", "a file that lies outside the folder of a submitter")


def _odd(tree: Tree, _book: Rulebook) -> Iterator[Said]:
    for path, why in tree.odd:
        yield Said(path, why)


def _whole(tree: Tree, _book: Rulebook) -> Iterator[Said]:
    if tree.cut:
        yield Said("", f"not all of the tree was looked at: {tree.cut}")


TREE_RULES: tuple[Rule[Tree], ...] = (
    Rule("whole-tree", "The tree can be looked at as a whole.", "ours", "Remove what does not belong to it.",
         _whole, official="skip"),
    Rule("odd-files", "A tree holds folders, files and links only, and all can be read.", "ours",
         "Remove it, or make it readable.", _odd, official="skip"),
    Rule("divisions", "The folders of the root are divisions.", _TREE, "Move or remove it.", _divisions,
         official="tell"),
    Rule("root-files", "Outside the divisions there are no files but .md and .pdf.", _TREE,
         "Remove it before submitting.", _root_files),
    Rule("division-files", "In a division there are folders of submitters only.", _TREE,
         "Move it into the submitter's folder.", _division_files),
)  # fmt: skip


def _links(facts: SubmitterFacts, _book: Rulebook) -> Iterator[Said]:
    for path, target in facts.survey.links:
        if facts.tree.leads_out(path, target):
            yield Said(path, f"a link that leads out of the tree, to `{target[:200]}`")


def _any_links(facts: SubmitterFacts, book: Rulebook) -> Iterator[Said]:
    """Where the round takes none; one to a folder is none to the official checker."""
    if book.checker.answer("links") == "skip":
        return
    for path, target in facts.survey.links:
        if not isinstance(facts.tree.find(path), Folder):
            yield Said(path, f"a link, to `{target[:200]}`")


def _broken_links(facts: SubmitterFacts, book: Rulebook) -> Iterator[Said]:
    for path, target in facts.survey.links:
        found = facts.tree.find(path)
        if book.as_official and not isinstance(found, Folder):
            # The official checker looks for the file of a link from the root, not from where the link lies.
            found = facts.tree.find(target)
        if found is None and not facts.tree.leads_out(path, target):
            yield Said(path, f"a link that leads to nothing: `{target[:200]}`")


def _sizes(facts: SubmitterFacts, book: Rulebook) -> Iterator[Said]:
    for path, size in facts.survey.large:
        yield Said(path, f"has {size:,} bytes; {book.checker.limits.file_bytes:,} are the most")


def _hidden(facts: SubmitterFacts, _book: Rulebook) -> Iterator[Said]:
    for path in facts.survey.hidden:
        yield Said(path, "a hidden name, which git leaves out easily")


def _spaces(facts: SubmitterFacts, _book: Rulebook) -> Iterator[Said]:
    for path in facts.survey.spaces:
        yield Said(path, "a name with a space")


def _caches(facts: SubmitterFacts, _book: Rulebook) -> Iterator[Said]:
    for path in facts.survey.caches:
        yield Said(path, "compiled files of Python")


def _empty(facts: SubmitterFacts, _book: Rulebook) -> Iterator[Said]:
    for path in facts.survey.empty:
        yield Said(path, "an empty folder")


def _unused(facts: SubmitterFacts, book: Rulebook) -> Iterator[Said]:
    layout = book.checker.layout
    names = {"division": facts.division, "submitter": facts.name}
    shown = facts.tree.root.at(*filled(before(layout.results, "system"), **names).split("/"))
    results = set(shown.folders) if shown is not None else set()
    for template in (layout.measurements, layout.system):
        path = filled(before(template, "system"), **names)
        folder = facts.tree.root.at(*path.split("/"))
        if folder is None or folder is shown:
            continue
        of_files = template.endswith(".json")
        there = [name.removesuffix(".json") for name in folder.files if name.endswith(".json")]
        for name in there if of_files else folder.folders:
            if name not in results:
                yield Said(folder.below(f"{name}.json" if of_files else name), "a system that has no results")


def _calibration(facts: SubmitterFacts, book: Rulebook) -> Iterator[Said]:
    places = [filled(each, division=facts.division, submitter=facts.name) for each in book.checker.layout.calibration]
    if facts.division == "open" or not places:
        return
    if not any(facts.tree.find(place) is not None for place in places):
        yield Said(facts.path, f"says nothing of calibration: {' or '.join(places)} is missing")


def _mapping(facts: SubmitterFacts, book: Rulebook) -> Iterator[Said]:
    if facts.mapping_fault is not None:
        path = filled(book.checker.layout.model_mapping, division=facts.division, submitter=facts.name)
        yield Said(path, facts.mapping_fault.why)


SUBMITTER_RULES: tuple[Rule[SubmitterFacts], ...] = (
    Rule("links", "There are no links to files, where the round takes none.", _TREE,
         "Put the file there instead of the link.", _any_links),
    Rule("links-out", "No link leads out of the tree.", "ours", "Put the file there instead of the link.", _links,
         official="skip"),
    Rule("broken-links", "Every link leads to something.", _TREE, "Put the file there instead of the link.",
         _broken_links),
    Rule("file-size", "No file is larger than the round allows.", _TREE,
         "Remove it: models and data are no part of a submission.", _sizes),
    Rule("hidden-names", "No name begins with a dot.", _TREE, "Rename or remove it.", _hidden),
    Rule("spaces", "No name has a space.", _TREE, "Rename it.", _spaces),
    Rule("pycache", "There are no compiled files of Python.", _TREE, "Remove the folder.", _caches),
    Rule("empty-folders", "No folder is empty.", _TREE, "Remove it, or put in what is missing.", _empty),
    Rule("model-mapping", "model_mapping.json can be read.", _TREE, "Write a JSON object of names of models.",
         _mapping),
)  # fmt: skip

BESIDE_RULES: tuple[Rule[SubmitterFacts], ...] = (
    Rule("unused-systems", "Every system that is described or measured has results.", _TREE,
         "Remove the system, or add its results.", _unused),
    Rule("calibration", "The closed divisions say how they calibrated.", _TREE, "Write calibration.md.",
         _calibration),
)  # fmt: skip
"""Of a submitter too; what they find refuses no result."""
