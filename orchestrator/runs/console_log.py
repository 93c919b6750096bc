"""What a container writes: kept line by line in `console.log`, and handed on as events and as text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.facts.redact import redacted_text
from orchestrator.facts.strict_json import strict_json
from orchestrator.host.untrusted import UnreadableFile, read_tail

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from typing import TextIO

LOG = "console.log"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleLog:
    """Follows one container: ``stream`` gets every line, without secrets."""

    stream: TextIO
    secrets: tuple[str, ...]
    on_event: Callable[[Mapping[str, object]], None]
    on_line: Callable[[str], None]

    def line(self, raw: str) -> None:
        """One line of the container. Raises OSError when the log cannot be written."""
        text = redacted_text(raw.rstrip("\r\n"), self.secrets)
        self.stream.write(text + "\n")
        self.stream.flush()
        event = parse_event(text)
        if event is None:
            self.on_line(text)
        else:
            self.on_event(event)


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
