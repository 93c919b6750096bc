"""Print a container as the `docker run` line that would start the same; the executor of a dry run."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import TYPE_CHECKING

from orchestrator.facts.steps import OWNER_LABEL

if TYPE_CHECKING:
    from orchestrator.facts.steps import ContainerSpec


def docker_argv(spec: ContainerSpec) -> list[str]:
    """The words of the command; quoted only for display."""
    argv = ["docker", "run", "--rm", "--name", spec.name, "--user", spec.user, "--network", spec.network]
    argv += ["--read-only"] if spec.read_only else []
    argv += ["--cap-drop", "ALL", "--security-opt", "no-new-privileges:true", "--log-driver", "none"]
    argv += _limits(spec)
    argv += _grants(spec)
    for mount in spec.mounts:
        argv += ["--mount", _mount(mount.source, mount.target, read_only=mount.read_only)]
    for path, options in sorted(spec.tmpfs.items()):
        argv += ["--tmpfs", f"{path}:{options}"]
    for key, value in sorted(spec.env.items()):
        argv += ["--env", f"{key}={value}"]
    for key, value in sorted(spec.labels.items()):
        argv += ["--label", f"{key}={value}"]
    argv += ["--workdir", spec.workdir] if spec.workdir else []
    return [*argv, spec.image, *spec.command]


def docker_line(spec: ContainerSpec) -> str:
    """The command for a person to run, quoted for a shell.

    Without the owner's label: by it another mlorch would take the container for one that
    this process left behind, and remove it.
    """
    return shlex.join(docker_argv(unowned(spec)))


argv, line = docker_argv, docker_line


def notes(spec: ContainerSpec) -> tuple[str, ...]:  # noqa: ARG001 (of the protocol)
    """Docker keeps everything that a spec says."""
    return ()


def unowned(spec: ContainerSpec) -> ContainerSpec:
    """The same without the owner's label."""
    labels = {name: value for name, value in spec.labels.items() if name != OWNER_LABEL}
    return replace(spec, labels=labels)


def _limits(spec: ContainerSpec) -> list[str]:
    argv = ["--pids-limit", str(spec.pids), "--ipc", spec.ipc]
    if spec.cpus:
        argv += ["--cpuset-cpus", ",".join(map(str, spec.cpus))]
    if spec.memory_nodes:
        argv += ["--cpuset-mems", ",".join(map(str, spec.memory_nodes))]
    if spec.memory is not None:
        # Swap as much as memory, that is none: a benchmark that swaps measures the disk.
        argv += ["--memory", str(spec.memory), "--memory-swap", str(spec.memory)]
    if spec.shm is not None and spec.ipc != "host":
        argv += ["--shm-size", str(spec.shm)]
    for name, (soft, hard) in sorted(spec.ulimits.items()):
        argv += ["--ulimit", f"{name}={soft}:{hard}"]
    return argv


def _grants(spec: ContainerSpec) -> list[str]:
    argv: list[str] = []
    for group in spec.groups:
        argv += ["--group-add", group]
    for capability in spec.capabilities:
        argv += ["--cap-add", capability]
    for device in spec.devices:
        argv += ["--device", f"{device}:{device}:rw"]
    for device in spec.cdi_devices:
        argv += ["--device", device]
    if spec.gpus:
        # The option's value is a line of CSV: a list of devices needs quotes of its own.
        argv += ["--gpus", "all" if spec.gpus == ("all",) else f'"device={",".join(spec.gpus)}"']
    if spec.runtime:
        argv += ["--runtime", spec.runtime]
    return argv


def _mount(source: str, target: str, *, read_only: bool) -> str:
    """`--mount` and not `-v`: it refuses a source that is missing. The value is one CSV record."""
    fields = ["type=bind", f"source={source}", f"target={target}"] + (["readonly"] if read_only else [])
    return ",".join(f'"{field.replace(chr(34), chr(34) * 2)}"' if set(field) & set(',"') else field for field in fields)
