"""OpenAI's interface over an `Engine`: completions of tokens or text, chat, streamed with an event a token.

Answers are greedy: the likeliest token each time. What a request wants beyond that is refused, not left out silently.
Beside OpenAI's fields there is vLLM's ``return_token_ids``, and ``/detokenize`` and ``/version`` are as vLLM has them.

Sources: OpenAI's API reference (completions, chat completions, models, errors), vLLM's ``return_token_ids``.
"""

from __future__ import annotations

import asyncio
import codecs
import signal
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
from aiohttp import web

from .engine import Refused

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from .engine import About, Engine, Piece, Prompt, Waiting

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

LARGEST = 2**22
"""Bytes of a request."""
DEFAULT_TOKENS = 16
"""Of an answer where nobody says; OpenAI's own."""
SHUTDOWN_S = 1.0
"""For what is under way when the server ends: a failure is still told."""
STREAM = {"Content-Type": "text/event-stream", "Cache-Control": "no-cache"}


class _StreamOptions(msgspec.Struct):
    include_usage: bool = False


class _Asked(msgspec.Struct):
    """What completions and chats have in common; what is only here to be refused has OpenAI's default."""

    model: str | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    stream: bool = False
    stream_options: _StreamOptions | None = None
    return_token_ids: bool = False
    temperature: float | None = None
    n: int | None = None
    best_of: int | None = None
    echo: bool | None = None
    stop: str | list[str] | None = None
    logprobs: int | bool | None = None
    suffix: str | None = None

    def limit(self) -> int:
        said = (self.max_tokens, self.max_completion_tokens, DEFAULT_TOKENS)
        return next(each for each in said if each is not None)

    def unknown(self) -> list[str]:
        """The fields that ask for what this server does not do."""
        wanted = {
            "temperature": bool(self.temperature),
            "n": self.n not in {None, 1},
            "best_of": self.best_of not in {None, 1},
            "echo": bool(self.echo),
            "stop": bool(self.stop),
            "logprobs": self.logprobs not in {None, False},
            "suffix": bool(self.suffix),
        }
        return [name for name, is_wanted in wanted.items() if is_wanted]


class _Completion(_Asked):
    prompt: str | list[int] = ""

    def question(self) -> Prompt:
        return self.prompt


class _Message(msgspec.Struct):
    role: str
    content: str


class _Chat(_Asked):
    messages: list[_Message] = []

    def question(self) -> Prompt:
        return [{"role": each.role, "content": each.content} for each in self.messages]


class _Tokens(msgspec.Struct):
    tokens: list[int]


class Fault(Exception):
    """A request that is not answered; `wrong` makes the error object of it."""

    def __init__(self, status: int, message: str, code: str = "invalid_request") -> None:
        super().__init__(message)
        self.status, self.code = status, code


