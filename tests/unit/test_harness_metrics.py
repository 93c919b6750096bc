"""Accuracies that the side image counts: right figures with intervals, and refusals of what is no answer."""

from __future__ import annotations

import json
import math
from types import SimpleNamespace

import pytest

np = pytest.importorskip("numpy")

from orchestrator.harness.metrics import METRICS, Figure, counter, interval  # noqa: E402
from orchestrator.harness.metrics import __main__ as program  # noqa: E402
from orchestrator.harness.metrics.answers import array, vectors  # noqa: E402


@pytest.fixture
def libraries():
    """scikit-learn and SciPy, where they are installed; in the image `accuracy` they always are."""
    pytest.importorskip("sklearn.metrics")
    pytest.importorskip("scipy.stats")


def settings_with(folder, **arrays):
    """Settings as far as a metric reads them: the paths of arrays."""
    for name, values in arrays.items():
        np.save(folder / f"{name}.npy", values)
    dataset = SimpleNamespace(arrays={name: f"{folder}/{name}.npy" for name in arrays})
    return SimpleNamespace(dataset=dataset, model=SimpleNamespace(joined=False))


def logged(rows) -> list[bytes]:
    return [np.asarray(row, "<f4").tobytes() for row in rows]


# -- answers as arrays ---------------------------------------------------------------------


def test_answers_become_rows_of_float32():
    found = vectors(logged([[1, 2], [3, 4], [5, 6]]))
    assert found.tolist() == [[1, 2], [3, 4], [5, 6]]
    assert found.dtype == np.float32


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_answers_that_are_not_finite_are_refused_with_the_first_sample(value):
    with pytest.raises(ValueError, match="answers to 2 of 3 samples are not finite, first to 1"):
        vectors(logged([[1, 2], [value, 4], [5, value]]))


@pytest.mark.parametrize(
    ("answers", "width", "said"),
    [
        ([b"\0" * 8, b"\0" * 4], None, "sample 1 has 4 bytes, 8 were expected"),
        ([b"\0" * 8], 3, "sample 0 has 8 bytes, 12 were expected"),
        ([b"\0" * 7], None, "sample 0 has 7 bytes"),
        ([b"", b""], None, "sample 0 has 0 bytes"),
    ],
)
def test_answers_of_another_size_are_refused(answers, width, said):
    with pytest.raises(ValueError, match=said):
        vectors(answers, width)


def test_an_array_of_other_rows_is_refused(tmp_path):
    settings = settings_with(tmp_path, labels=np.zeros(3))
    assert array(settings, "labels", 3).shape == (3,)
    with pytest.raises(ValueError, match=r"dataset\.arrays\.labels holds 3 rows, 4 were expected"):
        array(settings, "labels", 4)


# -- embeddings ----------------------------------------------------------------------------

HEAD = np.array([1, -1, 0.5], np.float32)  # x - y + 0.5 above 0


@pytest.mark.usefixtures("libraries")
def test_a_head_reads_labels_off_embeddings(tmp_path):
    rows = [[1, 0], [0, 1], [0, 0], [0, 0.6]]  # 1.5, -0.5, 0.5, -0.1: the labels 1, 0, 1, 0
    settings = settings_with(tmp_path, labels=np.array([1, 0, 0, 0]), head=HEAD)
    (figure,) = counter("embedding-classification").figures(settings, logged(rows))
    assert (figure.metric, figure.value, figure.unit, figure.samples) == ("accuracy", 75.0, "%", 4)
    # Wilson's interval of 3 of 4, from its closed form with z = 1.959964
    assert figure.interval == pytest.approx((30.064, 95.441), abs=0.01)


@pytest.mark.usefixtures("libraries")
def test_embeddings_of_another_width_than_the_head_are_refused(tmp_path):
    settings = settings_with(tmp_path, labels=np.array([1]), head=HEAD)
    with pytest.raises(ValueError, match="12 bytes, 8 were expected"):
        counter("embedding-classification").figures(settings, logged([[1, 2, 3]]))


def circle(*degrees):
    return [[math.cos(math.radians(each)), math.sin(math.radians(each))] for each in degrees]


@pytest.mark.usefixtures("libraries")
@pytest.mark.filterwarnings("ignore")  # resamples of five pairs can be constant
def test_similarities_are_ranked_against_what_people_said(tmp_path):
    rows = circle(0, 10, 30, 60, 100, 150)
    pairs = np.array([(0, at) for at in range(1, 6)], np.int32)
    settings = settings_with(tmp_path, pairs=pairs, scores=np.array([9.0, 7, 8, 4, 1]))  # two ranks are swapped
    (figure,) = counter("embedding-similarity").figures(settings, logged(rows))
    assert (figure.metric, figure.unit, figure.samples) == ("spearman", "", 6)  # texts, as LoadGen logs them
    assert figure.value == pytest.approx(1 - 6 * 2 / (5 * 24))  # the formula for ranks without ties


