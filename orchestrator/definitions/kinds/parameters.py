"""Parameters of a program: what each may be set to, and what its value is."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from orchestrator.definitions.kinds.base import Line, Strict
from orchestrator.definitions.kinds.texts import Template  # noqa: TC001 (pydantic reads it)
from orchestrator.definitions.kinds.tunables import Tunable  # noqa: TC001 (pydantic reads it)


class NoValue(ValueError):
    """A text that a parameter cannot be; ``wanted`` is what it takes."""

    def __init__(self, text: str, wanted: str) -> None:
        super().__init__(f"it cannot be `{text[:60]}`: it takes {wanted}")
        self.wanted = wanted


class Parameter(Strict):
    """Something of the program that may be changed with ``--set NAME=VALUE``."""

    type: Literal["int", "float", "text", "bool"] = "text"
    default: Template
    choices: tuple[str, ...] = ()
    min: int | None = None
    max: int | None = None
    about: Line = Field(default="", max_length=200)
    tune: Tunable | None = None
    """What `mlorch tune` may try for it; without, it is searched by nobody."""

    @model_validator(mode="after")
    def _can_be_tuned(self) -> Parameter:
        if self.tune is None:
            return self
        if not self.tune.choices and self.type != "int":
            raise ValueError(f"a range to search is of whole numbers, this is {self.type}")
        least = [str(self.tune.min)] if not self.tune.choices else []
        most = [str(self.tune.max)] if isinstance(self.tune.max, int) else []
        for text in (*self.tune.choices, *least, *most):
            self.value(text)
        return self

    @model_validator(mode="after")
    def _can_be_chosen(self) -> Parameter:
        if self.type not in {"int", "float"} and (self.min is not None or self.max is not None):
            raise ValueError(f"`min` and `max` are for numbers, this is {self.type}")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"`min` {self.min} is above `max` {self.max}")
        if len(set(self.choices)) != len(self.choices):
            raise ValueError("a value stands in `choices` twice")
        for text in (*self.choices, self.default):
            if "{" not in text:  # else the host says what it is
                self.value(text)
        return self

    def value(self, text: str) -> str | int | float:
        """What a text means; raises `NoValue`."""
        if self.choices and text not in self.choices:
            raise NoValue(text, f"one of {', '.join(self.choices)}")
        if self.type == "text":
            return text
        if self.type == "bool":
            if text not in {"true", "false"}:
                raise NoValue(text, "true or false")
            return text
        try:
            number: int | float = int(text) if self.type == "int" else float(text)
        except ValueError:
            raise NoValue(text, "a whole number" if self.type == "int" else "a number") from None
        if not (number == number and abs(number) < 2**63):  # noqa: PLR0124 (NaN)
            raise NoValue(text, "a finite number")
        if self.min is not None and number < self.min:
            raise NoValue(text, f"at least {self.min}")
        if self.max is not None and number > self.max:
            raise NoValue(text, f"at most {self.max}")
        return number
