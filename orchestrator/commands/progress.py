"""What operations tell, on the console: lines, and a view of the layers at work."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.commands.build_view import BuildView
    from orchestrator.console import Console
    from orchestrator.facts.build import LayerStep


class ConsoleProgress:
    """`orchestrator.operations.progress.Progress` for a person at a console."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def say(self, text: str, *, style: str = "") -> None:
        """A line of talk."""
        self._console.say(text, style=style)

    def warn(self, text: str) -> None:
        """A warning."""
        self._console.warn(text)

    def layers(self, steps: tuple[LayerStep, ...]) -> BuildView:
        """Bars on a terminal, lines elsewhere."""
        from orchestrator.commands.build_view import BuildView

        return BuildView(self._console, steps)
