"""Before a test: whether a server is there, what it says of itself, and how it wants to be asked."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from ..retry_after import asked_wait_s, asks
from .dialects import Dialect, dialects
from .errors import UNDECODABLE, EndpointError, printable
from .requests import AGAIN_S, LARGEST_DOCUMENT, Refused, Unreachable, patiently

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from .dialects import Form
    from .events import Answer
    from .fetching import Target
    from .requests import Requests, Server

LONGEST_FACT = 2000
"""Characters of what a server says of itself that are kept."""
TOKENS = 2
"""Of the answer that shows how a server is asked."""
ABOUT = ("/version", "/props")
"""Where vLLM and SGLang, and llama.cpp, say what they are."""


@dataclass
class About:
    """What a server said of itself, for the record: limited, without control characters."""

    url: str
    server: str = ""
    models: list[str] = field(default_factory=list)
    owner: str = ""
    names: list[str] = field(default_factory=list)
    """What it calls the model that is asked for."""
    said: dict[str, str] = field(default_factory=dict)

    def document(self) -> dict[str, object]:
        return {
            "url": self.url,
            "server": self.server,
            "models": self.models[:50],
            "owner": self.owner,
            "said": self.said,
        }


class _Model(msgspec.Struct):
    id: str
    owned_by: str | None = None
    root: str | None = None
    aliases: list[str] | None = None


class _Models(msgspec.Struct):
    data: list[_Model]


async def meet(requests: Requests, server: Server, model: str, ready_s: float) -> About:
    """Wait until a server answers, and read what it says. Raises `EndpointError`."""
    about = About(url=server.url)
    status, headers, body = await _ready(requests, server, ready_s)
    about.server = printable(headers.get("Server", ""), 100)
    if status == 200:
        _read_models(server, about, model, body)
    elif status not in {404, 405}:
        raise server.wrong(
            f"answers {status} when it is asked for its models{asks(_wait_s(status, headers))}: "
            f"{printable(body[:500].decode(errors='replace'))}"
        )
    for path in ABOUT:
        status, headers, body = await _ask(requests, server, server.url + path, ready_s)
        if status == 200 and "json" in headers.get("Content-Type", ""):
            about.said[path] = printable(body[: 4 * LONGEST_FACT].decode(errors="replace"), LONGEST_FACT)
    return about


async def _ready(requests: Requests, server: Server, ready_s: float) -> tuple[int, Any, bytes]:
    """The list of models, as soon as there is one: a server that loads refuses connections or answers 503."""
    until = time.monotonic() + ready_s
    while True:
        try:
            found = await _ask(requests, server, f"{server.api}/models", until - time.monotonic())
            gave_up = _wait_s(*found[:2]) is not None  # it asks for more time than there is
            if found[0] != 503 or gave_up or time.monotonic() + AGAIN_S > until:
                return found
        except Unreachable as error:
            if time.monotonic() + AGAIN_S > until:
                raise Unreachable(f"{error} (for {ready_s:g} s)") from error
        await asyncio.sleep(AGAIN_S)


async def _ask(
    requests: Requests, server: Server, url: str, patience_s: float, post: bytes | None = None
) -> tuple[int, Mapping[str, str], bytes]:
    """`Requests.get`, again after the time for which a server asks to be left alone, where ``patience_s`` holds it."""
    until = time.monotonic() + patience_s
    while True:
        found = await requests.get(server, url, post)
        wait_s = _wait_s(*found[:2])
        pause = max(wait_s or 0.0, AGAIN_S)
        if wait_s is None or time.monotonic() + pause > until:
            return found
        await asyncio.sleep(pause)


def _wait_s(status: int, headers: Mapping[str, str]) -> float | None:
    return asked_wait_s(status, headers.get("Retry-After"))


def _read_models(server: Server, about: About, model: str, body: bytes) -> None:
    if len(body) >= LARGEST_DOCUMENT:
        raise server.wrong(f"has a list of models of more than {LARGEST_DOCUMENT} bytes, which is not read")
    try:
        listed = msgspec.json.decode(body, type=_Models).data
    except UNDECODABLE as error:
        raise server.wrong(
            "gives no list of models, so that it is no server of OpenAI's interface: "
            f"{printable(body[:300].decode(errors='replace'))}"
        ) from error
    about.models = [printable(each.id, 200) for each in listed]
    if not listed:  # `transformers serve` lists what its cache holds, and loads what it is asked for
        return
    found = next((each for each in listed if model in {each.id, *(each.aliases or ())}), None)
    if found is None:
        known = ", ".join(about.models[:10]) or "none"
        raise server.wrong(f"has no model `{printable(model, 200)}`; it has: {known}")
    about.owner = printable(found.owned_by or "", 100)
    about.names = [found.id, *(found.aliases or ()), *([found.root] if found.root else [])]


def is_model(asked: str, names: Sequence[str], answered: str) -> bool:
    """Whether an answer's model is the one asked for: by a name of it, or a version (``gpt-4o-2024-08-06``)."""
    return answered == asked or answered in names or answered.startswith(tuple(asked + mark for mark in "-@:"))


