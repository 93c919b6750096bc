"""The same content id is the same image on two engines, bit for bit, whoever builds it, and when.

The layers are the shipped ones, on a target of the tests whose framework layer is empty:
a base, Python, packages of Debian and of the index, code, a benchmark.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
from pathlib import Path

import pytest
from docker_parts import Bench, busybox, step
from own_engine import needs_host, second_engine

from orchestrator.engines.docker.engine import connect
from orchestrator.errors import StepFailed
from orchestrator.images.layout.archive import opened
from orchestrator.images.layout.oci import images_of
from orchestrator.images.rebuild import compare, layer_files
from orchestrator.plan.build.content import EPOCH

pytestmark = pytest.mark.engine
ROOT = Path(__file__).parents[2]
TARGET = "t-lean"


@pytest.fixture(scope="module")
def lean(tmp_path_factory):
    """Recipes of a target like cpu, without a framework: what is built takes seconds."""
    folder = tmp_path_factory.mktemp("lean")
    (folder / "recipes").mkdir()
    shipped = (ROOT / "recipes/targets/cpu.yaml").read_text()
    target = shipped.replace("name: cpu", f"name: {TARGET}").replace("onnxruntime-cpu", "t-nothing")
    assert target.count("t-nothing") == 1
    (folder / "recipes/target.yaml").write_text(target)
    (folder / "recipes/nothing.yaml").write_text(
        "kind: layer\nname: t-nothing\ntitle: No framework\nlevel: framework\ntemplate: python.Dockerfile.j2\n"
    )
    return folder


@pytest.fixture(scope="module")
def other(mlorch):
    """A second engine with an empty store."""
    with second_engine(mlorch) as engine:
        yield connect(f"unix://{engine.paths.socket}")


def build(mlorch, lean, host: str, **more) -> dict[str, dict]:
    """The layers that an engine has after a build, by name."""
    env = {**os.environ, "DOCKER_HOST": host, **more.pop("env", {})}
    asked = ("build", "-t", TARGET, "-b", "image-fashion", "--recipes", str(lean), "--no-pull", "--json")
    done = mlorch(*asked, env=env, stdin=subprocess.DEVNULL, **more)
    assert done.returncode == 0, done.stderr
    return {layer["name"]: layer for layer in json.loads(done.stdout)["layers"]}


@pytest.fixture(scope="module")
def built(mlorch, lean, engine, other):
    """The layers on both engines; the second one is built under all that should not matter."""
    circumstances = {"SOURCE_DATE_EPOCH": "1", "TZ": "Asia/Tokyo", "LANG": "C", "PYTHONHASHSEED": "7"}
    first = build(mlorch, lean, engine.host)
    second = build(mlorch, lean, other.host, env=circumstances, umask=0o077)
    return first, second


@needs_host
def test_every_layer_has_the_same_digest_on_both_engines(built):
    first, second = built
    assert {layer["state"] for layer in second.values()} == {"built"}, "its store was empty"
    assert len(first) == 7
    assert {name: layer["content_id"] for name, layer in first.items()} == {
        name: layer["content_id"] for name, layer in second.items()
    }
    different = {name for name, layer in first.items() if layer["digest"] != second[name]["digest"]}
    assert different == set()


@needs_host
def test_no_file_has_a_time_an_owner_or_a_name_of_its_build(built, other, tmp_path):
    """What mounts, package installers and smoke tests leave behind elsewhere."""
    image = next(layer["image"] for name, layer in built[1].items() if name.startswith("image-fashion"))
    other.save([image], tmp_path / "image.tar")
    with opened(tmp_path / "image.tar") as archive:
        (found,) = images_of(archive)
        files = [file for layer in found.layers for file in layer_files(archive, layer)]
    assert len(files) > 2000
    assert {file.mtime for file in files} == {EPOCH}
    assert {file.owner for file in files} == {"0:0"}
    names = {file.path for file in files}
    for left in ("out", "run/mlorch", "root/.cache", "tmp/.ses", "etc/resolv.conf"):
        assert not {name for name in names if name == left or name.startswith(f"{left}/")}, left
    compiled = {name.partition(".cpython")[0].replace("__pycache__/", "") for name in names if name.endswith(".pyc")}
    sources = {name.removesuffix(".py") for name in names if name.endswith(".py") and name.startswith("opt/mlorch")}
    assert sources <= compiled, "byte code is there from the first start on, as the root file system is read-only"


@needs_host
def test_a_rebuild_says_that_layers_are_identical(built, mlorch, lean):
    asked = ("images", "rebuild", "--verify", "harness-code", "image-fashion-t-lean", "-t", TARGET)
    done = mlorch(*asked, "-b", "image-fashion", "--recipes", str(lean), "--json")
    assert done.returncode == 0, done.stderr
    layers = json.loads(done.stdout)["layers"]
    assert [(layer["name"], layer["state"]) for layer in layers] == [
        ("harness-code", "identical"),
        ("image-fashion-t-lean", "identical"),
    ]
    assert [layer["rebuilt"] for layer in layers] == [built[0][layer["name"]]["digest"] for layer in layers]


@needs_host
def test_docker_build_on_what_was_rendered_gives_the_same_files(built, mlorch, lean, engine, tmp_path):
    """Without mlorch: no labels, so another configuration, and the same layers."""
    asked = ("render", "-t", TARGET, "-b", "image-fashion", "--recipes", str(lean), "--contexts", "-o", str(tmp_path))
    done = mlorch(*asked)
    assert done.returncode == 0, done.stderr
    for name in ("base-bookworm", "harness-code", "image-fashion-t-lean"):
        tag = f"localhost/mlorch-test/plain:{secrets.token_hex(4)}"
        # BuildKit keeps what it was sent by the folder's name, and takes a file of the same size and time for the same.
        context = (tmp_path / TARGET / name).rename(tmp_path / f"{name}-{secrets.token_hex(4)}")
        command = [
            "docker",
            "build",
            "-q",
            "--build-arg",
            f"SOURCE_DATE_EPOCH={EPOCH}",
            "-t",
            tag,
            context,
        ]
        plain = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert plain.returncode == 0, plain.stderr
        found = [engine.sdk.inspect_image(each)["RootFS"]["Layers"] for each in (tag, built[0][name]["image"])]
        engine.remove_image(tag)
        assert found[0] == found[1], name


# -- what would differ is noticed ------------------------------------------------------------


@pytest.fixture
def context(engine, tmp_path_factory):
    made = Bench(engine, tmp_path_factory.mktemp("bench"), busybox())
    yield made
    made.clean()


LEAK = 'RUN --network=none ["/bin/busybox", "sh", "-c", "/bin/busybox mkdir /a; /bin/busybox cat /proc/uptime > /a/b"]'


@needs_host
def test_a_layer_that_holds_a_time_differs_from_engine_to_engine(context, other, tmp_path):
    """The proof that the comparison above would see a leak: COPY makes /bin with the time of the build."""
    leaky = step("leaky")
    there = context.build(leaky)
    again = Bench(other, tmp_path, context.program).build(leaky)
    assert there.digest != again.digest
    for facts, where in ((there, context.engine), (again, other)):
        where.save([facts.image], tmp_path / f"{where is other}.tar")
    with opened(tmp_path / "False.tar") as one, opened(tmp_path / "True.tar") as two:
        found = compare(one, two)
    assert (found.layer, found.path, found.what) == (0, "bin", "mtime")


def test_a_rebuild_names_the_file_that_differs_and_leaves_no_name_behind(site, engine, mlorch):
    site.layer("t-leak", "FROM {{ parent }}\nRUN --network=none mkdir /a && date > /a/b && date +%N >> /a/b\n")
    there = site.build("t-leak")[-1]
    done = mlorch("images", "rebuild", "--verify", "t-leak", "-t", "cpu", "--recipes", str(site.folder), "--json")
    assert done.returncode == 1, done.stderr
    (layer,) = json.loads(done.stdout)["layers"]
    found = layer["difference"]
    assert (layer["state"], found["path"], found["what"], found["also"]) == ("differs", "a/b", "content", ["mtime"])
    assert "date +%N" in found["made_by"]
    assert layer["digest"] == there.digest == engine.image(there.image).digest
    references = [facts.image for facts in engine.images(f"org.mlorch.layer={layer['name']}")]
    assert references == [there.image]


# -- smoke tests -----------------------------------------------------------------------------


def shipped_template(site, name: str, template: str, **more: str) -> None:
    site.layer(name, (ROOT / "dockerfiles" / template).read_text(), **more)


def test_a_smoke_test_that_fails_fails_the_build_of_every_kind_of_layer(site):
    (site.folder / "recipes").mkdir(parents=True)
    (site.folder / "recipes" / "a.py").write_text("A = 1\n")
    copied = "[{source: a.py, to: /opt/t/a.py}]"
    for template, more in (("python", {}), ("code", {"copy": copied}), ("benchmark", {"copy": copied})):
        name = f"t-smoke-{template}"
        smoke = f"[sh, -c, 'echo this smoke test fails {secrets.token_hex(4)}; exit 3']"
        shipped_template(site, name, f"{template}.Dockerfile.j2", smoke=smoke, **more)
        with pytest.raises(StepFailed) as caught:
            site.build(name)
        assert "this smoke test fails" in caught.value.detail


def test_a_smoke_test_sees_the_finished_layer_and_leaves_nothing(site, engine, tmp_path):
    (site.folder / "recipes").mkdir(parents=True)
    (site.folder / "recipes" / "a.py").write_text(f"A = '{secrets.token_hex(4)}'\n")
    look = "import os, a; assert a.A and os.environ['T_SEEN']; assert a.__cached__ and os.path.exists(a.__cached__)"
    smoke = f'[sh, -c, "python3 -c \\"{look}\\" && date > /opt/t/left && date > /left && date >> /opt/t/a.py"]'
    shipped_template(
        site, "t-seen", "code.Dockerfile.j2", copy="[{source: a.py, to: /opt/t/a.py}]", smoke=smoke,
        env="{PYTHONPATH: /opt/t, T_SEEN: '1'}",
    )  # fmt: skip
    outcome = site.build("t-seen")[-1]
    engine.save([outcome.image], tmp_path / "image.tar")
    with opened(tmp_path / "image.tar") as archive:
        (found,) = images_of(archive)
        names = {file.path: file for file in layer_files(archive, found.layers[-1])}
    assert sorted(names) == ["opt", "opt/t", "opt/t/__pycache__", "opt/t/__pycache__/a.cpython-311.pyc", "opt/t/a.py"]
    assert {file.mtime for file in names.values()} == {EPOCH}


def test_a_package_that_a_layer_below_has_in_another_version_is_refused(site):
    """pip would replace it in its own stage, and the image would have both."""
    (site.folder / "images").mkdir(parents=True)
    shipped = (ROOT / "images" / "loadgen.lock.yaml").read_text()
    (site.folder / "images" / "t-below.lock.yaml").write_text(shipped.replace("layer: loadgen", "layer: t-below"))
    below = "RUN --network=none mkdir -p /usr/local/lib/python3.11/dist-packages/mlcommons_loadgen-0.1.dist-info && "
    below += "printf 'Metadata-Version: 2.1\\nName: mlcommons-loadgen\\nVersion: 0.1\\n' > "
    below += "/usr/local/lib/python3.11/dist-packages/mlcommons_loadgen-0.1.dist-info/METADATA"
    text = (ROOT / "dockerfiles" / "python.Dockerfile.j2").read_text()
    changed = text.replace("FROM {{ parent }} AS work\n", f"FROM {{{{ parent }}}} AS work\n{below}\n", 1)
    assert changed != text
    site.layer("t-below", changed, python="[mlcommons-loadgen==6.0.17]")
    with pytest.raises(StepFailed) as caught:
        site.build("t-below")
    assert "mlcommons-loadgen 0.1 is in a layer below, and this layer pins 6.0.17" in caught.value.detail
