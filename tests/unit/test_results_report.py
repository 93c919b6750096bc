"""The report: self-contained, honest about what is not valid, safe with hostile names, readable."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest
from results_parts import add_run, record_of

from orchestrator.facts.metrics import nanoseconds, number
from orchestrator.facts.record import Failure
from orchestrator.results import charts, histogram
from orchestrator.results.report import facts, render, spans, style_sheet, templates
from orchestrator.results.store import Store
from orchestrator.results.summary import document, metric_text, row, summaries, summarise

_VOID = {"meta", "br"}


class _Page(HTMLParser):
    """Open and close tags that do not match, attributes seen, and the text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.stack, self.wrong, self.attributes, self.text, self.tags = [], [], [], "", []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attrs]
        if tag not in _VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.attributes += [(tag, *pair) for pair in attrs]

    def handle_endtag(self, tag):
        if not self.stack or self.stack.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data):
        if not self.stack or self.stack[-1] != "style":
            self.text += data


@pytest.fixture
def session(tmp_path):
    store = Store(tmp_path)
    for second, case in enumerate(("offline", "singlestream", "server-invalid", "accuracy")):
        add_run(store, case, second)
    return summaries(store.entries()[::-1])


def test_the_page_is_well_formed_and_asks_for_nothing_from_outside(session):
    page = _Page(render(session))
    assert page.wrong == []
    assert page.stack == []
    assert not {"script", "link", "img", "iframe", "object"} & set(page.tags)
    assert [value for _, name, value in page.attributes if name in {"src", "href"} or name.startswith("on")] == []
    assert "url(" not in style_sheet()
    assert "@import" not in style_sheet()


def test_what_is_measured_is_shown_with_units_and_verdicts(session):
    text = _Page(render(session)).text
    for found in (
        "5,601",
        "samples/s",
        "90.62 %",
        "VALID",
        "INVALID",
        "PASSED",
        "Reduce target QPS to improve latency.",
    ):
        assert found in text
    for summary in session:
        record = summary.record
        assert f"mlorch results verify {record.run_id}" in text
        assert record.image.digest in text
        assert record.image.layers[-1].content_id in text
    assert "mlorch reference workload, not an MLPerf submission" in text
    assert "2017, Zalando SE" in text
    assert "command line" in text
    assert "4 tests, 1 of them not valid" in text


def test_an_invalid_number_never_stands_without_its_verdict(session):
    invalid = [one for one in session if one.record.valid is False]
    page = render(invalid)
    assert 'class="headline void"' in page
    assert '<span class="badge bad">INVALID</span>' in page
    assert '<span class="badge good">' not in page


def test_names_from_outside_cannot_leave_their_place(tmp_path):
    store = Store(tmp_path)
    evil = '</pre><script>alert(1)</script><b x="'
    record, folder = add_run(store, "offline")
    record = replace(
        record,
        benchmark_title=evil,
        command_line=("mlorch", evil),
        container_facts={evil: [evil]},
        error=Failure(slug="x", message=evil, hint=evil),
        host={"cpu_model": evil},
    )
    page = _Page(render([summarise(record, folder)]))
    assert "script" not in page.tags
    assert page.wrong == []


@pytest.mark.parametrize("status", ["failed", "interrupted", "running"])
def test_a_run_without_a_result_has_a_report_too(tmp_path, status):
    record = replace(record_of("offline"), status=status, error=Failure(slug="x", message="it broke", hint="mend it"))
    folder = Store(tmp_path).begin(record)
    text = _Page(render([summarise(record, folder)])).text
    assert status.upper() in text
    assert "no result" in text
    assert "mend it" in text


@pytest.mark.parametrize("width", [340, 860])
@pytest.mark.parametrize("case", ["offline", "singlestream", "multistream", "server", "singlestream-short"])
@pytest.mark.parametrize("counted", [True, False])
def test_the_picture_holds_every_query_and_its_labels_do_not_touch(tmp_path, case, width, counted):
    _, folder = add_run(Store(tmp_path), case)
    found = histogram.read(folder) if counted else None
    summary = summarise(Store(tmp_path).entries()[0].record, folder)
    chart = charts.latency_chart(summary.loadgen.latency_ns, found, width=width, limit_ns=5e6)
    svg = ET.fromstring(templates().get_template("chart.svg.j2").render(chart=chart, css="wide"))
    if counted:
        shown = [int(re.search(r": ([\d,]+) \(", title.text)[1].replace(",", "")) for title in svg.iter("title")]
        assert sum(shown) == found.samples == (summary.loadgen.query_count if found.of == "query" else found.samples)
    boxes = []
    for text in svg.iter("text"):
        left, wide = float(text.get("x")), len(text.text) * 6.6
        left -= {"middle": wide / 2, "end": wide}.get(text.get("text-anchor"), 0)
        boxes.append((left, left + wide, float(text.get("y"))))
        assert left >= -2
        assert left + wide <= width + 8
    for one, (left, right, y) in enumerate(boxes):
        for other_left, other_right, other_y in boxes[one + 1 :]:
            assert abs(y - other_y) > 10 or right <= other_left or other_right <= left
    for rect in svg.iter("rect"):
        assert 0 <= float(rect.get("x")) <= width
        assert float(rect.get("height")) > 0


