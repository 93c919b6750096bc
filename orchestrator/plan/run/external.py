"""Plan one test of a harness that is not ours: its values, files, containers and what it must leave. Pure."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from orchestrator.definitions.kinds.external import WordsIf, folder_name
from orchestrator.errors import DefinitionError, Problem
from orchestrator.facts.containers import ARTIFACTS, RESULTS, Mount
from orchestrator.facts.external import (
    CONFIG,
    CONFIG_FOLDER,
    ExternalRun,
    FigureReading,
    PlannedArtifact,
    PlannedFile,
    PlannedStep,
)
from orchestrator.facts.sizes import size_bytes
from orchestrator.facts.times import seconds_of
from orchestrator.plan.run.external_texts import Filler, holds, parameters_of, words_of
from orchestrator.plan.run.loadgen_settings import expected_settings, user_conf

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from orchestrator.definitions.kinds.external import (
        AccuracyFigure,
        Artifact,
        Deviation,
        Program,
        RenderedFile,
        Step,
        WritableFolder,
    )
    from orchestrator.definitions.values import Value
    from orchestrator.facts.containers import ContainerSpec

_SCRATCH_OPTIONS = "rw,nosuid,nodev,mode=1777"
_COPY_TIMEOUT_S = 24 * 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalTest:
    """What the plan of one test is made of.

    ``container`` is the container as our own harness would get it: image, user, mounts, processors, devices.
    ``values`` has the base values (`VALUE_NAMES`), ``settings`` LoadGen's; ``chosen`` are the parameters that
    the command line or the benchmark set, ``folder`` is the run's folder on the host.
    """

    harness: str
    program: Program
    container: ContainerSpec
    scenario: str
    mode: str
    values: Mapping[str, Value]
    settings: Mapping[str, object]
    chosen: Mapping[str, str]
    folder: str
    program_id: str = ""
    """The image without what it says of its benchmark; empty where the whole image counts."""
    artifacts: str = ""
    """The host's folder of artefacts of all runs."""
    inputs: Mapping[str, str] = field(default_factory=dict)
    """What artefacts are made of: the files of model and data set with their hashes."""
    device_kinds: tuple[str, ...] = ()
    """What the devices of the run are (product names), in order."""


def plan_external(test: ExternalTest) -> tuple[ExternalRun, dict[str, Value]]:
    """The steps and expectations of one test, and the parameters that it runs with.

    Raises:
        DefinitionError: `template`, a text of the recipe that cannot be filled.
        UsageError: `unknown-parameter`, `bad-parameter`.
    """
    program = test.program
    parameters = parameters_of(test.harness, program, test.values, test.chosen)
    values = {**test.values, **{f"param.{name}": value for name, value in parameters.items()}}
    words, wordless = words_of(program, values)
    values |= words
    filler = Filler(f"harness `{test.harness}`", values, wordless)
    files = _files(program, filler, test)
    spec = _with_needs(program, filler, test, files)
    steps = (*_seeds(program, test), *_steps(program, spec, filler, test, _lasting(program, files)))
    names = [step.name for step in steps]
    accuracy = program.accuracy if program.accuracy and program.accuracy.step in names else None
    run = ExternalRun(
        steps=steps,
        files=tuple(PlannedFile(name=one.name, text=one.text, executable=one.executable) for one in files),
        folders=tuple(folder_name(one.path) for one in program.writable if one.kind == "results"),
        logs_folder=program.logs.folder,
        logs_pick=program.logs.pick,
        keep_trace=program.logs.trace,
        expected=expected_settings(test.scenario, test.mode, test.settings),
        exit_codes=program.expect.exit_codes,
        needed_files=program.expect.files,
        console_has=program.expect.console_has,
        console_lacks=program.expect.console_lacks,
        accuracy_step="" if accuracy is None else accuracy.step,
        figures=() if accuracy is None else _figures(accuracy.figures, values),
        data_samples=int(values.get("data.samples", 0)),
        deviations=_told_deviations(program),
    )
    return run, parameters


def _told_deviations(program: Program) -> tuple[str, ...]:
    """What the program gets beyond the run contract, for people, each with its reason."""
    found = [_deviation_line(one) for one in program.deviations]
    for folder in program.writable:
        execution = " (exec)" if folder.exec else ""
        seeded = " (a copy of the image's)" if folder.seeded else ""
        found.append(f"writable {folder.path}{execution}{seeded}: {folder.reason}")
    return tuple(found)


def _deviation_line(deviation: Deviation) -> str:
    """A deviation as people read it, and as the record has it."""
    only = f" (step {', '.join(deviation.steps)})" if deviation.steps else ""
    return f"{deviation.what} {deviation.value}{only}: {deviation.reason}"


