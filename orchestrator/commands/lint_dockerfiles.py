"""Dockerfiles for `mlorch recipes lint`: which files are some, and what is wrong in them and in what we render."""

from __future__ import annotations

from fnmatch import fnmatch
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from orchestrator.errors import Problem
    from orchestrator.facts.steps import BuildPlan

_NAMES = ("dockerfile", "dockerfile.*", "*.dockerfile", "containerfile", "containerfile.*", "*.containerfile")
_NOT = ("*.j2", "*.dockerignore", "*.md")
_LARGEST = 1 << 20
"""Bytes; what is larger was not written by a person."""


def is_dockerfile(path: Path) -> bool:
    """Whether a file is one by its name; templates are not, what they give is checked."""
    name = path.name.lower()
    return any(fnmatch(name, pattern) for pattern in _NAMES) and not any(fnmatch(name, pattern) for pattern in _NOT)


def dockerfiles_of(paths: Sequence[Path]) -> tuple[Path, ...]:
    """The Dockerfiles among files, and those below folders, sorted."""
    found = [path for path in paths if path.is_file() and is_dockerfile(path)]
    for folder in (path for path in paths if path.is_dir()):
        found += sorted(path for path in folder.rglob("*") if path.is_file() and is_dockerfile(path))
    return tuple(dict.fromkeys(found))


def lint_dockerfiles(paths: Sequence[Path]) -> tuple[Problem, ...]:
    """What is wrong in Dockerfiles; one that cannot be read is a fault itself."""
    from orchestrator.errors import Problem, Span
    from orchestrator.lint.check import lint

    problems: list[Problem] = []
    for path in paths:
        try:
            if path.stat().st_size > _LARGEST:
                raise OSError(f"it is larger than {_LARGEST >> 20} MiB")  # noqa: TRY301 (told as the others are)
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or str(error)
            span = Span(path=str(path), line=1, column=1, end_line=1, end_column=2)
            problems.append(Problem(slug="unreadable", message=f"cannot read the Dockerfile: {why}", span=span))
            continue
        problems += lint(text, str(path))
    return tuple(problems)


def lint_rendered(plans: Sequence[BuildPlan]) -> tuple[Problem, ...]:
    """What is wrong in rendered Dockerfiles; their path is the one that `mlorch render -o` writes below its folder."""
    from orchestrator.lint.check import lint
    from orchestrator.plan.build.layers import merge_layers

    last = {plan.image for plan in plans}
    return tuple(
        problem
        for step in merge_layers(plans)
        for problem in lint(
            step.dockerfile,
            f"{plans[0].target}/{step.name}/Dockerfile",
            tag=step.image,
            contexts=tuple(step.contexts),
            runs=step.image in last,
        )
    )
