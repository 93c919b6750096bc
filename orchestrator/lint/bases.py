"""Rules about what an image stands on, and about git and versions that only look pinned. Pure."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

from orchestrator.lint.shell import INTERPRETERS, reads, variables
from orchestrator.lint.view import Finding, filled, mounts, pairs_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orchestrator.lint.dockerfile import Instruction
    from orchestrator.lint.shell import Command, Word
    from orchestrator.lint.view import File, Pair, Script, View

_CONTENT_ID = re.compile(r"[0-9a-f]{64}")
_MOVING = re.compile(
    r"(?:^|[._-])(?:latest|nightly|staging|preview|edge|dev|devel-?latest|main|master|head|rolling|unstable|snapshot)"
    r"(?:$|[._-])|prealpha",
    re.IGNORECASE,
)
_COMMIT = re.compile(r"[0-9a-f]{7,64}", re.IGNORECASE)
_ENGINE, _BUILD = re.compile(r"\b(?:docker|podman|nerdctl|buildx)\b"), re.compile(r"\bbuild\b")
_TAG = re.compile(r"\s(?:-t\s*|--tag[= ])(?P<tag>\S+)")
PIN_NAME = re.compile(
    r"(?:^|_)(?:VERSION|VER|HASH|SHA|SHA256|COMMIT|TAG|REF|REV|REVISION|BRANCH|DIGEST|CHECKSUM)$", re.IGNORECASE
)
_GIT_URL = re.compile(r"(?:git\+|git@|git://|\.git\b)")
_OPAQUE = frozenset({"source", ".", "make", "cmake", "ninja", "bazel", "meson", "ansible-playbook"})


def bases(file: File) -> Iterator[Finding]:
    """FROM, COPY --from and mounts of other images: digests, moving tags, arguments, the own tag."""
    names = {view.name for view in file.views if view.name} | {name.lower() for name in file.contexts}
    for index, view in enumerate(file.views):
        source = view.source
        given = source.words()
        if given:
            yield from _image(source, given[0].offset, given[0].text, view.image, names)
            yield from _own_tag(file, source, given[0], view.image)
        numbers = {str(number) for number in range(index)}
        for one in view.body:
            for text, offset in _other_images(one):
                if text not in numbers:
                    yield from _image(one, offset, text, filled(text, view.args), names)


def _image(one: Instruction, offset: int, written: str, image: str, names: set[str]) -> Iterator[Finding]:
    name, _, digest = image.partition("@")
    tag = name.rpartition("/")[2].partition(":")[2]
    span = one.span(offset, len(written))
    if name.lower() in names or name == "scratch" or digest or _CONTENT_ID.fullmatch(tag):
        return
    if unset := [variable for variable, _, _ in variables(image)]:
        message = f"`{written}` is whatever the caller gives: `{unset[0]}` has no default"
        yield Finding(rule="from-unset-arg", span=span, message=message)
    elif not tag or _MOVING.search(tag):
        what = f"tag `{tag}` moves" if tag else "no tag means `latest`, which moves"
        yield Finding(rule="from-moving-tag", span=span, message=f"`{image}`: {what}")
    else:
        yield Finding(rule="from-no-digest", span=span, message=f"`{image}` names no digest")


def _other_images(one: Instruction) -> Iterator[tuple[str, int]]:
    if one.keyword in {"COPY", "ADD"} and (flag := one.flag("from")):
        yield flag.value, flag.offset + len("--from=")
    if one.keyword == "RUN":
        for flag, options in mounts(one):
            if options.get("from"):
                yield options["from"], flag.offset + len("--mount=") + flag.value.index("from=") + len("from=")


def _own_tag(file: File, source: Instruction, word: Word, image: str) -> Iterator[Finding]:
    """The tag that the build gives, as it is known, or as a comment of the file says."""
    tags = [file.tag] if file.tag else []
    tags += [tag for comment in file.dockerfile.comments if (tag := _built_tag(comment.text))]
    for tag in tags:
        if _with_tag(tag) == _with_tag(image.partition("@")[0]):
            message = f"the result is tagged `{tag}`, as its own base is"
            yield Finding(rule="from-own-tag", span=source.span(word.offset, len(word.text)), message=message)
            return


def _built_tag(comment: str) -> str:
    """The tag of the last build that a comment tells of (``docker build . -t a/b``); empty where it tells of none.

    One pattern for all of it would try every engine with every build: minutes for a comment of some kilobytes.
    """
    engine = _ENGINE.search(comment)
    tags = list(_TAG.finditer(comment, engine.end())) if engine is not None else []
    if engine is None or not tags:
        return ""
    builds = [found.end() for found in _BUILD.finditer(comment, engine.end(), tags[-1].start() + 1)]
    return next((found["tag"] for found in tags if builds and found.start() >= builds[-1]), "")


def _with_tag(image: str) -> str:
    return image if ":" in image.rpartition("/")[2] else f"{image}:latest"


# -- git -------------------------------------------------------------------------------------


def git(file: File) -> Iterator[Finding]:
    """Clones that end on no commit, and check-outs of variables that nothing sets."""
    for view in file.views:
        yield from _loose_clones(view)
        for script in view.scripts:
            for command in script.commands:
                yield from _unset(command, script, view)
                yield from _pip_git(command, script)
        for one in view.body:
            if one.keyword == "ADD":
                yield from _added(one)


def _loose_clones(view: View) -> Iterator[Finding]:
    """The clones of a stage that no check-out of a commit is left for: each one below a clone serves one."""
    steps = [(command, script) for script in view.scripts for command in script.commands]
    pins, loose = 0, []
    for command, script in reversed(steps):
        if _pins_commit(command, view, script):
            pins += 1
        elif _sub(command) == "clone":
            if pins:
                pins -= 1
            else:
                loose.append(_clone(command, script))
    yield from reversed(loose)


def _sub(command: Command) -> str:
    """The sub-command of git, its global options passed over."""
    if command.name != "git":
        return ""
    rest = list(command.arguments)
    while rest and rest[0].text.startswith("-"):
        taken = rest.pop(0).text
        if taken in {"-C", "-c"} and rest:
            rest.pop(0)
    return rest[0].text if rest else ""


def _pins_commit(command: Command, view: View, script: Script) -> bool:
    """Whether a command ends on a commit: check-out, reset, switch or fetch of one, also by a variable that has one.

    A variable without a value counts as one that the caller gives; that it is set nowhere is another rule's finding.
    """
    if _sub(command) not in {"checkout", "reset", "switch", "fetch"}:
        return False
    known = view.known(script.run)
    return any(_may_be_commit(word.text, known, script) for word in command.arguments[1:])


def _may_be_commit(text: str, known: Mapping[str, str | None], script: Script) -> bool:
    names = [name for name, _, _ in variables(text)]
    if names and _set_in(script, names):
        return True
    if any(known.get(name) is None for name in names):  # one that is set nowhere is a finding of `pin-unset`
        return True
    return _COMMIT.fullmatch(filled(text, known)) is not None


def _set_in(script: Script, names: list[str]) -> bool:
    assigned = {name for command in script.commands for name in command.assigned}
    return bool(names) and all(name in assigned for name in names)


def _clone(command: Command, script: Script) -> Finding:
    word = command.program[0]
    branch = _branch(command)
    what = f"the clone ends on `{branch}`" if branch else "the clone ends on the default branch"
    return Finding(rule="git-moving", span=script.span(word), message=f"{what}, and no commit is checked out after it")


def _branch(command: Command) -> str:
    """The branch or tag that a clone asks for; empty for the default one."""
    for word, following in pairwise(command.words):
        if word.text in {"-b", "--branch"}:
            return following.text
    return next((w.text.partition("=")[2] for w in command.words if w.text.startswith("--branch=")), "")


def _pip_git(command: Command, script: Script) -> Iterator[Finding]:
    """``pip install git+https://…@REF`` where REF is no commit."""
    for word in command.arguments:
        if word.text.startswith("git+") or "@ git+" in word.text:
            reference = word.text.partition("#")[0].partition("git+")[2].partition("://")[2].rpartition("@")
            if not (reference[1] and (_COMMIT.fullmatch(reference[2]) or "$" in reference[2])):
                what = f"`{reference[2]}` of a repository" if reference[1] else "the default branch of a repository"
                yield Finding(rule="git-moving", span=script.span(word), message=f"{what} is installed")


