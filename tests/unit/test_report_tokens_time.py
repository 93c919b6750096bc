"""What a report shows beside the result: tokens beside their limits, latencies over time, intervals and goals."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest
from results_parts import add_run

from orchestrator.cli import run
from orchestrator.facts.record import Setting
from orchestrator.results import timeline
from orchestrator.results.measure import accuracies_of, wilson
from orchestrator.results.report import render, templates
from orchestrator.results.store import Store
from orchestrator.results.summary import document, summarise
from orchestrator.results.time_chart import latency_time_chart, rate_chart
from orchestrator.results.tokens import token_rows
from orchestrator.results.verify.verification import verify

# -- tokens --------------------------------------------------------------------------------


def token_run(tmp_path, case="server-tokens", **limits):
    record, folder = add_run(Store(tmp_path), case)
    settings = {f"loadgen.{name}_latency_ns": Setting(value=value, source="recipe") for name, value in limits.items()}
    return summarise(replace(record, settings=dict(record.settings) | settings), folder)


def test_tokens_have_their_percentiles_beside_the_limit_of_the_test(tmp_path):
    summary = token_run(tmp_path, ttft=50_000_000, tpot=1_000_000)
    first, later = token_rows(summary)
    assert list(first.values) == ["min", "p50", "p90", "p95", "p97", "p99", "p99.9", "max", "mean"]
    assert (first.values["p50"], first.values["max"], later.values["mean"]) == (1429429, 39057471, 1283485)
    assert (first.limit, first.kept) == ("50.00 ms at p90", True)
    assert (later.limit, later.kept) == ("1.000 ms at p90", False), "its 90th percentile is 1.1 ms"
    page = render([summary])
    assert "Time to first token" in page
    assert "1.429 ms" in page
    assert '<th class="n">p99.9</th>' in page
    assert "50.00 ms at p90" in page
    assert '<span class="bad">no</span>' in page


def test_without_a_limit_tokens_have_percentiles_only(tmp_path):
    first, _ = token_rows(token_run(tmp_path, "singlestream-tokens", ttft=1, tpot=1))
    assert (first.limit, first.kept) == ("–", None), "SingleStream is held to none"
    assert token_rows(token_run(tmp_path / "b", "server")) == ()
    assert token_rows(token_run(tmp_path / "c", "offline-tokens")) == (), "LoadGen times no tokens in Offline"


def test_a_record_from_before_tokens_were_kept_still_verifies(tmp_path):
    record, folder = add_run(Store(tmp_path), "server-tokens")
    assert record.measured.loadgen.token_latency_ns["ttft"]["p90"] == 15958449
    path = folder / "run.json"
    stored = json.loads(path.read_text())
    del stored["measured"]["loadgen"]["token_latency_ns"]
    path.write_text(json.dumps(stored))
    faults = [each.message for each in verify(folder).faults]
    assert faults == ["the record was changed after mlorch wrote it"]  # its seal, and no figure


def test_another_time_of_tokens_than_the_log_has_is_found(tmp_path):
    _, folder = add_run(Store(tmp_path), "server-tokens")
    path = folder / "run.json"
    path.write_text(path.read_text().replace("15958449", "1595844"))
    assert any("token_latency_ns.ttft.p90 is 1595844" in each.message for each in verify(folder).faults)


def test_tokens_are_shown_at_a_terminal(tmp_path, capsys):
    add_run(Store(tmp_path), "server-tokens")
    assert run(["results", "show", "latest", "--results", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert re.search(r"time to first token p90 +15\.96 ms", said)
    assert re.search(r"time per output token p99 +10\.02 ms", said)


# -- over time -----------------------------------------------------------------------------

STEPS = {
    "version": 1,
    "unit": "ns",
    "of": "query",
    "samples": 12,
    "step_ns": 10**9,
    "counts": [4, 0, 8],
    "p50": [1000, None, 2000],
    "p90": [1500, None, 2500],
    "p99": [1500, None, 2500],
    "max": [1500, None, 90000],
}


def read(folder, **changes):
    (folder / timeline.FILE).write_text(json.dumps(STEPS | changes))
    return timeline.read(folder)


def test_a_timeline_is_read_as_it_is(tmp_path):
    found = read(tmp_path)
    assert (found.counts, found.max, found.seconds) == ((4, 0, 8), (1500, None, 90000), 3.0)


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 2}, {"unit": "ms"}, {"of": "token"}, {"samples": 13}, {"step_ns": 0}, {"step_ns": 10**18},
        {"counts": []}, {"counts": [4, -1, 9]}, {"counts": [4, 0]}, {"p50": [1000, None]}, {"more": 1},
        {"p50": [1000, 5, 2000]}, {"p50": [None, None, 2000]}, {"p50": [9000, None, 2000]}, {"max": [1500, None, 1]},
        {"p50": [0, None, 2000]}, {"max": [1500, None, 10**19]}, {"counts": ["4", 0, 8]}, {"samples": None},
    ],
    ids=str,
)  # fmt: skip
def test_a_timeline_that_is_not_one_is_left_out(tmp_path, changes):
    assert read(tmp_path, **changes) is None


def drawn(chart):
    return ET.fromstring(templates().get_template("time.svg.j2").render(chart=chart, css="wide"))


@pytest.mark.parametrize("width", [340, 860])
@pytest.mark.parametrize("draw", [latency_time_chart, rate_chart])
@pytest.mark.parametrize("steps", [1, 3, 160])
def test_everything_of_a_chart_over_time_is_within_it(tmp_path, draw, width, steps):
    values = [1000 + 13 * at for at in range(steps)]
    found = read(
        tmp_path, samples=3 * steps, counts=[3] * steps, p50=values, p90=values, p99=values,
        max=[each * (100 if at == steps // 2 else 1) for at, each in enumerate(values)],
    )  # fmt: skip
    chart = draw(found, width=width)
    svg = drawn(chart)
    points = [
        tuple(map(float, each.split(","))) for line in svg.iter("polyline") for each in line.get("points").split()
    ]
    points += [(float(dot.get("cx")), float(dot.get("cy"))) for dot in svg.iter("circle")]
    assert points
    assert all(chart.left <= x <= chart.right and chart.top - 0.1 <= y <= chart.floor + 0.1 for x, y in points)
    for text in svg.iter("text"):
        x, wide = float(text.get("x")), len(text.text) * 6.6
        x -= {"middle": wide / 2, "end": wide}.get(text.get("text-anchor"), 0)
        assert x >= -2
        assert x + wide <= width + 8
    assert len({each.text for each in svg.iter("text") if each.get("text-anchor") == "end"}) > 1, "the axis says values"


def test_drift_and_outliers_are_seen_and_said(tmp_path):
    values = [1000] * 80 + [3000] * 80
    slow = [5_000_000 if at == 40 else each for at, each in enumerate(values)]
    found = read(tmp_path, samples=160, counts=[1] * 160, p50=values, p90=values, p99=values, max=slow)
    chart = latency_time_chart(found, width=860)
    assert chart.label == (
        "median latency, 1.000 µs in the first third of the test, 3.000 µs in the last; slowest 5.000 ms"
    )
    highest = min(chart.dots, key=lambda dot: dot.y)
    assert "the slowest in 5.000 ms" in highest.title
    assert chart.lines[0][0][1] > chart.lines[0][-1][1], "slower is higher"


def test_no_line_joins_what_a_long_pause_parts(tmp_path):
    counts = [1] * 20 + [0] * 20 + [1] * 20
    values = [1000 if each else None for each in counts]
    found = read(tmp_path, samples=40, counts=counts, p50=values, p90=values, p99=values, max=values)
    assert [len(line) for line in latency_time_chart(found, width=860).lines] == [20, 20]


def test_offline_shows_its_rate_and_other_scenarios_their_latencies(tmp_path):
    for case, said in (("offline", "samples a second"), ("server", "median latency")):
        record, folder = add_run(Store(tmp_path / case), case)
        read(folder)
        page = render([summarise(record, folder)])
        assert f"Over the time of the test: {said}" in page
        assert page.count('class="curve"') >= 2


def test_what_the_harness_counts_over_time_is_what_the_report_reads(tmp_path, monkeypatch):
    pytest.importorskip("numpy")
    from orchestrator.harness import latencies

    now = [0]
    monkeypatch.setattr(latencies.time, "perf_counter_ns", lambda: now[0])
    counted = latencies.Latencies(2)
    for number in range(1000):  # one a millisecond, for a second; a hundredth of them takes 5 ms
        now[0] = 10**12 + number * 10**6
        counted.add(number % 2, now[0] - (5_000_000 if number % 100 == 50 else 100_000))
    counted.write(tmp_path, of="query")
    found = timeline.read(tmp_path)
    assert sum(found.counts) == found.samples == 1000
    assert found.seconds == pytest.approx(1, rel=0.02)
    assert set(found.p50) == {101158}  # the middle of the bucket from 100 µs on
    slow = [at for at, most in enumerate(found.max) if most > 1_000_000]
    assert len(slow) == 10
    assert max(found.max) == pytest.approx(5_000_000, rel=0.03)


def test_batches_count_as_many_samples_as_they_have(tmp_path, monkeypatch):
    pytest.importorskip("numpy")
    from orchestrator.harness import latencies

    now = [0]
    monkeypatch.setattr(latencies.time, "perf_counter_ns", lambda: now[0])
    counted = latencies.Latencies(1)
    for number in range(1, 11):
        now[0] = number * 10**9
        counted.add(0, 0, 64)
    counted.write(tmp_path, of="sample")
    found = timeline.read(tmp_path)
    assert [each for each in found.counts if each] == [64] * 10
    assert rate_chart(found, width=860).label.startswith("samples a second, ")


# -- accuracy ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("correct", "samples", "ends"),  # of scipy.stats.binomtest(…).proportion_ci(method="wilson")
    [
        (3, 4, (0.300642, 0.954413)),
        (9154, 10000, (0.909785, 0.920696)),
        (18, 20, (0.698966, 0.972134)),
        (20, 20, (0.838875, 1.0)),
        (0, 20, (0.0, 0.161125)),
    ],
)
def test_a_share_of_right_answers_has_wilsons_interval(correct, samples, ends):
    assert wilson(correct, samples) == pytest.approx(ends, abs=1e-6)


def test_what_the_harness_counts_itself_has_an_interval_too(tmp_path):
    summary = summarise(*add_run(Store(tmp_path), "accuracy"))
    assert summary.accuracy.interval == pytest.approx((0.810171, 0.956322), abs=1e-6)  # 58 of 64
    assert document(summary)["metrics"]["accuracy"]["interval"] is not None
    page = render([summary])
    assert "81.02 % to 95.63 %" in page
    assert "at least 90.15 %" in page
    assert '<span class="good">yes</span>' in page


@pytest.mark.parametrize("correct", [True, -1, 65, "58", 58.0])
def test_a_number_of_right_answers_that_cannot_be_gives_none(correct):
    said = {"metric": "top1", "value": 90.6, "unit": "%", "correct": correct, "samples": 64}
    (found,) = accuracies_of({"accuracies": [said]}, None)
    assert found.interval is None


def test_every_figure_stands_with_its_goal_and_whether_it_is_reached(tmp_path):
    record, folder = add_run(Store(tmp_path), "accuracy")
    top = record.measured.accuracy
    other = replace(top, name="tokens_per_sample", value=40.0, unit="", minimum=28.8, maximum=35.2, interval=None)
    page = render([summarise(replace(record, measured=replace(record.measured, other_accuracies=(other,))), folder)])
    assert "at least 28.80, at most 35.20" in page
    assert page.count('<span class="bad">no</span>') == 1
