"""A bundle of a real benchmark, written by one engine, taken in by another in a world without any network."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

import pytest

from orchestrator.engines import private
from orchestrator.engines.private import packages

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(os.geteuid() != 0, reason="a second engine and a network namespace take root"),
]
IMAGE = ("--target", "cpu", "-b", "image-fashion")
OFFLINE = """
set -eu
ip link set lo up
trap '"$@" engine stop >&2 2>/dev/null; true' EXIT
"$@" engine ensure --yes >&2
test "$(ip -o route show default | wc -l)" = 0
"$@" images load "$BUNDLE" --key "$KEY" --json > "$OUT/load.json"
"$@" images load "$BUNDLE" --json > "$OUT/again.json"
"$@" run image-fashion --target cpu --no-build -s Offline -m accuracy -o "$OUT/results" --json > "$OUT/run.json"
"$@" images verify image-fashion-cpu --target cpu -b image-fashion --key "$KEY" --json > "$OUT/verify.json"
"$@" plan --target cpu -b image-fashion --json > "$OUT/plan.json"
"""
"""What a person does on the other machine; the words of mlorch are the arguments."""


@pytest.fixture(scope="module")
def bundle(mlorch, tmp_path_factory):
    """The bundle of image-fashion on cpu, signed; and the public key."""
    folder = tmp_path_factory.mktemp("bundle")
    env = {**os.environ, "MLORCH_KEY_PASSWORD": ""}
    for words in (
        ("build", *IMAGE),
        ("images", "keygen", "-o", str(folder / "own")),
        ("images", "sign", *IMAGE, "--key", str(folder / "own.key")),
        ("images", "bundle", *IMAGE, "-o", str(folder / "b.tar"), "--key", str(folder / "own.key"), "--json"),
    ):
        done = mlorch(*words, env=env)
        assert done.returncode == 0, done.stderr
    return folder, json.loads(done.stdout)


@pytest.fixture
def elsewhere(_engine_for_all):
    """The home of another machine: nothing in it but the programs of an engine, unpacked already."""
    folder = Path(tempfile.mkdtemp(prefix="mlorch-test-", dir="/var/tmp"))
    lent = private.engine_paths().prefix if "tini" in private.unpacked() else None
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLORCH_HOME", str(folder / "home"))
        at = private.engine_paths()
        at.home.mkdir(parents=True)
        if lent is None:
            packages.unpack(at, packages.find_origin(), lambda _line: None)
        else:
            at.prefix.symlink_to(lent)
            private.write_client_config(at)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def offline(folder: Path, bundle: Path, key: Path) -> subprocess.CompletedProcess:
    """Everything of `OFFLINE` in a network namespace that has nothing but its own loopback."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("DOCKER", "MLORCH", "PIP"))}
    env |= {
        "MLORCH_HOME": str(folder / "home"), "DOCKER_CONFIG": str(folder / "none"), "XDG_RUNTIME_DIR": str(folder),
        "OUT": str(folder), "BUNDLE": str(bundle), "KEY": str(key), "NO_COLOR": "1",
    }  # fmt: skip
    words = ["unshare", "--net", "sh", "-c", OFFLINE, "sh", sys.executable, "-m", "orchestrator"]
    return subprocess.run(words, env=env, cwd=folder, capture_output=True, text=True, check=False, timeout=300)


@pytest.mark.slow
def test_a_machine_without_network_runs_from_a_bundle(bundle, elsewhere):
    folder, written = bundle
    done = offline(elsewhere, folder / "b.tar", folder / "own.pub")
    assert done.returncode == 0, done.stdout + done.stderr

    def said(name: str):
        return json.loads((elsewhere / f"{name}.json").read_text())

    (image,) = written["images"]
    assert said("load")["images"] == [image["image"]]
    assert sorted(said("load")["assets"]) == ["dataset fashion-mnist", "model resnet8-fashion"]
    assert said("again")["images"] == said("again")["assets"] == []  # a second time there is nothing to do
    (result,) = said("run")["results"]
    assert result["image_digest"] == image["digest"]
    assert 0.91 < result["metrics"]["accuracy"]["value"] < 0.92
    record = json.loads(Path(result["record"]).read_text())
    assert record["image"]["sbom_digest"].startswith("sha256:")
    assert {check["name"]: check["passed"] for check in said("verify")["images"][0]["checks"]} == dict.fromkeys(
        ("digest", "content-id", "sbom", "provenance", "signature"), True
    )
    assert said("plan")["images"] == [image["image"]]
    assert not list((elsewhere / "home/cache").glob("downloads/**/*.*")), "nothing was fetched"


def test_other_tools_read_the_images_of_a_bundle(bundle, engine):
    """It is an OCI layout in a tar: docker itself takes it."""
    folder, written = bundle
    with (folder / "b.tar").open("rb") as stream:
        said = "".join(str(line) for line in engine.sdk.load_image(stream, quiet=True))
    assert written["images"][0]["image"] in said
    with tarfile.open(folder / "b.tar") as tar:
        names = tar.getnames()
    assert {"oci-layout", "index.json", "mlorch-bundle.json"} <= set(names)
    assert len(names) == len(set(names))