def _added(one: Instruction) -> Iterator[Finding]:
    for word in one.words()[:-1]:
        if _GIT_URL.search(word.text.partition("#")[0]) and "://" in word.text:
            reference = word.text.partition("#")[2].partition(":")[0]
            if not _COMMIT.fullmatch(reference):
                what = f"`{reference}` of a repository" if reference else "the default branch of a repository"
                yield Finding(rule="git-moving", span=one.span(word.offset, len(word.text)), message=f"{what} is added")


# -- variables -------------------------------------------------------------------------------


def _unset(command: Command, script: Script, view: View) -> Iterator[Finding]:
    """Variables where a version is chosen that are set nowhere above, or have no value unless one is given."""
    if not _chooses(command):
        return
    known = view.known(script.run)
    for word in command.arguments:
        for name, rest, _ in () if word.literal else variables(word.text):
            if rest.startswith((":-", "-", ":?", "?")) or _set_in(script, [name]):
                continue
            if name not in known:
                message = f"`{name}` is set nowhere above, so `{word.text}` is empty where it stands"
            elif known[name] in {None, ""} and PIN_NAME.search(name):
                message = f"`{name}` has no value unless the caller gives one"
            else:
                continue
            yield Finding(rule="pin-unset", span=script.span(word), message=message)


