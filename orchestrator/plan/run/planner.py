"""Plan the tests of a run: which containers, with which settings, on which part of the machine.

Pure: everything that the plan depends on is an argument. The same inputs give
the same steps, and a dry run prints what would start.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orchestrator.errors import HostLimitError, UsageError
from orchestrator.facts.devices import DeviceInventory
from orchestrator.facts.steps import ARTIFACTS, OWNER_LABEL, AssetRef, ContainerSpec, Mount, RunStep
from orchestrator.plan.run.devices import plan_devices
from orchestrator.plan.run.processors import cpu_set, memory_limit, memory_nodes, preflight_memory, size_bytes
from orchestrator.plan.run.settings import Choices, settings_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from orchestrator.definitions.kinds.recipes import Asset, Benchmark, Dataset, Harness, Model, Target
    from orchestrator.facts.host import HostFacts
    from orchestrator.plan.run.devices import Devices
    from orchestrator.plan.run.user import RunUser

SCENARIOS = ("Offline", "Server", "SingleStream", "MultiStream")
MODES = ("performance", "accuracy")
PIDS = 4096
_MIB = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What is measured and with which image; the folders lie on this host, sizes in bytes."""

    benchmark: Benchmark
    target: Target
    model: Model
    dataset: Dataset
    harness: Harness
    framework: str
    image: str
    model_folder: str
    dataset_folder: str
    model_bytes: int = 0
    dataset_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnvironment:
    """Where it runs and for whom.

    ``results`` and ``artifacts`` are absolute host folders, ``user`` says who containers are (`plan.run.user`);
    ``devices`` is what the host and its engine have for devices, ``device_selection`` which of them
    to use (`--devices`, empty: all), ``limits`` the most that a container's rlimit may be (None: no bound; a name
    that is absent is not known and not checked).
    """

    host: HostFacts
    results: str
    artifacts: str
    user: RunUser
    owner: str
    devices: DeviceInventory = field(default_factory=DeviceInventory)
    device_selection: str = ""
    limits: Mapping[str, int | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One cell: a scenario in a mode."""

    scenario: str
    mode: str


def cells_of(
    scenarios: Iterable[str], *, asked: Sequence[str] = (), mode: str = "all", every_accuracy: bool = False
) -> tuple[Cell, ...]:
    """The tests that a benchmark with ``scenarios`` runs, accuracy first.

    ``asked`` names scenarios (none or ``all``: every one that the benchmark has).
    Accuracy is a property of the model, not of the scenario, so one accuracy test
    in the first scenario serves them all, unless ``every_accuracy``: an official
    submission has one in each. Raises `UsageError` for a scenario that is not there.
    """
    has = [name for name in SCENARIOS if name in set(scenarios)]
    wanted = has if not asked or "all" in asked else [name for name in SCENARIOS if name in asked]
    missing = [name for name in wanted if name not in has]
    if missing:
        raise UsageError(
            f"the benchmark has no scenario {missing[0]}",
            hint=f"it has {', '.join(has)}",
            slug="unknown-scenario",
        )
    tests = []
    if mode in {"accuracy", "all"}:
        tests += [Cell(scenario=name, mode="accuracy") for name in (wanted if every_accuracy else wanted[:1])]
    if mode in {"performance", "all"}:
        tests += [Cell(scenario=name, mode="performance") for name in wanted]
    return tuple(tests)


def run_id(stamp: str, benchmark: str, target: str, cell: Cell, token: str) -> str:
    """The name of a run: ``stamp`` as ``20261124T014100Z``, ``token`` four hex digits."""
    return stamp + f"-{benchmark}-{target}-{cell.scenario}-{cell.mode}-{token}".lower()


def plan_run(workload: Workload, environment: RunEnvironment, cell: Cell, identifier: str, choices: Choices) -> RunStep:
    """One LoadGen test as a frozen step.

    Raises `HostLimitError` where the host cannot give what the target asks for:
    nothing is ever lowered silently.
    """
    benchmark, target = workload.benchmark, workload.target
    devices = plan_devices(target, environment.devices, environment.device_selection, environment.user.inside)
    cpus = cpu_set(environment.host, devices.near)
    settings, provenance = settings_of(workload, cell, identifier, choices, cpus)
    return RunStep(
        run_id=identifier,
        benchmark=benchmark.name,
        target=target.name,
        scenario=cell.scenario,
        mode=cell.mode,
        image=workload.image,
        container=_container(workload, environment, cell, identifier, cpus, devices),
        settings=settings,
        provenance=provenance,
        model=_asset("model", workload.model),
        dataset=_asset("dataset", workload.dataset),
        results_owner=environment.user.owner,
        device_injection=devices.device_injection,
    )


def _asset(kind: str, asset: Asset) -> AssetRef:
    return AssetRef(kind=kind, name=asset.name, files={out.file: out.sha256 for out in asset.outputs})


def _container(
    workload: Workload,
    environment: RunEnvironment,
    cell: Cell,
    identifier: str,
    cpus: tuple[int, ...],
    devices: Devices,
) -> ContainerSpec:
    target, host = workload.target, environment.host
    memory = memory_limit(host)
    shm = size_bytes(target.shm)
    preflight_memory(host, need=_memory_need(workload, shm), limit=memory)
    return ContainerSpec(
        name=f"mlorch-{identifier}",
        image=workload.image,
        command=workload.harness.command,
        user=environment.user.inside,
        mounts=(*_mounts(workload, environment, cell, identifier), *devices.mounts),
        tmpfs=_tmpfs(memory, environment.user.inside),
        env=_env({**target.env, **devices.env}, len(cpus)),
        labels={
            "org.mlorch.run": identifier,
            OWNER_LABEL: environment.owner,
            "org.mlorch.results": environment.results,
        },
        network="none",
        read_only=True,
        cpus=cpus,
        memory_nodes=memory_nodes(host, cpus),
        memory=memory,
        shm=shm,
        pids=PIDS,
        ulimits=_ulimits(target.ulimits, environment.limits, target.name),
        groups=devices.groups,
        capabilities=tuple(c.name for c in target.capabilities),
        devices=devices.nodes,
        cdi_devices=devices.cdi,
        gpus=devices.gpus,
        runtime=devices.runtime,
        expects=devices.expects,
        exclusive=devices.exclusive,
        ipc=target.ipc,
        workdir="/scratch",
    )


def _memory_need(workload: Workload, shm: int) -> int:
    """The least that makes sense: the model thrice (file, loaded, arena), the data once, 256 MiB of code."""
    return 3 * workload.model_bytes + workload.dataset_bytes + min(shm, 64 * _MIB) + 256 * _MIB


def _mounts(workload: Workload, environment: RunEnvironment, cell: Cell, identifier: str) -> tuple[Mount, ...]:
    return (
        Mount(source=workload.model_folder, target=f"/models/{workload.model.name}"),
        Mount(source=workload.dataset_folder, target=f"/data/{workload.dataset.name}"),
        Mount(source=f"{environment.results}/{identifier}", target="/results", read_only=False),
        Mount(source=artifacts_folder(environment.artifacts, workload, cell), target=ARTIFACTS, read_only=False),
    )


def artifacts_folder(root: str, workload: Workload, cell: Cell) -> str:
    """Where a test's compiled engines and quantised weights stay: of this image (by content id), for this step only."""
    content_id = workload.image.rpartition(":")[2]
    return f"{root}/{content_id}/{workload.benchmark.name}-{workload.target.name}-{cell.scenario}".lower()


def _tmpfs(memory: int, user: str) -> dict[str, str]:
    """Sizes are bounds, not reservations; what is written there counts against the container's memory.

    They belong to the run's user: where the folder exists in the image, or is the working
    directory (which Docker then makes), runc before 1.2 puts its mode over the option's.
    """
    scratch, tmp = min(memory // 4, 8 * 2**30), min(memory // 8, 2**30)
    uid, _, gid = user.partition(":")
    options = f"rw,nosuid,nodev,noexec,mode=1777,uid={uid},gid={gid or uid}"
    return {"/scratch": f"{options},size={scratch}", "/tmp": f"{options},size={tmp}"}  # noqa: S108 (in the container)


def _env(target: Mapping[str, str], threads: int) -> dict[str, str]:
    least = {
        "HOME": "/scratch",
        "TMPDIR": "/tmp",  # noqa: S108 (in the container)
        "LC_ALL": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "OMP_NUM_THREADS": str(max(1, threads)),
    }
    return dict(sorted({**least, **target}.items()))


def _ulimits(asked: Mapping[str, str], limits: Mapping[str, int | None], target: str) -> dict[str, tuple[int, int]]:
    given: dict[str, tuple[int, int]] = {}
    for name, text in sorted(asked.items()):
        value = -1 if text == "unlimited" else int(text)
        most = limits.get(name)
        if most is not None and (value == -1 or value > most):
            raise HostLimitError(
                f"target `{target}` needs the limit {name}={text}; the engine on this host gives {most} at most",
                hint=f"raise it where the engine is started (systemd: Limit{name.upper()}=infinity; shell: "
                f"`ulimit -H {name}`; in a virtual machine or container it needs CAP_SYS_RESOURCE), "
                "then start the engine again",
            )
        given[name] = (value, value)
    return given


_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)?")
_UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000}


def duration_ms(text: str) -> int:
    """Milliseconds of ``10m``, ``30s``, ``1.5h``, ``500ms`` or plain seconds; raises `UsageError`."""
    match = _DURATION.fullmatch(text.strip().lower())
    value = round(float(match[1]) * _UNITS[match[2] or "s"]) if match else 0
    if not 1 <= value <= 24 * 3_600_000:
        raise UsageError(
            f"`{text}` is not a duration between 1 ms and 24 h",
            hint="write 30s, 10m or 600s",
            slug="duration",
        )
    return value
