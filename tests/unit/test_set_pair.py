"""`--set model=… --set dataset=…`: what follows from another pair, where recipes state it, and what is said of it."""

from __future__ import annotations

import pytest

from orchestrator.definitions.catalog import builtin_root, load
from orchestrator.definitions.catalog.choose import chosen, source_of
from orchestrator.definitions.variations import parse_changes
from orchestrator.errors import UsageError

PHOTOS = ("model=efficientnet-lite0", "dataset=imagenet-20-folder")


@pytest.fixture(scope="module")
def catalog():
    return load([builtin_root()])


@pytest.fixture
def resnet50(catalog):
    def resnet50(*changes: str):
        return chosen(catalog, catalog.benchmark("resnet50"), parse_changes(changes))

    return resnet50


def test_accuracy_parameters_and_samples_follow_from_the_pair(resnet50):
    entry = resnet50(*PHOTOS)
    what = entry.definition
    assert (what.accuracy.metric, what.accuracy.reference, what.accuracy.factor) == ("acc", 90.0, 0.99)
    assert what.parameters == {"data_set": "imagenet_pytorch", "samples": "preprocessed"}
    assert what.performance_samples == 20
    assert source_of(entry, "accuracy.reference").endswith("(model efficientnet-lite0)")
    assert "models/efficientnet-lite0.yaml:" in source_of(entry, "accuracy.reference")
    assert "datasets/imagenet-20-folder.yaml:" in source_of(entry, "parameters.samples")


def test_rates_of_another_model_do_not_hold_and_limits_do(resnet50):
    scenarios = resnet50(*PHOTOS).definition.scenarios
    assert {each.target_qps or each.expected_latency_ns for each in scenarios.values()} == {None}
    assert scenarios["Server"].target_latency_ns == 15_000_000
    assert scenarios["MultiStream"].samples_per_query == 8


def test_what_is_said_on_the_command_line_comes_first(resnet50):
    said = ("accuracy.reference=50", "samples=original", "scenarios.Offline.target_qps=3", "performance_samples=7")
    what = resnet50(*PHOTOS, *said).definition
    assert (what.accuracy.reference, what.parameters["samples"], what.performance_samples) == (50, "original", 7)
    assert what.parameters["data_set"] == "imagenet_pytorch"
    assert what.scenarios["Offline"].target_qps == 3


def test_it_is_not_mlperfs_any_more_and_says_so(resnet50):
    what = resnet50(*PHOTOS).definition
    assert what.official is False
    assert what.note == (
        "not MLPerf's resnet50: it ran with model=efficientnet-lite0, dataset=imagenet-20-folder; "
        "not an MLPerf submission"
    )
    assert what.title == "resnet50 with model=efficientnet-lite0, dataset=imagenet-20-folder"


@pytest.mark.parametrize("change", ["accuracy.reference=70", "scenarios.Server.target_latency_ns=20000000"])
def test_another_goal_or_limit_is_not_mlperfs_either(resnet50, change):
    what = resnet50(change).definition
    assert (what.official, change in what.note) == (False, True)


@pytest.mark.parametrize(
    "change", ["batch=8", "implementation=reference", "model=resnet50-v1.5", "scenarios.Offline.target_qps=100"]
)
def test_a_tunable_a_rate_or_what_it_is_anyway_changes_nothing_of_it(resnet50, catalog, change):
    what, before = resnet50(change).definition, catalog.benchmark("resnet50").definition
    assert (what.official, what.note, what.title) == (True, before.note, before.title)
    assert what.accuracy == before.accuracy


def test_an_accuracy_that_nobody_states_is_asked_for(resnet50):
    with pytest.raises(UsageError) as caught:
        resnet50("model=efficientnet-lite0")
    assert caught.value.slug == "accuracy-unknown"
    assert "`acc` model `efficientnet-lite0` reaches on `imagenet-2012-val`" in caught.value.message
    assert resnet50("model=efficientnet-lite0", "accuracy.reference=70").definition.accuracy.reference == 70


def test_our_own_benchmarks_follow_their_pair_too(catalog):
    entry = chosen(
        catalog,
        catalog.benchmark("image-smoke"),
        parse_changes(["model=resnet8-fashion", "dataset=fashion-mnist", "input.name=x"]),
    )
    assert entry.definition.accuracy.reference == 91.54
    assert entry.definition.note == catalog.benchmark("image-smoke").definition.note
    assert "model=resnet8-fashion" in entry.definition.title
