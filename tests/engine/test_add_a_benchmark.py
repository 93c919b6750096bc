"""docs/add-a-benchmark.md word by word: from files and folders to VALID results, on the real engine."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
from photo_parts import class_folders, hub_folder, takes_normalised

pytestmark = [pytest.mark.engine, pytest.mark.slow]

REPOSITORY = Path(__file__).parents[2]
DOCS = REPOSITORY / "docs" / "add-a-benchmark.md"
NET = REPOSITORY / "recipes/models/resnet8-fashion/model.onnx"
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", DOCS.read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def reader(mlorch, tmp_path_factory):
    """A folder as the page's reader has it: two ONNX files, photos, and a Hugging Face-style folder."""
    folder = tmp_path_factory.mktemp("reader")
    shutil.copyfile(NET, folder / "net.onnx")
    exported = folder / "exported"
    for name in ("model/efficientnet-lite0", "dataset/imagenet-20"):
        (exported / name).parent.mkdir(parents=True)
        done = mlorch("assets", "export", name, str(exported / name), "--copy", timeout=900)
        assert done.returncode == 0, done.stderr[-4000:]
    big = (exported / "model/efficientnet-lite0/model.onnx").read_bytes()
    (folder / "big.onnx").write_bytes(big)
    class_folders(exported / "dataset/imagenet-20", folder / "photos")
    hub_folder(folder / "vit", takes_normalised(big, 224))
    return folder


@pytest.fixture(scope="module")
def followed(mlorch, reader):
    """What each command of the page answered, and each recipe that it shows as it was found then.

    A recipe that is shown a second time is what the reader changes it to.
    """
    answers: dict[str, str] = {}
    written: dict[str, list[str]] = {}
    for language, text in BLOCKS:
        if language == "yaml":
            name, _, shown = text.removeprefix("# ").partition("\n")
            if name in written:
                (reader / name).write_text(shown)
            written.setdefault(name, (reader / name).read_text().splitlines())
        for command in text.splitlines() if not language else ():
            program, *words = shlex.split(command)
            assert program == "mlorch"
            shorter = ("--duration", "2s") if words[0] == "run" else ()  # the page's tests take 10 s each and more
            done = mlorch(*words, *shorter, cwd=reader, timeout=900)
            assert done.returncode == 0, f"{command}\n{done.stderr[-4000:]}"
            answers[command] = done.stdout
    return answers, written


def test_the_recipes_are_those_that_the_page_shows(followed):
    _, written = followed
    shown = {}
    for language, text in BLOCKS:
        if language == "yaml":
            name, _, recipe = text.removeprefix("# ").partition("\n")
            shown.setdefault(name, recipe.splitlines())
    for name, recipe in shown.items():
        assert [line.partition("   #")[0] for line in written[name] if not line.startswith("#")] == recipe
        assert len(written[name]) <= 10
    assert len(shown) == 3


def test_they_are_right_as_they_are_written(mlorch, reader, followed):
    done = mlorch("recipes", "lint", "recipes", "--recipes", ".", cwd=reader)
    assert done.returncode == 0, done.stderr


def test_show_says_where_each_value_is_from(followed):
    shown = followed[0]["mlorch recipes show mine --recipes ."]
    assert "read from mine.onnx" in shown
    assert "like image-fashion" in shown


def records(reader, benchmark):
    found = [json.loads(path.read_text()) for path in sorted((reader / "results").glob("*/run.json"))]
    return {each["mode"]: each for each in found if each["benchmark"] == benchmark}


@pytest.mark.parametrize(
    ("benchmark", "file", "accuracy"),
    [("mine", "mine.onnx", 0.9154), ("shots", "shots.onnx", 0.9), ("vit", "model.onnx", 0.9)],
)
def test_the_results_are_valid_and_name_the_users_files(reader, followed, benchmark, file, accuracy):
    tests = records(reader, benchmark)
    assert set(tests) == {"accuracy", "performance"}
    assert tests["performance"]["valid"] is True, tests["performance"]["measured"]["reasons"]
    assert tests["accuracy"]["measured"]["accuracy"]["value"] == accuracy
    for each in tests.values():
        assert each["model"]["name"] == benchmark
        assert file in each["model"]["files"]
        assert each["model"]["trained_by"] == "not said"


@pytest.mark.parametrize("benchmark", ["shots", "vit"])
def test_what_was_made_of_the_photos_is_in_the_record_by_its_hash(reader, followed, benchmark):
    for each in records(reader, benchmark).values():
        assert set(each["dataset"]["files"]) == {"inputs.npy", "labels.npy"}
        assert all(re.fullmatch("[0-9a-f]{64}", sha256) for sha256 in each["dataset"]["files"].values())


def test_a_photo_that_changes_is_prepared_again(mlorch, reader, followed):
    before = records(reader, "shots")["accuracy"]["dataset"]["files"]
    one, other = sorted((reader / "recipes/benchmarks/shots-samples/val").rglob("*.png"))[:2]
    kept = one.read_bytes()
    one.unlink()
    one.write_bytes(other.read_bytes())
    try:
        words = ("run", "shots", "--recipes", ".", "--mode", "accuracy", "-o", "other", "--json")
        (result,) = json.loads(mlorch(*words, cwd=reader, timeout=900).stdout)["results"]
        after = json.loads(Path(result["record"]).read_text())["dataset"]["files"]
    finally:
        one.write_bytes(kept)
    assert after["inputs.npy"] != before["inputs.npy"]
    assert after["labels.npy"] == before["labels.npy"]
