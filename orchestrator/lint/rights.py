"""Rules about secrets, keys and who is root. Pure. No message and no excerpt repeats a secret."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from orchestrator.lint.view import Finding, pairs_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.lint.dockerfile import Instruction
    from orchestrator.lint.shell import Command, Word
    from orchestrator.lint.view import File, Script

_SECRET_NAME = re.compile(
    r"(?:^|_)(?:PASSWORD|PASSWD|SECRET|TOKEN|API_?KEY|ACCESS_?KEY(?:_ID)?|SECRET_?KEY|PRIVATE_?KEY|CREDENTIALS?)(?:$|_)",
    re.IGNORECASE,
)
_NO_SECRET = re.compile(
    r"(?:_FILE|_PATH|_DIR|_URL|_ID_FILE|TOKENIZERS?_\w+|_TOKENS?_\w*)$|^MAX_|_LEN$|_COUNT$", re.IGNORECASE
)
_KNOWN_SECRET = re.compile(
    r"hf_[A-Za-z0-9]{20,}|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|glpat-[A-Za-z0-9_-]{16,}"
    r"|(?:AKIA|ASIA)[A-Z0-9]{16}|xox[abprs]-[A-Za-z0-9-]{10,}|sk-[A-Za-z0-9_-]{20,}|nvapi-[A-Za-z0-9_-]{20,}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----|://[^/\s:@]+:[^/\s:@$]+@"
)
_ASSIGNED_SECRET = re.compile(
    r"(?P<name>(?:password|passwd|secret(?:[_-]access)?(?:[_-]key)?|access[_-]key(?:[_-]id)?|api[_-]?key|auth[_-]?token|token))"
    r"(?:\s*[=:]\s*|\s+)[\"']?(?P<value>(?![$<{(-])[A-Za-z0-9+/_.-]{16,})",
    re.IGNORECASE,
)
_KEY_FILE = re.compile(
    r"(?:^|/)(?:id_(?:rsa|dsa|ecdsa|ed25519)|\.ssh(?:/|$)|ssh(?:/|$)|\.netrc|\.pgpass|\.git-credentials|\.npmrc|\.pypirc"
    r"|\.env|\.aws(?:/|$)|\.docker/config\.json|credentials(?:\.json)?|[^/]*\.(?:key|p12|pfx|jks|kdbx|ppk))$",
    re.IGNORECASE,
)
_PEM = re.compile(r"\.pem$", re.IGNORECASE)
_RIGHTS_TOOLS = frozenset({"chmod", "chown", "chgrp", "setfacl"})
_EVERYBODY = frozenset({"777", "0777", "a+w", "a+rwx", "ugo+rwx"})
_PUBLIC = re.compile(r"ca|cert|chain|public|\.pub$", re.IGNORECASE)


def secrets(file: File) -> Iterator[Finding]:
    """Secrets in ENV, ARG and commands, and private keys that are copied in."""
    for one in file.dockerfile.instructions:
        if one.keyword in {"ENV", "ARG"}:
            yield from _variables(one)
        elif one.keyword in {"COPY", "ADD"}:
            yield from _copied(one)
        elif one.keyword in {"RUN", "CMD", "ENTRYPOINT", "LABEL"}:
            yield from _in_text(one)


def _variables(one: Instruction) -> Iterator[Finding]:
    for pair in pairs_of(one):
        value = pair.value or ""
        named = _SECRET_NAME.search(pair.name) and not _NO_SECRET.search(pair.name)
        # An ARG without a default is one for a secret too: what `--build-arg` gives is in the history.
        given = one.keyword == "ARG" or (value and not value.startswith("$"))
        if (named and given) or _KNOWN_SECRET.search(value):
            yield Finding(rule="secret-in-env", span=pair.span, message=f"`{pair.name}` holds a secret")


def _in_text(one: Instruction) -> Iterator[Finding]:
    text = one.text
    for match in (_KNOWN_SECRET.search(text), _ASSIGNED_SECRET.search(text)):
        if match is not None and "--mount=type=secret" not in text:
            yield Finding(rule="secret-in-run", span=one.span(match.start()), message="a secret stands in the command")
            return
    for here in one.here:
        if _KNOWN_SECRET.search(here.text):
            yield Finding(rule="secret-in-run", span=one.span(), message=f"a secret stands in `{here.name}`")


def _copied(one: Instruction) -> Iterator[Finding]:
    if one.flag("from") is None:
        for word in one.words()[:-1]:
            path = word.text.rstrip("/")
            if _KEY_FILE.search(path) or (_PEM.search(path) and not _PUBLIC.search(path.rpartition("/")[2])):
                span = one.span(word.offset, len(word.text))
                yield Finding(
                    rule="key-copied", span=span, message=f"`{word.text}` looks like a private key or a password"
                )
    for here in one.here:
        if _KNOWN_SECRET.search(here.text):
            yield Finding(rule="key-copied", span=one.span(), message=f"`{here.name}` holds a private key or a token")


# -- rights ----------------------------------------------------------------------------------


def rights(file: File) -> Iterator[Finding]:
    """Sockets, sudo, passwords, files that everybody may write."""
    for script in file.scripts:
        yield from _in_script(script)
    for view in file.views:
        for one in view.body:
            if one.keyword == "VOLUME" and "docker.sock" in one.text:
                yield Finding(rule="docker-socket", span=one.span(), message="the engine's socket is a volume")
    yield from _user(file)


def _in_script(script: Script) -> Iterator[Finding]:
    at = script.text.find("NOPASSWD")
    if at >= 0:
        word = _program_at(script, script.offset + at)
        span = script.span(word) if word else script.run.span()
        yield Finding(rule="sudo-nopasswd", span=span, message="sudo asks for no password")
    for command in script.commands:
        fault = _fault(command)
        if fault is not None:
            rule, message = fault
            yield Finding(rule=rule, span=script.span(command.program[0]), message=message)


def _program_at(script: Script, offset: int) -> Word | None:
    """The program of the last command that begins at an offset or before it."""
    for command in reversed(script.commands):
        if command.program and command.words[0].offset <= offset:
            return command.program[0]
    return None


def _fault(command: Command) -> tuple[str, str] | None:
    """The rule that a command breaks, and the message."""
    name, texts = command.name, [word.text for word in command.arguments]
    if name in _RIGHTS_TOOLS and any("docker.sock" in text for text in texts):
        return "docker-socket", f"`{name}` opens the engine's socket"
    if _sets_password(command):
        return "password-set", "an account gets a password"
    if name == "chmod" and _EVERYBODY.intersection(texts):
        return "world-writable", "everybody may write there"
    if name in {"useradd", "adduser"} and any("$" in text for text in texts):
        return "user-per-image", "the user who builds becomes a user of the image"
    return None


def _sets_password(command: Command) -> bool:
    if command.name == "passwd":
        return command.has("-d", "--stdin")
    if command.name in {"useradd", "usermod"}:
        return command.has("-p", "--password")
    return command.name == "chpasswd"


def _user(file: File) -> Iterator[Finding]:
    """The user that a container starts as: of the last stage, or of the stages that it stands on."""
    if not file.runs or not file.views:
        return
    last = file.views[-1]
    users = [one for view in (*reversed(last.below), last) for one in view.body if one.keyword == "USER"]
    if not users:
        message = "there is no USER, so containers start as root"
        yield Finding(rule="user-root", span=last.source.span(), message=message)
    elif users[-1].arguments.strip().partition(":")[0] in {"root", "0"}:
        message = f"containers start as `{users[-1].arguments.strip()}`"
        yield Finding(rule="user-root", span=users[-1].span(users[-1].start, len(users[-1].arguments)), message=message)
