"""Base digests: a real registry answers, the lock has what it said, a build takes exactly that."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import tarfile
from dataclasses import replace

import pytest
import yaml
from build_parts import PlanBuilder
from conftest import Site
from docker_parts import busybox
from registry_parts import registry

from orchestrator.cli import run
from orchestrator.errors import RegistryError
from orchestrator.host.folders import cache_home
from orchestrator.images.registry.client import Registry
from orchestrator.images.registry.images import image_digest
from orchestrator.images.registry.manifests import OCI_MANIFEST, Manifest, index_of
from orchestrator.operations.context import Context
from orchestrator.operations.plan_cache import Selection
from orchestrator.plan.build.bases import base_candidates

pytestmark = pytest.mark.engine
AMD64, ARM64 = "linux/amd64", "linux/arm64"
PLAIN = "FROM {{ parent }}\nLABEL org.mlorch.test={{ layer.name }}\n"


@pytest.fixture(scope="module")
def vendor(tmp_path_factory):
    """A registry with a vendor's image for two platforms, and how to move its tag."""
    with registry(tmp_path_factory.mktemp("registry")) as running:
        yield Vendor(running.host, busybox())


class Vendor:
    def __init__(self, host: str, program: bytes) -> None:
        self.host, self.program, self.image = host, program, f"{host}/vendor/base:1.0"

    def publish(self, word: str, tag: str = "1.0") -> dict[str, str]:
        """Push the image with `word` in it under a tag; gives the digest of each platform's manifest."""
        client = Registry.at(self.host)
        members = []
        for platform in (AMD64, ARM64):
            layer = self._layer(word)
            diff = f"sha256:{hashlib.sha256(layer).hexdigest()}"
            facts = {"os": "linux", "architecture": platform.partition("/")[2], "config": {"Env": ["PATH=/bin"]},
                     "rootfs": {"type": "layers", "diff_ids": [diff]}}  # fmt: skip
            config = client.put_blob("vendor/base", json.dumps(facts).encode())
            blob = client.put_blob("vendor/base", layer)
            kind = "application/vnd.oci.image"
            said = {
                "schemaVersion": 2,
                "mediaType": OCI_MANIFEST,
                "config": {"mediaType": f"{kind}.config.v1+json", "digest": config.digest, "size": config.size},
                "layers": [{"mediaType": f"{kind}.layer.v1.tar", "digest": blob.digest, "size": blob.size}],
            }
            manifest = Manifest(media_type=OCI_MANIFEST, data=json.dumps(said).encode())
            client.put_manifest("vendor/base", manifest)
            members.append(replace(manifest.descriptor(), platform=platform))
        client.put_manifest("vendor/base", index_of(tuple(members)), tag)
        return {member.platform: member.digest for member in members}

    def _layer(self, word: str) -> bytes:
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as tar:
            for name, data in (("bin/busybox", self.program), ("etc/word", word.encode())):
                member = tarfile.TarInfo(name)
                member.size, member.mode = len(data), 0o755
                tar.addfile(member, io.BytesIO(data))
        return out.getvalue()


@pytest.fixture
def site(tmp_path, vendor):
    """Recipes of a target whose base is the vendor's image and nothing else."""
    folder = tmp_path / "site"
    (folder / "recipes").mkdir(parents=True)
    (folder / "dockerfiles").mkdir()
    (folder / "dockerfiles/plain.Dockerfile.j2").write_text(PLAIN)
    layer = "kind: layer\nname: {0}\ntitle: A layer\nlevel: {1}\ntemplate: {2}\n"
    files = {
        "vendor-base": layer.format("vendor-base", "base", "base.Dockerfile.j2")
        + f"sources:\n  - kind: registry\n    image: {vendor.image}\n",
        "vendor-runtime": layer.format("vendor-runtime", "runtime", "plain.Dockerfile.j2"),
        "vendor-tools": layer.format("vendor-tools", "side", "plain.Dockerfile.j2"),
        "vendor": "kind: target\nname: vendor\ntitle: A vendor\nplatforms: [linux/amd64, linux/arm64]\n"
        "base: vendor-base\nruntime: vendor-runtime\nframeworks: {onnxruntime: onnxruntime-cpu}\n",
    }
    for name, text in files.items():
        (folder / f"recipes/{name}.yaml").write_text(text)
    return folder


def lock_of(site) -> dict:
    return yaml.safe_load((site / "images/vendor-base.lock.yaml").read_text())


