"""A harness that needs its vendor's image: which base it stands on, on which platform, and what is a fault of it."""

from __future__ import annotations

import pytest
from sample_recipes import FILES, layer, write

from orchestrator.definitions.catalog import Root, load
from orchestrator.definitions.catalog.check import check
from orchestrator.errors import DefinitionError, UsageError
from orchestrator.plan.build.bases import Base, base_candidates
from orchestrator.plan.build.resolve import resolve

IMAGES = "images:\n  chip: {base: theirs, runtime: bare, platforms: [linux/amd64]}\n"
THEIRS = layer("theirs", "base", "sources:\n  - {kind: registry, image: vendor/suite:1, package_manager: none}\n")
DIGEST = "sha256:" + "a" * 64


@pytest.fixture
def catalog(tmp_path):
    """The sample recipes, with a vendor's image for the harness."""

    def made(images=IMAGES, more=None):
        changes = {
            "recipes/layers/theirs.yaml": THEIRS,
            "recipes/layers/bare.yaml": layer("bare", "runtime"),
            "recipes/harnesses/drive.yaml": FILES["recipes/harnesses/drive.yaml"] + images,
            **(more or {}),
        }
        return load([Root(path=write(tmp_path, changes=changes), origin="path:x")])

    return made


def slugs(read):
    """The faults of recipes, those that are told when they are read among them."""
    try:
        return [problem.slug for problem in check(read())]
    except DefinitionError as error:
        return [problem.slug for problem in error.problems()]


def test_it_stands_on_the_vendors_image_and_not_on_the_targets_base(catalog):
    found = catalog()
    image = resolve(found, target="chip", benchmark="classify")
    assert [entry.definition.name for entry in image.layers[:3]] == ["theirs", "bare", "engine"]
    assert image.base.image == "vendor/suite:1"


def test_what_the_target_would_stand_on_does_not_count(catalog):
    found = catalog()
    (usual,) = base_candidates(found, "chip")
    chosen = resolve(found, target="chip", benchmark="classify", base=usual).base
    assert (chosen.image, chosen.unlocked) == ("vendor/suite:1", True)


def test_a_copy_of_the_image_that_somebody_names_counts(catalog):
    copy = Base(kind="registry", package_manager="none", image="registry.site/suite", digest=DIGEST)
    assert resolve(catalog(), target="chip", benchmark="classify", base=copy).base == copy


def test_a_platform_that_the_vendor_has_no_image_for_is_refused(catalog):
    with pytest.raises(UsageError) as caught:
        resolve(catalog(), target="chip", benchmark="classify", platform="linux/arm64")
    assert caught.value.slug == "unsupported-platform"
    assert "linux/amd64" in caught.value.hint


@pytest.mark.parametrize(
    ("images", "slug"),
    [
        (IMAGES.replace("theirs", "thiers"), "unknown-layer"),
        (IMAGES.replace("base: theirs", "base: bare"), "wrong-level"),
        (IMAGES.replace("chip:", "chop:"), "unknown-target"),
        ("targets: [chip]\n" + IMAGES.replace("chip:", "chop:"), "unknown-target"),
        (IMAGES.replace("runtime: bare", "runtime: userland").replace("amd64", "riscv64"), "bad-value"),
    ],
)
def test_an_image_that_cannot_be_is_a_fault(catalog, images, slug):
    assert slug in slugs(lambda: catalog(images))


def test_a_platform_that_the_target_lacks_is_a_fault(catalog):
    only = FILES["recipes/targets/chip.yaml"].replace("[linux/amd64, linux/arm64]", "[linux/arm64]")
    assert "unsupported-platform" in slugs(lambda: catalog(more={"recipes/targets/chip.yaml": only}))
