"""A streamed answer: server-sent events in, tokens or text out.

Servers cut the stream as they like, so that a piece of bytes may hold half an event or twenty. What a server writes is
decoded strictly and within limits: NaN, other types than the interface's and endless lines are refused.

Sources: OpenAI's API reference (completions and chat completions, streamed), the HTML standard's section on
server-sent events; vLLM's ``token_ids`` (``return_token_ids``), llama.cpp's ``logprobs.content[].id``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from ..pieces import Pieces
from .errors import UNDECODABLE, EndpointError, printable

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST_LINE = 2**20
"""Bytes; a token with its probability is some hundreds, and a first event may repeat the prompt's tokens."""
LONGEST_TEXT = 2**22
"""Characters of an answer."""
BOM = b"\xef\xbb\xbf"
"""A byte order mark, which programs on .NET put first: both standards let a reader pass over one."""
DEEPEST_MESSAGE = 8
"""Levels of an error's document that are looked into."""


Int32 = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]
"""What tokens are kept as."""
Count = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]


class _Top(msgspec.Struct):
    id: Int32 | None = None
    bytes: list[int] | None = None


class _Entry(msgspec.Struct):
    id: Int32 | None = None
    top_probs: list[_Top] | None = None


class _Logprobs(msgspec.Struct):
    content: list[_Entry] | None = None


