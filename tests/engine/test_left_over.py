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


def test_what_was_there_before_and_what_built_in_recipes_made_stays(engine, mlorch, tmp_path):
    bench = Bench(engine, tmp_path, busybox())
    older = step("older", sh("true"))
    bench.build(older)
    guard = LeftOver()
    guard.images["docker"] = {older.image}  # as if the session had built the images that ship
    built = mlorch("build", "--target", "cpu", "--benchmark", "image-smoke", "--json")
    images = {older.image, *(layer["image"] for layer in json.loads(built.stdout)["layers"])}
    assert len(images) > 5
    assert not [line for line in guard.findings() if any(image in line for image in images)]
    bench.clean()
