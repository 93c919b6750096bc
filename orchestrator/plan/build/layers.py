"""What a set of plans means for an engine: which layers, which are missing, why, and what an image says of itself.

Pure, and the standard library only: a kept plan is compared with the engine through
this module, and must not pay for what planning imports.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from orchestrator.facts.build import BuildPlan, LayerStep

PIP_WHEEL = "pip.whl"
"""The path of pip in a context: bind-mounted into the step, never in an image."""
SDISTS, TOOLS, TOOL_REQUIREMENTS = "sdists", "tools.tar", "tools.txt"
"""Paths in a context of what compiles and of what is compiled."""
_EACH_PLATFORMS_OWN = frozenset({"file:requirements.txt", f"file:{TOOL_REQUIREMENTS}"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """An input that differs between the image that is there and the one that is wanted."""

    input: str
    was: str | None
    now: str | None


def merge_layers(plans: Sequence[BuildPlan]) -> tuple[LayerStep, ...]:
    """Every layer of `plans` once, parents before children."""
    merged: dict[str, LayerStep] = {}
    for plan in plans:
        for step in plan.layers:
            merged.setdefault(step.image, step)
    return tuple(merged.values())


def missing_layers(plans: Sequence[BuildPlan], present: Collection[str]) -> tuple[LayerStep, ...]:
    """The layers to make, parents first: of each plan what lies above its highest layer that is present."""
    wanted: dict[str, LayerStep] = {}
    for plan in plans:
        above: list[LayerStep] = []
        for step in reversed(plan.layers):
            if step.image in present:
                break
            above.append(step)
        wanted |= {step.image: step for step in reversed(above)}
    return tuple(step for step in merge_layers(plans) if step.image in wanted)


def explain(now: Mapping[str, str], was: Mapping[str, str] | None) -> tuple[Change, ...]:
    """Which inputs changed since the image whose label holds `was`; empty when there is no such image."""
    if was is None:
        return ()
    names = sorted(now.keys() | was.keys())
    return tuple(
        Change(input=name, was=was.get(name), now=now.get(name)) for name in names if was.get(name) != now.get(name)
    )


def rendered(target: str, steps: Sequence[LayerStep]) -> dict[str, str]:
    """What `mlorch render` writes: for every layer its Dockerfile and `layer.json`, by relative path."""
    files: dict[str, str] = {}
    folders = folder_names(steps)
    for step in steps:
        folder = f"{target}/{folders[step.image]}"
        files[f"{folder}/Dockerfile"] = step.dockerfile
        facts = {
            "name": step.name,
            "level": step.level,
            "platform": step.platform,
            "content_id": step.content_id,
            "image": step.image,
            "parent": step.parent,
            "inputs": dict(step.inputs),
        }
        files[f"{folder}/layer.json"] = json.dumps(facts, indent=1, sort_keys=True) + "\n"
        texts = {file.path: file.text for file in step.files if file.text is not None}
        files |= {f"{folder}/{path}": text for path, text in texts.items() if not path.endswith("/")}
    return files


def folder_names(steps: Sequence[LayerStep]) -> dict[str, str]:
    """Where each of several layers is written, by its image: a folder of its name, of two of one name with its id.

    LoadGen over one framework and over another are two layers of one name.
    """
    names: dict[str, str] = {}
    for step in steps:
        name = step.name if step.name not in names.values() else f"{step.name}-{step.content_id[:12]}"
        names[step.image] = name
    return names


def set_id(plan: BuildPlan) -> str:
    """What images of several platforms have in common that were made of the same definitions.

    Of their templates, files and names; packages and bases are each platform's own.
    """
    parts = []
    for step in plan.layers:
        inputs = {
            name: value
            for name, value in step.inputs.items()
            if name.startswith("file:") and name not in _EACH_PLATFORMS_OWN
        }
        if step.parent is not None:
            inputs["dockerfile"] = step.common or step.inputs.get("dockerfile", "")
        parts.append([step.name, inputs])
    text = json.dumps([plan.target, plan.benchmark, parts], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def labels(step: LayerStep) -> dict[str, str]:
    """The labels of an image: what it is, of what, by which identity. No host, no time, no secret."""
    return {
        "org.mlorch.layer": step.name,
        "org.mlorch.level": step.level,
        "org.mlorch.content-id": step.content_id,
        "org.mlorch.parent": step.parent or "",
        "org.mlorch.platform": step.platform,
        "org.mlorch.inputs": json.dumps(dict(step.inputs), sort_keys=True, separators=(",", ":")),
        "org.opencontainers.image.title": step.name,
    }
