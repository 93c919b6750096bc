"""The examples that the harness writes: chosen by rule, small, and readable by the report."""

from __future__ import annotations

import base64
import io
import json
from types import SimpleNamespace

import pytest

np = pytest.importorskip("numpy")

from orchestrator.harness import examples as made  # noqa: E402
from orchestrator.harness.examples import pictures  # noqa: E402
from orchestrator.results import examples  # noqa: E402
from orchestrator.results.png import is_small_png  # noqa: E402


def settings_with(folder, task, *, show=True, **arrays):
    """Settings as far as examples read them."""
    for name, values in arrays.items():
        np.save(folder / f"{name}.npy", values)
    paths = {name: f"{folder}/{name}.npy" for name in arrays}
    samples = len(next(iter(arrays.values())))
    return SimpleNamespace(
        task=task,
        dataset=SimpleNamespace(arrays=paths, samples=samples, show=show),
        model=SimpleNamespace(inputs=[SimpleNamespace(array="inputs")], joined=False),
    )


def test_the_first_right_and_the_first_wrong_ones_are_taken():
    assert made.first_of_each([False, True, True, False, False, True, True, False]) == [1, 2, 5, 0, 3, 4]
    assert made.first_of_each([True] * 5) == [0, 1, 2]
    assert made.first_of_each([]) == []


def test_a_long_text_is_cut_and_says_so():
    assert made.text("prompt", "x" * made.LONGEST).text == "x" * made.LONGEST
    assert made.text("prompt", "x" * (made.LONGEST + 1)).text == "x" * made.LONGEST + " […]"


# -- pictures ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((1, 28, 28), (28, 28)),
        ((28, 28), (28, 28)),
        ((224, 200, 3), (112, 100)),
        ((3, 128, 64), (128, 64)),
        ((28, 28, 1), (28, 28)),
    ],
)
def test_a_sample_in_any_usual_layout_becomes_a_small_png(tmp_path, shape, size):
    pixels = np.random.default_rng(0).integers(0, 256, (2, *shape), np.uint8)
    found = pictures.picture(settings_with(tmp_path, "image-classification", inputs=pixels), 1)
    assert (found.height, found.width) == size
    assert is_small_png(base64.b64decode(found.png), found.width, found.height)


def test_the_pixels_of_a_png_are_those_of_the_sample():
    image = pytest.importorskip("PIL.Image")
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    assert (np.asarray(image.open(io.BytesIO(pictures.png(pixels)))) == pixels).all()
    assert (np.asarray(image.open(io.BytesIO(pictures.png(pixels[:, :, 0])))) == pixels[:, :, 0]).all()


def test_normalised_values_are_stretched_from_black_to_white(tmp_path):
    settings = settings_with(tmp_path, "image-classification", inputs=np.array([[[-1.5, 0], [0.5, 2.5]]], np.float32))
    data = base64.b64decode(pictures.picture(settings, 0).png)
    assert data == pictures.png(np.array([[0, 96], [128, 255]], np.uint8))


def test_what_is_no_picture_has_none(tmp_path):
    settings = settings_with(tmp_path, "image-classification", inputs=np.zeros((2, 9), np.float32))
    assert pictures.picture(settings, 0) is None


# -- tasks ---------------------------------------------------------------------------------


def classified(folder, **changes):
    labels = np.array([3, 1, 2, 2], np.int32)
    settings = settings_with(
        folder, "image-classification", labels=labels, inputs=np.zeros((4, 1, 28, 28), np.uint8), **changes
    )
    return settings, [np.int64(given).tobytes() for given in (3, 0, 2, 9)]


def test_pictures_have_the_class_that_was_predicted_and_the_expected_one(tmp_path):
    made.write(tmp_path, *classified(tmp_path))
    found = examples.read(tmp_path)
    seen = [(one.sample, one.right, one.labels.predicted, one.labels.expected) for one in found.items]
    assert seen == [(0, True, 3, 3), (2, True, 2, 2), (1, False, 0, 1), (3, False, 9, 2)]
    assert all(one.picture.width == 28 for one in found.items)


def test_of_data_that_are_not_to_be_shown_nothing_is_written(tmp_path):
    made.write(tmp_path, *classified(tmp_path, show=False))
    assert not (tmp_path / made.FILE).exists()


def test_a_task_without_examples_has_none(tmp_path):
    made.write(tmp_path, settings_with(tmp_path, "question-answering", labels=np.zeros(1)), [b""])
    assert not (tmp_path / made.FILE).exists()


def test_a_curve_of_all_samples_is_written_where_single_ones_are_not_to_be_shown(tmp_path):
    pytest.importorskip("sklearn.metrics")
    labels = np.array([0, 0, 1, 1] * 10)
    answers = [np.float32(given).tobytes() for given in [0.1, 0.6, 0.35, 0.8] * 10]
    for show in (True, False):
        made.write(tmp_path, settings_with(tmp_path, "recommendation", labels=labels, show=show), answers)
        found = examples.read(tmp_path)
        assert found.curve.points[0] == (0, 0)
        assert found.curve.points[-1] == (1, 1)
        heights = dict(found.curve.points)
        assert heights[min(heights, key=lambda x: abs(x - 0.25))] == pytest.approx(0.5, abs=0.05)
        assert [one.sample for one in found.items] == ([0, 3, 4, 1, 2, 5] if show else [])


