"""What a container may do and see, as options: one list for the line that is printed and the call that is made.

docker, podman and nerdctl share the words of `docker run`. Where one of them differs, its own
module gives other words for an option by name; Docker's SDK takes the same options by its own
names. An option that is missing here is missing everywhere, and the tests of all of them fail.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.facts.containers import OWNER_LABEL

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from orchestrator.facts.containers import ContainerSpec, Mount


SECCOMP = Path(__file__).with_name("seccomp.json")
"""The system calls that a container may make, in the form that docker and podman read."""


@functools.cache
def seccomp_profile() -> str:
    """The profile as the engine's interface takes it: its text and not its place."""
    return json.dumps(json.loads(SECCOMP.read_text(encoding="utf-8")), separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Option:
    """One right, limit or mount: its words on a command line, and the arguments of Docker's SDK that say the same.

    ``name`` is the field of `ContainerSpec` that it keeps, or the restriction that holds for every container.
    """

    name: str
    words: tuple[str, ...]
    api: Mapping[str, object] = field(default_factory=dict)


def container_options(spec: ContainerSpec) -> Iterator[Option]:
    """Everything that a container is given, beside its image and its command."""
    yield Option("name", ("--name", spec.name), {"name": spec.name})
    yield Option("user", ("--user", spec.user), {"user": spec.user})
    yield Option("network", ("--network", spec.network), {"network_mode": spec.network})
    if spec.read_only:
        yield Option("read_only", ("--read-only",), {"read_only": True})
    yield from _restrictions()
    yield from _limits(spec)
    yield from _rights(spec)
    yield from _files(spec)
    yield from _surroundings(spec)


def _restrictions() -> Iterator[Option]:
    """What holds for every container, whatever its spec says."""
    yield Option("cap_drop", ("--cap-drop", "ALL"), {"cap_drop": ["ALL"]})
    no_gain = "no-new-privileges:true"
    yield Option("no_new_privileges", ("--security-opt", no_gain), {"security_opt": [no_gain]})
    # One profile of our own: the engines' own ones differ, and podman's lets a container make namespaces and mounts.
    yield Option(
        "seccomp", ("--security-opt", f"seccomp={SECCOMP}"), {"security_opt": [f"seccomp={seccomp_profile()}"]}
    )
    # The lines are read as they come: nothing of a run stays with the engine.
    yield Option("log", ("--log-driver", "none"), {"log_config": {"Type": "none", "Config": {}}})
    yield Option("init", ("--init=false",), {"init": False})


def _limits(spec: ContainerSpec) -> Iterator[Option]:
    yield Option("pids", ("--pids-limit", str(spec.pids)), {"pids_limit": spec.pids})
    yield Option("ipc", ("--ipc", spec.ipc), {"ipc_mode": spec.ipc})
    if spec.cpus:
        cpus = _numbers(spec.cpus)
        yield Option("cpus", ("--cpuset-cpus", cpus), {"cpuset_cpus": cpus})
    if spec.memory_nodes:
        nodes = _numbers(spec.memory_nodes)
        yield Option("memory_nodes", ("--cpuset-mems", nodes), {"cpuset_mems": nodes})
    if spec.memory is not None:
        yield Option("memory", ("--memory", str(spec.memory)), {"mem_limit": spec.memory})
        # Memory and swap together, so that there is no swap: a benchmark that swaps measures the disk.
        yield Option("swap", ("--memory-swap", str(spec.memory)), {"memswap_limit": spec.memory})
    if spec.shm is not None and spec.ipc != "host":  # the host's has its size already
        yield Option("shm", ("--shm-size", str(spec.shm)), {"shm_size": spec.shm})
    limits = [{"name": name, "soft": soft, "hard": hard} for name, (soft, hard) in sorted(spec.ulimits.items())]
    yield Option("ulimits", ulimit_words(spec.ulimits), {"ulimits": limits})


def _rights(spec: ContainerSpec) -> Iterator[Option]:
    yield Option("groups", each("--group-add", spec.groups), {"group_add": list(spec.groups)})
    yield Option("capabilities", each("--cap-add", spec.capabilities), {"cap_add": list(spec.capabilities)})
    nodes = [f"{device}:{device}:rw" for device in spec.devices]
    yield Option("devices", each("--device", nodes), {"devices": nodes})
    if spec.cdi_devices:
        request: dict[str, object] = {"driver": "cdi", "device_ids": list(spec.cdi_devices)}
        yield Option("cdi_devices", each("--device", spec.cdi_devices), {"device_requests": [request]})
    if spec.gpus:
        yield _gpus(spec.gpus)
    if spec.runtime:
        yield Option("runtime", ("--runtime", spec.runtime), {"runtime": spec.runtime})


def _gpus(gpus: tuple[str, ...]) -> Option:
    request: dict[str, object] = {"capabilities": [["gpu"]]}
    if gpus == ("all",):
        return Option("gpus", ("--gpus", "all"), {"device_requests": [{**request, "count": -1}]})
    # The option's value is a line of CSV: a list of devices needs quotes of its own.
    words = ("--gpus", f'"device={",".join(gpus)}"')
    return Option("gpus", words, {"device_requests": [{**request, "device_ids": list(gpus)}]})


def _files(spec: ContainerSpec) -> Iterator[Option]:
    """Mounts by `--mount` and not `-v`, which makes a folder where the source is missing."""
    mounts = [
        {"Type": "bind", "Source": mount.source, "Target": mount.target, "ReadOnly": mount.read_only}
        for mount in spec.mounts
    ]
    yield Option("mounts", each("--mount", map(_mount, spec.mounts)), {"mounts": mounts})
    folders = (f"{path}:{options}" for path, options in sorted(spec.tmpfs.items()))
    yield Option("tmpfs", each("--tmpfs", folders), {"tmpfs": dict(spec.tmpfs)})


def _mount(mount: Mount) -> str:
    read_only = ["readonly"] if mount.read_only else []
    return csv_record(["type=bind", f"source={mount.source}", f"target={mount.target}", *read_only])


def _surroundings(spec: ContainerSpec) -> Iterator[Option]:
    yield Option("env", each("--env", _pairs(spec.env)), {"environment": dict(spec.env)})
    yield Option("labels", each("--label", _pairs(spec.labels)), {"labels": dict(spec.labels)})
    if spec.workdir:
        yield Option("workdir", ("--workdir", spec.workdir), {"working_dir": spec.workdir})


def run_words(spec: ContainerSpec, instead: Mapping[str, Sequence[str]]) -> list[str]:
    """The options, the image and the command as words; ``instead`` has an engine's own words for options by name."""
    found: list[str] = []
    for option in container_options(spec):
        found += instead.get(option.name, option.words)
    return [*found, spec.image, *spec.command]


def unowned(spec: ContainerSpec) -> ContainerSpec:
    """The same without the owner's label, for a line that a person runs.

    By that label another mlorch would take the container for one that this process left
    behind, and remove it.
    """
    labels = {name: value for name, value in spec.labels.items() if name != OWNER_LABEL}
    return replace(spec, labels=labels)


def each(flag: str, values: Iterable[str]) -> tuple[str, ...]:
    """A flag that is given once for every value."""
    return tuple(word for value in values for word in (flag, value))


def ulimit_words(ulimits: Mapping[str, tuple[int, int]]) -> tuple[str, ...]:
    """`--ulimit` for each, by name; soft and hard."""
    return each("--ulimit", (f"{name}={soft}:{hard}" for name, (soft, hard) in sorted(ulimits.items())))


def csv_record(fields: Iterable[str]) -> str:
    """One line of CSV, which is what `--mount` takes; a field with a comma or a quote is quoted."""
    return ",".join(csv_quoted(text) if set(text) & set(',"') else text for text in fields)


def csv_quoted(text: str) -> str:
    """A field of CSV in quotes."""
    return '"' + text.replace('"', '""') + '"'


def _pairs(values: Mapping[str, str]) -> Iterator[str]:
    return (f"{key}={value}" for key, value in sorted(values.items()))


def _numbers(values: Iterable[int]) -> str:
    return ",".join(map(str, values))
