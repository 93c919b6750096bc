"""Makes sure that an engine to build and run with is there; gets and starts mlorch's own where not, when allowed."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.engines.docker.engine import connect
from orchestrator.engines.docker.facts import too_old, unmet_requirement
from orchestrator.engines.docker.hosts import find_host, named_host
from orchestrator.engines.limits import capabilities
from orchestrator.engines.private import engine_paths, running_socket, unpacked
from orchestrator.engines.private.daemon import start
from orchestrator.engines.private.packages import find_origin, unpack
from orchestrator.errors import EngineError
from orchestrator.host.file_lock import locked
from orchestrator.host.files import file_system
from orchestrator.host.paths import exists

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from orchestrator.engines.consent import Consent
    from orchestrator.engines.model import EngineFacts
    from orchestrator.engines.private import EnginePaths
    from orchestrator.engines.private.packages import Origin

_GIB = 1 << 30
_LEAST_PACKAGES, _LEAST_IMAGES = _GIB // 2, 2 * _GIB
# The snapshots of images are layers of overlayfs, which cannot lie on these; in memory they would fill it.
_UNFIT_FILE_SYSTEMS = {
    "overlay",
    "aufs",
    "tmpfs",
    "ramfs",
    "squashfs",
    "vfat",
    "exfat",
    "9p",
    "virtiofs",
    "cifs",
    "smb3",
}
_CAPABILITIES = {"CAP_NET_ADMIN": 12, "CAP_SYS_ADMIN": 21}


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What is to be done: get packages, start a daemon; ``why`` in words for people."""

    why: str
    packages: bool
    daemon: bool


def ensure(consent: Consent, host: str = "") -> tuple[EngineFacts, tuple[str, ...]]:
    """An engine that can build, and what was done for it (nothing where there was one).

    ``host`` is the setting `engine_host`.

    Raises:
        EngineError: `not-asked`, `declined`, `needs-root`, `unsupported-host`, `engine-packages`,
            `engine-start`, or `engine-unfit` where the engine that the user named is not usable.
    """
    facts, why = current(host)
    if facts is not None and not why:
        return facts, ()
    _refuse_named(host, why)
    at = engine_paths()
    need = Need(why=why, packages=not unpacked(at), daemon=facts is None or bool(too_old(facts)))
    origin = _possible(need)
    consent.require(offer(need, at, origin))
    did = _carry_out(at, need, origin, consent.say)
    facts, why = current(host)
    if facts is None or why:
        raise EngineError(f"the engine is still not usable: {why}", hint="see `mlorch doctor`", slug="engine-unfit")
    return facts, did


def current(host: str = "") -> tuple[EngineFacts | None, str]:
    """The engine that mlorch would use now and why it is not good enough; "" where it is."""
    try:
        facts = connect(find_host(host)).facts()
    except EngineError as error:  # with `no-engine` where the private dockerd has lost its containerd
        return None, error.message
    return facts, unmet_requirement(facts)


def _refuse_named(host: str, why: str) -> None:
    """An engine that the user named is the user's business, unless it is this very one; another would not be used."""
    named = named_host(host, os.environ)
    if named and named != f"unix://{engine_paths().socket}":
        raise EngineError(
            f"the engine that DOCKER_HOST or the docker context names is not usable: {why}",
            hint=f"start or update the engine at {named}, or unset DOCKER_HOST and run this again",
            slug="engine-unfit",
        )


def _possible(need: Need) -> Origin | None:
    """Where packages come from; an error before anybody is asked where it cannot work here."""
    if need.daemon:
        lacking = [name for name, bit in _CAPABILITIES.items() if not capabilities("self") >> bit & 1]
        if os.geteuid() != 0 or lacking:
            raise EngineError(
                f"no usable engine ({need.why}), and starting one takes root"
                + (f" with {' and '.join(lacking)}" if lacking and os.geteuid() == 0 else ""),
                hint="take podman, which needs none: `mlorch engine ensure --engine podman`; or run "
                "`sudo mlorch engine ensure`, or get access to an engine that runs (DOCKER_HOST; the group docker)",
                slug="needs-root",
            )
    at = engine_paths()
    origin = find_origin() if need.packages else None
    check_folder(at.home, packages=need.packages, daemon=need.daemon)
    return origin


def check_folder(folder: Path, *, packages: bool, daemon: bool) -> None:
    """Whether an engine can live in `folder`, which need not exist yet.

    Raises:
        EngineError: `engine-folder`, its file system cannot hold images or is nearly full.
    """
    there = next(path for path in (folder, *folder.parents) if exists(path))
    kind = file_system(there)
    if daemon and (kind in _UNFIT_FILE_SYSTEMS or kind.startswith(("nfs", "fuse"))):
        raise EngineError(
            f"{folder} lies on {kind}, which cannot hold the layers of images",
            hint="set MLORCH_HOME to a folder on a local disk (ext4, xfs or btrfs)",
            slug="engine-folder",
        )
    free, least = shutil.disk_usage(there).free, _LEAST_PACKAGES * packages + _LEAST_IMAGES * daemon
    if free < least:
        raise EngineError(
            f"{free / _GIB:.1f} GiB are free for {folder}; an engine needs {least / _GIB:.1f} GiB at least",
            hint="free some space, or set MLORCH_HOME to a folder on a larger disk",
            slug="engine-folder",
        )


def offer(need: Need, at: EnginePaths, origin: Origin | None) -> str:
    """What is about to happen, in full, for the person who is asked."""
    lines = [f"mlorch needs a container engine: {need.why}.", "It would"]
    if origin is not None:
        uris = ", ".join(origin.uris)
        lines += [
            "  - download Docker, its client, buildx, containerd, runc and iptables (about 75 MB) with apt",
            f"    from {uris} (suites {origin.suite} and {origin.engine_suite});",
            "    signatures are checked, the host's package lists and packages stay as they are",
            f"  - unpack them (about 290 MB) into {at.prefix}",
        ]
    if need.daemon:
        lines += [
            f"  - start dockerd as root: socket {at.socket}, data in {at.data}, log {at.log}",
            f"  - add the network bridge mlorch-{at.tag}, three packet filter rules for it, and turn on IP forwarding",
            "Nothing is installed or restarted. `mlorch engine stop` ends it;",
            f"the folder {at.home} can be deleted then.",
        ]
    return "\n".join(lines)


def _carry_out(at: EnginePaths, need: Need, origin: Origin | None, say: Callable[[str], None]) -> tuple[str, ...]:
    did = []
    with locked(at.home / "lock"):  # one `ensure` at a time for one home
        if origin is not None and not unpacked(at):
            versions = unpack(at, origin, say)
            did.append(f"unpacked Docker {versions.get('docker.io', '')} into {at.prefix}")
        if need.daemon and running_socket() is None:
            state = start(at)
            did.append(f"started dockerd (pid {state.pid}) on unix://{state.socket}")
    for line in did:
        say(line)
    return tuple(did)
