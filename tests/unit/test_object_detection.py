"""Object detection: the rows that are answered, the mAP that pycocotools counts of them, and the scenes."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path
from types import SimpleNamespace

import pytest

np = pytest.importorskip("numpy")

from orchestrator.harness.samples import Samples  # noqa: E402
from orchestrator.harness.tasks.object_detection import EXACT, MOST, ROW, create  # noqa: E402
from orchestrator.harness.work import Work  # noqa: E402

COMPOSE = Path(__file__).parents[2] / "recipes/datasets/fashion-scenes/compose.py"
TRUE_BOX = (0.25, 0.25, 0.5, 0.75)


def settings(samples: int, **arrays: str):
    return SimpleNamespace(dataset=SimpleNamespace(samples=samples, arrays=arrays))


@pytest.fixture
def task():
    return create(settings(100))


def output(*rows):
    """What a model gives: place, box, score, class."""
    return [np.array([(place, *box, score, kind) for place, box, score, kind in rows], np.float32).reshape(-1, 7)]


def rows(answer: bytes):
    return np.frombuffer(answer, ROW).tolist()


# -- the answers -----------------------------------------------------------------------


def test_equal_scores_stay_in_their_order_and_scores_below_zero_come_last(task):
    given = output(*((0, TRUE_BOX, score, kind) for kind, score in enumerate((-3e38, 0.5, 1e-45, 0.5, -1.0, 3e38))))
    (answer,) = task.answers(given, [3])
    assert np.frombuffer(answer, ROW)[:, 6].tolist() == [5, 1, 3, 2, 4, 0]


def test_a_picture_is_answered_with_its_own_rows_the_best_first(task):
    given = output((1, TRUE_BOX, 0.5, 3), (0, TRUE_BOX, 0.25, 2), (1, TRUE_BOX, 0.75, 4))
    first, second = task.answers(given, [40, 7])
    assert rows(first) == [[40, *TRUE_BOX, 0.25, 2]]
    assert rows(second) == [[7, *TRUE_BOX, 0.75, 4], [7, *TRUE_BOX, 0.5, 3]]


def test_a_picture_without_a_box_is_answered_with_no_bytes(task):
    answers = list(task.answers(output((1, TRUE_BOX, 0.5, 3)), [5, 6, 7]))
    assert [len(answer) for answer in answers] == [0, ROW.itemsize, 0]
    assert list(task.answers(output(), [5, 6])) == [b"", b""]


def test_no_more_than_the_best_boxes_are_answered(task):
    scores = np.linspace(0.1, 0.9, MOST + 50, dtype=np.float32)
    (answer,) = task.answers(output(*((0, TRUE_BOX, score, 1) for score in scores)), [3])
    kept = np.frombuffer(answer, ROW)[:, 5]
    assert kept.tolist() == sorted(scores.tolist(), reverse=True)[:MOST]


def test_the_models_own_array_is_left_as_it_is(task):
    given = output((0, TRUE_BOX, 0.5, 3))
    before = given[0].copy()
    task.answers(given, [9])
    assert (given[0] == before).all()


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
@pytest.mark.parametrize("column", range(1, 7))
def test_boxes_that_are_no_finite_numbers_are_refused(task, wrong, column):
    (given,) = output((0, TRUE_BOX, 0.5, 3), (0, TRUE_BOX, 0.6, 3))
    given[1, column] = wrong
    with pytest.raises(ValueError, match=r"a box that is no finite numbers: \[.*(nan|inf)"):
        task.answers([given], [1])


def test_boxes_of_no_picture_and_of_another_shape_are_refused(task):
    for place in (-1, 2):
        with pytest.raises(ValueError, match=f"boxes of picture .*{place}.* of 2"):
            task.answers(output((place, TRUE_BOX, 0.5, 3)), [1, 2])
    with pytest.raises(ValueError, match=r"shape \[4, 6\]; \[k, 7\] was expected"):
        task.answers([np.zeros((4, 6), np.float32)], [1])


def test_a_data_set_whose_samples_float32_cannot_name_is_refused():
    create(settings(EXACT))
    with pytest.raises(ValueError, match="exact up to 16777216"):
        create(settings(EXACT + 1))


def test_the_runner_tells_the_task_which_samples_it_answers(task, tmp_path):
    np.save(tmp_path / "images.npy", np.arange(8, dtype=np.uint8).reshape(8, 1))
    column = SimpleNamespace(name="x", dtype="uint8", scale=1.0, array="inputs", varies=False)
    given = settings(8, inputs=str(tmp_path / "images.npy"))
    given.model = SimpleNamespace(inputs=(column,))
    samples = Samples(given)
    samples.load(range(8))

    def predict(batch):  # a box in each picture, as tall as the picture's number
        return output(*((at, (0, 0, value / 8, 1), 1, 0) for at, value in enumerate(batch[0][:, 0].tolist())))

    instances = SimpleNamespace(get=lambda threads, instance: SimpleNamespace(predict=predict))
    run = Work(instances, samples, task).runner(SimpleNamespace(batch=4, threads=1), 0)
    assert [rows(answer)[0][:4] for answer in run([6, 1, 4])] == [[n, 0, 0, n / 8] for n in (6, 1, 4)]


# -- the accuracy ----------------------------------------------------------------------


@pytest.fixture
def counted(tmp_path):
    """Counts the answers to two pictures with a box each, of the classes 3 and 5."""
    pytest.importorskip("pycocotools")
    pytest.importorskip("scipy")
    from orchestrator.harness.metrics import counter

    arrays = {
        "boxes": np.array([[TRUE_BOX, (0, 0, 0, 0)], [TRUE_BOX, (0, 0, 0, 0)]], np.float32),
        "classes": np.array([[3, -1], [5, -1]], np.int32),
        "counts": np.array([1, 1], np.int32),
    }
    for name, array in arrays.items():
        np.save(tmp_path / f"{name}.npy", array)
    given = settings(2, **{name: str(tmp_path / f"{name}.npy") for name in arrays})

    def count(*answers: bytes) -> dict:
        return {each.metric: each for each in counter("object-detection").figures(given, answers)}

    return count


def answer(*given) -> bytes:
    return np.array([(sample, *box, score, kind) for sample, box, score, kind in given], ROW.base).tobytes()


def test_right_boxes_of_the_right_classes_are_all_there_is(counted):
    figures = counted(answer((0, TRUE_BOX, 0.9, 3)), answer((1, TRUE_BOX, 0.8, 5)))
    assert [figures[name].value for name in ("mAP", "mAP50")] == pytest.approx([100, 100])
    assert (figures["mAP"].unit, figures["mAP"].samples) == ("%", 2)
    assert figures["mAP"].interval == pytest.approx((100, 100))


def test_a_box_of_iou_078_counts_at_six_of_ten_thresholds(counted):
    narrower = (0.25, 0.25, 0.5, 0.64)  # 0.39 of 0.50 of its width
    figures = counted(answer((0, narrower, 0.9, 3)), answer((1, narrower, 0.9, 5)))
    assert figures["mAP50"].value == pytest.approx(100)
    assert figures["mAP"].value == pytest.approx(60)


def test_a_wrong_class_and_an_empty_answer_find_nothing(counted):
    figures = counted(answer((0, TRUE_BOX, 0.9, 5)), b"")
    assert figures["mAP"].value == figures["mAP50"].value == 0
    figures = counted(b"", b"")
    assert figures["mAP"].value == figures["mAP50"].value == 0


def test_half_of_the_pictures_right_is_a_wide_interval(counted):
    low, high = counted(answer((0, TRUE_BOX, 0.9, 3)), b"")["mAP"].interval
    assert (low, high) == pytest.approx((0, 100))


@pytest.mark.parametrize(
    ("second", "said"),
    [
        (b"\0" * 27, "sample 1: an answer of 27 bytes; rows have 28"),
        (answer((0, TRUE_BOX, 0.9, 3)), "sample 1: answered with boxes of sample 0"),
        (answer((1, TRUE_BOX, float("nan"), 3)), "sample 1: a box that is no finite numbers"),
        (answer((1, (0.5, 0, 0.4, 1), 0.9, 3)), "sample 1: a box that ends before it begins"),
    ],
)
def test_answers_that_are_none_are_refused(counted, second, said):
    with pytest.raises(ValueError, match=said):
        counted(b"", second)


# -- the scenes ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def compose():
    pytest.importorskip("PIL")
    spec = importlib.util.spec_from_file_location("compose", COMPOSE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def items(folder: Path) -> None:
    """Ten invented items: bright shapes in the middle of black."""
    pictures = np.zeros((10, 1, 28, 28), np.uint8)
    for number in range(10):
        pictures[number, 0, 4 : 12 + number, 6 : 24 - number] = 200
    np.save(folder / "images.npy", pictures)
    np.save(folder / "labels.npy", np.arange(10, dtype=np.int32))


def composed(compose, monkeypatch, items: Path, out: Path, scenes: int):
    out.mkdir()
    words = ["compose.py", "--sources", str(out), "--items", str(items), "--out", str(out), "--scenes", str(scenes)]
    monkeypatch.setattr("sys.argv", words)
    compose.main()
    return {name: np.load(out / f"{name}.npy") for name in ("images", "boxes", "classes", "counts")}


def test_scenes_are_the_same_bytes_every_time(compose, monkeypatch, tmp_path):
    items(tmp_path)
    found = composed(compose, monkeypatch, tmp_path, tmp_path / "a", 20)
    again = composed(compose, monkeypatch, tmp_path, tmp_path / "b", 20)
    for name, array in found.items():
        assert array.tobytes() == again[name].tobytes()
    digest = hashlib.sha256(found["images"].tobytes() + found["boxes"].tobytes()).hexdigest()
    assert (
        digest == "21cfefa4ff203b0de03ae8abf1a35c3b49ae485a15aa3ca9e0af21f6a4ee01a2"
    )  # with the pinned numpy and Pillow, on any processor


def test_boxes_are_of_the_items_and_hide_little_of_each_other(compose, monkeypatch, tmp_path):
    items(tmp_path)
    found = composed(compose, monkeypatch, tmp_path, tmp_path / "a", 60)
    assert found["images"].shape == (60, 1, 128, 128)
    assert set(found["counts"].tolist()) <= set(range(1, 7))
    assert len(set(found["counts"].tolist())) > 3
    for boxes, classes, count in zip(found["boxes"], found["classes"], found["counts"], strict=True):
        assert (classes[:count] >= 0).all()
        assert (classes[count:] == -1).all()
        assert (boxes[count:] == 0).all()
        pixels = (boxes[:count] * 128).astype(int)
        assert (boxes[:count] * 128 == pixels).all()
        assert (pixels[:, :2] >= 0).all()
        assert (pixels[:, 2:] > pixels[:, :2]).all()
        assert (pixels[:, 2:] <= 128).all()
        for number in range(count):
            one = tuple(pixels[number].tolist())
            assert compose.is_free(one, [tuple(other) for other in pixels[:number].tolist()])


def test_the_box_ends_where_the_item_does(compose):
    rng = np.random.Generator(np.random.PCG64(1))
    picture = np.zeros((28, 28), np.uint8)
    picture[4:20, 8:16] = 255
    canvas = np.full((compose.SIDE, compose.SIDE), 40, np.int32)
    pixels = compose.item(rng, picture)
    box = compose.place(rng, pixels.shape, [])
    compose.paint(rng, canvas, box, pixels)
    changed = np.argwhere(canvas != 40)
    assert (*changed.min(0), *(changed.max(0) + 1)) == box