@pytest.mark.usefixtures("libraries")
def test_a_rank_correlation_has_an_interval_that_shrinks_with_the_number_of_pairs(tmp_path):
    random = np.random.default_rng(0)
    angles = random.uniform(0, 90, 400)
    widths = []
    for count in (40, 400):
        pairs = np.array([(0, at) for at in range(1, count + 1)])
        scores = -angles[:count] + random.normal(0, 20, count)
        settings = settings_with(tmp_path, pairs=pairs, scores=scores)
        (figure,) = counter("embedding-similarity").figures(settings, logged(circle(0, *angles)))
        assert figure.interval is not None
        assert figure.interval[0] < figure.value < figure.interval[1]
        widths.append(figure.interval[1] - figure.interval[0])
    assert widths[1] < widths[0] / 2


@pytest.mark.usefixtures("libraries")
@pytest.mark.filterwarnings("ignore")
def test_embeddings_that_are_all_alike_have_no_rank_correlation(tmp_path):
    settings = settings_with(tmp_path, pairs=np.array([(0, 1), (1, 2), (0, 2)]), scores=np.array([1.0, 2, 3]))
    with pytest.raises(ValueError, match="equally alike"):
        counter("embedding-similarity").figures(settings, logged([[1, 0]] * 3))


@pytest.mark.usefixtures("libraries")
def test_pairs_of_samples_that_there_are_not_are_refused(tmp_path):
    settings = settings_with(tmp_path, pairs=np.array([(0, 2)]), scores=np.array([1.0]))
    with pytest.raises(ValueError, match="pairs names samples beyond 0 to 1"):
        counter("embedding-similarity").figures(settings, logged(circle(0, 10)))


# -- recommendation ------------------------------------------------------------------------


@pytest.mark.usefixtures("libraries")
def test_the_auc_is_in_percent_with_an_interval(tmp_path):
    labels = np.array([0, 0, 1, 1] * 10)
    given = [[0.1], [0.4], [0.35], [0.8]] * 10  # of 4 pairs of one of each class 3 are in order
    (figure,) = counter("recommendation").figures(settings_with(tmp_path, labels=labels), logged(given))
    assert (figure.metric, figure.unit, figure.samples) == ("AUC", "%", 40)
    assert figure.value == pytest.approx(75)
    assert figure.interval is not None
    assert figure.interval[0] < 75 < figure.interval[1]


@pytest.mark.usefixtures("libraries")
def test_probabilities_that_are_not_finite_and_labels_of_one_class_are_refused(tmp_path):
    with pytest.raises(ValueError, match="not finite"):
        counter("recommendation").figures(settings_with(tmp_path, labels=np.array([0, 1])), logged([[0.1], [math.nan]]))
    with pytest.raises(ValueError, match="one class"):
        counter("recommendation").figures(settings_with(tmp_path, labels=np.array([1, 1])), logged([[0.1], [0.2]]))


# -- figures -------------------------------------------------------------------------------


def test_ends_of_an_interval_that_are_no_numbers_are_none():
    assert interval(0.5, 0.75, 100) == (50.0, 75.0)
    assert interval(math.nan, 0.75) is None
    assert interval(0.5, math.inf) is None


def test_a_figure_says_its_interval_only_where_it_has_one():
    figure = Figure(metric="AUC", value=75.0, unit="%", samples=4)
    assert figure.document() == {"metric": "AUC", "value": 75.0, "unit": "%", "samples": 4}
    with_ends = Figure(metric="AUC", value=75.0, unit="%", samples=4, interval=(70.1234567, 80.0))
    assert with_ends.document()["interval"] == [70.123457, 80.0]


# -- the program ---------------------------------------------------------------------------


def test_a_task_that_nothing_counts_is_refused():
    with pytest.raises(ValueError, match=f"known: {', '.join(METRICS)}"):
        counter("image-classification")


@pytest.mark.usefixtures("libraries")
@pytest.mark.filterwarnings("ignore")
def test_the_program_writes_accuracy_json_and_says_why_it_cannot(tmp_path, monkeypatch, capsys):
    settings = settings_with(tmp_path, labels=np.array([0, 1, 0, 1]))
    settings.task, settings.dataset.samples, settings.dataset.show = "recommendation", 4, False
    monkeypatch.setattr(program, "read", lambda _path: settings)
    log = tmp_path / "mlperf_log_accuracy.json"

    def answer(*values):
        data = [answer.hex() for answer in logged([[value] for value in values])]
        log.write_text(json.dumps([{"qsl_idx": at, "data": each} for at, each in enumerate(data)]))
        return program.main([str(tmp_path / "settings.json")])

    assert answer(0.1, 0.2, 0.3, 0.4) == 0
    (found,) = json.loads((tmp_path / "accuracy.json").read_text())["accuracies"]
    assert {"metric": "AUC", "value": 75.0, "unit": "%", "samples": 4}.items() <= found.items()
    assert "interval" not in found, "resamples of four samples can have one class, and NaN is no JSON"
    assert answer(0.1, 0.2, 0.3, math.nan) == 1
    assert "not finite" in capsys.readouterr().err