def _chooses(command: Command) -> bool:
    if command.name == "git":
        return _sub(command) in {"checkout", "reset", "switch", "fetch", "clone"}
    return command.name in {"pip", "pip3", "uv", "apt", "apt-get", "conda", "mamba"} and command.has("install")


def unused(file: File) -> Iterator[Finding]:
    """ENV and ARG that look like a pin and are read by nothing below, in their stage or in those on top of it."""
    for pair in file.global_pairs:
        if PIN_NAME.search(pair.name) and not any(_reads(view, pair.name, 0) for view in file.views):
            yield _unused(pair)
    for view in file.views:
        for pair in view.pairs:
            if PIN_NAME.search(pair.name) and not _is_read(file, view, pair):
                yield _unused(pair)


def _is_read(file: File, view: View, pair: Pair) -> bool:
    """Whether a variable is read below its line, or, of an ENV, in a stage on top of its own."""
    if _reads(view, pair.name, pair.instruction.line):
        return True
    if pair.instruction.keyword != "ENV":
        return False
    return any(_reads(other, pair.name, 0) for other in file.views if view in other.below)


def _unused(pair: Pair) -> Finding:
    return Finding(rule="pin-unused", span=pair.span, message=f"`{pair.name}` is read by nothing below")


def _reads(view: View, name: str, below: int) -> bool:
    """Whether a stage uses a variable after a line; a program that we cannot see into may."""
    if reads(view.source.text, name):
        return True
    for one in view.body:
        if one.line > below and (reads(one.text, name) or _takes_over(one, name)):
            return True
    scripts = [script for script in view.scripts if script.run.line > below]
    return any(name in script.text or any(_opaque(each) for each in script.commands) for script in scripts)


def _takes_over(one: Instruction, name: str) -> bool:
    """Whether a stage declares a global argument as its own: it is judged there."""
    return one.keyword == "ARG" and any(pair.name == name for pair in pairs_of(one))


def _opaque(command: Command) -> bool:
    """Whether a command runs a program of the image's own, which may read any variable."""
    program = command.program
    if not program:
        return False
    if command.name in _OPAQUE or "/" in program[0].text or program[0].text.endswith((".sh", ".py")):
        return not program[0].text.startswith(("/usr/bin/", "/bin/"))
    inline = any(word.text.startswith("-") and "c" in word.text for word in command.arguments[:2])
    return command.name in INTERPRETERS and bool(command.arguments) and not inline and not command.has("-m")
