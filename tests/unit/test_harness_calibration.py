"""Which layout the calibration takes, and what LoadGen is told after it; no clock involved."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from orchestrator.harness import effective
from orchestrator.harness.calibrate import Trial, batches, quickest, splits, throughput
from orchestrator.harness.instances import Layout
from orchestrator.harness.served_layout import _Servers
from orchestrator.harness.settings import Execution


@pytest.mark.parametrize(
    ("layout", "words"),
    [
        (Layout(2, 1, 8), "2 instances of 1 thread, batch 8"),
        (Layout(1, 4, 1), "1 instance of 4 threads, batch 1"),
        (_Servers(1, 1, 4096), "1 server, at most 4,096 requests at once to each"),
    ],
)
def test_a_layout_is_told_in_words(layout, words):
    assert layout.words == words


def execution(cpus=2, **fixed) -> Execution:
    free = dict.fromkeys(("instances", "threads", "batch", "batch_delay_us"))
    return Execution(cpus=tuple(range(cpus)), **(free | fixed))


def trial(layout: Layout, rate: float, latency: float = 0.001) -> Trial:
    return Trial(layout, rate, rate, latency, latency)


def machine(speed):
    """A measure function over ``speed(layout)`` and the list of what it was asked."""
    asked: list[Layout] = []

    def measure(layout: Layout) -> Trial:
        asked.append(layout)
        rate = speed(layout)
        return trial(layout, rate, layout.batch * layout.instances / rate)

    return measure, asked


def forever() -> float:
    return 1.0


def test_splits_use_every_processor_and_keep_what_is_fixed():
    assert splits(execution(8)) == [(8, 1), (4, 2), (2, 4), (1, 8)]
    assert splits(execution(6)) == [(6, 1), (3, 2), (1, 4), (1, 6)]
    assert splits(execution(1)) == [(1, 1)]
    assert splits(execution(8, threads=4)) == [(2, 4)]
    assert splits(execution(8, instances=2)) == [(2, 4)]
    assert splits(execution(8, instances=3, threads=2)) == [(3, 2)]
    assert splits(execution(4), one=True) == [(1, 1), (1, 2), (1, 4)]
    assert splits(execution(4, threads=2), one=True) == [(1, 2)]


def test_batches_double_up_to_the_limit():
    assert batches(execution(), 8) == [1, 2, 4, 8]
    assert batches(execution(), 7) == [1, 2, 4]
    assert batches(execution(batch=24), 256) == [24]


def test_the_fastest_batch_wins_and_the_search_ends_after_two_steps_without_gain():
    measure, asked = machine(lambda layout: 1000 - abs(layout.batch - 16) * 10 - (layout.threads - 1) * 500)
    assert throughput(execution(2), measure, 9.0, forever).layout == Layout(2, 1, 16)
    assert max(layout.batch for layout in asked if layout.threads == 1) == 64


def test_a_larger_batch_is_not_taken_for_noise():
    measure, _ = machine(lambda layout: 10 + layout.batch * 0.001)
    assert throughput(execution(1), measure, 9.0, forever).layout.batch == 1


def test_a_quick_model_gets_batches_that_outweigh_what_a_call_costs_besides():
    measure, _ = machine(lambda layout: 20_000.0)
    assert throughput(execution(1), measure, 9.0, forever).layout.batch >= 32


def test_no_call_takes_longer_than_allowed():
    measure, _ = machine(lambda layout: 100.0 * math.sqrt(layout.batch))
    chosen = throughput(execution(1), measure, 0.05, forever)
    assert chosen.latency <= 0.05
    assert chosen.layout.batch == 16


def test_without_time_left_the_first_trial_still_decides():
    measure, asked = machine(lambda layout: 100.0)
    assert throughput(execution(2), measure, 9.0, lambda: 0.0).layout == Layout(2, 1, 1)
    assert len(asked) == 1


def test_a_disturbed_first_trial_is_corrected_by_the_second_look():
    seen: dict[Layout, int] = {}

    def speed(layout: Layout) -> float:
        seen[layout] = seen.get(layout, 0) + 1
        if layout == Layout(2, 1, 1):
            return 900.0 if seen[layout] == 1 else 1200.0
        return 1000.0 if layout.batch == 2 else 500.0

    measure, _ = machine(speed)
    assert throughput(execution(2), measure, 9.0, forever).layout == Layout(2, 1, 1)


def test_of_long_calls_a_small_batch_near_the_best_is_looked_at_again_too():
    """Its trial was a tenth of a second: one bad moment put it behind three larger batches."""
    seen: dict[Layout, int] = {}

    def speed(layout: Layout) -> float:
        seen[layout] = seen.get(layout, 0) + 1
        if layout.batch == 1:
            return 95.0 if seen[layout] == 1 else 110.0
        return 100.0 + layout.batch if layout.batch <= 8 else 50.0

    measure, _ = machine(speed)
    assert throughput(execution(1), measure, 9.0, forever).layout.batch == 1


@pytest.mark.parametrize(("scale", "threads"), [(1, 2), (100, 1)], ids=["long", "short"])
def test_of_calls_so_long_that_a_trial_has_a_few_the_finalists_are_looked_at_more_often(scale, threads):
    """The first three looks at the layout with two threads meet other load; of short calls that is its speed."""
    seen: dict[Layout, int] = {}

    def speed(layout: Layout) -> float:
        seen[layout] = seen.get(layout, 0) + 1
        if layout.instances == 2:
            return 100.0 * scale
        return (90.0 if seen[layout] <= 3 else 120.0) * scale

    measure, _ = machine(speed)
    chosen = quickest(execution(2, batch=4), measure, 8, forever)
    assert chosen.layout.threads == threads


def test_a_query_of_several_samples_is_split_over_the_instances():
    measure, asked = machine(lambda layout: 100 * layout.instances - layout.batch)
    assert quickest(execution(2), measure, 8, forever).layout == Layout(2, 1, 1)
    assert max(layout.batch for layout in asked if layout.instances == 2) == 4


def test_one_sample_runs_on_one_instance():
    measure, asked = machine(lambda layout: 10.0 * layout.threads)
    assert quickest(execution(4), measure, 1, forever).layout == Layout(1, 4, 1)
    assert {layout.instances for layout in asked} == {1}


@pytest.mark.parametrize(
    ("percentile", "late", "queries"), [(0.9, 1, 64), (0.99, 0, 459), (0.99, 1, 662), (0.999, 1, 6636)]
)
def test_early_stopping_needs_as_many_queries_as_loadgen_says(percentile, late, queries):
    assert effective.queries_for(percentile, late) == queries


def test_the_offline_query_is_sized_by_the_undisturbed_rate():
    busy = Trial(Layout(2, 1, 1), rate=60.0, undisturbed=120.0, latency=0.02, shortest=0.01)
    assert effective.offline_qps(busy) == 120.0
    tiny = replace(busy, undisturbed=5e6)
    assert effective.offline_qps(tiny) == 1 / effective.OFFLINE_SAMPLE_SECONDS, "answering costs time too"


def test_the_server_rate_leaves_room_and_counts_what_a_query_costs_beside_the_model():
    slow = effective.server_qps(trial(Layout(2, 1, 1), 100.0), 2)
    fast = effective.server_qps(trial(Layout(2, 1, 64), 1e9), 2)
    assert 35 < slow < 40
    assert fast < 2 / effective.SERVER_QUERY_SECONDS


def test_enough_queries_are_generated_when_other_load_goes_away():
    """LoadGen generates twice what fits at the expected latency; a run that outpaces it is INVALID."""
    busy = Trial(Layout(1, 1, 1), rate=1, undisturbed=1, latency=0.010, shortest=0.002)
    expected = effective.expected_latency_ns(busy) / 1e9
    assert expected <= 2 * busy.shortest
