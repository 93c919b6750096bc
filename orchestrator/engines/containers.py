"""One container through the Docker SDK: created as its spec says, followed line by line to its end."""

from __future__ import annotations

import codecs
from typing import Any

from orchestrator.engines import ContainerExit, ContainerFacts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import docker

    from orchestrator.model.steps import ContainerSpec

_MAX_LINE = 64 * 1024
"""Bytes of a line that are kept together; a longer one is cut into several."""


def create(api: docker.APIClient, spec: ContainerSpec) -> str:
    """Create (not start) the container of `spec`; gives its id."""
    made = api.create_container(
        image=spec.image,
        command=list(spec.command),
        name=spec.name,
        user=spec.user,
        environment=dict(spec.env),
        labels=dict(spec.labels),
        working_dir=spec.workdir or None,
        host_config=api.create_host_config(**_host_config(spec)),
        network_disabled=spec.network == "none",
        stdin_open=False,
        tty=False,
    )
    return str(made["Id"])


def _host_config(spec: ContainerSpec) -> dict[str, Any]:
    from docker.types import DeviceRequest, Mount, Ulimit

    config: dict[str, Any] = {
        "mounts": [Mount(m.target, m.source, type="bind", read_only=m.read_only) for m in spec.mounts],
        "tmpfs": dict(spec.tmpfs),
        "network_mode": spec.network,
        "read_only": spec.read_only,
        "cap_drop": ["ALL"],
        "cap_add": list(spec.capabilities),
        "security_opt": ["no-new-privileges:true"],
        "pids_limit": spec.pids,
        "ipc_mode": spec.ipc,
        "ulimits": [Ulimit(name=name, soft=soft, hard=hard) for name, (soft, hard) in sorted(spec.ulimits.items())],
        "group_add": list(spec.groups),
        "devices": [f"{device}:{device}:rw" for device in spec.devices],
        "init": False,
        "log_config": {"Type": "none", "Config": {}},
    }
    if spec.cpus:
        config["cpuset_cpus"] = ",".join(map(str, spec.cpus))
    if spec.memory_nodes:
        config["cpuset_mems"] = ",".join(map(str, spec.memory_nodes))
    if spec.memory is not None:
        # The same for swap: a benchmark that swaps measures the disk.
        config |= {"mem_limit": spec.memory, "memswap_limit": spec.memory}
    if spec.shm is not None:
        config["shm_size"] = spec.shm
    if spec.cdi_devices:
        config["device_requests"] = [DeviceRequest(driver="cdi", device_ids=list(spec.cdi_devices))]
    return config


def follow(
    api: docker.APIClient,
    container: str,
    spec: ContainerSpec,
    on_line: Callable[[str], None],
    on_started: Callable[[ContainerFacts], None],
) -> ContainerExit:
    """Start `container` and hand over its lines until it ends.

    The stream is attached before the start, so that no line is lost; nothing is kept
    in the engine's own log, so that nothing of a run stays there.
    """
    stream = api.attach(container, stdout=True, stderr=True, stream=True, logs=False)
    try:
        api.start(container)
        on_started(ContainerFacts(container_id=container, name=spec.name, state="running", labels=dict(spec.labels)))
        for line in lines(stream):
            on_line(line)
    finally:
        # An attached stream that nobody reads blocks the container's writes, and then its stop, for minutes.
        stream.close()
    api.wait(container, timeout=60)
    state = api.inspect_container(container)["State"]
    return ContainerExit(
        container_id=container,
        exit_code=int(state["ExitCode"]),
        out_of_memory=bool(state.get("OOMKilled")),
        started=str(state.get("StartedAt", "")),
        finished=str(state.get("FinishedAt", "")),
    )


def lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """Lines of a byte stream whose chunks end anywhere, also inside a character."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    held = ""
    for chunk in chunks:
        held += decoder.decode(chunk)
        *whole, held = held.split("\n")
        for line in whole:
            yield line.rstrip("\r")
        while len(held) > _MAX_LINE:
            yield held[:_MAX_LINE]
            held = held[_MAX_LINE:]
    held += decoder.decode(b"", final=True)
    if held:
        yield held
