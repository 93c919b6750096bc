"""The workflow that `mlorch ci init` writes: pull by digest, run, compare with the last result, keep the record. Pure.

Every value was checked against a pattern before it comes here (`Workflow`), so none can end
a line, a quote or an expression of the CI system.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.errors import UsageError
from orchestrator.facts.scenarios import SCENARIOS

if TYPE_CHECKING:
    from collections.abc import Mapping

ACTIONS: Mapping[str, tuple[str, str]] = {
    "actions/checkout": ("3d3c42e5aac5ba805825da76410c181273ba90b1", "v7.0.1"),
    "actions/setup-python": ("5fda3b95a4ea91299a34e894583c3862153e4b97", "v7.0.0"),
    "actions/cache": ("27d5ce7f107fe9357f9df03efb73ab90386fccae", "v5.0.5"),
    "actions/upload-artifact": ("bbbca2ddaa5d8feaa63e36b76fdaad77386f024f", "v7.0.0"),
}
"""Commit and tag, read from the tags of the actions' own repositories in November 2026."""
PATHS = {"github": ".github/workflows/mlorch.yml", "gitlab": ".gitlab-ci.yml"}
_SAFE = {
    "install": r"[A-Za-z0-9._@:/+=,\[\]~<>!-]+",
    "target": r"[a-z0-9._-]+",
    "benchmark": r"[a-z0-9._-]+",
    "registry": r"(?:[A-Za-z0-9.-]+(?::[0-9]+)?(?:/[a-z0-9._/-]+)?)?",
    "images": r"(?:[A-Za-z0-9._/+-]+)?",
    "runner": r"(?:[A-Za-z0-9._:-]+)?",
    "scenario": "|".join((*SCENARIOS, "all")),
    "duration": r"[0-9]+(?:ms|s|m|h)",
    "tolerance": r"[0-9]+(?:\.[0-9]+)?%",
}
_WORDS = {"install": "what pip installs", "images": "a file of the repository", "runner": "a runner's label"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Workflow:
    """What a workflow is made of; raises `UsageError` (`bad-value`) for a value that cannot stand in one."""

    install: str
    target: str
    benchmark: str
    registry: str = ""
    images: str = ""
    runner: str = ""
    scenario: str = "Offline"
    duration: str = "10s"
    tolerance: str = "20%"

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not re.fullmatch(_SAFE[field.name], value) or value.startswith("-"):
                raise UsageError(
                    f"`{value[:80]}` cannot be {_WORDS.get(field.name, f'a {field.name}')} of a workflow",
                    hint=f"it has to look like {_SAFE[field.name]}",
                    slug="bad-value",
                )


def render(system: str, workflow: Workflow) -> str:
    """The text of the file for ``github`` or ``gitlab``; the same values give the same bytes.

    A template of its system says it all. Its marks are ``[[ … ]]`` and ``[% … %]``, as ``${{ … }}`` is GitHub's.
    """
    import jinja2

    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).with_name("templates")),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701 (YAML; every value was checked by `Workflow`)
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        block_start_string="[%",
        block_end_string="%]",
        variable_start_string="[[",
        variable_end_string="]]",
        comment_start_string="[#",
        comment_end_string="#]",
    )
    templates.filters["sh"] = shlex.quote
    return templates.get_template(f"{system}.yml.j2").render(system=system, w=workflow, action=_action)


def _action(name: str) -> str:
    """An action at its commit, the tag beside it."""
    commit, tag = ACTIONS[name]
    return f"{name}@{commit} # {tag}"