def test_a_histogram_that_is_not_one_is_left_out(tmp_path):
    good = {
        "version": 1,
        "unit": "ns",
        "of": "query",
        "samples": 3,
        "buckets_per_decade": 100,
        "first": 500,
        "counts": [1, 2],
    }
    place = tmp_path / histogram.FILE
    place.write_text(json.dumps(good))
    assert histogram.read(tmp_path).counts == (1, 2)
    for change in (
        {"version": 2}, {"unit": "ms"}, {"samples": 4}, {"counts": []}, {"counts": [1, "2"]}, {"counts": [4, -1]},
        {"first": -1}, {"first": 10**9}, {"buckets_per_decade": 0}, {"counts": 3}, {"samples": None},
    ):  # fmt: skip
        place.write_text(json.dumps({**good, **change}))
        assert histogram.read(tmp_path) is None, change
    place.write_text("[")
    assert histogram.read(tmp_path) is None


def test_merged_bars_keep_the_sum_and_the_edges():
    found = histogram.Histogram(of="query", samples=45, per_decade=100, first=500, counts=tuple(range(10)))
    bars = found.bars(4)
    assert sum(bar.count for bar in bars) == 45
    assert len(bars) <= 4
    assert bars[0].low == pytest.approx(1e5)
    assert all(a.high == b.low for a, b in pairwise(bars))


# -- numbers -------------------------------------------------------------------------------


def test_numbers_are_written_with_the_digits_they_deserve():
    assert [number(v) for v in (0, 0.0123, 9.8123, 494.576, 5601.2, 40694.4)] == [
        "0", "0.012", "9.812", "494.6", "5,601", "40,694",
    ]  # fmt: skip
    assert [nanoseconds(v) for v in (812, 459_050, 12_345_678, 1_340_671_037)] == [
        "812.0 ns", "459.1 µs", "12.35 ms", "1.341 s",
    ]  # fmt: skip
    assert spans([0, 1, 2, 3, 8]) == "0-3, 8"
    assert facts({"memory_total": 24 << 30, "smt": True, "x": None}) == [("memory total", "24.0 GiB"), ("smt", "yes")]


def test_the_json_of_a_run_keeps_to_the_contract(session):
    offline, single, invalid, accuracy = (document(one) for one in session)
    assert accuracy["metrics"]["accuracy"]["value"] == pytest.approx(58 / 64, abs=1e-6)
    assert accuracy["metrics"]["accuracy"]["unit"] == "fraction"
    assert accuracy["metrics"]["accuracy"]["samples"] == 64
    assert accuracy["valid"] is None
    assert offline["metrics"]["result"]["unit"] == "samples/s"
    assert set(offline["metrics"]["latency_ns"]) >= {"p50", "p90", "p97", "p99", "mean"}
    assert single["metrics"]["result"]["unit"] == "ns"
    assert (invalid["valid"], invalid["verdict"]) == (False, "INVALID")
    assert offline["image_digest"].startswith("mlorch/image-fashion@sha256:")
    assert offline["record"].endswith("run.json")
    json.dumps([offline, single, invalid, accuracy])


def test_an_accuracy_below_its_goal_fails_and_says_so(tmp_path):
    record, folder = add_run(Store(tmp_path), "accuracy")
    strict = replace(record, accuracy_goal=replace(record.accuracy_goal, reference=95.0), measured=None)
    summary = summarise(strict, folder)
    assert (summary.verdict, summary.good) == ("FAILED", False)
    assert summary.reasons == ("90.62 % is below 94.05 %",)


def test_an_accuracy_without_a_unit_is_shown_as_the_number_that_it_is(tmp_path):
    record, folder = add_run(Store(tmp_path), "accuracy")
    rouge = replace(record.measured.accuracy, name="rouge1", value=27.05, unit="", minimum=25.7)
    page = render([summarise(replace(record, measured=replace(record.measured, accuracy=rouge)), folder)])
    assert '<p class="headline">27.05</p>' in page
    assert "rouge1 over 64 samples" in page


def test_every_cell_of_a_table_carries_its_unit(session):
    cells = row(session[1], marks=False)
    assert cells[3] == metric_text(session[1].loadgen.metrics[0])
    assert all(cell.endswith("s") and " " in cell for cell in cells[3:7])


# -- colours -------------------------------------------------------------------------------


def _colours(block: str) -> dict[str, str]:
    return dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", block))


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("part", [0, 1, 2], ids=["light", "dark", "print"])
def test_text_has_the_contrast_that_wcag_asks_for(part):
    colours = _colours(style_sheet().split(":root {")[part + 1])
    pairs = [("ink", "paper"), ("muted", "paper"), ("ink", "panel"), ("accent", "paper")]
    pairs += [(name, f"{name}-paper") for name in ("good", "bad", "wait")] + [("bad", "paper")]
    for front, back in pairs:
        light, dark = sorted((_luminance(colours[front]), _luminance(colours[back])), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (front, back)
