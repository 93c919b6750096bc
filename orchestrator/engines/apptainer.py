"""Print a container as the `apptainer exec` line, for a cluster's node where neither Docker nor podman may run.

The image is the same one, carried as an OCI archive. What a node's apptainer cannot keep of
a spec is told by `notes`, never left out in silence.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from orchestrator.engines.docker.argv import unowned

if TYPE_CHECKING:
    from orchestrator.facts.steps import ContainerSpec, Mount

_OWN_TMP = ("/tmp", "/var/tmp")  # noqa: S108 (in the container: --containall gives it these)


def archive(image: str) -> str:
    """The file in the working folder that the image is expected in: ``NAME-CONTENTID.oci.tar``."""
    name, _, tag = image.rpartition("/")[2].rpartition(":")
    return f"{name}-{tag[:12]}.oci.tar"


def argv(spec: ContainerSpec) -> list[str]:
    """The words of the command.

    ``--containall`` gives namespaces, temporary folders and an environment of its own, and
    the root is read-only unless asked otherwise; ``--no-privs`` drops every capability, root's
    too, and forbids to gain any. Processors and rlimits are set outside, as the container
    inherits them: apptainer itself would need a cgroup that systemd has delegated.
    """
    words = ["apptainer", "exec", "--containall", "--no-privs", "--no-home", "--no-eval"]
    words += ["--net", "--network", "none"] if spec.network == "none" else []
    words += ["--add-caps", ",".join(spec.capabilities)] if spec.capabilities else []
    words += [word for mount in spec.mounts for word in ("--mount", _mount(mount))]
    words += [word for path in sorted(spec.tmpfs) if path not in _OWN_TMP for word in ("--scratch", path)]
    words += [word for device in spec.devices for word in ("--bind", device)]
    words += [word for key, value in sorted(spec.env.items()) if key != "HOME" for word in ("--env", _env(key, value))]
    words += ["--pwd", spec.workdir] if spec.workdir else []
    # apptainer refuses to be told HOME, which is the caller's and not there.
    home = ["/usr/bin/env", f"HOME={spec.env['HOME']}"] if "HOME" in spec.env else []
    return [*words, f"oci-archive:{archive(spec.image)}", *home, *spec.command]


def line(spec: ContainerSpec) -> str:
    """The command, quoted for a shell, with processors and rlimits set around it."""
    return shlex.join([*_around(spec), *argv(unowned(spec))])


def _around(spec: ContainerSpec) -> list[str]:
    limits = [f"--{name}={_limit(soft)}:{_limit(hard)}" for name, (soft, hard) in sorted(spec.ulimits.items())]
    words = ["prlimit", *limits] if limits else []
    return words + (["taskset", "--cpu-list", ",".join(map(str, spec.cpus))] if spec.cpus else [])


def _limit(value: int) -> str:
    return "unlimited" if value < 0 else str(value)


def notes(spec: ContainerSpec) -> tuple[str, ...]:
    """What must be there first, and what of the spec is not enforced."""
    found = [
        f"write the image first: `podman save --format oci-archive -o {archive(spec.image)} {spec.image}`",
        "apptainer runs as whoever calls it, with that user's groups and without a seccomp filter",
        "no label tells of the run, so no later mlorch finds what is left of it",
    ]
    lacking = [f"memory ({spec.memory} bytes)"] if spec.memory is not None else []
    lacking += [f"processes ({spec.pids})", "sizes of /dev/shm and of scratch folders"]
    lacking += [f"memory nodes {','.join(map(str, spec.memory_nodes))}"] if spec.memory_nodes else []
    found.append(f"not limited, as that needs a cgroup which systemd delegates: {', '.join(lacking)}")
    if spec.cdi_devices:
        found.append(f"devices by CDI name are not passed ({', '.join(spec.cdi_devices)}): add --nv or --rocm")
    if spec.capabilities:
        found.append("capabilities are given to root, or to whom `apptainer capability add` grants them")
    if spec.network != "none":
        found.append("the network is the host's")
    if spec.ipc == "host":
        found.append("shared memory is its own, not the host's")
    return tuple(found)


def _env(key: str, value: str) -> str:
    """`--env` is a CSV record of pairs where it has more than one equals sign."""
    pair = f"{key}={value}"
    return f'"{pair.replace(chr(34), chr(34) * 2)}"' if pair.count("=") > 1 else pair


def _mount(mount: Mount) -> str:
    """`--mount` and not `--bind`, whose value may hold neither colon nor comma. The value is one CSV record."""
    fields = ["type=bind", f"source={mount.source}", f"destination={mount.target}"] + (
        ["ro"] if mount.read_only else []
    )
    return ",".join(f'"{field.replace(chr(34), chr(34) * 2)}"' if set(field) & set(',"') else field for field in fields)
