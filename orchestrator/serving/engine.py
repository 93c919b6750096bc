"""A model in a process of its own, and the messages between it and whoever takes the requests.

A step of a library may hold the interpreter for as long as it computes. In one process no request could be read and no
closed connection be seen meanwhile, and nobody could be told that the model still loads.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import queue
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from multiprocessing.connection import Connection

    Load = Callable[[], "Model"]

Prompt = str | list[int] | list[dict[str, str]]
"""A text, its tokens, or the messages of a conversation (``role`` and ``content``)."""
Finish = Literal["", "stop", "length"]
"""How an answer ended; empty: it did not."""
STOP_S = 5.0


class Answering(Protocol):
    """An answer that is being computed."""

    def read(self) -> tuple[list[int], Finish]:
        """The tokens since the last call, and how they ended it. Raises `RuntimeError` where it was given up."""
        ...

    def cancel(self) -> None: ...


class Model(Protocol):
    """A loaded model that computes several answers at once."""

    def about(self) -> About: ...

    def encode(self, prompt: str | list[dict[str, str]]) -> list[int]:
        """The tokens of a text or of a conversation. Raises `RuntimeError`."""
        ...

    def add(self, tokens: Sequence[int], limit: int) -> Answering:
        """Begin an answer of at most ``limit`` tokens. Raises `RuntimeError` for a prompt that it does not take."""
        ...

    def step(self) -> None:
        """Compute the next token of as many answers as there is room for, or a part of a prompt."""
        ...


# -- the messages: to the model's process `Ask` and `Cancel`, the others from it ----------------


@dataclass(frozen=True)
class Ask:
    number: int
    prompt: Prompt
    limit: int


@dataclass(frozen=True)
class Cancel:
    number: int


@dataclass(frozen=True)
class About:
    """The model is loaded: the bytes that each token stands for (none of a control token), and facts for records."""

    pieces: Sequence[bytes]
    facts: Mapping[str, object]


@dataclass(frozen=True)
class Failed:
    """The model cannot be loaded."""

    why: str


@dataclass(frozen=True)
class Piece:
    """Some more of an answer; ``prompt`` is how many tokens the prompt has, ``refused`` why there is no answer."""

    number: int
    tokens: Sequence[int] = ()
    finish: Finish = ""
    prompt: int = 0
    refused: str = ""


def compute(link: Connection, load: Load, context: int) -> None:
    """The model's process, until the other end of ``link`` is closed."""
    try:
        model = load()
    except (RuntimeError, ValueError, OSError) as error:
        link.send(Failed(str(error)))
        return
    link.send(model.about())
    try:
        _Computing(link, model, context).run()
    except (EOFError, BrokenPipeError, ConnectionResetError, KeyboardInterrupt):
        return


class _Computing:
    def __init__(self, link: Connection, model: Model, context: int) -> None:
        self._link, self._model, self._context = link, model, context
        self._under: dict[int, tuple[Answering, int]] = {}

    def run(self) -> None:
        while True:
            while self._link.poll(0 if self._under else None):  # without work, wait for some
                self._take(self._link.recv())
            self._model.step()
            found = [piece for number in list(self._under) for piece in self._read(number)]
            if found:
                self._link.send(found)

    def _take(self, message: Ask | Cancel) -> None:
        if isinstance(message, Cancel):
            under = self._under.pop(message.number, None)
            if under is not None:
                under[0].cancel()
            return
        try:
            self._begin(message)
        except RuntimeError as error:
            self._link.send([Piece(message.number, refused=str(error))])

    def _begin(self, asked: Ask) -> None:
        tokens = self._tokens(asked.prompt)
        if not tokens:
            raise RuntimeError("the prompt has no token")
        if len(tokens) + asked.limit > self._context:
            raise RuntimeError(
                f"this server's context is {self._context} tokens, and a prompt of {len(tokens)} with an answer of "
                f"{asked.limit} needs {len(tokens) + asked.limit}"
            )
        self._under[asked.number] = self._model.add(tokens, asked.limit), len(tokens)

    def _tokens(self, prompt: Prompt) -> list[int]:
        if isinstance(prompt, list) and all(isinstance(each, int) for each in prompt):
            return prompt  # type: ignore[return-value]  # each is a number
        return self._model.encode(prompt)  # type: ignore[arg-type]  # what is left

    def _read(self, number: int) -> list[Piece]:
        answering, prompt = self._under[number]
        try:
            tokens, finish = answering.read()
        except RuntimeError as error:
            del self._under[number]
            return [Piece(number, refused=str(error))]
        if finish:
            del self._under[number]
        return [Piece(number, tokens, finish, prompt)] if tokens or finish else []


