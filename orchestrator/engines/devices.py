"""What an engine says of devices: whether it takes `--gpus`, and why it refused one."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from orchestrator.errors import HostLimitError

if TYPE_CHECKING:
    from collections.abc import Iterable

_HOOK = "nvidia-container-runtime-hook"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_REFUSALS = (
    (
        "could not select device driver",
        (
            "the engine has no driver for such a device: --gpus needs the NVIDIA container toolkit, "
            "a CDI name an engine with CDI on (features.cdi in daemon.json)"
        ),
    ),
    (
        "unresolvable CDI devices",
        (
            "no CDI spec that the engine reads names it (any more): write it anew (nvidia-ctk cdi generate, "
            "amd-ctk cdi generate) and see `mlorch targets show`"
        ),
    ),
    ("CDI device injection failed", "the CDI spec does not fit this host (any more): write it anew"),
    ("setting up CDI devices", "the CDI spec does not fit this host (any more): write it anew"),  # podman's words
    ("gathering device information", "the node is gone: see `mlorch doctor` and the kernel's log"),
    ("stat /dev/", "the node is gone: see `mlorch doctor` and the kernel's log"),  # podman's words
    ("unknown or invalid runtime name", "the vendor's container toolkit adds its runtime to the engine"),
)


def takes_gpus(host: str, runtimes: Iterable[str]) -> bool:
    """Whether `--gpus` works: the engine looks for the toolkit's hook in its path when it starts.

    Of an engine on another host only the runtimes tell.
    """
    if not host.startswith("unix://"):
        return "nvidia" in runtimes
    return shutil.which(_HOOK, path=_PATH) is not None


def refused_device(complaint: str) -> HostLimitError | None:
    """The error for an engine's words about a device that it cannot pass; None for other words."""
    for words, hint in _REFUSALS:
        if words in complaint:
            return HostLimitError(
                f"the engine cannot pass a device of the target: {complaint.strip()}", hint=hint, slug="device"
            )
    return None
