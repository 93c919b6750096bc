"""Folders that steps of a harness which is not ours share: lent artefacts, and what earlier steps left in place."""

from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.errors import StepFailed
from orchestrator.facts.containers import ARTIFACTS
from orchestrator.host.left_behind import give

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orchestrator.facts.containers import ContainerSpec
    from orchestrator.facts.external import PlannedArtifact, PlannedStep


def with_artifacts(container: ContainerSpec, source: str) -> ContainerSpec:
    """The container with the folder of artefacts that this run was lent, and what is mounted from inside of it."""
    planned = next(mount.source for mount in container.mounts if mount.target == ARTIFACTS)
    mounts = []
    for mount in container.mounts:
        if mount.source == planned or mount.source.startswith(f"{planned}/"):
            mount = replace(mount, source=source + mount.source.removeprefix(planned))  # noqa: PLW2901
            if mount.target != ARTIFACTS:
                Path(mount.source).mkdir(exist_ok=True)
                give(Path(mount.source), container.user)
        elif mount.target.startswith(f"{ARTIFACTS}/"):  # where an artefact will be, so that no engine makes it as root
            (Path(source) / mount.target.removeprefix(f"{ARTIFACTS}/")).mkdir(exist_ok=True)
        mounts.append(mount)
    return replace(container, mounts=tuple(mounts))


def replaced_mount(
    ended: PlannedStep, later: Iterable[PlannedStep], folder: Path, artifacts: Path
) -> StepFailed | None:
    """Whether a step replaced what later steps are to have mounted from its own folders: /results and /artifacts.

    The engine follows a link of a mount's source with all rights that it has, to any place of the host.
    """
    for planned in later:
        lent_folder = Path(next(mount.source for mount in planned.container.mounts if mount.target == ARTIFACTS))
        for mount in planned.container.mounts:
            source, target = Path(mount.source), Path(mount.target)
            if folder in source.parents:
                own, name, may_lack = folder, source.relative_to(folder), False
            elif lent_folder in source.parents:
                own, name, may_lack = artifacts, source.relative_to(lent_folder), True
            elif Path(ARTIFACTS) in target.parents:
                own, name, may_lack = artifacts, target.relative_to(ARTIFACTS), True
            else:
                continue
            if not _is_in_its_place(own, name, may_lack=may_lack):
                return StepFailed(
                    f"step `{ended.name}` replaced or removed {name} in a folder of its own, which step "
                    f"`{planned.name}` is to find at {mount.target}",
                    hint="a program may write there, and must leave the folder or file itself in its place",
                    slug="mount-changed",
                )
    return None


def _is_in_its_place(own: Path, name: Path, *, may_lack: bool) -> bool:
    """Whether every part of ``name`` below ``own`` is a folder, or at its end a regular file; no link."""
    at = own
    for part in name.parts:
        at /= part
        try:
            mode = at.lstat().st_mode
        except OSError:
            return may_lack
        is_file = stat.S_ISREG(mode) and at == own / name and not may_lack
        if not stat.S_ISDIR(mode) and not is_file:
            return False
    return True


def with_folder_to_make(container: ContainerSpec, artifact: PlannedArtifact, folder: Path) -> ContainerSpec:
    """The container with another folder for what it makes, which is not in its place before it is whole."""
    mounts = []
    for mount in container.mounts:
        is_made = mount.source == artifact.source
        mounts.append(replace(mount, source=str(folder)) if is_made else mount)
    return replace(container, mounts=tuple(mounts))
