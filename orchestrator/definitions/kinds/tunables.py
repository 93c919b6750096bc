"""What `mlorch tune` may search of a harness: ranges of whole numbers and lists of choices, as data."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from orchestrator.definitions.kinds.base import Line, Strict
from orchestrator.facts.scenarios import ScenarioName  # noqa: TC001 (pydantic reads the annotations)

Choice = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._/+-]{1,80}\Z")]


class Tunable(Strict):
    """A parameter that may be searched, in some scenarios or in all.

    ``max: cpus`` is the number of processors of the run. ``log`` says that a step from 8 to 16 matters as one from 1 to
    2 does. Where a parameter is not ``exact``, answers depend on it: what was found is kept only if the accuracy holds.
    """

    min: int = Field(default=1, ge=0)
    max: int | Literal["cpus"] | None = None
    log: bool = False
    choices: tuple[Choice, ...] = ()
    scenarios: tuple[ScenarioName, ...] = ()
    """Those it matters in; empty for all."""
    backends: tuple[str, ...] = ()
    """The harness's backends that have it; empty for all."""
    exact: bool = True
    about: Line = Field(default="", max_length=200)

    @model_validator(mode="after")
    def _a_range_or_choices(self) -> Tunable:
        if bool(self.choices) == (self.max is not None):
            raise ValueError("a parameter to search has either `max` or `choices`")
        if self.choices and self.log:
            raise ValueError("`log` is for a range")
        if len(set(self.choices)) != len(self.choices):
            raise ValueError("a value stands in `choices` twice")
        if isinstance(self.max, int) and self.max < self.min:
            raise ValueError(f"`min` {self.min} is above `max` {self.max}")
        if self.log and self.min < 1:
            raise ValueError("with `log` the least value is 1")
        return self