# -- files -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    """A rendered file: ``name`` below the config folder, ``target`` in the container."""

    name: str
    target: str
    text: str
    executable: bool = False


def _files(program: Program, filler: Filler, test: ExternalTest) -> tuple[_File, ...]:
    found = []
    for number, file in enumerate(program.files):
        if not holds(file.when, filler.values):
            continue
        absolute = file.path.startswith("/")
        name = f"{number}-{file.path.rpartition('/')[2]}" if absolute else file.path
        target = file.path if absolute else f"{CONFIG}/{file.path}"
        text = _content(file, filler, test)
        found.append(_File(name=name, target=target, text=text, executable=file.executable))
    if program.user is not None:
        found += _user_files(program.user, filler)
    _require_each_once(test.harness, found)
    return tuple(found)


def _user_files(name: str, filler: Filler) -> tuple[_File, ...]:
    """The lists of users and groups with a name for the user of the run, which no image knows."""
    uid, gid = filler.values["uid"], filler.values["gid"]
    users = f"root:x:0:0:root:/root:/bin/sh\n{name}:x:{uid}:{gid}::/scratch:/bin/sh\n"
    groups = f"root:x:0:\n{name}:x:{gid}:\n"
    return (
        _File(name="user-passwd", target="/etc/passwd", text=users),
        _File(name="user-group", target="/etc/group", text=groups),
    )


def _require_each_once(harness: str, files: Iterable[_File]) -> None:
    """Raise `DefinitionError` [file-twice] where two files have one place, or one would have to be a folder."""
    seen: dict[str, str] = {}
    for file in files:
        name, target = file.name, file.target
        for other, where in seen.items():
            if f"{name}/".startswith(f"{other}/") or f"{other}/".startswith(f"{name}/") or target == where:
                message = f"harness `{harness}`: the files {where} and {target} cannot both be there"
                hint = "give one of them another path, or a `when` that excludes the other"
                raise DefinitionError([Problem(slug="file-twice", message=message, hint=hint)])
        seen[name] = target


def _content(file: RenderedFile, filler: Filler, test: ExternalTest) -> str:
    if file.format == "json":
        return json.dumps(_json(file.values, filler), indent=2) + "\n"
    text = filler.text(file.text)
    if file.format == "user.conf":
        return user_conf(test.scenario, test.settings) + text
    return text


def _json(tree: object, filler: Filler) -> object:
    """A tree of templates as JSON: numbers, true, false and null as JSON spells them, all else text."""
    if isinstance(tree, dict):
        return {key: _json(value, filler) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [_json(value, filler) for value in tree]
    if tree is None:
        return None
    value = filler.typed(str(tree))
    return _plain_json(value) if isinstance(value, str) else value


def _plain_json(value: str) -> object:
    """A number, true, false or null where JSON spells them so; all else, NaN among it, stays text."""
    try:
        plain = json.loads(value, parse_constant=str)
    except (ValueError, RecursionError):
        return value
    if isinstance(plain, float) and not math.isfinite(plain):
        return value
    return plain if isinstance(plain, int | float | None) else value


# -- containers --------------------------------------------------------------------------------


def _with_needs(program: Program, filler: Filler, test: ExternalTest, files: Iterable[_File]) -> ContainerSpec:
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


def _seeds(program: Program, test: ExternalTest) -> tuple[PlannedStep, ...]:
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
        if not holds(link.when, filler.values):
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


def _lasting(program: Program, files: Iterable[_File]) -> Mapping[str, str]:
    """The files that a step's artefact may depend on, by their paths: LoadGen's settings are not among them."""
    settings = {file.path for file in program.files if file.format == "user.conf"}
    return {file.target: file.text for file in files if file.target not in settings and file.name not in settings}


def _steps(
    program: Program, spec: ContainerSpec, filler: Filler, test: ExternalTest, files: Mapping[str, str]
) -> tuple[PlannedStep, ...]:
    """The steps that this test has; what one of them makes is mounted in all later ones."""
    steps: list[PlannedStep] = []
    for step in program.steps:
        if not holds(step.when, filler.values):
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
        elif holds(word.when, filler.values):
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


def _figures(figures: Iterable[AccuracyFigure], values: Mapping[str, Value]) -> tuple[FigureReading, ...]:
    return tuple(_reading(figure) for figure in figures if holds(figure.when, values))


def _reading(figure: AccuracyFigure) -> FigureReading:
    return FigureReading(
        name=figure.name,
        unit=figure.unit,
        pattern=figure.pattern or "",
        file=figure.file or "",
        key=figure.key,
        samples=figure.samples or "",
    )
