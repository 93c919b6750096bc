"""Secrets out of text that is kept: command lines, environments, error messages, log lines."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

HIDDEN = "[redacted]"
_SECRET_NAME = re.compile(
    r"(?i)(?:token|secret|passw(?:or)?d|passphrase|credential|auth|api[_-]?key|private[_-]?key|signature"
    r"|(?:^|[_-])(?:key|sig)(?:$|[_-]))"
)
_USER_INFO = re.compile(r"(?P<scheme>\b[A-Za-z][A-Za-z0-9+.-]*)://(?P<info>[^/\s'\"<>]+)@")
"""Up to the last ``@`` before the path: a password that nobody escaped may hold one itself."""
_QUERY = re.compile(r"(?P<name>[?&][^=&#\s]*)=(?P<value>[^&#\s'\"<>]+)")
"""A signed address has its secret behind a question mark (``X-Amz-Signature=…``, ``access_token=…``)."""
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
    """``text`` without the given values, and without what URLs in it hold of users, passwords and signatures."""
    for value in secrets:
        text = text.replace(value, HIDDEN)
    if "://" not in text:
        return text
    return _QUERY.sub(_hidden_query, _USER_INFO.sub(_hidden_user, text))


def _hidden_user(found: re.Match[str]) -> str:
    """A lone name before a host of ssh (``git@``) is no secret; elsewhere it is often a token."""
    if found["scheme"] == "ssh" and ":" not in found["info"]:
        return found[0]
    return f"{found['scheme']}://{HIDDEN}@"


def _hidden_query(found: re.Match[str]) -> str:
    if not is_secret_name(found["name"][1:]):
        return found[0]
    return f"{found['name']}={HIDDEN}"


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
