"""What is podman's alone: nothing is left of a build that was broken off, images move, a killed mlorch is swept."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest
from docker_parts import Bench, busybox, sh, spec, step
from podman_parts import all_images, working_containers
from registry_parts import USER, builder, certificates, discard, image_sources, publisher, registry, tiny_plan

from orchestrator.engines import RegistryAuth, engine_factory
from orchestrator.engines.podman.runs import runs_folder
from orchestrator.errors import EngineError, RegistryError, StepFailed, UsageError
from orchestrator.facts.build_settings import BuildSettings
from orchestrator.images.registry.client import Registry

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def engine(engines):
    return engines("podman")


@pytest.fixture(scope="module")
def program():
    return busybox()


@pytest.fixture
def context(engine, tmp_path, program):
    context = Bench(engine, tmp_path, program)
    yield context
    context.clean()


def test_it_tells_what_it_is(engine, mlorch):
    status = json.loads(mlorch("engine", "status", "--engine", "podman", "--json").stdout)
    assert status["name"] == "podman"
    assert status["host"] == f"exec://{engine.podman.program}"
    assert status["builder"].startswith("buildah ")
    assert status["can_build"] is True
    assert status["buildx"] is None
    assert engine.facts().platform.startswith("linux/")


def test_a_build_that_is_broken_off_or_fails_leaves_nothing(context):
    containers, images = working_containers(context.engine), all_images(context.engine)

    def interrupt(event):
        if event.kind == "log" and event.text == "begun":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        context.build(step("broken-off", sh("echo begun; busybox sleep 120")), on_event=interrupt)
    with pytest.raises(StepFailed):
        context.build(step("fails", sh("exit 3")))
    assert working_containers(context.engine) == containers
    assert all_images(context.engine) == images


def test_a_podman_that_is_killed_during_a_build_is_told(context):
    def kill(event):
        if event.kind == "log" and event.text == "begun":
            for entry in Path("/proc").iterdir():
                if entry.name.isdigit() and str(context.folder).encode() in _arguments(entry):
                    os.kill(int(entry.name), signal.SIGKILL)

    with pytest.raises(EngineError) as caught:
        context.build(step("killed", sh("echo begun; busybox sleep 2")), on_event=kill)
    assert caught.value.slug == "engine-lost"
    for left in working_containers(context.engine):
        context.engine.podman.call("rm", "--force", left)


def _arguments(entry: Path) -> bytes:
    try:
        return (entry / "cmdline").read_bytes()
    except OSError:
        return b""


def test_images_move_through_an_archive_and_keep_their_digest(context, tmp_path):
    first, second = context.build(step("one", "ENV A=1")), context.build(step("two", "ENV A=2"))
    context.engine.tag(first.image, "localhost/mlorch/t-docker-again:1")
    context.made.append("localhost/mlorch/t-docker-again:1")
    archive = tmp_path / "images.tar"
    context.engine.save([first.image, second.image], archive)
    with tarfile.open(archive) as tar:
        index = json.load(tar.extractfile("index.json"))
        names = tar.getnames()
    assert [entry["annotations"]["io.containerd.image.name"] for entry in index["manifests"]] == [
        first.image,
        second.image,
    ]
    assert {"oci-layout", "index.json"} <= set(names)
    for reference in (first.image, second.image, "localhost/mlorch/t-docker-again:1"):
        context.engine.remove_image(reference)
        context.engine.remove_image(reference)  # one that is gone is fine
        assert context.engine.image(reference) is None
    assert context.engine.load(archive) == (first.image, second.image)
    again = context.engine.image(first.image)
    assert (again.image_id, again.labels) == (first.image_id, first.labels)
    saved = tmp_path / "again.tar"
    context.engine.save([first.image, second.image], saved)
    with tarfile.open(saved) as tar:
        assert json.load(tar.extractfile("index.json")) == index, "the same manifests, so the same digests"


def test_what_docker_saved_podman_loads_and_the_other_way(context, engines, tmp_path, program):
    docker = Bench(engines("docker"), tmp_path / "d", program)
    try:
        made, theirs = docker.build(step("from-docker", "ENV A=1")), context.build(step("from-podman", "ENV A=2"))
        subprocess.run(["docker", "save", "-o", tmp_path / "docker.tar", made.image], check=True)
        assert context.engine.load(tmp_path / "docker.tar") == (made.image,)
        context.made.append(made.image)
        assert context.engine.image(made.image).labels == made.labels
        lines = []
        context.engine.run(spec(made.image, "echo $A"), lines.append)
        context.engine.save([theirs.image], tmp_path / "podman.tar")
        docker.made.append(theirs.image)
        subprocess.run(["docker", "load", "-q", "-i", tmp_path / "podman.tar"], check=True, capture_output=True)
        docker.engine.run(spec(theirs.image, "echo $A"), lines.append)
        assert lines == ["1", "2"]
        assert docker.engine.image(theirs.image).labels == theirs.labels
    finally:
        docker.clean()


@pytest.mark.parametrize("damage", ["text", "link out", "half"])
def test_an_archive_that_is_none_is_refused_and_nothing_is_loaded(context, tmp_path, damage):
    archive = tmp_path / "bad.tar"
    if damage == "text":
        archive.write_text("not a tar")
    elif damage == "link out":
        with tarfile.open(archive, "w") as tar:
            link = tarfile.TarInfo("blobs")
            link.type, link.linkname = tarfile.SYMTYPE, "/etc"
            tar.addfile(link)
    else:
        facts = context.build(step("half", "ENV A=1"))
        context.engine.save([facts.image], tmp_path / "whole.tar")
        archive.write_bytes((tmp_path / "whole.tar").read_bytes()[:9000])
    before = all_images(context.engine)
    with pytest.raises(StepFailed) as caught:
        context.engine.load(archive)
    assert caught.value.slug == "bad-archive"
    assert all_images(context.engine) == before


CHILD = """
import sys
sys.path[:0] = [{folder!r}]
from docker_parts import spec
from orchestrator.engines import RegistryAuth, engine_factory
from orchestrator.host.process import owner_label, this_process
labels = {{"org.mlorch.run": "t-swept", "org.mlorch.owner": owner_label(this_process()), "org.mlorch.test": "t-docker"}}
asked = spec({image!r}, "echo up; exec sleep 60", labels=labels)
engine_factory("podman").connect().run(asked, lambda line: print(line, flush=True))
"""


def test_the_next_command_removes_what_a_killed_mlorch_left(context, mlorch):
    image = context.build(step("swept", 'RUN --network=none ["/bin/busybox", "--install", "-s", "/bin"]')).image
    code = CHILD.format(folder=str(Path(__file__).parent), image=image)
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "up\n"
    child.kill()
    child.wait()
    child.stdout.close()
    assert [found.state for found in context.engine.containers("org.mlorch.run=t-swept")] == ["running"]
    done = mlorch("engine", "status", "--json")  # of docker: whichever command, whichever engine
    assert "removed the container of t-swept" in done.stderr
    assert context.engine.containers("org.mlorch.run=t-swept") == []
    time.sleep(0.1)
    mlorch("engine", "status", "--json")
    assert engine_factory("podman").sweepable() is None, "with nothing left podman is not asked"
    assert list(runs_folder().iterdir()) == []


def test_a_program_that_is_none_is_told(monkeypatch):
    monkeypatch.setenv("MLORCH_PODMAN", "/nowhere/podman")
    with pytest.raises(EngineError) as caught:
        engine_factory("podman").connect()
    assert caught.value.slug == "no-engine"
    assert "/nowhere/podman" in caught.value.message
    assert "mlorch engine ensure --engine podman" in caught.value.hint


@pytest.fixture(scope="module")
def box(tmp_path_factory, program):
    path = tmp_path_factory.mktemp("box") / "busybox"
    path.write_bytes(program)
    path.chmod(0o755)  # as the plan says: a build refuses a file that is otherwise
    return path


def test_podman_publishes_and_either_engine_pulls_by_digest(engine, engines, box, tmp_path):
    docker, plan = engines("docker"), tiny_plan("podman-reg", box)
    with registry(tmp_path / "registry") as running:
        builder(engine, tmp_path / "a").build([plan])
        assert [one.state for one in publisher(engine, running).push(plan.layers)] == ["pushed", "pushed"]
        again = publisher(engine, running).push(plan.layers)
        assert [one.state for one in again] == ["there", "there"], "what podman sent it finds again"
        discard(engine, plan)
        for other in (engine, docker):
            made = builder(other, tmp_path / "b", image_sources=image_sources(running), may_build=False).build([plan])
            assert (made[-1].state, made[-1].digest) == ("pulled", again[-1].image.digest)
            assert other.image(plan.image).digest == again[-1].image.digest
            lines = []
            other.run(spec(plan.image, "/bin/busybox cat /note"), lines.append)
            assert lines == [plan.layers[1].files[0].text]
            discard(other, plan)


def test_a_registry_with_its_own_ca_and_a_password(engine, box, tmp_path, monkeypatch):
    plan = tiny_plan("podman-tls", box)
    builder(engine, tmp_path / "a").build([plan])
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    with registry(tmp_path / "registry", tls=True, login=True) as running:
        monkeypatch.setenv("DOCKER_CONFIG", str(running.login(tmp_path / "login")))
        place = tmp_path / "config/mlorch/certs.d" / running.host
        place.mkdir(parents=True)
        wrong = certificates(tmp_path / "wrong", "127.0.0.1")
        (place / "ca.crt").write_bytes(wrong.read_bytes())
        name = f"{running.host}/team/mlorch/x:1"
        engine.tag(plan.image, name)
        with pytest.raises(RegistryError) as caught:
            engine.push(name, None, lambda _event: None)
        assert caught.value.slug == "registry-ca"
        (place / "ca.crt").write_bytes(running.ca.read_bytes())
        bad = RegistryAuth(username=USER, password="not it")
        with pytest.raises(RegistryError) as caught:
            engine.push(name, bad, lambda _event: None)
        assert caught.value.slug == "registry-auth"
        engine.remove_image(name)
        (pushed, _) = publisher(engine, running).push(plan.layers)
        assert pushed.state == "pushed"
        with pytest.raises(RegistryError) as caught:
            engine.pull(
                f"{running.host}/team/mlorch/nothing@{pushed.image.digest}", Registry.at(running.host).auth(), print
            )
        assert caught.value.slug == "digest-not-found"
    discard(engine, plan)


def test_a_cache_of_steps_is_refused_with_what_to_do(context):
    with pytest.raises(UsageError) as caught:
        context.build(step("cache"), BuildSettings(cache_to="127.0.0.1:1/cache"))
    assert caught.value.slug == "no-step-cache"


def test_the_same_inputs_give_the_same_image_twice(context):
    made = step("same", sh("echo hi > /made"), "ENV A=b")
    first = context.build(made)
    context.engine.remove_image(made.image)
    shutil.rmtree(context.folder / made.content_id[:12])
    assert context.build(made).digest == first.digest


@pytest.mark.slow
def test_a_user_benchmarks_with_podman_alone(engine, mlorch, tmp_path):
    """Every layer built by podman, the run in podman, the same accuracy as with docker."""
    arguments = ("image-fashion", "--engine", "podman", "--scenario", "Offline", "--mode", "accuracy")
    done = mlorch("run", *arguments, "-o", str(tmp_path), "--json", timeout=600)
    assert done.returncode == 0, done.stderr
    (result,) = json.loads(done.stdout)["results"]
    assert result["metrics"]["accuracy"]["value"] == 0.9154
    record = json.loads(Path(result["record"]).read_text())
    assert record["engine"]["name"] == "podman"
    planned = json.loads(mlorch("plan", "--engine", "podman", "-b", "image-fashion", "--json").stdout)
    assert {layer["state"] for layer in planned["layers"]} == {"hit"}
    assert result["image_digest"] == planned["layers"][-1]["digest"]
    assert mlorch("results", "verify", "--results", str(tmp_path)).returncode == 0