class _Delta(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    index: int = 0
    text: str | None = None
    delta: _Delta | None = None
    logprobs: _Logprobs | None = None
    token_ids: list[Int32] | None = None
    finish_reason: str | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: Count | None = None
    completion_tokens: Count | None = None


class Event(msgspec.Struct):
    """One event of a streamed answer, as far as it is read."""

    choices: list[_Choice] | None = None  # (a gateway in Go writes an empty list as null)
    model: str | None = None
    usage: _Usage | None = None
    error: Any = None


_DECODER = msgspec.json.Decoder(Event)


class Lines:
    """Whole lines from pieces of bytes."""

    def __init__(self) -> None:
        self._rest = b""
        self._led = False
        """The first line, which a byte order mark may lead, was there."""

    def of(self, data: bytes) -> list[bytes]:
        """The lines that ``data`` ends, without their ends. Raises `EndpointError` for one without an end in sight."""
        if self._rest:
            data = self._rest + data
        lines = data.split(b"\n")
        self._rest = lines.pop()
        if len(self._rest) > LONGEST_LINE:
            raise EndpointError(f"a line of its answer is longer than {LONGEST_LINE} bytes")
        if lines and not self._led:
            self._led = True
            lines[0] = lines[0].removeprefix(BOM)
        return lines

    @property
    def begun(self) -> bool:
        """Whether a line has begun that did not end."""
        return bool(self._rest)


class Answer:
    """One answer, fed with pieces of the stream until it is `done`, or the stream ends.

    Where the server gives numbers, `tokens` has them; else there is `text`, and `count` is what the server says.
    """

    def __init__(self, limit: int) -> None:
        self._lines, self._limit = Lines(), limit
        self._pieces = Pieces()
        self._parts: list[str] = []
        self._letters = 0
        self.fragments = 0
        self.done = False
        """Its last event was there: it is whole, whatever becomes of the connection."""
        self.finish: str | None = None
        self.model: str | None = None
        self.prompt_tokens: int | None = None
        self.count: int | None = None

    def feed(self, data: bytes) -> None:
        """Take a piece; what follows the last event is left out. Raises `EndpointError`."""
        for line in self._lines.of(data):
            if line.startswith(b"data:"):
                self._data(line[5:].strip())
                if self.done:
                    return
            elif line.startswith(b"error:"):  # llama.cpp's older servers
                raise EndpointError(f"it failed in the middle of an answer: {_said(line[6:])}")

    def _data(self, data: bytes) -> None:
        if data == b"[DONE]":
            self.done = True
            return
        try:
            event = _DECODER.decode(data)
        except UNDECODABLE as error:
            raise EndpointError(
                f"an event of its answer is no JSON of OpenAI's interface: {error}; {_said(data)}"
            ) from error
        if event.error is not None:
            said = printable(" ".join(_messages(event.error))) or "it does not say why"
            raise EndpointError(f"it failed in the middle of an answer: {said}")
        if event.model is not None and self.model is None:
            self.model = event.model
        if event.usage is not None:
            self._usage(event.usage)
        for choice in event.choices or ():
            self._choice(choice)

    def _usage(self, usage: _Usage) -> None:
        if usage.completion_tokens is not None:
            self.count = usage.completion_tokens
        if usage.prompt_tokens is not None:
            self.prompt_tokens = usage.prompt_tokens

    def _choice(self, choice: _Choice) -> None:
        if choice.index != 0:
            raise EndpointError("it gives several answers to one prompt")
        text = choice.text or (choice.delta.content if choice.delta is not None else None) or ""
        numbers = self._numbers(choice, text)
        if choice.finish_reason is not None:
            self.finish = choice.finish_reason
        if not text and not numbers:
            return
        self.fragments += 1
        self._letters += len(text)
        if self._letters > LONGEST_TEXT:
            raise EndpointError(f"an answer of at most {self._limit} tokens has more than {LONGEST_TEXT} characters")
        self._parts.append(text)

    def _numbers(self, choice: _Choice, text: str) -> bool:
        """Keep the numbers of an event's tokens; whether it has any."""
        pieces, before = self._pieces, len(self._pieces)
        if choice.token_ids:
            for number in choice.token_ids:
                pieces.add(number)
        elif choice.logprobs is not None and choice.logprobs.content:
            for entry in choice.logprobs.content:
                if entry.id is not None:
                    own = sum(len(each.bytes or ()) for each in entry.top_probs or () if each.id == entry.id)
                    pieces.add(entry.id, own, len(text.encode()))
        if len(pieces) > self._limit:
            raise EndpointError(f"it was asked for at most {self._limit} tokens and gives more")
        return len(pieces) > before

    @property
    def begun(self) -> bool:
        """Whether there is something of the answer: a token's number, or text that is not empty."""
        return self.fragments > 0

    @property
    def numbered(self) -> bool:
        return len(self._pieces) > 0

    def close(self) -> None:
        """No more comes: raises `EndpointError` where the answer did not end."""
        if not self.done and (self._lines.begun or not self.finish):
            raise EndpointError(
                "it closed the connection before its answer ended"
                + (f" (after {self.fragments} pieces)" if self.fragments else "")
            )
        if self.count is not None and self.count > self._limit:
            raise EndpointError(f"it was asked for at most {self._limit} tokens and counts {self.count}")

    def tokens(self) -> list[int]:
        """The numbers, as many as the server counts; those that it did not give are `LOST`."""
        return self._pieces.tokens(self.count if self.count is not None else len(self._pieces))

    def first_tokens(self) -> list[int]:
        return self._pieces.first()

    def text(self) -> str:
        return "".join(self._parts)


def _said(data: bytes) -> str:
    return printable(data[:1000].decode(errors="replace")) or "(nothing)"


def error_text(body: bytes) -> str:
    """What a server says went wrong: the message of OpenAI's error object, of FastAPI's, else its first words."""
    try:
        document = msgspec.json.decode(body)
    except UNDECODABLE:
        return _said(body)
    return printable(" ".join(_messages(document))) or _said(body)


def _messages(document: object, levels: int = DEEPEST_MESSAGE) -> Iterator[str]:
    if not levels:
        return
    if isinstance(document, dict):
        for key in ("error", "message", "detail", "msg"):
            if document.get(key):
                yield from _messages(document[key], levels - 1)
                return
    elif isinstance(document, list):
        for each in document[:3]:
            yield from _messages(each, levels - 1)
    elif isinstance(document, str):
        yield document