class _Texts:
    """The words of an answer's tokens: what is whole of them, as a character may be made of several."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self._pieces = pieces
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def of(self, token: int) -> str:
        return self._decoder.decode(self._pieces[token])

    def rest(self) -> str:
        """What the last tokens began and never ended."""
        return self._decoder.decode(b"", final=True)


class Api:
    """The pages. ``name`` is what clients call the model, ``owner`` what the list of models says whose it is."""

    def __init__(self, engine: Engine, name: str, owner: str) -> None:
        self._engine, self._name, self._owner = engine, name, owner

    def application(self) -> web.Application:
        app = web.Application(client_max_size=LARGEST, middlewares=[_errors])
        app.router.add_get("/health", self._health)
        app.router.add_get("/version", self._version)
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/v1/completions", self._completions)
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_post("/detokenize", self._detokenize)
        return app

    def _ready(self) -> About:
        if self._engine.about is None:
            raise Fault(503, "the model is being loaded", "loading")
        return self._engine.about

    async def _health(self, _: web.Request) -> web.Response:
        self._ready()
        return _json({"status": "ok"})

    async def _version(self, _: web.Request) -> web.Response:
        return _json(dict(self._ready().facts))

    async def _models(self, _: web.Request) -> web.Response:
        self._ready()
        model = {"id": self._name, "object": "model", "created": 0, "owned_by": self._owner}
        return _json({"object": "list", "data": [model]})

    async def _detokenize(self, request: web.Request) -> web.Response:
        about = self._ready()
        tokens = _read(await request.read(), _Tokens).tokens
        _check_tokens(tokens, about)
        texts = _Texts(about.pieces)
        return _json({"prompt": "".join(texts.of(token) for token in tokens) + texts.rest()})

    async def _completions(self, request: web.Request) -> web.StreamResponse:
        return await self._answer(request, _read(await request.read(), _Completion), _COMPLETION)

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        return await self._answer(request, _read(await request.read(), _Chat), _CHAT)

    async def _answer(self, request: web.Request, asked: _Completion | _Chat, form: _Form) -> web.StreamResponse:
        about = self._ready()
        self._check(asked, about)
        waiting = self._engine.ask(asked.question(), asked.limit())
        try:
            answer = _Answer(form, asked, self._name, _Texts(about.pieces), waiting)
            # Whether there will be an answer is known with its first tokens: a refusal has a status of its own.
            first = await waiting.next()
            if asked.stream:
                return await answer.stream(request, first)
            return await answer.whole(first)
        except Refused as error:
            ended = self._engine.ended.is_set()
            raise Fault(500 if ended else 400, str(error), "ended" if ended else "invalid_request") from error
        finally:
            self._engine.drop(waiting)

    def _check(self, asked: _Completion | _Chat, about: About) -> None:
        """Raises `Fault`."""
        if asked.model not in {None, self._name}:
            raise Fault(404, f"there is no model {asked.model!r} here; there is {self._name!r}", "model_not_found")
        unknown = asked.unknown()
        if unknown:
            raise Fault(400, f"this server gives one answer of the likeliest tokens, and does not know {unknown[0]!r}")
        if asked.limit() < 1:
            raise Fault(400, "an answer has at least one token")
        if isinstance(asked, _Completion) and isinstance(asked.prompt, list):
            _check_tokens(asked.prompt, about)


def _check_tokens(tokens: Sequence[int], about: About) -> None:
    wrong = next((token for token in tokens if not 0 <= token < len(about.pieces)), None)
    if wrong is not None:
        raise Fault(400, f"there is no token {wrong}: the model has {len(about.pieces)}")


@dataclass(frozen=True)
class _Form:
    """How an answer looks: ``whole`` in one piece, ``part`` in an event of a stream."""

    prefix: str
    kind: str
    event: str
    whole: Callable[[str], dict[str, object]]
    part: Callable[[str], dict[str, object]]


_COMPLETION = _Form(
    prefix="cmpl",
    kind="text_completion",
    event="text_completion",
    whole=lambda text: {"text": text},
    part=lambda text: {"text": text},
)
_CHAT = _Form(
    prefix="chatcmpl",
    kind="chat.completion",
    event="chat.completion.chunk",
    whole=lambda text: {"message": {"role": "assistant", "content": text}},
    part=lambda text: {"delta": {"content": text}},
)


class _Answer:
    """One answer, from the engine's pieces to what is sent."""

    def __init__(self, form: _Form, asked: _Asked, name: str, texts: _Texts, waiting: Waiting) -> None:
        self._form, self._asked, self._texts, self._waiting = form, asked, texts, waiting
        self._head = {"id": f"{form.prefix}-{waiting.number}", "created": int(time.time()), "model": name}
        self._usage: dict[str, int] = {}

    async def whole(self, first: Piece) -> web.Response:
        tokens: list[int] = []
        finish = ""
        async for piece in self._pieces(first):
            tokens += piece.tokens
            finish = piece.finish
        text = "".join(self._texts.of(token) for token in tokens) + self._texts.rest()
        choice = self._choice(self._form.whole(text), finish, tokens)
        return _json({**self._head, "object": self._form.kind, "choices": [choice], "usage": self._usage})

    async def stream(self, request: web.Request, first: Piece) -> web.StreamResponse:
        response = web.StreamResponse(headers=STREAM)
        await response.prepare(request)
        try:
            async for piece in self._pieces(first):
                for token in piece.tokens:
                    await response.write(self._event(self._texts.of(token), token=token))
                if piece.finish:
                    await response.write(self._event(self._texts.rest(), finish=piece.finish))
        except Refused as error:  # in mid-stream there is no status any more
            await response.write(b"data: " + msgspec.json.encode(wrong(str(error), "ended")) + b"\n\n")
            return response
        options = self._asked.stream_options
        usage = self._line({"choices": [], "usage": self._usage}) if options and options.include_usage else b""
        await response.write(usage + b"data: [DONE]\n\n")
        return response

    async def _pieces(self, first: Piece) -> AsyncIterator[Piece]:
        """All pieces to the last one, counted."""
        piece, count = first, 0
        while True:
            count += len(piece.tokens)
            self._usage = {
                "prompt_tokens": piece.prompt,
                "completion_tokens": count,
                "total_tokens": piece.prompt + count,
            }
            yield piece
            if piece.finish:
                return
            piece = await self._waiting.next()

    def _event(self, text: str, finish: str = "", token: int | None = None) -> bytes:
        tokens = [] if token is None else [token]
        return self._line({"choices": [self._choice(self._form.part(text), finish, tokens)]})

    def _choice(self, said: dict[str, object], finish: str, tokens: Sequence[int]) -> dict[str, object]:
        numbers = {"token_ids": tokens} if self._asked.return_token_ids else {}
        return {"index": 0, **said, "finish_reason": finish or None, **numbers}

    def _line(self, fields: dict[str, object]) -> bytes:
        return b"data: " + msgspec.json.encode({**self._head, "object": self._form.event, **fields}) + b"\n\n"


def _read(body: bytes, kind: type[Any]) -> Any:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Fault(400, f"the request is none of OpenAI's interface: {error}") from error


def _json(document: dict[str, object], status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(document), status=status, content_type="application/json")


def wrong(message: str, code: str) -> dict[str, object]:
    """OpenAI's error object."""
    return {"error": {"message": message, "type": "invalid_request_error", "code": code}}


@web.middleware
async def _errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except Fault as fault:
        return _json(wrong(str(fault), fault.code), fault.status)
    except web.HTTPException as error:
        return _json(wrong(error.text or error.reason, "http"), error.status)


async def serve(engine: Engine, name: str, owner: str, port: int, ready: str) -> str:
    """Until SIGTERM, SIGINT or the end of the model's process; gives why that ended. ``ready`` is printed first."""
    loop, ended = asyncio.get_running_loop(), engine.ended
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    engine.listen()
    # A client that closes its connection ends its handler, and with it the answer that nobody reads.
    app = Api(engine, name, owner).application()
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=SHUTDOWN_S)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=4096).start()
    print(ready, end="", flush=True)
    await ended.wait()
    await runner.cleanup()
    return engine.error