async def agree(
    requests: Requests,
    server: Server,
    about: About,
    target: Target,
    forms: Sequence[Form],
    prompt: Callable[[Form], Sequence[int] | str],
) -> Dialect:
    """The first way to ask that the server takes; raises `EndpointError` where it takes none."""
    refused: list[str] = []
    for dialect in dialects(forms, about.owner):
        given = prompt(dialect.form)
        try:
            body = dialect.body(target.model, given, TOKENS)
            ask = partial(_first_answer, requests, server, dialect.path, body, target.stall_s)
            answer = await patiently(server, ask, target.ready_s)
        except asyncio.TimeoutError as error:  # noqa: UP041 (another class than TimeoutError in Python 3.10)
            raise server.wrong(f"did not answer its first request within {target.stall_s:g} s") from error
        except Refused as error:
            if error.status not in {400, 404, 405, 415, 422, 500, 501}:
                raise
            refused.append(f"{dialect.path} with {dialect.form}: {error}")
            continue
        reason = _unusable(dialect, answer, given)
        if not reason:
            return dialect
        refused.append(f"{dialect.path} with {dialect.form}: {reason}")
    raise EndpointError(f"{server.url} takes no request of OpenAI's interface; {'; '.join(dict.fromkeys(refused))}")


def _first_answer(requests: Requests, server: Server, path: str, body: bytes, stall_s: float) -> Awaitable[Answer]:
    return asyncio.wait_for(requests.answer(server, path, body, TOKENS, _ignore), stall_s)


def _unusable(dialect: Dialect, answer: Answer, given: Sequence[int] | str) -> str:
    if dialect.form == "tokens" and answer.prompt_tokens not in {None, len(given)}:
        return f"it takes a prompt of {len(given)} tokens for one of {answer.prompt_tokens}"
    if not answer.numbered and answer.count is None:
        return "it says neither the tokens' numbers nor how many there are (stream_options.include_usage)"
    return ""


async def reads_alike(requests: Requests, server: Server, target: Target, tokens: Sequence[int], text: str) -> bool:
    """Whether the server's vocabulary has ``text`` for these tokens, as far as it says so (``/detokenize``)."""
    body = msgspec.json.encode({"model": target.model, "tokens": list(tokens)})
    status, _, answered = await _ask(requests, server, f"{server.url}/detokenize", target.ready_s, post=body)
    if status != 200:
        return False
    try:
        found = msgspec.json.decode(answered)
    except UNDECODABLE:
        return False
    return isinstance(found, dict) and text in {found.get("content"), found.get("prompt")}


def _ignore(_: Answer) -> None:
    """The first token of an answer that nobody waits for."""
