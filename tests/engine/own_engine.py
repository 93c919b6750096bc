"""A second engine beside the one that all tests share: mlorch's own, with a home and an empty store of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestrator.engines import private
from orchestrator.errors import EngineError
from orchestrator.host.folders import cache_home


def _why_not() -> str:
    """Why a private engine cannot be had here; empty where it can."""
    from orchestrator.engines.private.packages import find_origin

    if os.geteuid() != 0:
        return "starting an engine takes root"
    try:
        find_origin()
    except EngineError as error:
        return error.message
    return ""


needs_host = pytest.mark.skipif(bool(_why_not()), reason=_why_not() or "fits")


@dataclass
class Own:
    """The private engine of one MLORCH_HOME, by the command line and by its own docker client."""

    home: Path
    command: object

    def __post_init__(self) -> None:
        self.env = {**os.environ, "MLORCH_HOME": str(self.home), "NO_COLOR": "1"}
        self.env.pop("DOCKER_CONTEXT", None)
        self.env["DOCKER_HOST"] = f"unix://{self.paths.socket}"

    @property
    def paths(self) -> private.EnginePaths:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("MLORCH_HOME", str(self.home))
            return private.engine_paths()

    def mlorch(self, *arguments: str, **more):
        return self.command(*arguments, env={**self.env, **more.pop("env", {})}, stdin=subprocess.DEVNULL, **more)

    def document(self, *arguments: str):
        done = self.mlorch(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def docker(self, *arguments: str) -> str:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("MLORCH_HOME", str(self.home))
            found = private.own_client()
        assert found is not None
        client, settings = found
        done = subprocess.run(
            [client, *arguments],
            env={**self.env, "DOCKER_CONFIG": settings},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    @property
    def pid(self) -> int:
        state = private.read_state(self.paths)
        assert state is not None
        return state.pid


@contextmanager
def second_engine(mlorch):
    """A running engine; it and its folder are gone afterwards."""
    cache_home().mkdir(parents=True, exist_ok=True)  # on a disk, which the folder of temporary files need not be
    home = Path(tempfile.mkdtemp(prefix="engine-", dir=cache_home()))
    lent = private.engine_paths().prefix if "tini" in private.unpacked() else None  # all that an engine needs now
    engine = Own(home, mlorch)
    if lent is not None:  # what `make test` has fetched for itself needs no second download
        engine.paths.home.mkdir(parents=True)
        engine.paths.prefix.symlink_to(lent)
    done = engine.mlorch("engine", "ensure", "--yes")
    try:
        assert done.returncode == 0, done.stderr
        yield engine
    finally:
        engine.mlorch("engine", "stop")
        left = left_by(engine.paths)
        shutil.rmtree(home, ignore_errors=True)
    assert not left, f"an engine that was stopped left {left}"


def left_by(paths: private.EnginePaths) -> list[Path]:
    """What is still there of a private engine that was stopped, beside its home: its sockets, its network bridge."""
    return [path for path in (paths.run, Path(f"/sys/class/net/mlorch-{paths.tag}")) if path.exists()]


def subnet_of(state) -> str:
    """The subnet of a private engine's containers, as its packet filter rules have it."""
    (subnet,) = {rule[rule.index("-s") + 1] for rule in state.rules if "-s" in rule}
    return subnet
