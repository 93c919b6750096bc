"""The engine as a user has it: its own client for what bars compare with, containers as `mlorch run` starts them."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from common import mlorch_json

if TYPE_CHECKING:
    from collections.abc import Iterator


@functools.cache
def docker() -> str:
    """The path of a docker client: the host's, else that of mlorch's own engine.

    Raises:
        RuntimeError: there is none.
    """
    from orchestrator.engines.private import own_client

    own = own_client()
    client = shutil.which("docker") or (own[0] if own else None)
    if client is None:
        raise RuntimeError("no docker client to compare with; `mlorch engine ensure` gets one")
    return client


def environment(**more: str) -> dict[str, str]:
    """This environment, with the engine that mlorch uses named for mlorch and docker alike."""
    from orchestrator.engines.docker.engine import find_host

    return os.environ | {"DOCKER_HOST": find_host()} | more


@contextmanager
def own_home() -> Iterator[dict[str, str]]:
    """An environment whose MLORCH_HOME is new, so that a user's tuned settings stay.

    The cache is the user's, and so is mlorch's own engine, with the client that builds what is missing.
    """
    from orchestrator.host.folders import cache_home, data_home

    env = environment()
    cache_home().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="mlorch-bench-") as folder:
        (Path(folder) / "cache").symlink_to(cache_home())
        (Path(folder) / "data").mkdir()
        (Path(folder) / "data/engine").symlink_to(data_home() / "engine")
        (Path(folder) / "results").mkdir()
        yield env | {"MLORCH_HOME": folder}


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """The container of one test as `mlorch run --dry-run` prints it, and what its harness would be told."""

    argv: tuple[str, ...]
    image: str
    settings: dict

    def line(self, *command: str, results: Path, more: tuple[str, ...] = ()) -> list[str]:
        """Its `docker run` line with another command, more options, and results elsewhere.

        Without name and labels: two may run, and no mlorch takes it for the container of a dead one.
        The container's user may write where it does in a run.
        """
        self._give(results)
        self._give(Path(self.source("/artifacts")))
        line, dropped = [docker()], {"--name", "--label"}
        words = iter(self.argv[1 : self.argv.index(self.image)])
        for word in words:
            if word in dropped:
                next(words)
            elif word.endswith(",target=/results"):
                line.append(f"type=bind,source={results},target=/results")
            elif ",target=/results/" in word:
                line.append(_moved(word, results))
            else:
                line.append(word)
        return [*line, *more, self.image, *command]

    def _give(self, folder: Path) -> None:
        from orchestrator.host.left_behind import give

        folder.mkdir(parents=True, exist_ok=True)
        give(folder, self.argv[self.argv.index("--user") + 1])

    def source(self, target: str) -> str:
        """The host folder that is mounted at ``target``."""
        for word in self.argv:
            fields = dict(part.partition("=")[::2] for part in word.split(","))
            if fields.get("type") == "bind" and fields.get("target") == target:
                return fields["source"]
        raise LookupError(target)


def _moved(mount: str, results: Path) -> str:
    """A file of the run's folder that is mounted over itself, in another folder; a dry run has made neither."""
    kind, _, target, *more = mount.split(",")
    file = results / target.partition("=/results/")[2]
    file.touch()
    return ",".join([kind, f"source={file}", target, *more])


def container(benchmark: str, scenario: str, env: dict[str, str], target: str = "cpu") -> Container:
    """The container of one performance test."""
    arguments = (benchmark, "--target", target, "--scenario", scenario, "--mode", "performance")
    (found,) = mlorch_json("run", *arguments, "--dry-run", env=env)["containers"]
    return Container(argv=tuple(found["argv"]), image=found["image"], settings=found["settings"])


# -- other load ----------------------------------------------------------------------------

_CPU_V1 = Path("/sys/fs/cgroup/cpu")
_SHARES = 262_144
"""The most there is, against 1024 of every other process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weight:
    """A control group for both sides of a comparison: options of `docker run`, and where a process enters."""

    options: tuple[str, ...] = ()
    tasks: Path | None = None

    def enter(self) -> None:
        """Put this process (a child before its exec) into the group."""
        if self.tasks is not None:
            self.tasks.write_text(str(os.getpid()), encoding="ascii")


@contextmanager
def weight() -> Iterator[Weight]:
    """Both sides in one group that the scheduler prefers, where it can be had (root, cgroup v1).

    Otherwise all containers of an engine together weigh as much as one process of the host,
    and on a busy machine the comparison would measure that. On an idle one it changes nothing.
    """
    name = f"mlorch-bench-{os.getpid()}"
    group = _CPU_V1 / name
    try:
        (group / "host").mkdir(parents=True)
        for shares in (group / "cpu.shares", group / "host" / "cpu.shares"):
            shares.write_text(str(_SHARES), encoding="ascii")
    except OSError:
        yield Weight()
        return
    try:
        options = ("--cgroup-parent", f"/{name}", "--cpu-shares", str(_SHARES))
        yield Weight(options=options, tasks=group / "host" / "cgroup.procs")
    finally:
        for folder in (group / "host", *_CPU_V1.parent.glob(f"*/{name}")):
            with contextlib.suppress(OSError):
                folder.rmdir()
