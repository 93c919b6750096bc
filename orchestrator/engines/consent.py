"""Whether an engine may be got and started where there is none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """Whether an engine may be got and started where there is none, and who hears of it."""

    yes: bool
    confirm: Callable[[str], bool] | None
    """Shows a text and asks a person; None where nobody can be asked, and then ``yes`` is needed."""
    say: Callable[[str], None]

    def require(self, text: str) -> None:
        """Ask whether what ``text`` says may be done. Raises `EngineError`: `not-asked`, `declined`."""
        if self.yes:
            return
        if self.confirm is None:
            raise EngineError(
                f"{text}\nNobody is here to ask, so nothing was done",
                hint="`mlorch engine ensure --yes` allows it",
                slug="not-asked",
            )
        if not self.confirm(text):
            raise EngineError(
                "declined; nothing was done",
                hint="start an engine of your own, or point DOCKER_HOST at one",
                slug="declined",
            )
