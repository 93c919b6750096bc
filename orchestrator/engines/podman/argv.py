"""A container's spec as the words of `podman`: what the engine creates, and what a dry run prints. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.facts.steps import ContainerSpec

_RAISED = {"nofile": 1 << 20, "nproc": 1 << 22}
"""What podman sets where nobody says anything (its RLimitDefaultValue); refused where the host's bound is lower."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """What decides how podman is asked.

    ``limits`` are the host's bounds of rlimits, None where there is none; ``subordinate``
    tells whether a plain user has ids beside the own one (/etc/subuid).
    """

    rootless: bool
    limits: Mapping[str, int | None]
    subordinate: bool = True


def create_words(spec: ContainerSpec, host: Host) -> list[str]:
    """The options, the image and the command of `podman create` or `podman run`.

    What podman would add by itself is turned off, so that a container has what its spec
    says and nothing else: writable folders over a read-only root, the proxies of the
    caller, a look into a registry.
    """
    words = ["--name", spec.name, *_ids(spec, host), "--pull", "never", "--http-proxy=false"]
    words += _network(spec, rootless=host.rootless)
    words += ["--read-only", "--read-only-tmpfs=false"] if spec.read_only else []
    words += ["--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--log-driver", "none"]
    words += _limits(spec, host.limits)
    words += _grants(spec, rootless=host.rootless)
    for mount in spec.mounts:
        words += ["--mount", _mount(mount.source, mount.target, read_only=mount.read_only)]
    for path, options in sorted(spec.tmpfs.items()):
        words += ["--tmpfs", f"{path}:{tmpfs_options(options, spec.user)}"]
    for key, value in sorted(spec.env.items()):
        words += ["--env", f"{key}={value}"]
    words += ["--unsetenv", "container"] if "container" not in spec.env else []
    for key, value in sorted(spec.labels.items()):
        words += ["--label", f"{key}={value}"]
    words += ["--workdir", spec.workdir] if spec.workdir else []
    return [*words, spec.image, *spec.command]


def _ids(spec: ContainerSpec, host: Host) -> list[str]:
    """A plain user's files in mounted folders are the user's own outside, and inside too where ids can be mapped.

    With the own id alone the container's root is that user: without capabilities, like everybody else.
    """
    if host.rootless and not host.subordinate:
        return ["--user", "0:0"]
    return ["--user", spec.user, *(["--userns", "keep-id"] if host.rootless else [])]


def _network(spec: ContainerSpec, *, rootless: bool) -> list[str]:
    """A plain user has no bridge; podman's own default for one (pasta, slirp4netns) stands in."""
    return [] if rootless and spec.network == "bridge" else ["--network", spec.network]


def _limits(spec: ContainerSpec, bounds: Mapping[str, int | None]) -> list[str]:
    words = ["--pids-limit", str(spec.pids), "--ipc", spec.ipc]
    if spec.cpus:
        words += ["--cpuset-cpus", ",".join(map(str, spec.cpus))]
    if spec.memory_nodes:
        words += ["--cpuset-mems", ",".join(map(str, spec.memory_nodes))]
    if spec.memory is not None:
        # Swap as much as memory, that is none: a benchmark that swaps measures the disk.
        words += ["--memory", str(spec.memory), "--memory-swap", str(spec.memory)]
    if spec.shm is not None and spec.ipc != "host":
        words += ["--shm-size", str(spec.shm)]
    return words + ulimit_words({**bounded(bounds), **spec.ulimits})


def ulimit_words(ulimits: Mapping[str, tuple[int, int]]) -> list[str]:
    """`--ulimit` for each, by name."""
    return [word for name, (soft, hard) in sorted(ulimits.items()) for word in ("--ulimit", f"{name}={soft}:{hard}")]


def bounded(bounds: Mapping[str, int | None]) -> dict[str, tuple[int, int]]:
    """The limits that podman would wish for and this host refuses, as high as the host allows."""
    return {
        name: (most, most) for name, value in _RAISED.items() if (most := bounds.get(name)) is not None and most < value
    }


def _grants(spec: ContainerSpec, *, rootless: bool) -> list[str]:
    words: list[str] = []
    if rootless and spec.groups:
        words += ["--group-add", "keep-groups"]  # the host's groups have no number in a user namespace
    else:
        words += [word for group in spec.groups for word in ("--group-add", group)]
    words += [word for capability in spec.capabilities for word in ("--cap-add", capability)]
    words += [word for device in spec.devices for word in ("--device", f"{device}:{device}:rw")]
    return words + [word for device in spec.cdi_devices for word in ("--device", device)]


def tmpfs_options(options: str, user: str) -> str:
    """Docker's options of a tmpfs in podman's words.

    podman takes no uid and gid, but gives a folder to the container's user with ``U``;
    and it copies what the image has there unless told otherwise.
    """
    given = [word for word in options.split(",") if word]
    owner = {word for word in given if word.startswith(("uid=", "gid="))}
    uid, _, gid = user.partition(":")
    kept = [word for word in given if word not in owner]
    own = owner and owner <= {f"uid={uid}", f"gid={gid or uid}"}
    return ",".join([*kept, *(["U"] if own else []), "notmpcopyup"])


def _mount(source: str, target: str, *, read_only: bool) -> str:
    """`--mount` and not `-v`: it refuses a source that is missing. The value is one CSV record."""
    fields = ["type=bind", f"source={source}", f"target={target}"] + (["readonly"] if read_only else [])
    return ",".join(f'"{field.replace(chr(34), chr(34) * 2)}"' if set(field) & set(',"') else field for field in fields)
