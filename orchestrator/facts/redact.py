"""Secrets out of text that is kept: command lines, environments, error messages, log lines."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

HIDDEN = "[redacted]"
_SECRET_NAME = re.compile(
    r"(?i)(?:token|secret|passw(?:or)?d|passphrase|credential|auth|api[_-]?key|private[_-]?key"
    r"|(?:^|[_-])key(?:$|[_-]))"
)
_USER_INFO = re.compile(r"(?<=://)[^/\s@]+@")
_ASSIGNED = re.compile(r"^(?P<name>-{0,2}[A-Za-z0-9_.-]+)=(?P<value>.+)$", re.DOTALL)
_SHORTEST = 6
"""A shorter value is a word such as ``true`` and would eat half of a log."""


def is_secret_name(name: str) -> bool:
    """Whether a variable or option of this name usually holds a secret (``HF_TOKEN``)."""
    return _SECRET_NAME.search(name) is not None


def secret_values(environ: Mapping[str, str]) -> tuple[str, ...]:
    """The values of secret-looking variables, longest first, for `redacted_text`."""
    found = {value for name, value in environ.items() if is_secret_name(name) and len(value) >= _SHORTEST}
    return tuple(sorted(found, key=lambda value: (-len(value), value)))


def redacted_text(text: str, secrets: Iterable[str] = ()) -> str:
    """``text`` without the given values and without user info in URLs."""
    for value in secrets:
        text = text.replace(value, HIDDEN)
    return _USER_INFO.sub(HIDDEN + "@", text)


def redacted_argv(argv: Sequence[str], secrets: Iterable[str] = ()) -> tuple[str, ...]:
    """A command line for the record; ``--token X``, ``--token=X`` and ``HF_TOKEN=X`` lose X."""
    known = tuple(secrets)
    kept: list[str] = []
    hide_next = False
    for word in argv:
        assigned = _ASSIGNED.match(word)
        if hide_next and not word.startswith("--"):
            kept.append(HIDDEN)
        elif assigned and is_secret_name(assigned["name"]):
            kept.append(f"{assigned['name']}={HIDDEN}")
        else:
            kept.append(redacted_text(word, known))
        hide_next = word.startswith("--") and "=" not in word and is_secret_name(word)
    return tuple(kept)


def redacted_env(env: Mapping[str, str], secrets: Iterable[str] = ()) -> dict[str, str]:
    """An environment for the record: names stay, secret values go."""
    known = tuple(secrets)
    return {k: HIDDEN if is_secret_name(k) else redacted_text(v, known) for k, v in sorted(env.items())}