def test_a_scene_is_right_where_each_item_has_its_box_and_no_box_is_over(tmp_path):
    pytest.importorskip("pycocotools.mask")
    box, other = [0.1, 0.1, 0.5, 0.5], [0.6, 0.6, 0.9, 0.9]
    boxes = np.array([[box, other]] * 6, np.float32)
    settings = settings_with(
        tmp_path,
        "object-detection",
        boxes=boxes,
        classes=np.array([[1, 2]] * 6, np.int32),
        counts=np.array([2, 2, 2, 2, 2, 0], np.int32),
        inputs=np.zeros((6, 1, 128, 128), np.uint8),
    )

    def answer(*rows):
        return np.array([[0, *corners, score, label] for corners, score, label in rows], "<f4").tobytes()

    answers = [
        answer((box, 0.9, 1), (other, 0.8, 2), (box, 0.3, 5)),  # a third one, too unsure to be shown
        answer((box, 0.9, 1), (other, 0.8, 3)),  # another class
        answer((box, 0.9, 1), (box, 0.8, 1)),  # one item twice
        answer((box, 0.9, 1)),  # one is missing
        answer((other, 0.9, 2), ([0.12, 0.1, 0.5, 0.52], 0.8, 1)),
        b"",  # nothing is there, and nothing was found
    ]
    made.write(tmp_path, settings, answers)
    found = examples.read(tmp_path)
    assert [(one.sample, one.right) for one in found.items] == [
        (0, True), (4, True), (5, True), (1, False), (2, False), (3, False),
    ]  # fmt: skip
    assert [one.of for one in found.items[0].boxes] == ["expected", "expected", "predicted", "predicted"]


def test_a_reply_stands_beside_the_expected_one(tmp_path):
    pytest.importorskip("rouge_score")
    words = [b"two", b" and", b" three", b" is", b" five"]
    settings = settings_with(
        tmp_path,
        "text-generation",
        references=np.array(["two and three is five", "five"]),
        pieces=np.frombuffer(b"".join(words), np.uint8),
        piece_ends=np.cumsum([len(each) for each in words]),
        inputs=np.array([[0, 1, 2, 0], [4, 0, 0, 0]], np.int32),
        lengths=np.array([3, 1]),
    )
    replies = ([0, 1, 2, 3, 4], [0, 0])
    made.write(tmp_path, settings, [np.array(each, "<i4").tobytes() for each in replies])
    assert examples.read(tmp_path).words == ("above the mean", "below the mean")
    good, bad = examples.read(tmp_path).items
    assert [(one.name, one.text) for one in good.texts] == [
        ("prompt", "two and three"), ("predicted", "two and three is five"), ("expected", "two and three is five"),
    ]  # fmt: skip
    assert (good.right, good.score, bad.right, bad.score) == (True, 100, False, 0)


def test_a_transcript_stands_beside_its_reference(tmp_path):
    pytest.importorskip("jiwer")
    said = np.array(["yes", "Turn left", "stop", "go on"])
    settings = settings_with(tmp_path, "speech-recognition", references=said)
    made.write(tmp_path, settings, [b"yes", b"turn right", b"", b"go  on"])
    found = {one.sample: one for one in examples.read(tmp_path).items}
    assert {at: one.right for at, one in found.items()} == {0: True, 3: True, 1: False, 2: False}
    assert [(one.name, one.text) for one in found[1].texts] == [("predicted", "turn right"), ("expected", "turn left")]
    assert (found[0].score, found[1].score, found[2].score) == (0, 50, 100)
    assert found[2].texts[0].text == "(nothing)"


def test_texts_and_labels_of_embeddings(tmp_path):
    pytest.importorskip("sklearn.metrics")
    settings = settings_with(
        tmp_path,
        "embedding-classification",
        labels=np.array([1, 1]),
        head=np.array([1, -1, 0], np.float32),
        texts=np.array(["a fine film", "a long one"]),
    )
    made.write(tmp_path, settings, [np.array(row, "<f4").tobytes() for row in ([1, 0], [0, 1])])
    good, bad = examples.read(tmp_path).items
    assert (good.texts[0].text, good.labels.predicted, bad.texts[0].text, bad.labels.predicted) == (
        "a fine film", 1, "a long one", 0,
    )  # fmt: skip


def test_pairs_have_the_ranks_of_the_model_and_of_people(tmp_path):
    pytest.importorskip("sklearn.metrics")
    turns = np.radians([0, 10, 40, 80])
    settings = settings_with(
        tmp_path,
        "embedding-similarity",
        pairs=np.array([[0, 1], [0, 2], [0, 3]]),
        scores=np.array([9.0, 1, 5]),
        texts=np.array(["tea", "coffee", "cup", "stone"]),
    )
    made.write(tmp_path, settings, [np.array([np.cos(at), np.sin(at)], "<f4").tobytes() for at in turns])
    found = {one.sample: [each.text for each in one.texts] for one in examples.read(tmp_path).items}
    assert found[0] == ["tea – coffee", "0.985, rank 1 of 3", "9, rank 1 of 3"]
    assert found[1] == ["tea – cup", "0.766, rank 2 of 3", "1, rank 3 of 3"]


def test_the_accuracy_stands_where_examples_cannot_be_made(tmp_path, monkeypatch, capsys):
    from orchestrator.harness.metrics import __main__ as program

    def broken(*_):
        raise ValueError("no pictures today")

    figure = SimpleNamespace(document=lambda: {"metric": "top1"})
    monkeypatch.setattr(program, "read", lambda _: SimpleNamespace(task="x", dataset=SimpleNamespace(samples=1)))
    monkeypatch.setattr(program, "logged", lambda *_: [b""])
    monkeypatch.setattr(program, "counter", lambda _: SimpleNamespace(figures=lambda *_: [figure]))
    monkeypatch.setattr(program.examples, "write", broken)
    assert program.main([str(tmp_path / "settings.json")]) == 0
    assert json.loads((tmp_path / "accuracy.json").read_text())["accuracies"] == [{"metric": "top1"}]
    assert "there are no examples: no pictures today" in capsys.readouterr().err
