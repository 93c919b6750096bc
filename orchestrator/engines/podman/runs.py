"""Which containers of podman this user's mlorch has begun: a folder each for as long as it lasts.

Every command clears what a killed mlorch left. podman has no socket to ask, and a program
call a command would be too much, so the call is made only where the folder of a run is left.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.host.folders import cache_home
from orchestrator.host.process import alive, owner_label, parse_owner_label, this_process

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.engines.inventory import ContainerFacts
    from orchestrator.engines.podman.cli import Podman

_OWNER = "owner"


def runs_folder() -> Path:
    """Where the folders are."""
    return cache_home() / "podman-runs"


def running() -> bool:
    """Whether a run began and has not ended, as far as is known; costs one look into a folder."""
    try:
        return any(runs_folder().iterdir())
    except OSError:
        return False


@contextmanager
def begun(name: str) -> Iterator[Path]:
    """The folder of the container `name`, there for as long as the `with` lasts; it names this process."""
    runs_folder().mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(prefix=".new-", dir=runs_folder()))
    (new / _OWNER).write_text(owner_label(this_process()), encoding="ascii")
    folder = new.with_name(name)
    shutil.rmtree(folder, ignore_errors=True)
    new.rename(folder)  # never seen without its owner
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class RunSweep:
    """What a sweep asks of podman; folders whose process and container are both gone go with the question."""

    podman: Podman

    def containers(self, label: str) -> list[ContainerFacts]:
        """Containers with this label, running or not."""
        before = list(runs_folder().iterdir())
        found = self.podman.containers(label)
        names = {facts.name for facts in found}
        for folder in before:
            if folder.name not in names and not _owned(folder):
                shutil.rmtree(folder, ignore_errors=True)
        return found

    def remove(self, container_id: str) -> None:
        """Remove a container; one that is gone is fine."""
        self.podman.remove(container_id)


def _owned(folder: Path) -> bool:
    """Whether the process that made this folder may live."""
    with contextlib.suppress(OSError, ValueError):
        owner = parse_owner_label((folder / _OWNER).read_text(encoding="ascii"))
        return owner is not None and alive(owner)
    return False
