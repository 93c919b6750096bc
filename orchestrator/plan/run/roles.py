"""Plan a run of several containers: what each role gets of the machine, and how it is started and asked. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from orchestrator.definitions.kinds.clients import NO_CLIENT_HINT, why_no_client
from orchestrator.definitions.kinds.servers import CLIENT
from orchestrator.errors import HostLimitError, UsageError
from orchestrator.facts.containers import ARTIFACTS, RECORD, RESULTS
from orchestrator.facts.roles import CEILING, FIRST_PORT, NULL_PORT, PROBES, PlannedProbe, PlannedRole, PlannedRoles
from orchestrator.plan.run.container import container_of
from orchestrator.plan.run.devices import Devices, plan_devices
from orchestrator.plan.run.external.texts import Filler, typed_parameters
from orchestrator.plan.run.external.values import SCRATCH
from orchestrator.plan.run.settings import weights_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orchestrator.definitions.kinds.servers import Role, Server
    from orchestrator.definitions.values import Value
    from orchestrator.facts.containers import ContainerSpec
    from orchestrator.plan.run.cells import Cell
    from orchestrator.plan.run.workload import RunEnvironment, Workload

_MIB = 2**20
_CLIENT_MEMORY = 4 * 2**30
"""The most that a client gets: requests under way and the samples, no model."""
_PROBES_MEMORY = 256 * _MIB
_PROBES_COMMAND = ("python3", "-m", "mlorch_harness.probes")
_NULL_SERVER = ("python3", "-m", "mlorch_harness.nullserver", "--port", str(NULL_PORT), "--processes")
_CEILING = ("python3", "-m", "mlorch_harness.ceiling", f"{RESULTS}/settings.json", f"http://127.0.0.1:{NULL_PORT}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What one container of a role has of the host's processors (their numbers)."""

    role: str
    replica: int
    cpus: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Replica:
    """One container of a server's role; ``stage`` is the place of the role in the order of their starts."""

    role: str
    number: int
    name: str
    port: int
    stage: int


def shares(benchmark: str, roles: Mapping[str, Role], cpus: tuple[int, ...]) -> tuple[Share, ...]:
    """The processors of every container, in the order of the roles; no two have one in common.

    Roles that ask for a number get it, the others share the rest evenly, the client first of all where it is to share.
    Raises `HostLimitError` (`no-processor`) where that leaves one with none.
    """
    wanted = {name: role.cpus for name, role in roles.items()}
    fixed = sum((count or 0) * roles[name].replicas for name, count in wanted.items())
    sharing = sum(roles[name].replicas for name, count in wanted.items() if count is None)
    each, more = divmod(max(len(cpus) - fixed, 0), sharing) if sharing else (0, 0)
    if len(cpus) < fixed or (sharing and each == 0):
        asked = ", ".join(f"{name} {roles[name].replicas} × {count or 'a share'}" for name, count in wanted.items())
        raise HostLimitError(
            f"benchmark `{benchmark}` has roles that need {max(fixed + sharing, 1)} processors of their own "
            f"({asked}); this run has {len(cpus)}",
            hint="a server and its client must not share processors: give the run more, fewer replicas "
            "(--set roles.ROLE.replicas=1), or run the benchmark without --roles",
            slug="no-processor",
        )
    left = list(cpus)
    found = []
    for name, replica in _client_first(roles):
        count = wanted[name]
        if count is None:
            count = each + (more > 0)
            more -= 1
        found.append(Share(role=name, replica=replica, cpus=tuple(left[:count])))
        del left[:count]
    order = list(roles)
    return tuple(sorted(found, key=lambda share: (order.index(share.role), share.replica)))


def _client_first(roles: Mapping[str, Role]) -> Iterator[tuple[str, int]]:
    """The client has the first processors: the ones that most interrupts go to are no server's."""
    names = sorted(roles, key=lambda name: name != CLIENT)
    return ((name, replica) for name in names for replica in range(roles[name].replicas))


def client_cpus(workload: Workload, cpus: tuple[int, ...]) -> tuple[int, ...]:
    """The processors of the harness: all of them, or those of its role."""
    benchmark = workload.benchmark
    if not benchmark.roles:
        return cpus
    return next(share.cpus for share in shares(benchmark.name, benchmark.roles, cpus) if share.role == CLIENT)


