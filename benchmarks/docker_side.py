"""The engine as a user has it: its own client for what bars compare with, containers as `mlorch run` starts them."""

from __future__ import annotations

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
    from orchestrator.engines.private import CLIENT_VARIABLE, client_environment

    client = shutil.which("docker") or client_environment().get(CLIENT_VARIABLE)
    if client is None:
        raise RuntimeError("no docker client to compare with; `mlorch engine ensure` gets one")
    return client


def environment(**more: str) -> dict[str, str]:
    """This environment, with the engine that mlorch uses named for mlorch and docker alike."""
    from orchestrator.engines.docker import find_host

    return os.environ | {"DOCKER_HOST": find_host()} | more


@contextmanager
def own_home() -> Iterator[dict[str, str]]:
    """An environment whose MLORCH_HOME is new, so that a user's tuned settings stay; the cache is the user's."""
    from orchestrator.system.places import cache_home

    env = environment()
    cache_home().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="mlorch-bench-") as folder:
        (Path(folder) / "cache").symlink_to(cache_home())
        (Path(folder) / "results").mkdir()
        yield env | {"MLORCH_HOME": folder}


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """The container of one test as `mlorch run --dry-run` prints it, and what its harness would be told."""

    argv: tuple[str, ...]
    image: str
    settings: dict

    def line(self, *command: str, mounts: tuple[str, ...] = (), results: Path) -> list[str]:
        """Its `docker run` line with another command, more mounts, and results elsewhere."""
        given = list(self.argv[1 : self.argv.index(self.image)])
        line = [docker()]
        for at, word in enumerate(given):
            if (at and given[at - 1] == "--name") or (at and given[at - 1] == "--label"):
                line[-1:] = []
            elif word.endswith(",target=/results"):
                line.append(f"type=bind,source={results},target=/results")
            else:
                line.append(word)
        for mount in mounts:
            line += ["--mount", mount]
        return [*line, self.image, *command]

    def source(self, target: str) -> str:
        """The host folder that is mounted at ``target``."""
        for word in self.argv:
            fields = dict(part.partition("=")[::2] for part in word.split(","))
            if fields.get("type") == "bind" and fields.get("target") == target:
                return fields["source"]
        raise LookupError(target)


def container(benchmark: str, scenario: str, env: dict[str, str]) -> Container:
    """The container of one performance test."""
    arguments = (benchmark, "--scenario", scenario, "--mode", "performance")
    (found,) = mlorch_json("run", *arguments, "--dry-run", env=env)["containers"]
    return Container(argv=tuple(found["argv"]), image=found["image"], settings=found["settings"])
