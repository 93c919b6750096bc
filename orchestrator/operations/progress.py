"""What an operation tells while it works: the one interface between use cases and whoever watches them.

The command line's `Console` and views are such watchers; the API's watcher keeps silent.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from orchestrator.engines import BuildEvent
    from orchestrator.facts.build import LayerStep


class Talk(Protocol):
    """Lines for a person: what goes on, and what should be known though it stops nothing."""

    def say(self, text: str, *, style: str = "") -> None:
        """One line of what goes on."""
        ...

    def warn(self, text: str) -> None:
        """One line that should be seen."""
        ...


class LayerProgress(Protocol):
    """Follows layers that are built, pulled or pushed."""

    def layer(self, step: LayerStep, state: str) -> None:
        """A layer came to a new state: hit, build, built, pull, pulled, push, pushed, waiting, …"""
        ...

    def event(self, step: LayerStep, event: BuildEvent) -> None:
        """The engine said something of a layer's work."""
        ...


class Progress(Talk, Protocol):
    """All that an operation may tell. `layers` opens a view of a set of layers for as long as its `with` lasts."""

    def layers(self, steps: tuple[LayerStep, ...]) -> AbstractContextManager[LayerProgress]:
        """A view of the work on these layers."""
        ...


class Silent:
    """A watcher that keeps silent: `Progress` and `LayerProgress` for programs."""

    def say(self, text: str, *, style: str = "") -> None:
        """Nothing."""

    def warn(self, text: str) -> None:
        """Nothing."""

    def layers(self, steps: tuple[LayerStep, ...]) -> AbstractContextManager[LayerProgress]:  # noqa: ARG002 (silent)
        """A view that shows nothing."""
        return nullcontext(self)

    def layer(self, step: LayerStep, state: str) -> None:
        """Nothing."""

    def event(self, step: LayerStep, event: BuildEvent) -> None:
        """Nothing."""


class SaidOnce:
    """Hands on what an operation tells, each line once: for many runs of the same kind, one after the other."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._said: set[str] = set()

    def say(self, text: str, *, style: str = "") -> None:
        """The line, unless it was said already."""
        if text not in self._said:
            self._said.add(text)
            self._progress.say(text, style=style)

    def warn(self, text: str) -> None:
        """The same of a warning."""
        if text not in self._said:
            self._said.add(text)
            self._progress.warn(text)

    def layers(self, steps: tuple[LayerStep, ...]) -> AbstractContextManager[LayerProgress]:
        """The view of whoever watches."""
        return self._progress.layers(steps)
