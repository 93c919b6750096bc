"""Plan the tests of a run: which containers, with which settings, on which part of the machine.

Pure: everything that the plan depends on is an argument. The same inputs give
the same steps, and a dry run prints what would start.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orchestrator.errors import HostLimitError
from orchestrator.facts.containers import ARTIFACTS, OWNER_LABEL, ContainerSpec, Mount
from orchestrator.facts.devices import DeviceInventory
from orchestrator.facts.runs import AssetRef, RunStep
from orchestrator.plan.run.devices import plan_devices
from orchestrator.plan.run.settings import settings_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.definitions.kinds.recipes import Asset, Benchmark, Dataset, Harness, Model, Target
    from orchestrator.facts.host import HostFacts
    from orchestrator.plan.run.cells import Cell
    from orchestrator.plan.run.devices import Devices
    from orchestrator.plan.run.settings import Choices
    from orchestrator.plan.run.user import RunUser

PIDS = 4096
_MIB, _GIB = 2**20, 2**30
_SUFFIXES = {"": 1, "k": 2**10, "m": _MIB, "g": _GIB, "t": 2**40}


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


# -- the container: mounts, limits, processors, devices and rights ----------------------------


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
    # Compiled engines and quantised weights stay for this step of this image only.
    content_id = workload.image.rpartition(":")[2]
    artifacts = f"{content_id}/{workload.benchmark.name}-{workload.target.name}-{cell.scenario}".lower()
    return (
        Mount(source=workload.model_folder, target=f"/models/{workload.model.name}"),
        Mount(source=workload.dataset_folder, target=f"/data/{workload.dataset.name}"),
        Mount(source=f"{environment.results}/{identifier}", target="/results", read_only=False),
        Mount(source=f"{environment.artifacts}/{artifacts}", target=ARTIFACTS, read_only=False),
    )


def _tmpfs(memory: int, user: str) -> dict[str, str]:
    """Sizes are bounds, not reservations; what is written there counts against the container's memory.

    They belong to the run's user: where the folder exists in the image, or is the working
    directory (which Docker then makes), runc before 1.2 puts its mode over the option's.
    """
    scratch, tmp = min(memory // 4, 8 * _GIB), min(memory // 8, _GIB)
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


# -- processors and memory -------------------------------------------------------------------


def cpu_set(host: HostFacts, near: tuple[int, ...] = ()) -> tuple[int, ...]:
    """One hardware thread of every physical core that may be used, node by node.

    ``near`` are memory nodes to stay on, those of the devices that are used; it restricts
    nothing where none of their cores may be used, or the host has one node only.

    A second thread of a core shares its vector units, so for dense arithmetic it
    adds little and makes times vary. Where a core's first thread is not allowed,
    its first allowed one is taken; all nodes with an allowed core are used whole.
    """
    allowed = _allowed_cpus(host, near)
    chosen = []
    for core in host.cores:
        threads = [cpu for cpu in core if cpu in allowed]
        if threads:
            chosen.append(threads[0])
    if not chosen:
        raise HostLimitError("this process may use no processor", hint="check its cpuset and affinity")
    return tuple(sorted(chosen))


def _allowed_cpus(host: HostFacts, near: tuple[int, ...]) -> set[int]:
    allowed = set(host.allowed_cpus)
    if len(host.nodes) < 2:
        return allowed
    near_cpus = {cpu for node in host.nodes if node.node in near for cpu in node.cpus}
    return allowed & near_cpus or allowed


def memory_nodes(host: HostFacts, cpus: tuple[int, ...]) -> tuple[int, ...]:
    """The NUMA nodes of ``cpus`` that have memory; empty (no restriction) on a host with one node."""
    if len(host.nodes) < 2:
        return ()
    wanted = set(cpus)
    near = tuple(node.node for node in host.nodes if wanted & set(node.cpus) and node.memory)
    return near or tuple(node.node for node in host.nodes if node.memory)


def memory_limit(host: HostFacts) -> int:
    """The container's memory limit in bytes: the host's less a headroom of a tenth (0.5 to 16 GiB).

    From the total and not from what is free now, so that a run repeated later has the same limit.
    """
    headroom = min(max(host.memory // 10, _GIB // 2), 16 * _GIB)
    return max(host.memory - headroom, host.memory // 2) // _MIB * _MIB


def preflight_memory(host: HostFacts, *, need: int, limit: int) -> None:
    """Raise `HostLimitError` where ``need`` bytes do not fit into the limit or into what is free now."""
    have = min(limit, host.memory_available)
    if need > have:
        raise HostLimitError(
            f"too little memory: the model and data need about {gib(need)}, and {gib(have)} can be had",
            hint="stop other programs, or use a machine (or a cgroup) with more memory",
            slug="memory",
        )


def gib(size: int) -> str:
    """Bytes for people."""
    return f"{size / _GIB:.1f} GiB"


def size_bytes(text: str) -> int:
    """Bytes of a size such as ``64m``."""
    suffix = text[-1:] if text[-1:] in _SUFFIXES else ""
    return int(text.removesuffix(suffix)) * _SUFFIXES[suffix]
