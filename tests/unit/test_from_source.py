"""Distributions without a wheel for a platform: compiled from pinned source by a toolchain that no image has."""

from __future__ import annotations

import json

import pytest

from orchestrator.definitions.catalog import Root, builtin_root, load
from orchestrator.definitions.locks import lock_text
from orchestrator.errors import AssetError, DefinitionError
from orchestrator.facts.build import BuildPlan
from orchestrator.facts.codec import from_plain, to_plain
from orchestrator.host.site import SiteConfig
from orchestrator.images.attest.subject import packages_of
from orchestrator.packages import fetch as fetching
from orchestrator.packages.fetch import Fetcher
from orchestrator.packages.index import file_hashes
from orchestrator.plan.build.layers import set_id
from orchestrator.plan.build.planner import build_plans

CATALOG = load([builtin_root()])


def plan(platform: str):
    return build_plans(CATALOG, target="cpu", benchmarks=["image-fashion"], platform=platform)[0]


def loadgen(platform: str):
    return next(step for step in plan(platform).layers if step.level == "loadgen")


def test_a_platform_with_a_wheel_compiles_nothing():
    step = loadgen("linux/amd64")
    assert not step.sdists
    assert not step.tools
    assert "compiled" not in step.dockerfile


def test_a_platform_without_one_compiles_in_a_stage_of_its_own():
    step = loadgen("linux/arm64")
    assert [pin.filename for pin in step.sdists] == ["mlcommons_loadgen-6.0.17.tar.gz"]
    assert {"g++-12", "binutils-aarch64-linux-gnu"} <= {deb.name for deb in step.tools}
    image = step.dockerfile.rpartition("\nFROM ")[2]
    assert "compiled" not in image
    assert "tools" not in image
    assert step.inputs["sdist:mlcommons-loadgen"].startswith("6.0.17 ")
    assert {"tool-deb:g++-12", "tool-wheel:pybind11"} <= step.inputs.keys()


def test_what_is_listed_of_an_image_has_the_source_and_no_compiler():
    names = {part.name for part in packages_of(plan("linux/arm64").layers)}
    assert "mlcommons-loadgen" in names
    assert not {"g++-12", "pybind11", "setuptools"} & names


def test_images_of_both_platforms_are_one_set():
    assert set_id(plan("linux/amd64")) == set_id(plan("linux/arm64"))


def test_a_kept_plan_reads_back():
    made = plan("linux/arm64")
    assert from_plain(BuildPlan, json.loads(json.dumps(to_plain(made)))) == made


def test_locks_of_sources_write_back_the_same():
    lock = CATALOG.lock("loadgen")
    assert lock is not None
    assert lock_text(lock) == CATALOG.lock_path("loadgen").read_text()


RECIPE = """\
kind: layer
name: t-source
title: A layer of a test
level: side
template: python.Dockerfile.j2
python: [one==1.0]
from_source: {linux/arm64: [%s]}
%s
"""


@pytest.mark.parametrize(
    ("named", "more", "slug"),
    [("one", "", "toolchain-missing"), ("two", "toolchain: toolchain-cpp", "source-unasked")],
)
def test_faults_of_a_recipe_are_said_at_their_line(tmp_path, named, more, slug):
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "l.yaml").write_text(RECIPE % (named, more))
    with pytest.raises(DefinitionError) as caught:
        load([builtin_root(), Root(path=tmp_path, origin="test")])
    found = {problem.slug: problem for problem in caught.value.problems()}
    assert found[slug].span.line == 7
    assert found[slug].hint


def test_a_wheel_in_the_lock_is_no_source(tmp_path):
    shipped = CATALOG.lock_path("loadgen").read_text()
    (tmp_path / "recipes").mkdir()
    (tmp_path / "images").mkdir()
    stale = shipped.partition("  linux/arm64:")[0].replace("linux/amd64", "linux/arm64")
    (tmp_path / "images" / "loadgen.lock.yaml").write_text(stale)
    catalog = load([builtin_root(), Root(path=tmp_path, origin="test")])
    with pytest.raises(DefinitionError) as caught:
        build_plans(catalog, target="cpu", benchmarks=["image-fashion"], platform="linux/arm64")
    assert [problem.slug for problem in caught.value.problems()] == ["lock-stale"]


# -- the index -------------------------------------------------------------------------------

FILES = [
    {"filename": "my_pkg-1.0-py3-none-any.whl", "hashes": {"sha256": "a" * 64}, "size": 1},
    {"filename": "my_pkg-1.0.tar.gz", "hashes": {"sha256": "b" * 64}, "size": 2},
    {"filename": "my_pkg-1.1.tar.gz", "hashes": {}, "size": 3},
]


@pytest.fixture
def index(monkeypatch):
    """An index with files of a project, and who asks it."""
    page = json.dumps({"files": FILES}).encode()
    monkeypatch.setattr(
        fetching, "file_hashes", lambda name, where, _read: file_hashes(name, where, lambda *_: (page, "json"))
    )
    return Fetcher(site=SiteConfig(pip={"index-url": ("https://index.test/simple",)}))


def test_the_source_of_a_version_is_found(index):
    found = fetching.sdist_pin("my-pkg", "1.0", index)
    assert (found.filename, found.sha256, found.size) == ("my_pkg-1.0.tar.gz", "b" * 64, 2)


@pytest.mark.parametrize("version", ["1.1", "2.0"])
def test_a_source_without_a_hash_or_that_is_not_there_is_refused(index, version):
    with pytest.raises(AssetError) as caught:
        fetching.sdist_pin("my-pkg", version, index)
    assert caught.value.slug == "no-sdist"
