"""The root of every recipe model, and the texts that fields of several kinds hold.

Every YAML scalar reaches these models as text (see `orchestrator.definitions.yaml`), so
the field's type decides how ``3.10``, ``no`` or ``12:30`` reads. Unknown keys
are refused. Names are lower-case words joined by ``-``, ``_`` or ``.``.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from orchestrator.definitions.kinds.limits import require_size

_NAME = r"^[a-z0-9]+(?:[._-][a-z0-9]+)*\Z"
Name = Annotated[str, StringConstraints(pattern=_NAME, max_length=64)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}\Z")]
Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}\Z")]
_COMMIT = r"^[0-9a-f]{40}(?:[0-9a-f]{24})?\Z"
Commit = Annotated[str, StringConstraints(pattern=_COMMIT)]
ImageName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][A-Za-z0-9._:/-]*\Z")]
"""Of a registry image, with its tag: ``registry.example:5000/path/name:tag``."""
GitUrl = Annotated[
    str,
    StringConstraints(
        pattern=r"^(?:https://(?![^/]*@)|ssh://(?![^/]*:[^/]*@)|file://(?=/))[A-Za-z0-9.@:\[\]_-]*(?:/[A-Za-z0-9._~/+%-]+)\Z"
    ),
]
"""Without credentials: recipes and locks are shared and shown."""
GitRef = Annotated[str, StringConstraints(pattern=r"^(?!.*\.\.)(?!.*//)[A-Za-z0-9][A-Za-z0-9._/+-]{0,199}\Z")]
Platform = Annotated[str, StringConstraints(pattern=r"^linux/(?:amd64|arm64)\Z")]
DebName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9+.-]+\Z")]
Requirement = Annotated[
    str,
    StringConstraints(
        pattern=r"^[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?(?:\[[A-Za-z0-9,._-]+\])?==[A-Za-z0-9.+!_-]+\Z"
    ),
]
_RELATIVE_PATH = r"^(?!/)(?!.*(?:^|/)\.\.(?:/|\Z))[A-Za-z0-9._/@+~-]+\Z"
RelativePath = Annotated[str, StringConstraints(pattern=_RELATIVE_PATH)]
AbsolutePath = Annotated[str, StringConstraints(pattern=r"^/(?!.*(?:^|/)\.\.(?:/|\Z))[A-Za-z0-9._/@+-]*\Z")]
EnvName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*\Z")]
_LINE = r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]*\Z"
Line = Annotated[str, StringConstraints(pattern=_LINE)]
"""One line by anybody's count: some programs take U+0085 and U+2028 for a line's end too."""
EnvValue = Annotated[Line, StringConstraints(max_length=4096)]
Size = Annotated[str, StringConstraints(pattern=r"^[0-9]+[kmgt]?\Z"), AfterValidator(require_size)]
Level = Literal["base", "runtime", "framework", "loadgen", "harness", "code", "benchmark", "side"]
Framework = Name


def is_commit(ref: str) -> bool:
    """Whether a ref of git is a whole commit id, which no lock needs to say."""
    return re.fullmatch(_COMMIT, ref) is not None


def is_name(text: str) -> bool:
    """Whether a text can be a `Name`."""
    return len(text) <= 64 and re.fullmatch(_NAME, text) is not None


Identifier = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*\Z", max_length=40)]
"""A name that can stand in a template: no hyphen, which is arithmetic there."""


def is_relative_path(text: str) -> bool:
    """Whether a text can be a `RelativePath`."""
    return re.fullmatch(_RELATIVE_PATH, text) is not None


class Strict(BaseModel):
    """Frozen, no unknown keys; the root of every model here."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        str_strip_whitespace=False,
        allow_inf_nan=False,
        regex_engine="python-re",  # the Rust engine knows neither look-ahead nor \\Z
        defer_build=True,
    )


class Definition(Strict):
    """What every recipe has: a name that is unique in its kind and a line for people."""

    name: Name
    title: Line = Field(min_length=1, max_length=120)
    description: str = ""


# -- recipes that vary (`definitions.variations` merges them before they are decoded) --------------------

ChoiceName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*\Z", max_length=64)]
When = dict[Name, ChoiceName | tuple[ChoiceName, ...]]
"""Axis → the value that must be chosen, or one of several; all of them must hold."""


class Choice(Strict):
    """One value of an axis, and the fields that the recipe has with it."""

    title: Line = Field(default="", max_length=120)
    set: dict[str, Any] = Field(default_factory=dict)


class Axis(Strict):
    """Something that can be chosen with `--set AXIS=VALUE`."""

    about: Line = Field(default="", max_length=200)
    default: ChoiceName
    values: dict[ChoiceName, Choice] = Field(min_length=1)


class Part(Strict):
    """Fields that the recipe has where several choices meet."""

    when: When = Field(min_length=1)
    set: dict[str, Any] = Field(min_length=1)


class Conflict(Strict):
    """Choices that do not go together, and why."""

    when: When = Field(min_length=2)
    because: Line = Field(min_length=8, max_length=300)


class Variable(Definition):
    """A recipe that has choices."""

    axes: dict[Name, Axis] = Field(default_factory=dict)
    parts: tuple[Part, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
