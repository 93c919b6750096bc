"""The root of every recipe model, and the texts that fields of several kinds hold.

Every YAML scalar reaches these models as text (see `orchestrator.definitions.yaml`), so
the field's type decides how ``3.10``, ``no`` or ``12:30`` reads. Unknown keys
are refused. Names are lower-case words joined by ``-``, ``_`` or ``.``.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

_NAME = r"^[a-z0-9]+(?:[._-][a-z0-9]+)*\Z"
Name = Annotated[str, StringConstraints(pattern=_NAME, max_length=64)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}\Z")]
Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}\Z")]
Commit = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40}(?:[0-9a-f]{24})?\Z")]
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
RelativePath = Annotated[str, StringConstraints(pattern=r"^(?!/)(?!.*(?:^|/)\.\.(?:/|\Z))[A-Za-z0-9._/@+~-]+\Z")]
AbsolutePath = Annotated[str, StringConstraints(pattern=r"^/(?!.*(?:^|/)\.\.(?:/|\Z))[A-Za-z0-9._/@+-]*\Z")]
EnvName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*\Z")]
EnvValue = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]*\Z", max_length=4096)]
Size = Annotated[str, StringConstraints(pattern=r"^[0-9]+[kmgt]?\Z")]
Level = Literal["base", "runtime", "framework", "loadgen", "harness", "code", "benchmark", "side"]
Framework = Name


def is_name(text: str) -> bool:
    """Whether a text can be a `Name`."""
    return len(text) <= 64 and re.fullmatch(_NAME, text) is not None


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
    title: str = Field(min_length=1, max_length=120)
    description: str = ""
