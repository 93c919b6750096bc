"""The containers of a harness that is not ours: its writable folders, links, deviations, steps and artefacts. Pure."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING

from orchestrator.definitions.kinds.external import WordsIf
from orchestrator.definitions.kinds.program_files import folder_name
from orchestrator.facts.containers import ARTIFACTS, RESULTS, Mount
from orchestrator.facts.external import CONFIG, CONFIG_FOLDER, PlannedArtifact, PlannedStep
from orchestrator.facts.sizes import size_bytes
from orchestrator.facts.times import seconds_of
from orchestrator.plan.run.external.texts import Filler, condition_holds

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from orchestrator.definitions.kinds.external import Artifact, Deviation, Program, Step
    from orchestrator.definitions.kinds.program_files import WritableFolder
    from orchestrator.facts.containers import ContainerSpec
    from orchestrator.plan.run.external.files import ConfigFile
    from orchestrator.plan.run.external.values import ExternalTest

_SCRATCH_OPTIONS = "rw,nosuid,nodev,mode=1777"


_COPY_TIMEOUT_S = 24 * 3600


def with_program_needs(
    program: Program, filler: Filler, test: ExternalTest, files: Iterable[ConfigFile]
) -> ContainerSpec:
    """The container with the program's files, writable folders and deviations."""
    spec = test.container
    config = f"{test.folder}/{CONFIG_FOLDER}"
    mounts = list(spec.mounts)
    files = tuple(files)
    if files:
        mounts.append(Mount(source=config, target=CONFIG))
    for file in files:
        if not file.target.startswith(f"{CONFIG}/"):
            mounts.append(Mount(source=f"{config}/{file.name}", target=file.target))
    tmpfs = dict(spec.tmpfs)
    for folder in program.writable:
        if folder.kind == "memory":
            tmpfs[folder.path] = _tmpfs(folder, filler)
        else:
            mounts.append(_kept_folder(folder, spec, test))
    return replace(spec, mounts=tuple(mounts), tmpfs=tmpfs)


def _tmpfs(folder: WritableFolder, filler: Filler) -> str:
    execution = "exec" if folder.exec else "noexec"
    owner = f"uid={filler.values['uid']},gid={filler.values['gid']}"
    return f"{_SCRATCH_OPTIONS},{execution},{owner},size={size_bytes(folder.size)}"


def _kept_folder(folder: WritableFolder, spec: ContainerSpec, test: ExternalTest) -> Mount:
    name = folder_name(folder.path)
    if folder.kind == "results":
        return Mount(source=f"{test.folder}/{name}", target=folder.path, read_only=False)
    artifacts = next(mount.source for mount in spec.mounts if mount.target == ARTIFACTS)
    return Mount(source=f"{artifacts}/{name}", target=folder.path, read_only=False)


def seeding_steps(program: Program, test: ExternalTest) -> tuple[PlannedStep, ...]:
    """For each writable folder that starts with what the image has there, the step that copies it.

    The container copies it itself, as the user of the run and before anything of the program is mounted: mlorch
    follows no link of an image, and the copies are the user's on every engine.
    """
    found = []
    for folder in program.writable:
        if not folder.seeded:
            continue
        name = f"copy-{folder_name(folder.path)}"
        command = ("cp", "-dRp", f"{folder.path}/.", f"{RESULTS}/{folder_name(folder.path)}/")
        container = replace(test.container, name=f"{test.container.name}-{name}", command=command)
        found.append(PlannedStep(name=name, role="prepare", container=container, timeout_s=_COPY_TIMEOUT_S))
    return tuple(found)


def _linked(spec: ContainerSpec, program: Program, filler: Filler) -> ContainerSpec:
    """The container with its folders also at the fixed places where the program looks for them."""
    by_target = {mount.target: mount for mount in spec.mounts}
    links = []
    for link in program.links:
        if not condition_holds(link.when, filler.values):
            continue
        mount = by_target.get(filler.text(link.to))
        if mount is not None:  # else it is of a step that comes later, or that this test has not
            links.append(replace(mount, target=link.path))
    return replace(spec, mounts=(*spec.mounts, *links))


