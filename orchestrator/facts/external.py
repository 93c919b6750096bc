"""A run of somebody else's harness, planned: its files, its containers, and how its results are read."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 (the codec reads the annotations)
from dataclasses import dataclass, field, replace

from orchestrator.facts.containers import ContainerSpec  # noqa: TC001

MADE = ".made"
"""The folder beside the artefacts of images for what steps made: shared by its inputs, of no image."""
CONFIG = "/config"
"""Where a container finds the files that mlorch wrote for it, read-only."""
CONFIG_FOLDER = "config"
"""Their folder in the run's folder on the host."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedFile:
    """A file that is written before the run; ``name`` is relative to the run's ``config`` folder."""

    name: str
    text: str
    executable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedArtifact:
    """What a step makes once: ``path`` is its tree on the host, ``target`` where containers find its files."""

    key: str
    path: str
    target: str
    files: tuple[str, ...]
    needs_device: bool = False
    takes: str = ""

    @property
    def source(self) -> str:
        """The folder on the host that is mounted at ``target``."""
        return f"{self.path}/files"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStep:
    """One container of the run; ``timeout_s`` in seconds. With an ``artifact`` it runs only where that is not there."""

    name: str
    role: str
    container: ContainerSpec
    timeout_s: int
    artifact: PlannedArtifact | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureReading:
    """Where a figure of accuracy is read: ``pattern`` in the step's output, else ``key`` in the JSON ``file``."""

    name: str
    unit: str
    pattern: str = ""
    file: str = ""
    key: tuple[str, ...] = ()
    samples: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalRun:
    """What is special about a run whose harness is a program as data.

    ``steps`` in their order, the LoadGen test among them; ``folders`` of the run that must exist for its mounts.
    ``logs_folder`` is a glob below the run's folder, ``logs_pick`` ``only`` or ``newest``; ``keep_trace`` is whether
    LoadGen's trace stays among its logs. ``expected`` maps
    LoadGen's effective settings, without their prefix, to what was asked for. ``accuracy_step`` is the step whose
    output the ``figures`` are read from; ``deviations`` are the rights beyond the run contract, with reasons.
    """

    steps: tuple[PlannedStep, ...]
    files: tuple[PlannedFile, ...] = ()
    folders: tuple[str, ...] = ()
    logs_folder: str = "."
    logs_pick: str = "only"
    keep_trace: bool = True
    expected: Mapping[str, object] = field(default_factory=dict)
    exit_codes: tuple[int, ...] = (0,)
    needed_files: tuple[str, ...] = ()
    console_has: tuple[str, ...] = ()
    console_lacks: tuple[str, ...] = ()
    accuracy_step: str = ""
    figures: tuple[FigureReading, ...] = ()
    data_samples: int = 0
    deviations: tuple[str, ...] = ()

    @property
    def test(self) -> PlannedStep:
        """The LoadGen test itself."""
        return next(step for step in self.steps if step.role == "run")


def only_its_test_joins(program: ExternalRun, network: str) -> ExternalRun:
    """A program as the client of servers in ``network``; its steps before and after its test see no network at all."""
    steps = tuple(
        replace(step, container=replace(step.container, network=network if step.role == "run" else "none"))
        for step in program.steps
    )
    return replace(program, steps=steps)
