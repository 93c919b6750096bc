"""Print a container as the `apptainer exec` line, for a cluster's node where neither Docker nor podman may run.

The image is the same one, carried as an OCI archive. What a node's apptainer cannot keep of
a spec is in `notes`, never left out in silence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.engines.options import csv_quoted, csv_record, each

if TYPE_CHECKING:
    from orchestrator.facts.containers import ContainerSpec, Mount

_OWN_TMP = ("/tmp", "/var/tmp")  # noqa: S108 (in the container: --containall gives it these)


def archive(image: str) -> str:
    """The file in the working folder that the image is expected in: ``NAME-CONTENTID.oci.tar``."""
    name, _, tag = image.rpartition("/")[2].rpartition(":")
    return f"{name}-{tag[:12]}.oci.tar"


def argv(spec: ContainerSpec) -> list[str]:
    """The words of the command.

    ``--containall`` gives namespaces, temporary folders and an environment of its own, and
    the root is read-only unless asked otherwise; ``--no-privs`` drops every capability, root's
    too, and forbids to gain any. Processors and rlimits are set around it, as the container
    inherits them: apptainer itself would need a cgroup that systemd has delegated.
    """
    words = [*_around(spec), "apptainer", "exec", "--containall", "--no-privs", "--no-home", "--no-eval"]
    words += [*_rights(spec), *_files(spec)]
    words += each("--env", (_env(key, value) for key, value in sorted(spec.env.items()) if key != "HOME"))
    if spec.workdir:
        words += ["--pwd", spec.workdir]
    words.append(f"oci-archive:{archive(spec.image)}")
    if "HOME" in spec.env:  # apptainer refuses to set HOME, which is the caller's and not there
        words += ["/usr/bin/env", f"HOME={spec.env['HOME']}"]
    return [*words, *spec.command]


def _rights(spec: ContainerSpec) -> list[str]:
    words = []
    if spec.network == "none":
        words += ["--net", "--network", "none"]
    if not spec.read_only:
        words.append("--writable-tmpfs")
    if spec.capabilities:
        words += ["--add-caps", ",".join(spec.capabilities)]
    return words


def _files(spec: ContainerSpec) -> list[str]:
    """Mounts by `--mount` and not `--bind`, whose value may hold neither colon nor comma."""
    folders = [path for path in sorted(spec.tmpfs) if path not in _OWN_TMP]
    return [*each("--mount", map(_mount, spec.mounts)), *each("--scratch", folders), *each("--bind", spec.devices)]


def _around(spec: ContainerSpec) -> list[str]:
    words = []
    if spec.ulimits:
        limits = sorted(spec.ulimits.items())
        words += ["prlimit", *(f"--{name}={_limit(soft)}:{_limit(hard)}" for name, (soft, hard) in limits)]
    if spec.cpus:
        words += ["taskset", "--cpu-list", ",".join(map(str, spec.cpus))]
    return words


def _limit(value: int) -> str:
    return "unlimited" if value < 0 else str(value)


def notes(spec: ContainerSpec) -> tuple[str, ...]:
    """What must be there first, and what of the spec is not enforced."""
    return (
        f"write the image first: `podman save --format oci-archive -o {archive(spec.image)} {spec.image}`",
        "apptainer runs as whoever calls it, with that user's groups and without a seccomp filter",
        "no label tells of the run, so no later mlorch finds what is left of it",
        f"not limited, as that needs a cgroup which systemd delegates: {', '.join(_unlimited(spec))}",
        *_missing_devices(spec),
        *_otherwise(spec),
    )


def _unlimited(spec: ContainerSpec) -> list[str]:
    found = []
    if spec.memory is not None:
        found.append(f"memory ({spec.memory} bytes)")
    found.append(f"processes ({spec.pids})")
    if spec.shm is not None:
        found.append(f"the size of /dev/shm ({spec.shm} bytes)")
    if spec.tmpfs:
        found.append("sizes of scratch folders")
    if spec.memory_nodes:
        found.append(f"memory nodes {','.join(map(str, spec.memory_nodes))}")
    return found


def _missing_devices(spec: ContainerSpec) -> list[str]:
    found = []
    if spec.cdi_devices:
        found.append(f"devices by CDI name are not passed ({', '.join(spec.cdi_devices)}): add --nv or --rocm")
    if spec.gpus:
        found.append(f"devices of --gpus are not passed ({', '.join(spec.gpus)}): add --nv")
    if spec.runtime:
        found.append(f"apptainer has no runtime `{spec.runtime}`, so what it passes is missing")
    return found


def _otherwise(spec: ContainerSpec) -> list[str]:
    found = []
    if spec.capabilities:
        found.append("capabilities are given to root, or to whom `apptainer capability add` grants them")
    if spec.network != "none":
        found.append("the network is the host's")
    if spec.ipc != "private":
        found.append(f"shared memory is its own, not {spec.ipc}")
    return found


def _env(key: str, value: str) -> str:
    """`--env` is a CSV record of pairs where it has more than one equals sign."""
    pair = f"{key}={value}"
    return csv_quoted(pair) if pair.count("=") > 1 else pair


def _mount(mount: Mount) -> str:
    read_only = ["ro"] if mount.read_only else []
    return csv_record(["type=bind", f"source={mount.source}", f"destination={mount.target}", *read_only])
