"""Real engine, real builds. Needs what `make test` starts; without an engine these tests fail, not skip."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from build_parts import PlanBuilder
from engine_modules import OWN_ENGINE
from left_over import LeftOver
from podman_parts import podman

from orchestrator.definitions.settings import read_settings
from orchestrator.engines import ENGINES, engine_name
from orchestrator.engines.docker.engine import connect, find_host
from orchestrator.host.folders import cache_home
from orchestrator.operations.context import Context
from orchestrator.operations.plan_cache import Selection

ROOT = Path(__file__).parents[2]
OF_PODMAN = {"test_podman.py", "test_plain_user.py"}


def _podman_alone() -> bool:
    """Whether `mlorch engine ensure` chose podman for this user, who has no Docker."""
    return engine_name(read_settings(), "", tuple(ENGINES)) == "podman"


def pytest_collection_modifyitems(items):
    """With podman alone, what only Docker can do is left out, and told; else no engine means failed tests."""
    engine_tests = [item for item in items if item.path.parent == Path(__file__).parent]
    if not engine_tests or not _podman_alone():
        return
    for item in engine_tests:
        if item.path.name not in OF_PODMAN and "podman" not in item.nodeid:
            item.add_marker(pytest.mark.skip(reason="this user has podman alone, and no Docker"))


@pytest.fixture(scope="session", autouse=True)
def _engine_for_all():
    """Tests that start the docker client, or have a MLORCH_HOME of their own, use the same engine."""
    from orchestrator.engines.private import own_client

    client = own_client()
    with pytest.MonkeyPatch.context() as patch:
        if not _podman_alone():
            patch.setenv("DOCKER_HOST", find_host())
        patch.setenv("MLORCH_LOCKED", "0")  # mirrors may have moved on since the locks were made, in CI as well
        if client is not None:
            patch.setenv("DOCKER_CONFIG", client[1])
            patch.setenv("PATH", f"{Path(client[0]).parent}:{os.environ['PATH']}")
        yield


@pytest.fixture(scope="module", autouse=True)
def _guarded(request):
    """What a module leaves on the shared engines is found at the end; an engine of its own looks after itself."""
    if request.path.name not in OWN_ENGINE:
        request.getfixturevalue("_nothing_is_left_over")


@pytest.fixture(scope="session")
def _nothing_is_left_over(_engine_for_all, tmp_path_factory):
    """A person's engine holds the same images after the tests, and the built-in ones; temporary files are pytest's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(tmp_path_factory.mktemp("tmp")))
        patch.setattr("tempfile.tempdir", None)  # so that it is looked up again
        left_over = LeftOver()
        yield
        left_over.remove_images()
        findings = left_over.findings()
    if findings:
        pytest.fail("the tests left " + "\n  and ".join(findings), pytrace=False)


@pytest.fixture(scope="session")
def engine(_engine_for_all):
    """The engine that mlorch itself would use."""
    return connect()


@pytest.fixture(scope="session")
def engines(_engine_for_all):
    """Every engine by name. podman is the host's, else mlorch's own, unpacked into its folder and nowhere else."""
    made = {"docker": connect, "podman": podman}
    found = {}

    def get(name: str):
        if name == "docker" and _podman_alone():
            pytest.skip("this user has podman alone, and no Docker")
        if name not in found:
            found[name] = made[name]()
        return found[name]

    return get


@dataclass
class Site:
    """A folder of recipes over the built-in ones, and how to build a side image of it on the real engine."""

    folder: Path
    engine: object

    def layer(self, name: str, template: str, **more: str) -> None:
        """A side layer on the runtime whose template is given as text."""
        (self.folder / "recipes").mkdir(parents=True, exist_ok=True)
        (self.folder / "dockerfiles").mkdir(exist_ok=True)
        extra = "".join(f"{key}: {value}\n" for key, value in more.items())
        (self.folder / "recipes" / f"{name}.yaml").write_text(
            f"kind: layer\nname: {name}\ntitle: A layer of a test\nlevel: side\ntemplate: {name}.Dockerfile.j2\n{extra}"
        )
        (self.folder / "dockerfiles" / f"{name}.Dockerfile.j2").write_text(template)

    def plans(self, name: str, base_source: str = ""):
        context = Context((str(self.folder),))
        return context.plans(Selection(target="cpu", side=name, base_source=base_source)).plans

    def build(self, name: str, *, settings=None, events: list | None = None, base_source: str = "", on_layer=None):
        context = Context((str(self.folder),))
        plans = context.plans(Selection(target="cpu", side=name, base_source=base_source)).plans
        with context.build_settings() as own:
            builder = PlanBuilder(
                self.engine,
                cache_home(),
                look_up=context.look_up(),
                settings=settings or own,
                parts=context.parts(),
                on_event=lambda _step, event: None if events is None else events.append(event),
                on_layer=on_layer or (lambda _step, _state: None),
            )
            return builder.build(plans)


@pytest.fixture
def site(tmp_path, engine):
    return Site(folder=tmp_path / "site", engine=engine)


@pytest.fixture(scope="session")
def mlorch():
    """Run the command line as a user would; gives the finished process."""
    script = shutil.which("mlorch", path=str(Path(sys.executable).parent))
    command = [script] if script else [sys.executable, "-m", "orchestrator"]

    def run(*arguments: str, timeout: float = 300, **more):
        return subprocess.run(
            [*command, *arguments], capture_output=True, text=True, timeout=timeout, check=False, **more
        )

    run.command = command
    return run
