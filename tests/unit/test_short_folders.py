"""Benchmarks in short over folders: photos or arrays as the data set, a Hugging Face-style folder as the model."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import photo_parts
import pytest
from photo_parts import CONFIG, PREPROCESSOR, hub_folder, png, write_array
from photo_parts import stub as net

from orchestrator.assets.beside import folder_sha256, hash_folder
from orchestrator.assets.store import key_of
from orchestrator.cli import run
from orchestrator.definitions.asset_locks import missing_hashes
from orchestrator.definitions.catalog import Root, builtin_root, check, gather
from orchestrator.definitions.catalog.choose import source_of
from orchestrator.errors import AssetError
from orchestrator.host import recipe_files

PHOTOS = "kind: benchmark\nname: mine\ntitle: Mine\nlike: image-smoke\nmodel: ./net.onnx\ndataset: ./photos\n"
SAID = PHOTOS + "accuracy: {reference: 90}\n"
HUB = SAID.replace("./net.onnx", "./vit")
PHOTO = png(2, 2, bytes(12))


@pytest.fixture(autouse=True)
def _own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("MLORCH_HOME", str(tmp_path / "home"))


FLOAT = net(1, (0, 3, 224, 224))


def classes(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).mkdir(parents=True)
        (folder / name / "a.png").write_bytes(PHOTO)


def arrays(folder: Path, shape=(3, 224, 224, 3), labels=3, descr="|u1") -> None:
    folder.mkdir(parents=True)
    write_array(folder / "images.npy", shape, descr, b"")
    write_array(folder / "labels.npy", (labels,), "<i8", struct.pack(f"<{labels}q", *range(labels)))


@pytest.fixture
def own(tmp_path):
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "net.onnx").write_bytes(net())
    return folder


def gathered(folder: Path, text: str = SAID):
    (folder / "mine.yaml").write_text(text)
    return gather([builtin_root(), Root(folder, f"path:{folder}")], look=recipe_files)


def words(folder: Path, text: str = SAID) -> str:
    """What the prepare step is told of the data set."""
    found = gathered(folder, text)
    assert found.problems == (), found.problems
    return " ".join(found.catalog.dataset("mine").definition.prepare.args)


def fault(folder: Path, text: str = SAID):
    (problem,) = gathered(folder, text).problems
    return problem


# -- a folder of samples ---------------------------------------------------------------------


def test_seven_lines_over_photos_are_a_benchmark_without_a_fault(own):
    classes(own / "photos", "0", "7", "12")
    found = gathered(own)
    assert (found.problems, check(found.catalog)) == ((), ())
    mine, data = found.catalog.benchmark("mine").definition, found.catalog.dataset("mine").definition
    assert (mine.model, mine.dataset, mine.performance_samples, data.samples) == ("mine", "mine", 3, 3)
    assert source_of(found.catalog.benchmark("mine"), "dataset").endswith("mine.yaml:6:10 (the folder photos)")
    assert (data.sources[0].licence.spdx, missing_hashes(data)) == ("NOASSERTION", ())


def test_what_the_models_input_says_need_not_be_written(own):
    classes(own / "photos", "0", "1")
    assert "--size 224 224 --resize 256 --resample bilinear" in words(own)
    assert words(own).endswith("--channels RGB --layout NHWC --dtype uint8")


def test_what_is_written_of_photos_counts(own):
    classes(own / "photos", "0", "1")
    (own / "net.onnx").write_bytes(FLOAT)
    said = "{folder: photos, resize: [224, 224], resample: bicubic, mean: [0.5], std: [0.25], channels: BGR}"
    told = words(own, SAID.replace("./photos", said))
    assert "--resize 224 224 --resample bicubic --scale 0.00392156862745098 --mean 0.5 --std 0.25" in told
    assert told.endswith("--channels BGR --layout NCHW --dtype float32")


@pytest.mark.parametrize("below", ["", "val"])
def test_a_list_of_labels_is_read(own, below):
    place = own / "photos" / below
    place.mkdir(parents=True)
    (place / "val_map.txt").write_text("a b.jpeg 3\nc.jpeg 0\n")
    for name in ("a b.jpeg", "c.jpeg"):
        (place / name).write_bytes(PHOTO)
    assert words(own).startswith("--form val-map" + (" --below val" if below else ""))
    assert gathered(own).catalog.dataset("mine").definition.samples == 2


def test_of_folders_for_training_and_validation_the_second_is_taken(own):
    classes(own / "photos" / "train", "0", "1", "2")
    classes(own / "photos" / "val", "0", "1")
    assert "--below val" in words(own)
    assert gathered(own).catalog.dataset("mine").definition.samples == 2


def test_arrays_are_taken_as_they_are(own):
    arrays(own / "photos")
    assert words(own) == "--form arrays --arrays images.npy labels.npy"
    assert gathered(own).catalog.dataset("mine").definition.needs.disk == str(3 * (224 * 224 * 3 + 8))


def test_an_array_for_each_sample_is_taken_as_it_is(own):
    (own / "photos").mkdir()
    write_array(own / "photos" / "00000.npy", (224, 224, 3), "|u1", b"")
    (own / "photos" / "val_map.txt").write_text("00000 5\n")
    assert words(own) == "--form array-files"


def test_one_folder_for_each_answer_is_in_the_order_of_names(own):
    (own / "net.onnx").write_bytes(net(answers=2))
    classes(own / "photos", "n01440764", "n01443537")
    assert "--classes order" in words(own)


def test_the_goal_of_another_benchmark_says_nothing_of_these_photos(own):
    classes(own / "photos", "0", "1")
    problem = fault(own, PHOTOS)
    assert (problem.slug, problem.span.line, problem.span.column) == ("accuracy-unknown", 6, 10)
    assert "accuracy: {reference: PERCENT}" in problem.hint


def _net(data: bytes):
    return lambda own: (own / "net.onnx").write_bytes(data)


def _more(*names: str):
    return lambda own: classes(own / "photos", *names)


def _file(name: str, text: str = "x"):
    return lambda own: (own / "photos" / name).write_text(text)


@pytest.mark.parametrize(
    ("change", "text", "slug", "says"),
    [
        (_net(FLOAT), SAID, "preparation", "which values its pixels have"),
        (_net(net(shape=(0, 0, 0, 3))), SAID, "preparation", "which size it takes: [?, ?, ?, 3]"),
        (_net(net(shape=(0, 0, 0, 0))), SAID, "preparation", "where its channels are"),
        (_net(net(shape=(0, 10))), SAID, "preparation", "2 dimensions"),
        (_net(net(shape=(0, 4, 24, 24))), SAID, "preparation", "where its channels are"),
        (_net(net(7)), SAID, "preparation", "takes int64"),
        (_net(net(answers=5)), SAID, "preparation", "a class folder of `photos` is 7, and the model gives 5 answers"),
        (_more("cat"), SAID, "preparation", "3 class folders, `0` among them"),
        (_file("7/notes.txt"), SAID, "sample-folder", "`7/notes.txt`, which is no photo"),
        (_file("val_map.txt", "a.png 1\n"), SAID, "sample-folder", "has no `a.png`, which line 1"),
        (_file("val_map.txt", "a.png one\n"), SAID, "sample-folder", "line 1 of val_map.txt that is not"),
        (_file("images.npy"), SAID, "sample-folder", "no labels.npy"),
        (lambda own: (own / "photos/7/l.png").symlink_to(own / "net.onnx"), SAID, "sample-folder", "a link"),
        (lambda own: (own / "photos/3").mkdir(), SAID, "sample-folder", "without photos, `3`"),
        (None, SAID.replace("./photos", "./photo"), "file-missing", "no folder `photo`"),
        (None, SAID.replace("./photos", "../photos"), "file-outside", "leads out"),
        (None, SAID.replace("./photos", "{folder: photos, size: [32, 32]}"), "preparation", "224 x 224 pixels, not 32"),
        (None, SAID.replace("./photos", "{folder: photos, short_side: 100}"), "preparation", "a short side of 100"),
        (None, SAID.replace("./photos", "{folder: photos, scale: 1}"), "preparation", ""),
        (None, SAID.replace("./photos", "{folder: photos, mean: [0], std: [2]}"), "preparation", "bytes as they are"),
        (None, SAID.replace("./photos", "{folder: photos, channels: L}"), "preparation", "3 channels, not L"),
        (None, SAID.replace("./photos", "{folder: photos, sice: [1, 1]}"), "unknown-key", "sice"),
        (None, SAID.replace("name: mine", "name: imagenet-20"), "duplicate-definition", "a dataset `imagenet-20`"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_once_and_where_it_is(own, change, text, slug, says):
    classes(own / "photos", "0", "7")
    if change is not None:
        change(own)
    if "scale: 1}" in text:  # one is what bytes are anyway
        assert words(own, text)
        return
    problem = fault(own, text)
    assert (problem.slug, Path(problem.span.path).name, problem.span.line) == (slug, "mine.yaml", problem.span.line)
    assert says in problem.message


@pytest.mark.parametrize(
    ("made", "text", "says"),
    [
        ({"labels": 2}, SAID, "3 samples and 2 labels"),
        ({"shape": (3, 28, 28)}, SAID, "a sample of `photos` is [28, 28], and `net.onnx` takes [224, 224, 3]"),
        ({"descr": "<f4"}, SAID, "are float32, and `net.onnx` takes uint8"),
        ({"descr": "|O"}, SAID, "an array of |O"),
        ({}, SAID.replace("./photos", "{folder: photos, layout: NCHW}"), "`layout` is of photos"),
    ],
)
def test_arrays_that_do_not_fit_are_told(own, made, text, says):
    arrays(own / "photos", **made)
    assert says in fault(own, text).message


def test_the_hash_of_the_folder_is_part_of_what_is_made_of_it(own):
    classes(own / "photos", "0", "7")
    catalog = gathered(own).catalog
    entry = catalog.dataset("mine")
    first = key_of(entry, catalog)
    assert folder_sha256(entry, entry.definition.beside, catalog) == hash_folder(own / "photos", "dataset/mine")
    (own / "photos/7/b.png").write_bytes(PHOTO)
    catalog = gathered(own).catalog
    assert key_of(catalog.dataset("mine"), catalog) != first


def test_a_folder_that_is_gone_or_holds_a_link_is_told(own):
    classes(own / "photos", "0", "7")
    catalog = gathered(own).catalog
    (own / "photos/7/l.png").symlink_to("/etc/passwd")
    with pytest.raises(AssetError, match="a link") as caught:
        key_of(catalog.dataset("mine"), catalog)
    assert caught.value.slug == "data-missing"


# -- a Hugging Face-style folder -------------------------------------------------------------


def hub(own, config=None, preprocessor=None, model=FLOAT) -> None:
    """The folder with some keys changed; None takes a key away."""

    def changed(base, by):
        merged = {**base, **(by or {})}
        return {key: value for key, value in merged.items() if value is not None}

    hub_folder(own / "vit", model, changed(CONFIG, config), changed(PREPROCESSOR, preprocessor))
    classes(own / "photos", "0", "7")


def test_its_descriptions_say_how_photos_are_prepared(own):
    hub(own)
    found = gathered(own, HUB)
    assert (found.problems, check(found.catalog)) == ((), ())
    told = words(own, HUB)
    assert "--size 224 224 --resize 224 224 --resample bilinear --scale 0.00392156862745098" in told
    assert "--mean 0.5 0.5 0.5 --std 0.5 0.5 0.5 --channels RGB --layout NCHW --dtype float32" in told
    model = found.catalog.model("mine").definition
    assert [each.file for each in model.outputs] == ["model.onnx", "config.json", "preprocessor_config.json"]
    assert all(each.sha256 for each in model.outputs)


def test_names_of_folders_are_labels_that_the_model_knows(own):
    labels = {"id2label": {"0": "tench, Tinca tinca", "1": "Grey_wolf"}}
    hub(own, labels, model=net(1, (0, 3, 224, 224), 2))
    for old, new in (("0", "tinca_tinca"), ("7", "grey wolf")):
        (own / "photos" / old).rename(own / "photos" / new)
    assert "--classes labels --label 1=grey wolf --label 0=tinca_tinca" in words(own, HUB)


@pytest.mark.parametrize(
    ("preprocessor", "told"),
    [
        ({"image_processor_type": "BitImageProcessor", "size": {"shortest_edge": 256}, "resample": 3,
          "do_center_crop": True, "crop_size": {"height": 224, "width": 224}}, "--resize 256 --resample bicubic"),
        ({"image_processor_type": "ConvNextImageProcessor", "size": {"shortest_edge": 224}, "crop_pct": 0.875},
         "--size 224 224 --resize 256"),
        ({"image_processor_type": "CLIPImageProcessor", "size": 224, "do_center_crop": True, "crop_size": 224},
         "--size 224 224 --resize 224"),
        ({"feature_extractor_type": "ViTFeatureExtractor", "image_processor_type": None, "size": 224},
         "--size 224 224 --resize 224 224"),
        ({"do_normalize": False}, "--scale 0.00392156862745098 --channels"),
        ({"do_rescale": False, "do_normalize": False}, "--scale 1.0 --channels"),
        ({"do_flip_channel_order": True}, "--channels BGR"),
        ({"do_pad": False}, "--size 224 224"),
    ],
)  # fmt: skip
def test_what_a_processor_does_is_done(own, preprocessor, told):
    hub(own, preprocessor=preprocessor)
    assert told in words(own, HUB)


@pytest.mark.parametrize(
    ("config", "preprocessor", "says"),
    [
        ({"architectures": ["LlamaForCausalLM"]}, {}, "LlamaForCausalLM"),
        ({"problem_type": "multi_label_classification"}, {}, "multi_label_classification"),
        ({"id2label": None}, {}, "no `id2label`"),
        ({"id2label": {"0": "a", "1": "b"}}, {}, "1000 answers, and config.json has 2 labels"),
        ({}, {"image_processor_type": "ImageGPTImageProcessor"}, "ImageGPTImageProcessor"),
        ({}, {"do_pad": True}, "`do_pad: True`"),
        ({}, {"rescale_offset": True}, "`rescale_offset: True`"),
        ({}, {"resample": None}, "does not say `resample`"),
        ({}, {"image_mean": None}, "does not say `image_mean`"),
        ({}, {"image_std": [0, 0, 0]}, "do not go together"),
        ({}, {"size": {"longest_edge": 300}}, "a size that mlorch does not know"),
        ({}, {"image_processor_type": "BitImageProcessor"}, "does not say `do_center_crop`"),
        ({}, {"size": {"height": 384, "width": 384}}, "224 x 224 pixels, not 384 x 384"),
        ({}, {"do_convert_rgb": False}, "always turned to RGB"),
    ],
)  # fmt: skip
def test_what_cannot_be_honoured_is_refused(own, config, preprocessor, says):
    hub(own, config, preprocessor)
    problem = fault(own, HUB)
    assert says in problem.message
    assert problem.slug in {"model-folder", "preparation"}


def test_samples_that_are_prepared_already_do_not_go_with_its_descriptions(own):
    hub(own)
    assert "prepared already" in fault(own, HUB.replace("dataset: ./photos\n", "")).message


def test_a_folder_without_an_onnx_file_says_what_is_missing(own):
    hub(own)
    (own / "vit/onnx/model.onnx").rename(own / "vit/model.safetensors")
    assert "no onnx/model.onnx and no model.onnx" in fault(own, HUB).message


def test_a_server_at_a_url_is_told_to_be_no_model_yet(own):
    problem = fault(own, SAID.replace("./net.onnx", "http://localhost:8000/v1").replace("dataset: ./photos\n", ""))
    assert (problem.slug, problem.span.line) == ("model-url", 5)
    assert "server at a URL" in problem.message


# -- recipes new -----------------------------------------------------------------------------


def test_new_lays_files_beside_the_recipe_and_the_recipe_is_right(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    hub_folder(Path("vit"), FLOAT)
    Path("vit/model.safetensors").write_bytes(b"gigabytes")
    classes(Path("photos"), "0", "7")
    Path("photos/.DS_Store").write_bytes(b"x")
    assert run(["recipes", "new", "benchmark", "mine", "--model", "vit", "--dataset", "photos"]) == 0
    beside = Path("recipes/benchmarks")
    assert sorted(str(each.relative_to(beside)) for each in beside.rglob("*") if each.is_file()) == [
        *("mine-model/config.json", "mine-model/onnx/model.onnx", "mine-model/preprocessor_config.json"),
        *("mine-samples/0/a.png", "mine-samples/7/a.png", "mine.yaml"),
    ]
    assert run(["recipes", "lint", "recipes", "--recipes", "."]) == 0
    capsys.readouterr()
    assert run(["recipes", "show", "mine", "--recipes", ".", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["definition"]["dataset"] == "mine"


def test_new_takes_the_name_of_a_recipe_as_the_model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["recipes", "new", "benchmark", "mine", "--like", "image-smoke", "--model", "efficientnet-lite0"]
    assert run(words) == 0
    assert "model: efficientnet-lite0\n" in Path("recipes/benchmarks/mine.yaml").read_text()
    assert run(["recipes", "lint", "recipes", "--recipes", "."]) == 0


@pytest.mark.parametrize(
    ("words", "slug"),
    [
        (("benchmark", "mine", "--model", "empty"), "bad-model"),
        (("benchmark", "mine", "--model", "No Model"), "bad-name"),
        (("benchmark", "mine", "--dataset", "empty"), "model-missing"),
        (("benchmark", "mine", "--model", "resnet8-fashion", "--dataset", "empty"), "bad-dataset"),
        *(((kind, "mine", "--like", "image-smoke"), "benchmark-only") for kind in ("model", "dataset", "harness")),
        *(((kind, "mine", "--model", "empty"), "benchmark-only") for kind in ("target", "layer", "round")),
        *(((kind, "mine", "--dataset", "empty"), "benchmark-only") for kind in ("hostchecks", "model")),
    ],
)  # fmt: skip
def test_new_says_what_cannot_be_and_writes_nothing(tmp_path, monkeypatch, capsys, words, slug):
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    assert run(["recipes", "new", *words]) == 2
    assert f"[{slug}]" in capsys.readouterr().err
    assert not Path("recipes").exists()


# -- the tests' own model ------------------------------------------------------------------


def test_the_model_of_the_engine_tests_takes_what_a_processor_gives(own):
    (own / "net.onnx").write_bytes(photo_parts.takes_normalised(net(), 224))
    found = recipe_files.file(own, "net.onnx")
    assert (found.inputs[0].name, found.inputs[0].dtype, found.inputs[0].shape) == (
        "pixel_values",
        "float32",
        (0, 3, 224, 224),
    )
