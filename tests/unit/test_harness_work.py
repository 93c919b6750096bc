"""Samples in memory, batches of them, queries split over instances, and what is answered; no LoadGen."""

from __future__ import annotations

import dataclasses
import json
import os
import time
import types

import pytest

np = pytest.importorskip("numpy")

from harness_work_parts import COUNT, EchoInstances, loaded, settings_in, work  # noqa: E402

from orchestrator.harness.instances import Layout  # noqa: E402
from orchestrator.harness.samples import Samples  # noqa: E402
from orchestrator.harness.tasks import create  # noqa: E402
from orchestrator.harness.work import Team, Work  # noqa: E402


@pytest.fixture
def settings(tmp_path):
    return settings_in(tmp_path)


@pytest.fixture
def samples(settings):
    return loaded(settings)


def test_samples_are_scaled_once_and_neighbours_are_not_copied(samples):
    buffer = samples.buffer(4)
    (whole,) = samples.batch([0, 1, 2, 3], buffer)
    assert whole.dtype == np.float32
    assert whole[3].tolist() == [4.5, 5.0, 5.5]
    assert not np.shares_memory(whole, buffer[0])
    assert np.shares_memory(whole, samples.batch([2], buffer)[0])


def test_scattered_and_repeated_samples_are_gathered_into_the_buffer(samples):
    buffer = samples.buffer(4)
    for indexes in ([7, 0, 7], [2, 1, 0], [3, 3, 3, 3], [0, 2, 1, 3]):
        (found,) = samples.batch(indexes, buffer)
        assert np.shares_memory(found, buffer[0])
        assert found[:, 0].tolist() == [index * 1.5 for index in indexes]


def test_loading_a_part_keeps_the_numbers_of_the_samples(samples, settings):
    other = Samples(settings)
    other.load([9, 4, 4, 2])
    assert other.batch([4, 9], other.buffer(2))[0][:, 0].tolist() == [6.0, 13.5]


def test_a_dataset_of_another_size_is_refused(settings, tmp_path):
    np.save(tmp_path / "labels.npy", np.zeros(COUNT - 1, np.int32))
    with pytest.raises(ValueError, match="labels hold 11 samples, the settings say 12"):
        create(settings)


@pytest.mark.parametrize(("instances", "batch"), [(1, 8), (1, 3), (2, 4), (2, 1), (3, 5)])
def test_a_team_answers_every_sample_in_its_place(samples, instances, batch):
    team = Team(work(EchoInstances(), samples), Layout(instances, 1, batch))
    for query in ([5, 1, 9, 0, 11, 5, 2, 3], [7], list(range(8))):
        assert team.answer(query).tolist() == query
    team.close()


def test_a_failing_helper_fails_the_query(samples):
    model = EchoInstances(fail_on=6, wait=0.005)
    team = Team(work(model, samples), Layout(2, 1, 1))
    with pytest.raises(RuntimeError, match="the model broke"):
        team.answer([1, 2, 3, 4, 5, 6, 7, 8])
    team.close()


def test_accuracy_counts_the_first_answer_and_wants_every_sample(settings, tmp_path):
    task = create(settings)
    answers = [(index, 0 if index == 3 else index) for index in range(COUNT)] + [(3, 3)]
    log = tmp_path / "log.json"

    def write(entries):
        rows = [
            {"seq_id": at, "qsl_idx": index, "data": int(answer).to_bytes(8, "little").hex().upper()}
            for at, (index, answer) in enumerate(entries)
        ]
        log.write_text(json.dumps(rows))

    write(answers)
    found = task.accuracy(log)
    assert (found["correct"], found["samples"], found["value"]) == (11, COUNT, pytest.approx(91.6667))
    write(answers[:5])
    with pytest.raises(ValueError, match="5 of 12 samples"):
        task.accuracy(log)


def test_the_class_of_a_picture_is_its_largest_logit(settings):
    assert create(settings).answers([np.array([[0.1, 0.9, 0.0], [2.0, -1.0, 1.0]])], [0, 1]).tolist() == [1, 0]


def of_task(settings, name):
    return create(dataclasses.replace(settings, task=name))


@pytest.mark.parametrize("name", ["embedding-classification", "embedding-similarity"])
def test_the_embedding_of_a_text_is_answered_as_float32_bytes(settings, tmp_path, name):
    task = of_task(settings, name)
    rows = np.array([[0.6, 0.8], [1, 0]])
    assert task.answers([rows], range(len(rows))) == [np.array(row, "<f4").tobytes() for row in rows]
    assert task.accuracy(tmp_path) is None, "the accuracy image counts it"


@pytest.mark.parametrize("shape", [(3,), (3, 1)])
def test_a_recommendation_is_answered_as_one_probability_each(settings, tmp_path, shape):
    task = of_task(settings, "recommendation")
    room = np.zeros(3, task.answer)
    room[:] = task.answers([np.array([0.25, 0.5, 0.75], np.float32).reshape(shape)], [0, 1, 2])
    assert (room.tolist(), task.answer.itemsize) == ([0.25, 0.5, 0.75], 4)
    assert task.accuracy(tmp_path) is None, "the accuracy image counts it"


@pytest.mark.parametrize(("count", "expected"), [(1, [0]), (2, [1, 0]), (7, [3, 1, 5, 0, 2, 4, 6])])
def test_the_first_few_of_many_stand_for_all(count, expected):
    from orchestrator.harness.trials import halving

    assert halving(count) == expected


class _Noting:
    """Instances whose model notes the shape of each batch."""

    def __init__(self) -> None:
        self.shapes: set[tuple[int, ...]] = set()

    def get(self, threads: int, instance: int):
        return self

    def group(self, threads: int, instance: int) -> list[int]:
        return sorted(os.sched_getaffinity(0))[:1]

    def predict(self, batch):
        self.shapes.add(batch[0].shape)
        time.sleep(0.001)
        return [np.zeros((len(batch[0]), 1), np.float32)]


@pytest.mark.parametrize(("whole", "expected"), [(True, {(3, 1), (3, 9)}), (False, {(3, 9)})])
def test_offline_is_tried_with_batches_of_like_length(whole, expected, settings, tmp_path):
    """Half of the samples have one token, half have nine: a batch of both would be padded."""
    from orchestrator.harness.trials import Trials

    np.save(tmp_path / "images.npy", np.zeros((COUNT, 9), np.int64))
    np.save(tmp_path / "lengths.npy", np.array([1, 9] * (COUNT // 2)))
    varied = dataclasses.replace(settings.model.inputs[0], varies=True, dtype="int64", scale=1.0)
    arrays = dict(settings.dataset.arrays) | {"lengths": str(tmp_path / "lengths.npy")}
    changed = dataclasses.replace(
        settings,
        model=dataclasses.replace(settings.model, inputs=(varied,)),
        dataset=dataclasses.replace(settings.dataset, arrays=arrays),
    )
    samples = Samples(changed)
    samples.load(range(COUNT))
    noted = _Noting()
    work = Work(noted, samples, types.SimpleNamespace(answer=None, answers=lambda outputs, _: [b""] * len(outputs[0])))
    trials = Trials(work, COUNT, 10, whole=whole)
    trials.throughput(Layout(1, 1, 3))
    assert noted.shapes == expected