def as_client(spec: ContainerSpec, workload: Workload) -> ContainerSpec:
    """The harness's container as the client of a run of several: no model, no devices, in the run's namespace.

    Somebody else's program keeps the model: its vocabulary may lie there.
    """
    hidden = f"/models/{workload.model.name}" if workload.harness.program is None else ""
    return replace(
        spec,
        network=f"container:{_probes_name(spec)}",
        mounts=tuple(mount for mount in spec.mounts if mount.target != hidden),
        memory=min(spec.memory or _CLIENT_MEMORY, _CLIENT_MEMORY),
        capabilities=(),
        ipc="private",
    )


def _probes_name(spec: ContainerSpec) -> str:
    return f"{spec.name}-{PROBES}"


def endpoint(workload: Workload) -> dict[str, object]:
    """Where the client finds its servers: the `endpoint` of the harness's settings."""
    roles = workload.benchmark.roles
    urls = [f"http://127.0.0.1:{one.port}{_path(_program(workload, one))}" for one in _replicas(roles)]
    return {"urls": urls, "model": workload.model.name, "key_file": None}


def _path(server: Server) -> str:
    """What an address says of where the interface is: nothing where that is the usual place."""
    return "" if server.api_path == "/v1" else server.api_path


def _replicas(roles: Mapping[str, Role]) -> tuple[_Replica, ...]:
    """Every server that a run starts, each with a port of its own."""
    found: list[_Replica] = []
    for stage, name in enumerate(name for name in roles if name != CLIENT):
        count = roles[name].replicas
        for number in range(count):
            full = name if count == 1 else f"{name}-{number}"
            port = FIRST_PORT + len(found)
            found.append(_Replica(role=name, number=number, name=full, port=port, stage=stage))
    return tuple(found)


def plan_roles(
    workload: Workload,
    environment: RunEnvironment,
    cell: Cell,
    identifier: str,
    cpus: tuple[int, ...],
    client: ContainerSpec,
) -> PlannedRoles:
    """What runs beside ``client`` (as `as_client` gives it) on the processors ``cpus`` of the whole run.

    Raises:
        HostLimitError: `no-processor`, `memory`; as `plan_devices`.
        DefinitionError: `template`, a text of a server's recipe that cannot be filled.
        UsageError: `unknown-parameter`, `bad-parameter`; `no-client`, a program that cannot be one.
    """
    roles = workload.benchmark.roles
    if workload.harness.program is not None:
        for why in why_no_client(workload.harness, roles):
            raise UsageError(why, hint=NO_CLIENT_HINT, slug="no-client")
    given = {(share.role, share.replica): share.cpus for share in shares(workload.benchmark.name, roles, cpus)}
    replicas = _replicas(roles)
    servers = []
    for replica, devices in zip(replicas, _devices(workload, environment, len(replicas)), strict=True):
        spec = container_of(workload, environment, cell, identifier, given[replica.role, replica.number], devices)
        memory = ((spec.memory or 0) - (client.memory or 0)) // len(replicas) // _MIB * _MIB
        servers.append(_server(workload, replica, replace(spec, memory=memory, network=client.network)))
    is_measured = cell.mode == "performance" and workload.harness.program is None
    null = _null_server(client, servers[0], _processes(roles[CLIENT], client)) if is_measured else None
    probes = _helper(client, PROBES, (*_PROBES_COMMAND, json.dumps([_told(one) for one in servers])), "none")
    return PlannedRoles(
        probes=replace(probes, memory=_PROBES_MEMORY, image=workload.probes_image or client.image),
        servers=tuple(servers),
        restart=next(role.restart for name, role in roles.items() if name != CLIENT),
        null_server=null,
        ceiling=replace(client, name=f"{client.name}-{CEILING}", command=_CEILING) if is_measured else None,
    )


def _told(role: PlannedRole) -> dict[str, object]:
    """What `mlorch_harness.probes` is told of a server."""
    probe = role.probe
    return {
        "name": role.name,
        "url": f"http://127.0.0.1:{probe.port}{probe.path}",
        "every_s": probe.every_s,
        "timeout_s": probe.timeout_s,
        "misses": probe.misses,
    }


def _helper(client: ContainerSpec, name: str, command: tuple[str, ...], network: str) -> ContainerSpec:
    """A container of the client's image on its processors that sees no files."""
    return replace(client, name=f"{client.name}-{name}", command=command, network=network, mounts=())


def _processes(role: Role, client: ContainerSpec) -> int:
    """As many as the client has at most, where nobody says."""
    return role.processes or max(1, len(client.cpus))


