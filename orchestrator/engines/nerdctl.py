"""Print a container as the `nerdctl run` line that would start the same, for a host with containerd and no Docker.

nerdctl knows docker's words; what it takes otherwise is in `_DIFFERENCES`, and what it cannot keep in `notes`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from orchestrator.engines.options import run_words

if TYPE_CHECKING:
    from orchestrator.facts.containers import ContainerSpec

_DIFFERENCES = {
    # With a colon nerdctl takes the whole for a word that it does not know, warns, and lets the container gain rights.
    "no_new_privileges": ("--security-opt", "no-new-privileges"),
}


def argv(spec: ContainerSpec) -> list[str]:
    """The words of the command."""
    return ["nerdctl", "run", "--rm", "--pull", "never", *run_words(spec, _DIFFERENCES)]


def notes(spec: ContainerSpec) -> tuple[str, ...]:
    """What must be there first, and what nerdctl keeps otherwise than docker."""
    found = [
        f"bring the image over first: `docker save {spec.image} | nerdctl load`",
        "nerdctl 2.0 or newer is needed: older ones know no `--log-driver none`",
    ]
    if any(":" in path for mount in spec.mounts for path in (mount.source, mount.target)):
        found.append("nerdctl mounts no path with a colon in it")
    if spec.cdi_devices or spec.gpus:
        found.append("devices are passed by CDI specs, which the vendor's toolkit has to write for containerd")
    if spec.runtime:
        found.append(f"containerd must know the runtime `{spec.runtime}`; Docker's settings name it for Docker alone")
    if spec.network == "bridge":
        found.append("a network takes the CNI plugins")
    if os.geteuid() != 0:
        found.append("rootless containerd limits memory, processors and processes only with delegated cgroups (v2)")
    return tuple(found)
