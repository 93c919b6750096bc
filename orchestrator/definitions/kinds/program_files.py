"""Files and folders that a program finds in its container beyond the run contract: written, writable, linked."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from orchestrator.definitions.kinds.base import AbsolutePath, Size, Strict
from orchestrator.definitions.kinds.limits import require_memory
from orchestrator.definitions.kinds.texts import Condition, Template  # noqa: TC001 (pydantic reads it)

FilePath = Annotated[str, StringConstraints(pattern=r"^(?!.*(?:^|/)\.\.(?:/|\Z))[A-Za-z0-9._/@+~-]+\Z")]
Reason = Annotated[str, StringConstraints(min_length=8, max_length=400)]
_NOT_ITS_OWN = ("/results", "/artifacts", "/scratch", "/models", "/data", "/config", "/proc", "/sys", "/dev")
"""What a container is given by the run contract or by its engine: nothing of a recipe lies in their place."""


def folder_name(path: str) -> str:
    """A folder of the run for a path of the container: ``/work/build`` is ``work-build``."""
    return path.strip("/").replace("/", "-")


def _plain_path(path: str) -> None:
    """Raise ValueError for a path that says the same as a shorter one (``a//b``, ``./a``), or names the root."""
    parts = path.removeprefix("/").split("/")
    if "" in parts or "." in parts:
        raise ValueError(f"`{path}` is no plain path: it has an empty part or `.` in it")


def _own_place(path: str) -> None:
    """Raise ValueError for a path of the image that is not the program's to replace."""
    _plain_path(path)
    for taken in _NOT_ITS_OWN:
        if path == taken or path.startswith(f"{taken}/"):
            raise ValueError(f"`{path}` lies in {taken}, which every container is given as the run contract says")


class RenderedFile(Strict):
    """A file that mlorch writes for the program, mounted read-only.

    A relative ``path`` lies below ``/config``, an absolute one replaces that file of the image. ``user.conf`` holds
    the settings of the test for LoadGen, ``text`` follows them; ``json`` is made of ``values``. ``executable`` is for
    a command that the program calls and that must not do here what it does elsewhere.
    """

    path: FilePath
    format: Literal["text", "user.conf", "json"] = "text"
    text: Template = ""
    values: dict[str, object] = Field(default_factory=dict)
    executable: bool = False
    when: Condition = Field(default_factory=dict)

    @model_validator(mode="after")
    def _content(self) -> RenderedFile:
        if self.path.startswith("/"):
            _own_place(self.path)
        _plain_path(self.path)
        if self.format == "json" and (self.text or not self.values):
            raise ValueError("a json file is made of `values`, not of `text`")
        if self.format != "json" and self.values:
            raise ValueError(f"`values` are for format json, this is {self.format}")
        return self


class WritableFolder(Strict):
    """A folder of the image that the program must write to.

    ``memory`` is gone after the step, ``results`` stays with the run, ``artifacts`` is kept for the next run of
    the same image. Programs can be started from it only with ``exec`` (a JIT compiler), which needs its reason.
    It is empty, or ``seeded``: a step of its own copies what the image has there, for each run anew.
    """

    path: AbsolutePath
    kind: Literal["memory", "results", "artifacts"] = "memory"
    size: Annotated[Size, AfterValidator(require_memory)] = "1g"
    exec: bool = False
    seeded: bool = False
    reason: Reason

    @model_validator(mode="after")
    def _its_own(self) -> WritableFolder:
        _own_place(self.path)
        if self.seeded and self.kind != "results":
            raise ValueError(
                f"a seeded folder is copied for each run and stays with it: `kind: results`, not {self.kind}"
            )
        return self


class Link(Strict):
    """A second place of a folder that containers have: the model, the data, or what a `prepare` step made.

    For programs that look for their files at a fixed path of the image; what the image has there is hidden. The
    folder is read-only at both places, and writable at both for the step that makes it.
    """

    path: AbsolutePath
    to: Annotated[
        str, StringConstraints(pattern=r"^\{(?:model|data)\}\Z|^\{artifacts\}/[a-z][a-z0-9_]*\Z", max_length=60)
    ]
    """``{model}``, ``{data}`` or ``{artifacts}/STEP``."""
    when: Condition = Field(default_factory=dict)

    @model_validator(mode="after")
    def _its_own(self) -> Link:
        _own_place(self.path)
        _plain_path(self.path)
        return self

    @property
    def step(self) -> str:
        """The step whose artefact it is; empty for the model and the data."""
        return self.to.partition("}/")[2]