def test_a_full_disk_is_told_and_nothing_is_left(mlorch, bundle, tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", small], check=False).returncode:
        pytest.skip("this machine does not let us mount a small disk")
    try:
        done = mlorch("images", "bundle", *IMAGE, "-o", str(small / "b.tar"))
        assert done.returncode == 1
        assert "[write]" in done.stderr
        assert "Free some space" in done.stderr
        assert list(small.iterdir()) == []
        (small / "home").mkdir()
        done = mlorch(
            "images", "load", str(bundle[0] / "b.tar"), env={**os.environ, "MLORCH_HOME": str(small / "home")}
        )
        if done.returncode:  # the images are in this engine already, so that the data alone may fit
            assert "Free some space" in done.stderr
    finally:
        subprocess.run(["umount", small], check=True)


def test_an_interrupted_bundle_leaves_what_was_there(mlorch, bundle, tmp_path):
    out = tmp_path / "b.tar"
    out.write_text("an older one")
    process = subprocess.Popen([*mlorch.command, "images", "bundle", *IMAGE, "-o", str(out)], stderr=subprocess.PIPE)
    until = time.monotonic() + 60
    while not list(tmp_path.glob(".mlorch-bundle-*")) and time.monotonic() < until:
        time.sleep(0.01)
    process.terminate()
    assert process.wait(60) == 130, process.stderr.read()
    process.stderr.close()
    assert [path.name for path in tmp_path.iterdir()] == ["b.tar"]
    assert out.read_text() == "an older one"


def test_a_bundle_signed_by_somebody_else_or_damaged_is_not_taken_in(mlorch, bundle, tmp_path):
    folder, _ = bundle
    env = {**os.environ, "MLORCH_HOME": str(tmp_path / "home"), "MLORCH_KEY_PASSWORD": ""}
    assert mlorch("images", "keygen", "-o", str(tmp_path / "other"), env=env).returncode == 0
    done = mlorch("images", "load", str(folder / "b.tar"), "--key", str(tmp_path / "other.pub"), env=env)
    assert done.returncode == 1
    assert "[signature]" in done.stderr
    whole = (folder / "b.tar").read_bytes()
    spoiled = tmp_path / "spoiled.tar"
    for data in (whole[:-30_000], whole[: len(whole) // 2], whole.replace(b"image-fashion", b"image-fAshion", 1)):
        spoiled.write_bytes(data)
        done = mlorch("images", "load", str(spoiled), env=env)
        assert done.returncode == 1, done.stdout
        assert "is refused" in done.stderr
    assert left_in(tmp_path / "home") == []


def left_in(home: Path) -> list[Path]:
    """The files that a command left in a home, but for what is kept of recipes that were read."""
    kept = {"plans", "catalogs"}
    return [path for path in home.rglob("*") if path.is_file() and not kept & set(path.parts)]


def test_recipes_that_this_machine_has_not_come_along(mlorch, engine, tmp_path):
    builtin = (Path(__file__).parents[2] / "recipes/benchmarks/image-fashion.yaml").read_text()
    (tmp_path / "mine").mkdir()
    changed = "\n".join(
        "title: Another title, which the image holds" if line.startswith("title:") else line
        for line in builtin.splitlines()
    )
    (tmp_path / "mine/image-fashion.yaml").write_text(changed + "\n")
    mine = ("--recipes", str(tmp_path / "mine"))
    done = mlorch("images", "bundle", *IMAGE, *mine, "-o", str(tmp_path / "b.tar"), "--json")
    assert done.returncode == 0, done.stderr
    (image,) = json.loads(done.stdout)["images"]
    env = {**os.environ, "MLORCH_HOME": str(tmp_path / "home")}
    done = mlorch("images", "load", str(tmp_path / "b.tar"), "--json", env=env)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["recipes"]
    assert "--recipes" in said["run"][0]
    shutil.rmtree(tmp_path / "mine")
    words = [word for folder in said["recipes"] for word in ("--recipes", folder)]
    done = mlorch("plan", *IMAGE, *words, "--json", env=env)
    assert json.loads(done.stdout)["images"] == [image["image"]], done.stderr

    with contextlib.suppress(Exception):
        engine.sdk.remove_image(image["image"])

    # Without an engine nothing is taken in, and that is told before anything is written.
    lonely = {**env, "MLORCH_HOME": str(tmp_path / "lonely"), "DOCKER_HOST": f"unix://{tmp_path}/no.sock"}
    done = mlorch("images", "load", str(tmp_path / "b.tar"), env=lonely)
    assert done.returncode == 4
    assert left_in(tmp_path / "lonely") == []

    # Where not even the bundle's recipes give its images, another mlorch made it: nothing is taken in.
    home = tmp_path / "third"
    done = mlorch("images", "load", str(without_recipes(tmp_path / "b.tar")), env={**env, "MLORCH_HOME": str(home)})
    assert done.returncode == 1
    assert "[other-version]" in done.stderr
    assert "differ in file:" in done.stderr
    assert left_in(home) == []


def without_recipes(path: Path) -> Path:
    """The bundle with the recipes of its maker's own left out, and said so in its list."""
    out = path.with_name("less.tar")
    with tarfile.open(path) as tar, tarfile.open(out, "w") as less:
        for member in tar:
            data = tar.extractfile(member).read()
            if "definitions/" in member.name and "Another title" in data.decode(errors="replace"):
                continue
            if member.name == "mlorch-bundle.json":
                document = json.loads(data)
                document["files"] = {name: file for name, file in document["files"].items() if name in less.getnames()}
                data = json.dumps(document).encode()
            member.size = len(data)
            less.addfile(member, io.BytesIO(data))
    return out
