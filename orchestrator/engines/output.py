"""What a container prints, line by line, and how it ended: read alike from every engine."""

from __future__ import annotations

import codecs
import contextlib
from typing import TYPE_CHECKING, Any

from orchestrator.engines.model import ContainerExit
from orchestrator.errors import MlorchError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from orchestrator.engines.model import Engine

_MAX_LINE = 64 * 1024
"""Characters of a line that are given together; a longer one is cut into several."""


def ended(container: str, state: Mapping[str, Any], *, out_of_memory: bool = False) -> ContainerExit:
    """How a container ended, from the `State` of its inspection, which podman writes as docker does.

    ``out_of_memory`` is what is known of that beside the state.
    """
    return ContainerExit(
        container_id=container,
        exit_code=int(state["ExitCode"]),
        out_of_memory=bool(state.get("OOMKilled")) or out_of_memory,
        started=str(state.get("StartedAt", "")),
        finished=str(state.get("FinishedAt", "")),
    )


@contextlib.contextmanager
def removed_after(engine: Engine, container: str) -> Iterator[None]:
    """Remove a container after the `with`, whatever happens in it; one that did not end by itself is stopped first."""
    ended = False
    try:
        yield
        ended = True
    finally:
        with contextlib.suppress(MlorchError):  # an engine that is gone is in the error that is already on its way
            if not ended:
                # Nothing inside has anything to save, and a first process without a handler ignores the signal.
                engine.stop(container, grace_s=5)
            engine.remove(container)


def lines(chunks: Iterable[tuple[bytes | None, bytes | None]]) -> Iterator[str]:
    """Lines of standard output and standard error, each whole, in the order in which they end.

    Chunks (of one or the other) end anywhere, also inside a character; what is left
    at the end without a newline is a line too.
    """
    streams = (_Lines(), _Lines())
    for parts in chunks:
        for stream, part in zip(streams, parts, strict=True):
            if part:
                yield from stream.feed(part)
    for stream in streams:
        yield from stream.feed(b"", final=True)


class _Lines:
    """The lines of one stream."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""

    def feed(self, chunk: bytes, *, final: bool = False) -> Iterator[str]:
        *whole, self._held = (self._held + self._decoder.decode(chunk, final)).split("\n")
        for line in whole:
            yield line.rstrip("\r")
        while len(self._held) > _MAX_LINE:
            yield self._held[:_MAX_LINE]
            self._held = self._held[_MAX_LINE:]
        if final and self._held:
            yield self._held
            self._held = ""
