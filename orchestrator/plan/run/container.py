"""The container of one test: its mounts, limits, processors, devices and rights, as one frozen spec. Pure."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from orchestrator.errors import HostLimitError
from orchestrator.facts.containers import ARTIFACTS, OWNER_LABEL, RECORD, RESULTS, ContainerSpec, Mount
from orchestrator.facts.sizes import size_bytes
from orchestrator.plan.run.processors import memory_limit, memory_nodes, preflight_memory

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.plan.run.cells import Cell
    from orchestrator.plan.run.devices import Devices
    from orchestrator.plan.run.workload import RunEnvironment, Workload

PIDS = 4096
_MIB = 2**20


def container_of(
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
    spec = ContainerSpec(
        name=f"mlorch-{identifier}",
        image=workload.image,
        command=workload.harness.command,
        user=environment.user.inside,
        mounts=_mounts(workload, environment, cell, identifier),
        tmpfs=_tmpfs(memory, environment.user.inside),
        env=_env(target.env, len(cpus)),
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
        capabilities=tuple(c.name for c in target.capabilities),
        ipc=target.ipc,
        workdir="/scratch",
    )
    return devices.given_to(spec)


def _memory_need(workload: Workload, shm: int) -> int:
    """The least that makes sense: the model thrice (file, loaded, arena), the data once, 256 MiB of code."""
    return 3 * workload.model_bytes + workload.dataset_bytes + min(shm, 64 * _MIB) + 256 * _MIB


def _mounts(workload: Workload, environment: RunEnvironment, cell: Cell, identifier: str) -> tuple[Mount, ...]:
    """The record is mounted over itself: what is a mount point can be neither replaced nor removed from inside."""
    results = f"{environment.results}/{identifier}"
    return (
        Mount(source=workload.model_folder, target=f"/models/{workload.model.name}"),
        Mount(source=workload.dataset_folder, target=f"/data/{workload.dataset.name}"),
        Mount(source=results, target=RESULTS, read_only=False),
        Mount(source=f"{results}/{RECORD}", target=f"{RESULTS}/{RECORD}"),
        Mount(source=artifacts_folder(environment.artifacts, workload, cell), target=ARTIFACTS, read_only=False),
    )


def artifacts_folder(root: str, workload: Workload, cell: Cell) -> str:
    """Where a test's compiled engines and quantised weights stay: of this image (by content id), for this step only.

    Two recipes may give a benchmark one name and the same image: what they let run in it is part of the name too.
    """
    content_id = workload.image.rpartition(":")[2]
    name = f"{workload.benchmark.name}-{workload.target.name}-{cell.scenario}".lower()
    return f"{root}/{content_id}/{name}-{_work_key(workload)}"


def _work_key(workload: Workload) -> str:
    """A hash of what writes the artefacts and of what it makes them: program, parameters, model and data."""
    program = workload.harness.model_dump(mode="json", exclude={"title"})
    files = {one.path: one.sha256 for asset in (workload.model, workload.dataset) for one in asset.outputs}
    parameters = {name: chosen.value for name, chosen in workload.parameters.items()}
    text = json.dumps([program, files, parameters, workload.framework, workload.arch], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


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
