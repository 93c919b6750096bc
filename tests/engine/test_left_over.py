"""The guard that keeps a person's engine clean, on a real engine."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

import pytest
from docker_parts import Bench, busybox, sh, step
from left_over import LeftOver

pytestmark = pytest.mark.engine


def test_images_and_folders_that_tests_leave_are_named_and_the_images_removed(engine, tmp_path):
    guard = LeftOver()
    made = step("left-over", sh("true"))
    Bench(engine, tmp_path, busybox()).build(made)
    folder = Path(tempfile.mkdtemp(prefix="mlorch-test-", dir="/var/tmp"))
    try:
        assert guard.findings() == [f"the folder {folder}", f"the image {made.image} in docker"]
        guard.remove_images()
        assert guard.findings() == [f"the folder {folder}"]
        assert engine.image(made.image) is None
    finally:
        shutil.rmtree(folder)


def test_images_of_built_in_recipes_stay(mlorch):
    built = mlorch("build", "--target", "cpu", "--benchmark", "image-smoke", "--json")
    images = {layer["image"] for layer in json.loads(built.stdout)["layers"]}
    assert len(images) > 5
    guard = LeftOver()
    guard.images["docker"] -= images  # as if this session had built them
    assert guard.findings() == []
