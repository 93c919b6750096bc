"""docs/add-a-benchmark.md word by word: from an ONNX file to a VALID result, on the real engine."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest

pytestmark = [pytest.mark.engine, pytest.mark.slow]

REPOSITORY = Path(__file__).parents[2]
DOCS = REPOSITORY / "docs" / "add-a-benchmark.md"
NET = REPOSITORY / "recipes/models/resnet8-fashion/model.onnx"
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", DOCS.read_text(), re.MULTILINE | re.DOTALL)
COMMANDS = "".join(text for language, text in BLOCKS if not language).splitlines()


@pytest.fixture(scope="module")
def followed(mlorch, tmp_path_factory):
    """What each command of the page answered, in the folder of its reader."""
    folder = tmp_path_factory.mktemp("reader")
    shutil.copyfile(NET, folder / "net.onnx")
    answers = {}
    for command in COMMANDS:
        program, *words = shlex.split(command)
        assert program == "mlorch"
        done = mlorch(*words, cwd=folder)
        assert done.returncode == 0, f"{command}\n{done.stderr[-4000:]}"
        answers[" ".join(words[:2])] = done.stdout
    return folder, answers


def test_the_recipe_is_the_one_that_the_page_shows(followed):
    folder, _ = followed
    (recipe,) = [text for language, text in BLOCKS if language == "yaml"]
    name, _, shown = recipe.removeprefix("# ").partition("\n")
    written = (folder / name).read_text().splitlines()
    assert [line for line in written if not line.startswith("#")] == shown.splitlines()
    assert len(written) < 10


def test_it_is_right_as_it_is_written(mlorch, followed):
    done = mlorch("recipes", "lint", "recipes", "--recipes", ".", cwd=followed[0])
    assert done.returncode == 0, done.stderr


def test_show_says_where_each_value_is_from(followed):
    _, answers = followed
    assert "read from mine.onnx" in answers["recipes show"]
    assert "like image-fashion" in answers["recipes show"]


def test_the_results_are_valid_and_name_the_users_file(followed):
    folder, _ = followed
    records = [json.loads(path.read_text()) for path in sorted((folder / "results").glob("*/run.json"))]
    tests = {each["mode"]: each for each in records}
    assert set(tests) == {"accuracy", "performance"}
    assert tests["performance"]["valid"] is True, tests["performance"]["measured"]["reasons"]
    assert all(each["model"]["name"] == "mine" for each in records)
    assert all(list(each["model"]["files"]) == ["mine.onnx"] for each in records)
    assert all(each["model"]["trained_by"] == "not said" for each in records)
