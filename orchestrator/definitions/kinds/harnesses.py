"""What a recipe may say of a harness: the program that drives a model under LoadGen."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from orchestrator.definitions.kinds.base import Framework, Name, Platform, Strict, Variable
from orchestrator.definitions.kinds.external import Program  # noqa: TC001 (pydantic reads it)
from orchestrator.definitions.kinds.tunables import Tunable  # noqa: TC001 (pydantic reads it)


class VendorImage(Strict):
    """Layers that stand in for a target's own base and runtime: a vendor's image, used as it comes."""

    base: Name
    runtime: Name = "runtime-vendor"
    platforms: tuple[Platform, ...] = Field(min_length=1)
    """Those that the vendor's image is there for; a target may have more."""


ExecutionSetting = Literal["instances", "threads", "batch", "batch_delay_us", "precision"]
"""What the harness of form `mlorch` can be told of how it runs (docs/run-contract.md)."""


class Harness(Variable):
    """The program that drives a model under LoadGen, and the layers that hold it.

    Of form `mlorch` it reads the settings of docs/run-contract.md; of form `external` it is somebody else's,
    and `program` says what it is given and what it leaves.
    """

    kind: Literal["harness"]
    form: Literal["mlorch", "external"] = "mlorch"
    loadgen: Name | None = None
    """The layer with LoadGen; where none is named, the one of the benchmark's round."""
    deps: Name
    code: Name
    command: tuple[str, ...] = ()
    backends: dict[Framework, Name] = Field(min_length=1)
    """What the harness calls each framework: the `backend` of its settings, the value `framework` of a program."""
    targets: tuple[Name, ...] = ()
    """The targets that its program runs on, where that is not every one with a layer for the framework."""
    images: dict[Name, VendorImage] = Field(default_factory=dict)
    """Target → the vendor's image that the program needs there, where the target's own base will not do."""
    program: Program | None = None
    tunables: dict[ExecutionSetting, Tunable] = Field(default_factory=dict)
    """Settings of `execution` that `mlorch tune` may search; an external program marks its parameters with `tune`."""

    @model_validator(mode="after")
    def _of_one_form(self) -> Harness:
        if self.form == "external" and self.tunables:
            raise ValueError("a harness of form external marks what may be searched in `program.parameters`")
        if self.form == "mlorch" and (self.program is not None or not self.command):
            raise ValueError("a harness of form mlorch has a `command` and no `program`")
        if self.form == "external" and (self.program is None or self.command):
            raise ValueError("a harness of form external has a `program` and no `command`")
        return self