# -- the other end ------------------------------------------------------------------------------


class Refused(RuntimeError):
    """The model's process does not answer a prompt."""


@dataclass(eq=False)
class Waiting:
    """Who waits for an answer."""

    number: int
    pieces: asyncio.Queue[Piece] = field(default_factory=asyncio.Queue)

    async def next(self) -> Piece:
        """Raises `Refused`."""
        piece = await self.pieces.get()
        if piece.refused:
            raise Refused(piece.refused)
        return piece


class Engine:
    """The model's process as the loop of the requests sees it."""

    def __init__(self, load: Load, context: int) -> None:
        """To be made before any thread is there: the process is forked."""
        forked = multiprocessing.get_context("fork")
        self._link, other = forked.Pipe()
        self._process = forked.Process(target=_child, args=(self._link, other, load, context), daemon=True)
        self._process.start()
        other.close()
        self.about: About | None = None
        """None while the model loads."""
        self.error = ""
        self.ended = asyncio.Event()
        self._unsent: queue.SimpleQueue[Ask | Cancel | None] = queue.SimpleQueue()
        threading.Thread(target=self._deliver, name="to-the-model", daemon=True).start()
        self._waiting: dict[int, Waiting] = {}
        self._asked = 0

    def listen(self) -> None:
        """In the loop that asks."""
        asyncio.get_running_loop().add_reader(self._link.fileno(), self._receive)
        os.set_blocking(self._link.fileno(), True)  # uvloop says otherwise, and `recv` wants whole messages

    def ask(self, prompt: Prompt, limit: int) -> Waiting:
        self._asked += 1
        waiting = self._waiting[self._asked] = Waiting(self._asked)
        self._unsent.put(Ask(waiting.number, prompt, limit))
        return waiting

    def drop(self, waiting: Waiting) -> None:
        """Nobody waits any more: what is not computed yet will not be."""
        if self._waiting.pop(waiting.number, None) is not None:
            self._unsent.put(Cancel(waiting.number))

    def _deliver(self) -> None:
        """In a thread: the model's process may itself wait until the loop reads, so the loop must not wait for it."""
        with contextlib.suppress(OSError):  # the process ended: `_receive` sees it, and tells who waits
            for message in iter(self._unsent.get, None):
                self._link.send(message)

    def _receive(self) -> None:
        try:
            message = self._link.recv()
        except (EOFError, ConnectionResetError):
            self._process.join(STOP_S)
            self._end(f"the model's process ended ({self._process.exitcode})")
            return
        if isinstance(message, About):
            self.about = message
        elif isinstance(message, Failed):
            self._end(message.why)
        else:
            for piece in message:
                self._hand(piece)

    def _hand(self, piece: Piece) -> None:
        done = piece.finish or piece.refused
        waiting = self._waiting.pop(piece.number, None) if done else self._waiting.get(piece.number)
        if waiting is not None:  # else it was dropped meanwhile
            waiting.pieces.put_nowait(piece)

    def _end(self, why: str) -> None:
        asyncio.get_running_loop().remove_reader(self._link.fileno())
        self.error = why
        for number in list(self._waiting):
            self._hand(Piece(number, refused=why))
        self.ended.set()

    def close(self) -> None:
        self._unsent.put(None)
        self._process.terminate()
        self._process.join(STOP_S)
        if self._process.is_alive():
            self._process.kill()


def _child(others: Connection, link: Connection, load: Load, context: int) -> None:
    others.close()  # so that the end of the other process is seen
    compute(link, load, context)