def _null_server(client: ContainerSpec, like: PlannedRole, processes: int) -> ContainerSpec:
    """A server that answers at once, in the client's image on the processors of the first server.

    It has as many processes as the client, so that it is not what is measured; no more than processors.
    """
    count = min(processes, max(1, len(like.container.cpus)))
    spec = _helper(client, f"{CEILING}-server", (*_NULL_SERVER, str(count)), client.network)
    return replace(spec, cpus=like.container.cpus, memory_nodes=like.container.memory_nodes)


def _devices(workload: Workload, environment: RunEnvironment, servers: int) -> list[Devices]:
    """The devices of each server: of a single one all that the run has, of several an even share each."""
    target, selection, user = workload.target, environment.device_selection, environment.user.on_host
    whole = plan_devices(target, environment.devices, selection, user)
    indexes = [device.index for device in whole.device_injection.devices]
    if servers == 1 or not indexes:
        return [whole] * servers
    if not all(indexes) or len(indexes) < servers:
        raise UsageError(
            f"{servers} servers need devices of their own, and this run has {len(indexes)}",
            hint="choose more with --devices, or fewer replicas (--set roles.ROLE.replicas=1)",
            slug="role-devices",
        )
    return [plan_devices(target, environment.devices, ",".join(indexes[at::servers]), user) for at in range(servers)]


def _server(workload: Workload, replica: _Replica, spec: ContainerSpec) -> PlannedRole:
    """A server in ``spec``, the container as a harness would get it: with the model, without data and results."""
    role, server = workload.benchmark.roles[replica.role], _program(workload, replica)
    not_its = {RESULTS, f"{RESULTS}/{RECORD}", ARTIFACTS, f"/data/{workload.dataset.name}"}
    spec = replace(
        spec,
        name=f"{spec.name}-{replica.name}",
        image=workload.server_images[server.name],
        mounts=tuple(mount for mount in spec.mounts if mount.target not in not_its),
        tmpfs=_scratch(spec.tmpfs, executable=bool(server.executable_scratch)),
    )
    filler = Filler(f"server `{server.name}`", _values(workload, server, spec, replica))
    parameters = typed_parameters(filler, server.parameters, role.parameters)
    filler.values = {**filler.values, **{f"param.{name}": value for name, value in parameters.items()}}
    return PlannedRole(
        name=replica.name,
        role=replica.role,
        stage=replica.stage,
        container=replace(
            spec,
            command=tuple(filler.text(word) for word in server.command),
            env=dict(sorted({**spec.env, **{key: filler.text(text) for key, text in server.env.items()}}.items())),
        ),
        probe=PlannedProbe(port=replica.port, **server.probe.model_dump()),
    )


def _program(workload: Workload, replica: _Replica) -> Server:
    name = workload.benchmark.roles[replica.role].server
    assert name is not None  # the benchmark's check
    return workload.servers[name]


def _scratch(tmpfs: Mapping[str, str], *, executable: bool) -> dict[str, str]:
    if not executable:
        return dict(tmpfs)
    return {**tmpfs, SCRATCH: tmpfs[SCRATCH].replace(",noexec", ",exec")}


def _values(workload: Workload, server: Server, spec: ContainerSpec, replica: _Replica) -> dict[str, Value]:
    """`definitions.kinds.servers.SERVER_VALUES`, of one container."""
    model, generation = workload.model, workload.benchmark.generation
    folder = f"/models/{model.name}"
    file = model.files.get(server.backend) or weights_file(model)
    devices = (*spec.devices, *spec.cdi_devices, *spec.gpus)
    return {
        "model": folder,
        "model.file": f"{folder}/{file}",
        "model.name": model.name,
        "port": replica.port,
        "replica": replica.number,
        "cpus": max(1, len(spec.cpus)),
        "cpu_list": ",".join(str(cpu) for cpu in spec.cpus),
        "devices.count": len(devices),
        "devices.list": ",".join(devices),
        "memory_mb": (spec.memory or 0) // _MIB,
        "scratch": SCRATCH,
        "tokens": generation.limit if generation is not None else 0,
    }


def deviations(workload: Workload) -> tuple[str, ...]:
    """What the servers of a run get beyond the run contract, each with its reason."""
    return tuple(
        f"server {name}: programs may run from {SCRATCH}: {workload.servers[name].executable_scratch}"
        for name in workload.benchmark.server_names
        if workload.servers[name].executable_scratch
    )
