"""Whether podman really starts a container for this user: one is started, from an image made here that goes again.

Nothing is pulled: the image holds empty folders, and the host's own programs are mounted into it, read-only.
"""

from __future__ import annotations

import io
import os
import secrets
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.engines.podman.ids import this_users_ids
from orchestrator.errors import EngineError, MlorchError
from orchestrator.facts.containers import OWNER_LABEL, ContainerSpec, Mount
from orchestrator.host.command import find_program
from orchestrator.host.folders import cache_home
from orchestrator.host.namespaces import refused_user_namespaces
from orchestrator.host.process import dead_owner, owner_label, this_process, this_user
from orchestrator.host.scratch import scratch_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orchestrator.engines.podman.engine import PodmanEngine

_PROGRAM = "true"
_LABEL = "org.mlorch.trial"
_OF_THE_HOST = ("usr", "bin", "sbin", "lib", "lib64", "lib32", "libx32")
"""Where the program and its libraries may lie; on most hosts all but the first are links into it."""
_HELP = (
    ("should have setuid", "the newuidmap on PATH may map nothing; {ids}"),
    ("newuidmap", "{ids}"),
    ("newgidmap", "{ids}"),
    ("insufficient UIDs or GIDs", "{ids}"),
    (
        "cgroups in hybrid mode",
        "set `runtime = \"runc\"` in containers.conf, or leave podman to mlorch: MLORCH_PODMAN=''",
    ),
    ("/dev/fuse", "this kernel has no overlay for users; make /dev/fuse open to them, or use a newer kernel"),
    ("no space left", "free some space, or set MLORCH_HOME to a folder on a larger disk"),
    ("overlay", "set MLORCH_HOME to a folder on a local disk (ext4, xfs or btrfs)"),
)
"""Words of podman's complaints, and what helps."""


def require_container(engine: PodmanEngine) -> None:
    """Start a container and wait for its end.

    Raises:
        EngineError: `engine-unfit`, with why it does not start, and what would help.
    """
    try:
        _start_one(engine)
    except MlorchError as error:
        raise unfit(error) from error


def unfit(error: MlorchError) -> EngineError:
    """The error of a podman that does not work for this user."""
    refusal = refused_user_namespaces() if os.geteuid() != 0 else None
    if refusal is not None:
        return EngineError(
            f"podman cannot start a container: {refusal.why}", hint=refusal.remedy, slug="no-user-namespaces"
        )
    said = f"{error.message}\n{error.detail}"
    ids = this_users_ids().remedy or error.hint
    helps = next((hint for words, hint in _HELP if words in said), error.hint)
    return EngineError(
        f"podman starts no container: {error.message}",
        hint=helps.replace("{ids}", ids),
        slug="engine-unfit",
        detail=error.detail,
    )


def _start_one(engine: PodmanEngine) -> None:
    program = find_program(_PROGRAM)
    if program is None:
        return  # a host without the plainest of programs: nothing can be said
    _remove_left(engine)
    name = f"mlorch-trial-{secrets.token_hex(6)}"
    image = f"localhost/mlorch/trial:{name}"
    labels = {_LABEL: name, OWNER_LABEL: owner_label(this_process())}
    with scratch_folder(cache_home() / "scratch", "trial-") as folder:
        archive = folder / "empty.tar"
        archive.write_bytes(_empty_root())
        changes = [word for key, value in labels.items() for word in ("--change", f"LABEL {key}={value}")]
        engine.podman.ask("import", "--quiet", *changes, archive, image)
    try:
        said: list[str] = []
        ended = engine.run(_spec(name, image, program, labels), said.append)
    finally:
        engine.remove_image(image)
    if ended.exit_code:
        raise EngineError(f"it ended with {ended.exit_code}", detail="\n".join(said[-12:]), slug="engine-unfit")


def _remove_left(engine: PodmanEngine) -> None:
    """Containers and images of trials that were killed."""
    for container in engine.containers(_LABEL):
        if _is_left(container.labels):
            engine.remove(container.container_id)
    for image in engine.images(_LABEL):
        if _is_left(image.labels):
            engine.remove_image(image.image)


def _is_left(labels: Mapping[str, str]) -> bool:
    return dead_owner(labels.get(OWNER_LABEL, "")) is not None


def _spec(name: str, image: str, program: Path, labels: Mapping[str, str]) -> ContainerSpec:
    return ContainerSpec(
        name=name,
        image=image,
        command=(str(program),),
        user=this_user().inside,
        mounts=tuple(Mount(source=f"/{folder}", target=f"/{folder}") for folder, link in _top() if not link),
        tmpfs={"/tmp": "size=1m"},  # noqa: S108 (the container's own)
        labels=labels,
        pids=64,
    )


def _top() -> Iterator[tuple[str, str]]:
    """The host's folders of programs and libraries, and where each leads that is a link."""
    for folder in _OF_THE_HOST:
        path = Path("/") / folder
        if path.is_symlink():
            yield folder, str(path.readlink())
        elif path.is_dir():
            yield folder, ""


def _empty_root() -> bytes:
    """A root file system as an archive: places to mount at, and the links of the host's root."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for folder in ("dev", "proc", "sys", "tmp", "etc", "run"):
            tar.addfile(_member(folder))
        for folder, link in _top():
            tar.addfile(_member(folder, link))
    return out.getvalue()


def _member(name: str, link: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname, member.mode = (tarfile.SYMTYPE, link, 0o777) if link else (tarfile.DIRTYPE, "", 0o755)
    return member
