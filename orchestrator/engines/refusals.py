"""What an engine means where it refuses something: docker and podman hand on the words of the same programs."""

from __future__ import annotations

from orchestrator.errors import EngineError, HostLimitError, MlorchError, StepFailed, UsageError

_LIMITS = ("error setting rlimit", "setrlimit", "can't get final child's PID")
KEEP_OFF = (
    "where something removes images and containers (`docker system prune -a`, a job that cleans up), keep it from that "
    "while mlorch works, and run it again"
)
"""What to do about things that were there a moment ago."""
_GONE = ("no such container", "no container with name or id", "marked for removal")
_MOUNTS = ("bind source path does not exist", "statfs /")
_DEVICES = (
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


def refusal(why: str, image: str = "") -> MlorchError:
    """The error for what an engine answers instead of doing what it was asked; ``image`` is the one concerned.

    `engine-disk-full`, a `HostLimitError` (`device` for a device), `missing-mount`, `no-image`, `container-gone`;
    `engine-refused` for words that nobody knows.
    """
    why = why.strip()
    if "no space left on device" in why:
        return disk_full(f"({why})")
    if any(words in why for words in _LIMITS):
        return HostLimitError(
            f"the host refuses a limit that the target asks for: {why}",
            hint="see `mlorch doctor`: what the engine may raise is limited by the engine's own limits",
        )
    for words, hint in _DEVICES:
        if words in why:
            return HostLimitError(f"the engine cannot pass a device of the target: {why}", hint=hint, slug="device")
    if any(words in why for words in _MOUNTS):
        return missing_mount(f"a folder to be mounted is not there on the engine's host: {why}")
    return _gone(why, image) or StepFailed(f"the engine refused: {why}", slug="engine-refused")


def _gone(why: str, image: str) -> StepFailed | None:
    """What is not there any more: an image, or a container."""
    if "image not known" in why:
        return no_image(image, why)
    if not any(words in why.lower() for words in _GONE):
        return None
    return StepFailed(
        f"the container was removed before mlorch had heard of its end: {why}", hint=KEEP_OFF, slug="container-gone"
    )


def disk_full(what: str) -> EngineError:
    """The engine cannot write any more; ``what`` is what it was about to do."""
    return EngineError(
        f"the engine has no space left {what}",
        hint="free space where the engine keeps images (`mlorch doctor` says where; `mlorch images prune` "
        "removes what no plan needs), then run it again",
        slug="engine-disk-full",
    )


def missing_mount(message: str) -> UsageError:
    """An input that is to be mounted and is not there."""
    return UsageError(message, hint="mlorch never creates an input; give an existing path", slug="missing-mount")


def no_image(image: str, why: str) -> StepFailed:
    """The engine does not hold an image, or one of several."""
    return StepFailed(f"the engine has no image {image}: {why}", hint="`mlorch build` makes it", slug="no-image")