def test_the_lock_holds_what_the_registry_answered_and_drift_is_named_where_it_stands(site, vendor, capsys):
    first = vendor.publish("one")
    lock = ["images", "lock", "vendor-base", "--recipes", str(site)]
    assert run([*lock, "--no-locked", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)["locks"][0]
    assert [change["is"] for change in said["changes"]] == [first[AMD64], first[ARM64]]
    pins = {platform: pins["bases"] for platform, pins in lock_of(site)["platforms"].items()}
    assert pins == {platform: [{"image": vendor.image, "digest": first[platform]}] for platform in (AMD64, ARM64)}

    before = (site / "images/vendor-base.lock.yaml").stat().st_mtime_ns
    assert run([*lock, "--no-locked"]) == 0
    assert "nothing changed" in capsys.readouterr().out
    assert run([*lock, "--locked"]) == 0
    assert (site / "images/vendor-base.lock.yaml").stat().st_mtime_ns == before

    second = vendor.publish("two")
    capsys.readouterr()
    assert run([*lock, "--locked", "--json"]) == 3
    error = json.loads(capsys.readouterr().out)["error"]
    assert (error["slug"], len(error["problems"])) == ("lock-drift", 2)
    for problem, platform in zip(error["problems"], (AMD64, ARM64), strict=True):
        assert problem["path"].endswith("vendor-base.lock.yaml")
        assert problem["line"] > 4
        for words in (vendor.image, f"was {first[platform]}", f"is {second[platform]}"):
            assert words in problem["message"]
        assert f"--update {vendor.image}" in problem["hint"]
    assert (site / "images/vendor-base.lock.yaml").stat().st_mtime_ns == before

    assert run([*lock, "--no-locked", "--update", vendor.image, "--platform", AMD64]) == 0
    pins = {platform: pins["bases"][0]["digest"] for platform, pins in lock_of(site)["platforms"].items()}
    assert pins == {AMD64: second[AMD64], ARM64: first[ARM64]}, "only what was named moves"


def test_ci_is_strict_unless_told_otherwise(site, vendor, monkeypatch, capsys):
    vendor.publish("one")
    monkeypatch.setenv("CI", "true")
    monkeypatch.delenv("MLORCH_LOCKED")
    lock = ["images", "lock", "vendor-base", "--recipes", str(site)]
    assert run(lock) == 3
    assert "is not in the lock; there is sha256:" in capsys.readouterr().err
    assert not (site / "images").exists()
    monkeypatch.setenv("MLORCH_LOCKED", "0")
    assert run(lock) == 0
    assert lock_of(site)["layer"] == "vendor-base"


def test_a_base_that_nobody_looked_up_is_planned_and_marked_and_never_built(site, vendor, capsys):
    selection = Selection(target="vendor", side="vendor-tools")
    (plan,) = Context((str(site),)).plans(selection).plans
    assert [step.unlocked for step in plan.layers] == [vendor.image, "", ""]
    catalog = Context((str(site),)).catalog
    for platform in (AMD64, ARM64):
        (base,) = base_candidates(catalog, "vendor", platform)
        assert base.unlocked
        assert base.image == vendor.image
    assert not any(base.unlocked for base in base_candidates(catalog, "cpu"))
    (site / "recipes/vendor-check.yaml").write_text(
        "kind: benchmark\nname: vendor-check\ntitle: t\ntask: image-classification\n"
        "layer: benchmark\nmodel: resnet8-fashion\n"
        "dataset: fashion-mnist\nharness: loadgen-onnx\nframeworks: [onnxruntime]\n"
        "scenarios: {Offline: {}}\nperformance_samples: 2\ninput: {name: x}\noutput: {name: y}\n"
        "accuracy: {metric: top1, reference: 90.0, factor: 0.99}\n"
    )
    one = ["--target", "vendor", "--recipes", str(site), "--json"]
    assert run(["plan", *one]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["unlocked"] == ["vendor-base"]
    assert "mlorch images lock vendor-base" in said["layers"][0]["reason"]
    assert run(["build", *one]) == 3
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["slug"] == "base-unlocked"
    assert "mlorch images lock vendor-base" in error["hint"]


def test_a_registry_that_does_not_answer_writes_nothing_and_says_why(site, vendor, capsys):
    recipe = site / "recipes/vendor-base.yaml"
    recipe.write_text(recipe.read_text().replace(vendor.image, f"{vendor.host}/vendor/none:1.0"))
    lock = ["images", "lock", "vendor-base", "--recipes", str(site), "--no-locked"]
    assert run([*lock, "--json"]) == 3
    error = json.loads(capsys.readouterr().out)["error"]
    assert "stays unlocked on linux/amd64" in error["message"]
    assert not (site / "images").exists()
    recipe.write_text(recipe.read_text().replace("none:1.0", "none"))
    assert run(lock) == 3
    assert "names no tag" in capsys.readouterr().err
    with recipe.open("a") as file:  # a second source: the registry is a wish, not a need
        file.write("  - kind: oci\n    path: /somewhere\n")
    assert run(lock) == 0
    told = capsys.readouterr()
    assert "stays unlocked" in told.err
    assert "nothing changed" not in told.out
    assert not (site / "images").exists()


def test_a_platform_that_an_image_has_not_and_an_image_of_one_platform(site, vendor):
    first = vendor.publish("one")
    single = f"{vendor.host}/vendor/base@{first[AMD64]}"
    assert image_digest(single, AMD64) == first[AMD64]
    for image, platform, there in ((single, ARM64, AMD64), (vendor.image, "linux/riscv64", f"{AMD64}, {ARM64}")):
        with pytest.raises(RegistryError) as caught:
            image_digest(image, platform)
        assert caught.value.slug == "no-platform"
        assert there in caught.value.hint


def test_with_the_registry_gone_the_digest_that_is_there_stays(site, vendor, capsys, tmp_path):
    with registry(tmp_path / "second") as running:
        other = Vendor(running.host, vendor.program)
        digests = other.publish("one")
        recipe = site / "recipes/vendor-base.yaml"
        recipe.write_text(recipe.read_text().replace(vendor.image, other.image))
        assert run(["images", "lock", "vendor-base", "--recipes", str(site), "--no-locked"]) == 0
    capsys.readouterr()
    assert run(["images", "lock", "vendor-base", "--recipes", str(site), "--no-locked"]) == 0
    told = capsys.readouterr()
    assert f"keeps {digests[AMD64]}" in told.err
    assert "cannot be reached" in told.err
    assert "nothing changed" in told.out


def test_a_build_stands_on_the_locked_digest_whatever_the_tag_is_now(site, vendor, engine):
    first = vendor.publish("one")
    assert run(["images", "lock", "vendor-base", "--recipes", str(site), "--no-locked"]) == 0
    vendor.publish("two")
    context = Context((str(site),))
    (plan,) = context.plans(Selection(target="vendor", side="vendor-tools")).plans
    assert f"FROM {vendor.image}@{first[AMD64]}" in plan.layers[0].dockerfile
    try:
        with context.build_settings() as settings:
            made = PlanBuilder(engine, cache_home(), settings=settings, parts=context.parts())
            outcomes = made.build((plan,))
        assert [outcome.state for outcome in outcomes] == ["built"] * 3
        (diff, *_) = engine.sdk.inspect_image(plan.image)["RootFS"]["Layers"]
        assert diff == f"sha256:{hashlib.sha256(vendor._layer('one')).hexdigest()}"
    finally:
        for step in reversed(plan.layers):
            if engine.image(step.image) is not None:
                engine.sdk.remove_image(step.image, force=True)


def test_files_of_a_repository_come_at_the_locked_commit_whatever_its_branch_is_now(git_site, tmp_path, engine):
    site = git_site
    repository = tmp_path / "repository"
    repository.mkdir()
    git(repository, "init", "-q", "-b", "main")
    commit(repository, "one")
    site.layer(
        "t-git",
        "FROM {{ parent }}\nADD content.tar /\nRUN --network=none grep -x one /opt/tool/word\n",
        git=f"[{{url: 'file://{repository}', ref: main, to: /opt/tool}}]",
    )
    assert run(["images", "lock", "t-git", "--recipes", str(site.folder)]) == 0
    commit(repository, "two")
    outcomes = site.build("t-git")
    try:
        assert outcomes[-1].state == "built"
    finally:
        engine.sdk.remove_image(outcomes[-1].image, force=True)


@pytest.fixture
def git_site(tmp_path, engine):
    return Site(folder=tmp_path / "recipes-of-git", engine=engine)


def git(folder, *arguments: str) -> None:
    me = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    subprocess.run(["git", "-C", str(folder), *me, *arguments], check=True, capture_output=True)


def commit(folder, word: str) -> None:
    (folder / "word").write_text(f"{word}\n")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", word)
