"""What a person sees of a build: a bar for each layer on a terminal, a line for each state elsewhere."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Self

    from rich.progress import Progress, TaskID

    from orchestrator.console import Console
    from orchestrator.engines import BuildEvent
    from orchestrator.facts.build import LayerStep

_WORDS = {
    "hit": "present",
    "build": "building",
    "built": "built",
    "pull": "pulling",
    "pulled": "pulled",
    "waiting": "being built by another mlorch; waiting",
}


_ENDED = frozenset({"built", "pulled"})


class View:
    """A live display on a terminal, and folds of the log in CI, for as long as its `with` lasts."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._stack = ExitStack()
        self._progress: Progress | None = None
        """None where nobody looks at a terminal."""

    def __enter__(self) -> Self:
        if self._console.live:
            self._progress = self._stack.enter_context(self._console.progress())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
        self._console.close_fold()


class BuildView(View):
    """Follows a build by its own events."""

    def __init__(self, console: Console, steps: Sequence[LayerStep]) -> None:
        super().__init__(console)
        self._width = max(len(step.name) for step in steps)
        self._tasks: dict[str, TaskID] = {}
        self._began: dict[str, float] = {}

    def layer(self, step: LayerStep, state: str) -> None:
        """A layer came to a new state."""
        if state in {"build", "pull"}:
            self._began[step.image] = time.monotonic()
        if state == "hit":
            return
        took = (
            f" in {time.monotonic() - self._began.get(step.image, time.monotonic()):.1f} s" if state in _ENDED else ""
        )
        if self._progress is not None:
            self._live_layer(self._progress, step, state)
        if state in {"build", "pull"}:
            self._console.open_fold(f"{step.name}: {state}")
        if self._progress is None or state in _ENDED:
            self._console.say(f"{step.name:{self._width}}  {_WORDS.get(state, state)}{took}")
        if state in _ENDED:
            self._console.close_fold()

    def _live_layer(self, progress: Progress, step: LayerStep, state: str) -> None:
        if step.image not in self._tasks:
            self._tasks[step.image] = progress.add_task(step.name, total=None, note="")
        if state in _ENDED:
            progress.update(self._tasks[step.image], visible=False)

    def event(self, step: LayerStep, event: BuildEvent) -> None:
        """The builder said something."""
        if event.kind == "retry":
            self._console.warn(f"{step.name}: {event.text}")
            return
        if self._console.ci is not None and event.kind in {"start", "log"}:
            self._console.say((event.text or event.step).rstrip())  # folded, so that it is there when a step fails
        task = self._tasks.get(step.image)
        if self._progress is None or task is None:
            return
        note = (event.text or event.step).strip().splitlines()
        if event.total:
            # At its total rich would stop the clock, yet the last step has only begun.
            self._progress.update(task, completed=min(event.current, event.total - 0.5), total=event.total)
        if note:
            self._progress.update(task, note=note[-1][:60])


class ConsoleProgress:
    """`orchestrator.operations.progress.Progress` for a person at a console."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self.say = console.say
        self.warn = console.warn

    def layers(self, steps: tuple[LayerStep, ...]) -> BuildView:
        """Bars on a terminal, lines elsewhere."""
        return BuildView(self._console, steps)
