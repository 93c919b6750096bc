"""Rules about packages and downloads. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from orchestrator.lint.shell import INTERPRETERS
from orchestrator.lint.view import Finding, mounts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.lint.dockerfile import Instruction
    from orchestrator.lint.shell import Command, Word
    from orchestrator.lint.view import File, Script

_APT = frozenset({"apt", "apt-get", "aptitude"})
_PIP = frozenset({"pip", "pip2", "pip3", "uv"})
_CONDA = frozenset({"conda", "mamba", "micromamba"})
_FETCHERS = frozenset({"curl", "wget"})
_PIP_TAKES = frozenset(
    [
        "-r",
        "--requirement",
        "-c",
        "--constraint",
        "-i",
        "--index-url",
        "--extra-index-url",
        "-f",
        "--find-links",
        "-t",
        "--target",
        "--root",
        "--prefix",
        "--platform",
        "--python-version",
        "--implementation",
        "--abi",
        "--progress-bar",
        "--cert",
        "--proxy",
        "--timeout",
        "--python",
        "-e",
        "--editable",
        "--src",
        "--cache-dir",
        "--trusted-host",
        "--no-binary",
        "--only-binary",
        "--use-feature",
        "--config-settings",
        "--index",
    ]
)
_APT_TAKES = frozenset({"-t", "--target-release", "-o", "--option", "-c", "--config-file", "-a"})
_CONDA_TAKES = frozenset({"-n", "--name", "-p", "--prefix", "-c", "--channel", "-f", "--file"})
_CONDA_PYTHON = re.compile(r"python=+(?P<version>[0-9]+)$")
_UNCHECKED = "what is downloaded is compared with no hash"
_HASHED = re.compile(r"sha(?:256|512|384|1)sum|md5sum|shasum|gpg\s+(?:--\S+\s+)*--verify|--checksum|b2sum")


def apt(file: File) -> Iterator[Finding]:
    """Packages without a version, and lists that stay."""
    for script in file.scripts:
        apt_commands = [command for command in script.commands if command.name in _APT]
        touching = [each for each in apt_commands if each.has("install", "update", "upgrade", "dist-upgrade")]
        for command in touching:
            loose = _without_version(command) if command.has("install") else []
            if loose:
                yield _loose("apt-unpinned", loose, script)
        if touching and _keeps_lists(script):
            span = script.span(touching[0].program[0])
            yield Finding(rule="apt-lists-kept", span=span, message="the step leaves /var/lib/apt/lists as it is")


def _without_version(command: Command) -> list[Word]:
    found = []
    for word in _plain(command, _APT_TAKES):
        if "=" not in word.text and not word.text.startswith("$") and not _is_file(word.text):
            found.append(word)
    return found


def _keeps_lists(script: Script) -> bool:
    """Whether a step leaves the lists: it names them nowhere, and no mount lies over them while it runs."""
    targets = [options.get("target") or options.get("dst") or "" for _, options in mounts(script.run)]
    return "/var/lib/apt/lists" not in script.text and not any(
        f"{each}/".startswith("/var/lib/apt/") for each in targets
    )


def pip(file: File) -> Iterator[Finding]:
    """Requirements without a version, of pip, uv and conda."""
    for script in file.scripts:
        for command in script.commands:
            if _installs(command) and not command.has("--require-hashes"):
                loose = [word for word in _plain(command, _PIP_TAKES) if _is_loose(word.text)]
                if loose:
                    yield _loose("pip-unpinned", loose, script)
            if command.name in _CONDA and command.has("install", "create"):
                yield from _conda(command, script)


def _installs(command: Command) -> bool:
    """Whether it is ``pip install``, in any of its spellings."""
    if command.name in _PIP:
        return command.has("install")
    return command.name.startswith("python") and command.has("-m") and command.has("pip") and command.has("install")


def _is_loose(text: str) -> bool:
    if text in {"-m", "pip", "."} or text.startswith(("$", "git+", "http://", "https://", "file:")):
        return False
    return not _is_file(text) and "==" not in text and "@" not in text


def _is_file(text: str) -> bool:
    return text.startswith((".", "/")) or "/" in text or text.endswith((".whl", ".deb", ".tar.gz", ".zip", ".txt"))


def _conda(command: Command, script: Script) -> Iterator[Finding]:
    given = _plain(command, _CONDA_TAKES)
    for word in given:
        found = _CONDA_PYTHON.match(word.text)
        if found and int(found["version"]) > 9:
            message = f"`{word.text}` asks for Python {found['version']}"
            yield Finding(rule="python-version", span=script.span(word), message=message)
    loose = [word for word in given if "=" not in word.text and not word.text.startswith("$") and word.text != "env"]
    if loose:
        yield _loose("pip-unpinned", loose, script)


def _plain(command: Command, takes: frozenset[str]) -> list[Word]:
    """The arguments after the sub-command that are no options and no values of options."""
    found: list[Word] = []
    skip = False
    begun = False
    for word in command.arguments:
        if skip:
            skip = False
        elif word.text in takes:
            skip = True
        elif word.text in {"install", "create", "update", "upgrade", "dist-upgrade"}:
            begun = True
        elif word.text.startswith((">", "2>", "<")):
            break
        elif begun and not word.text.startswith("-"):
            found.append(word)
    return found


def _loose(rule: str, loose: list[Word], script: Script) -> Finding:
    names = ", ".join(f"`{word.text}`" for word in loose[:3]) + (
        f" and {len(loose) - 3} more" if len(loose) > 3 else ""
    )
    verb = "has no version" if len(loose) == 1 else "have no version"
    return Finding(rule=rule, span=script.span(loose[0]), message=f"{names} {verb}")


# -- downloads -------------------------------------------------------------------------------


def downloads(file: File) -> Iterator[Finding]:
    """What is fetched and run at once, or kept without a look at its hash."""
    for script in file.scripts:
        yield from _piped(script)
        if _HASHED.search(script.text) is None:
            yield from _fetched(script)
    for view in file.views:
        for one in view.body:
            if one.keyword == "ADD" and one.flag("checksum") is None:
                yield from _added(one)


def _fetched(script: Script) -> Iterator[Finding]:
    for command in script.commands:
        if command.name in _FETCHERS and _keeps(command, script):
            word = next((word for word in command.arguments if "://" in word.text), command.program[0])
            yield Finding(rule="download-unchecked", span=script.span(word), message=_UNCHECKED)


def _added(one: Instruction) -> Iterator[Finding]:
    for word in one.words()[:-1]:
        if word.text.startswith(("http://", "https://")) and ".git" not in word.text:
            yield Finding(rule="download-unchecked", span=one.span(word.offset, len(word.text)), message=_UNCHECKED)


def _piped(script: Script) -> Iterator[Finding]:
    fetched: Word | None = None
    for command in script.commands:
        if command.name in _FETCHERS:
            fetched = command.program[0]
            if command.after in {"$(", "<("} and _runs_substitution(script, command):
                yield _pipe(script, fetched)
        elif command.after in {"|", "|&"}:
            if fetched is not None and command.name in INTERPRETERS:
                yield _pipe(script, fetched)
        elif command.after not in {"$(", "<("}:
            fetched = None


def _runs_substitution(script: Script, inner: Command) -> bool:
    """Whether the command that holds a substitution is a shell: ``bash -c "$(curl …)"``, ``sh <(curl …)``, ``eval``."""
    before = [c for c in script.commands if c.words[0].offset < inner.words[0].offset]
    return bool(before) and before[-1].name in {*INTERPRETERS, "eval", "source", "."}


def _pipe(script: Script, word: Word) -> Finding:
    message = f"what `{word.text}` gets is run as it comes"
    return Finding(rule="pipe-to-shell", span=script.span(word), message=message)


def _keeps(command: Command, script: Script) -> bool:
    """Whether the bytes end in a file, or are unpacked: not only looked at, not run at once (another rule)."""
    if not any("://" in word.text for word in command.arguments):
        return False
    after = script.commands[script.commands.index(command) + 1 :]
    piped = after[0] if after and after[0].after == "|" else None
    if piped is not None:
        return piped.name in {"tar", "unzip", "dd", "tee", "gunzip", "gpg", "apt-key"}
    if command.name == "wget" and not command.has("-qO-", "-O-", "-"):
        return True
    return any(_writes(word.text) for word in command.arguments)


def _writes(text: str) -> bool:
    """Whether an argument of curl or wget, or a redirection, names a file for what is fetched."""
    return text.startswith(("-o", "-O", "--output", "--remote-name", ">")) or text.endswith(("LO", "Lo", "SLO", "SLo"))
