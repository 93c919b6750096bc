"""What a container writes: kept line by line in `console.log`, and handed on as events and as text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from orchestrator.facts.redact import redacted_text
from orchestrator.facts.strict_json import strict_json
from orchestrator.host.untrusted import UnreadableFile, read_tail

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

LOG, ACCURACY_LOG = "console.log", "console-accuracy.log"
LARGEST_LOG = 60 * 10**6
"""Bytes that are kept; `results verify` reads a log of 64 MiB."""


class Stream(Protocol):
    """What lines are written to."""

    def write(self, text: str, /) -> int: ...

    def flush(self) -> None: ...


@dataclass(slots=True, kw_only=True)
class ConsoleLog:
    """Follows one container: ``stream`` gets every line, without secrets."""

    stream: Stream
    secrets: tuple[str, ...]
    on_event: Callable[[Mapping[str, object]], None] | None
    """None where no line is an event: of a program that is not ours."""
    on_line: Callable[[str], None]
    largest: int
    """Bytes of the log."""
    _written: int = 0

    def line(self, raw: str) -> None:
        """One line of the container. Raises OSError when the log cannot be written."""
        text = redacted_text(raw.rstrip("\r\n"), self.secrets)
        self._keep(text)
        event = None if self.on_event is None else parse_event(text)
        if event is None or self.on_event is None:
            self.on_line(text)
        else:
            self.on_event(event)

    def _keep(self, text: str) -> None:
        """Write a line to the log, which holds so much and no more: a program may print for hours."""
        if self._written > self.largest:
            return
        self._written += len(text.encode(errors="replace")) + 1
        if self._written > self.largest:
            text = f"[mlorch: more than {self.largest:,} bytes; what came after this is not kept]"
        self.stream.write(text + "\n")
        self.stream.flush()


def parse_event(line: str) -> dict[str, object] | None:
    """The event in a line of the harness, None for any other line."""
    if not line.startswith('{"event"'):
        return None
    try:
        event = strict_json(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and isinstance(event.get("event"), str) else None


def tail(path: Path, lines: int = 20) -> str:
    """The last lines of a run's log, harmless for a terminal; empty where it is not a file to be read."""
    try:
        return read_tail(path.parent, path.name, lines=lines)
    except UnreadableFile:
        return ""