def _deviating(spec: ContainerSpec, deviation: Deviation) -> ContainerSpec:
    value = deviation.value
    match deviation.what:
        case "network":
            return replace(spec, network=value)
        case "capability":
            return replace(spec, capabilities=tuple(dict.fromkeys((*spec.capabilities, value))))
        case "ipc":
            return replace(spec, ipc=value)
        case "shm":
            return replace(spec, shm=max(spec.shm or 0, size_bytes(value)))
        case "pids":
            return replace(spec, pids=int(value))
        case "ulimit":
            name, _, most = value.partition("=")
            number = -1 if most == "unlimited" else int(most)
            return replace(spec, ulimits={**spec.ulimits, name: (number, number)})


def lasting_files(program: Program, files: Iterable[ConfigFile]) -> Mapping[str, str]:
    """The files that a step's artefact may depend on, by their paths: LoadGen's settings are not among them."""
    settings = {file.path for file in program.files if file.format == "user.conf"}
    return {file.target: file.text for file in files if file.target not in settings and file.name not in settings}


def planned_steps(
    program: Program, spec: ContainerSpec, filler: Filler, test: ExternalTest, files: Mapping[str, str]
) -> tuple[PlannedStep, ...]:
    """The steps that this test has; what one of them makes is mounted in all later ones."""
    steps: list[PlannedStep] = []
    for step in program.steps:
        if not condition_holds(step.when, filler.values):
            continue
        planned = _step(step, spec, filler, test, files)
        steps.append(planned)
        if planned.artifact is not None:
            made = Mount(source=planned.artifact.source, target=planned.artifact.target)
            spec = replace(spec, mounts=(*spec.mounts, made))
    return tuple(steps)


def _step(step: Step, spec: ContainerSpec, filler: Filler, test: ExternalTest, files: Mapping[str, str]) -> PlannedStep:
    argv: list[str] = []
    for word in step.argv:
        if not isinstance(word, WordsIf):
            argv.append(filler.text(word))
        elif condition_holds(word.when, filler.values):
            argv += [filler.text(one) for one in word.words]
    given = {**test.program.env, **step.env}
    env = {**spec.env, **{name: filler.text(text) for name, text in given.items()}}
    for deviation in test.program.deviations:
        if not deviation.steps or step.name in deviation.steps:
            spec = _deviating(spec, deviation)
    name = spec.name if step.role == "run" else f"{spec.name}-{step.name}"
    workdir = filler.folder(step.workdir)
    container = replace(spec, name=name, command=tuple(argv), env=dict(sorted(env.items())), workdir=workdir)
    artifact = None if step.artifact is None else _artifact(step.name, step.artifact, container, test, files)
    if artifact is not None:
        made = Mount(source=artifact.source, target=artifact.target, read_only=False)
        container = replace(container, mounts=(*container.mounts, made))
    container = _linked(container, test.program, filler)
    timeout_s = seconds_of(step.timeout)
    return PlannedStep(name=step.name, role=step.role, container=container, timeout_s=timeout_s, artifact=artifact)


def _artifact(
    step: str, artifact: Artifact, container: ContainerSpec, test: ExternalTest, files: Mapping[str, str]
) -> PlannedArtifact:
    """What the step makes; its key is a hash of everything that determines its bytes, as far as that is known."""
    form = {
        "image": test.program_id or container.image,
        "argv": container.command,
        "env": dict(container.env),
        "files": artifact.files,
        "workdir": container.workdir,
        "rendered": dict(files),
        "made": [
            *(
                mount.source.removeprefix(test.artifacts)
                for mount in container.mounts
                if mount.source.startswith(f"{test.artifacts}/")
            ),
            *(f"{link.to} at {link.path}" for link in test.program.links),
        ],
        "inputs": dict(test.inputs),
        "devices": test.device_kinds if artifact.needs_device else (),
    }
    key = hashlib.sha256(json.dumps(form, sort_keys=True).encode()).hexdigest()[:24]
    return PlannedArtifact(
        key=key,
        path=f"{test.artifacts}/{test.harness}-{step}/{key}",
        target=f"{ARTIFACTS}/{step}",
        files=artifact.files,
        needs_device=artifact.needs_device,
        takes=artifact.takes,
    )
