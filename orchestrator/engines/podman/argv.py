"""A container's options in podman's words: what the engine creates, and what a dry run prints."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.engines.limits import own_limits
from orchestrator.engines.options import each, run_words, ulimit_words
from orchestrator.engines.podman.ids import this_users_ids

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchestrator.facts.containers import ContainerSpec

_RAISED = {"nofile": 1 << 20, "nproc": 1 << 22}
"""What podman sets where nobody says anything (its RLimitDefaultValue); refused where the host's bound is lower."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """What decides how podman is asked.

    ``limits`` are the host's bounds of rlimits, None where there is none; ``subordinate``
    says whether a plain user has ids beside the own one (`engines.podman.ids`).
    """

    rootless: bool
    limits: Mapping[str, int | None]
    subordinate: bool = True


def this_host() -> Host:
    """The facts of this process's user on this host."""
    return Host(rootless=os.geteuid() != 0, limits=own_limits(), subordinate=not this_users_ids().single)


def argv(spec: ContainerSpec) -> list[str]:
    """The `podman run` line that would start the same, for this user on this host."""
    return ["podman", "run", "--rm", *create_words(spec, this_host())]


def notes(spec: ContainerSpec) -> tuple[str, ...]:
    """What podman does otherwise, and a plain user's podman more so."""
    found = []
    if why := not_passed(spec):
        found.append(why)
    if os.geteuid() == 0:
        return tuple(found)
    found.append(
        "rootless podman limits memory, processors and processes only with cgroup v2 and delegated controllers"
    )
    if spec.groups:
        found.append("the caller's own groups are kept (keep-groups, which takes crun), not those of the target alone")
    return tuple(found)


def create_words(spec: ContainerSpec, host: Host) -> list[str]:
    """The options, the image and the command of `podman create` or `podman run`.

    What podman would add by itself is turned off, so that a container has what its spec
    says and nothing else: writable folders over a read-only root, the proxies of the
    caller, a look into a registry.
    """
    own = ["--pull", "never", "--http-proxy=false"]
    if "container" not in spec.env:
        own += ["--unsetenv", "container"]
    return [*own, *run_words(spec, _differences(spec, host))]


def _differences(spec: ContainerSpec, host: Host) -> dict[str, Sequence[str]]:
    """podman's words for the options that it takes otherwise than docker; see `orchestrator.engines.options`."""
    folders = (f"{path}:{tmpfs_options(options, spec.user)}" for path, options in sorted(spec.tmpfs.items()))
    found: dict[str, Sequence[str]] = {
        "user": _ids(spec, host),
        "read_only": ["--read-only", "--read-only-tmpfs=false"],
        "no_new_privileges": ["--security-opt", "no-new-privileges"],
        "ulimits": ulimit_words({**bounded(host.limits), **spec.ulimits}),
        "tmpfs": each("--tmpfs", folders),
        # podman knows neither: see `not_passed`.
        "gpus": [],
        "runtime": [],
    }
    if host.rootless and spec.network == "bridge":
        found["network"] = []  # a plain user has no bridge; podman's own default (pasta, slirp4netns) stands in
    if host.rootless and spec.groups:
        found["groups"] = ["--group-add", "keep-groups"]  # the host's groups have no number in a user namespace
    return found


def not_passed(spec: ContainerSpec) -> str:
    """What of a spec's devices podman cannot pass; empty where it can pass all. The engine refuses such a spec."""
    asked = []
    if spec.gpus:
        asked.append(f"--gpus {','.join(spec.gpus)}")
    if spec.runtime:
        asked.append(f"runtime {spec.runtime}")
    if not asked:
        return ""
    return f"podman passes devices by CDI names and by their nodes, not by {' and '.join(asked)}"


def _ids(spec: ContainerSpec, host: Host) -> list[str]:
    """A plain user's files in mounted folders are the user's own outside, and inside too where ids can be mapped.

    With the own id alone the container's root is that user: without capabilities, like everybody else.
    """
    if not host.rootless:
        return ["--user", spec.user]
    if not host.subordinate:
        return ["--user", "0:0"]
    return ["--user", spec.user, "--userns", "keep-id"]


def bounded(bounds: Mapping[str, int | None]) -> dict[str, tuple[int, int]]:
    """The limits that podman would wish for and this host refuses, as high as the host allows."""
    found = {}
    for name, wished in _RAISED.items():
        most = bounds.get(name)
        if most is not None and most < wished:
            found[name] = (most, most)
    return found


def tmpfs_options(options: str, user: str) -> str:
    """Docker's options of a tmpfs in podman's words.

    podman takes no uid and gid, but gives a folder to the container's user with ``U``;
    and it copies what the image has there unless asked not to.
    """
    given = [word for word in options.split(",") if word]
    owner = {word for word in given if word.startswith(("uid=", "gid="))}
    found = [word for word in given if word not in owner]
    uid, _, gid = user.partition(":")
    if owner and owner <= {f"uid={uid}", f"gid={gid or uid}"}:
        found.append("U")
    return ",".join([*found, "notmpcopyup"])
