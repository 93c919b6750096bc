"""examples.json as the host reads it: bounded and strict, as a container wrote it; and what a report makes of it."""

from __future__ import annotations

import base64
import json
import struct
import tracemalloc
import zlib
from dataclasses import replace

import pytest
from results_parts import add_run

from orchestrator.results import examples
from orchestrator.results.png import is_small_png
from orchestrator.results.report import render
from orchestrator.results.report_examples import shown
from orchestrator.results.store import Store
from orchestrator.results.summary import summarise


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(width=4, height=3, *, colour=0, depth=8, rows=None, extra=b"", tail=b"", **header) -> bytes:
    wide = width * (3 if colour == 2 else 1)
    data = rows if rows is not None else (b"\0" + bytes(wide)) * height
    sides = (header.get("said_width", width), header.get("said_height", height))
    head = struct.pack(">IIBBBBB", *sides, depth, colour, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(data))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + extra + pixels + chunk(b"IEND", b"") + tail


def picture(**changes):
    return {"width": 4, "height": 3, "png": base64.b64encode(png()).decode()} | changes


BOX = {"of": "predicted", "label": 3, "corners": [0.1, 0.2, 0.5, 0.6], "score": 0.9}
ITEM = {
    "sample": 7,
    "right": True,
    "score": None,
    "picture": picture(),
    "boxes": [BOX],
    "labels": {"predicted": 1, "expected": 9},
    "texts": [{"name": "prompt", "text": "How many?"}],
}
DOCUMENT = {
    "version": 1,
    "rule": "the first ones",
    "items": [ITEM],
    "curve": {"kind": "roc", "points": [[0, 0], [0.5, 0.8], [1, 1]]},
}


def read(folder, document):
    (folder / examples.FILE).write_text(document if isinstance(document, str) else json.dumps(document))
    return examples.read(folder)


def with_item(**changes):
    return DOCUMENT | {"items": [ITEM | changes]}


# -- pictures ------------------------------------------------------------------------------


def test_a_small_png_is_taken_in_grey_and_in_colour():
    assert is_small_png(png(), 4, 3)
    assert is_small_png(png(colour=2), 4, 3)
    assert is_small_png(png(256, 256, colour=2), 256, 256)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GIF89a",
        png(5),
        png(tail=b"<script>"),
        png()[:-1],
        png(said_width=5),
        png(depth=16),
        png(colour=3),
        png(colour=6),
        png(rows=b"\0" * 16),
        png(rows=b"\0" * 14),
        png(rows=b"\7" * 15),
        png(extra=chunk(b"tEXt", b"Comment\0secret")),
        png(extra=chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 3, 8, 0, 0, 0, 0))),
        png().replace(b"IDAT", b"IDAX"),
        png()[:40] + bytes([png()[40] ^ 1]) + png()[41:],
    ],
    ids=lambda data: f"{len(data)} bytes",
)
def test_whatever_is_not_exactly_such_a_png_is_refused(data):
    assert not is_small_png(data, 4, 3)


def test_a_picture_that_unpacks_to_far_more_is_not_unpacked():
    bomb = png(rows=bytes(40_000_000))
    tracemalloc.start()
    try:
        assert not is_small_png(bomb, 4, 3)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_a_picture_of_more_bytes_or_pixels_than_a_report_bears_is_refused():
    assert not is_small_png(png(257, 1), 257, 1)
    assert not is_small_png(png() + bytes(100_000), 4, 3)


# -- the file ------------------------------------------------------------------------------


def test_examples_are_read_as_they_are(tmp_path):
    found = read(tmp_path, DOCUMENT)
    (item,) = found.items
    assert (item.sample, item.right, item.labels.expected) == (7, True, 9)
    assert item.boxes[0].corners == (0.1, 0.2, 0.5, 0.6)
    assert found.curve.points[1] == (0.5, 0.8)
    assert read(tmp_path, {key: DOCUMENT[key] for key in ("version", "rule", "items")}).curve is None


@pytest.mark.parametrize(
    "document",
    [
        "[",
        [],
        DOCUMENT | {"version": 2},
        DOCUMENT | {"more": 1},
        DOCUMENT | {"rule": "x" * 5000},
        DOCUMENT | {"items": [ITEM] * 13},
        DOCUMENT | {"words": ["right"]},
        DOCUMENT | {"words": ["right", "x" * 41]},
        DOCUMENT | {"curve": {"kind": "roc", "points": [[0, 0]]}},
        DOCUMENT | {"curve": {"kind": "roc", "points": [[0, 0], [1, 1.5]]}},
        DOCUMENT | {"curve": {"kind": "roc", "points": [[1, 1], [0, 0]]}},
        DOCUMENT | {"curve": {"kind": "pie", "points": [[0, 0], [1, 1]]}},
        with_item(sample=-1),
        with_item(sample="7"),
        with_item(right=1),
        with_item(score="NaN"),
        with_item(extra=1),
        with_item(picture=picture(png="%%%")),
        with_item(picture=picture(png="data:text/html,<b>")),
        with_item(picture=picture(width=5)),
        with_item(picture=picture(png="A" * 200_000)),
        with_item(boxes=[BOX | {"corners": [0.5, 0.2, 0.1, 0.6]}]),
        with_item(boxes=[BOX | {"corners": [0, 0, 0.5, 1.5]}]),
        with_item(boxes=[BOX | {"corners": [0, 0, 1]}]),
        with_item(boxes=[BOX | {"of": "x"}]),
        with_item(boxes=[BOX | {"score": 2}]),
        with_item(boxes=[BOX] * 201),
        with_item(labels={"predicted": 2**40, "expected": 1}),
        with_item(texts=[{"name": "prompt", "text": "x" * 5000}]),
        with_item(texts=[{"name": "", "text": "x"}]),
        with_item(texts=[{"name": "a\nb", "text": "x"}]),
        with_item(texts=[{"name": "a", "text": "x"}] * 5),
        json.dumps(DOCUMENT).replace("0.9}", "NaN}"),
        json.dumps(DOCUMENT) + " " * (1 << 20),
    ],
    ids=str,
)
def test_a_file_with_anything_else_in_it_is_left_out(tmp_path, document):
    assert read(tmp_path, document) is None


def test_a_link_in_its_place_is_not_followed(tmp_path):
    (tmp_path / "elsewhere").write_text(json.dumps(DOCUMENT))
    (tmp_path / examples.FILE).symlink_to(tmp_path / "elsewhere")
    assert examples.read(tmp_path) is None


# -- the report ----------------------------------------------------------------------------


@pytest.fixture
def run(tmp_path):
    """A report of an accuracy test with this examples.json; ``changes`` are of the record's data set."""

    def made(document, case="accuracy", **changes):
        record, folder = add_run(Store(tmp_path), case)
        (folder / examples.FILE).write_text(json.dumps(document))
        return summarise(replace(record, dataset=replace(record.dataset, **changes)), folder)

    return made


def test_samples_stand_in_the_report_with_labels_by_name_and_boxes_in_two_colours(run):
    item = ITEM | {"boxes": [BOX, BOX | {"of": "expected", "score": None}]}
    names = ("bag", "coat", "dress", "shirt")
    page = render([run(DOCUMENT | {"items": [item, ITEM | {"right": False, "picture": None}]}, label_names=names)])
    assert "data:image/png;base64," + picture()["png"] in page
    assert "<dt>predicted</dt><dd>coat</dd>" in page
    assert "<dt>expected</dt><dd>class 9</dd>" in page
    assert '<rect class="box predicted" x="40.0" y="15.0" width="80.0" height="60.0">' in page
    assert "<title>predicted: shirt 0.90</title>" in page
    assert "<dt>predicted</dt><dd>shirt 0.90</dd>" in page
    assert '<rect class="box expected"' in page
    assert '<span class="badge good">right</span> sample 7' in page
    assert '<span class="badge bad">wrong</span>' in page
    assert "the first ones" in page


def test_answers_that_are_good_by_degrees_are_called_neither_right_nor_wrong(run):
    page = render([run(DOCUMENT | {"words": ["above the mean", "below the mean"]})])
    assert '<span class="badge ">above the mean</span> sample 7' in page
    assert '<span class="badge good">right</span>' not in page


def test_text_of_a_container_stays_text(run):
    evil = '</dd><script>alert(1)</script>"\u202e\x1b[2J'
    page = render([run(with_item(texts=[{"name": "<b>", "text": evil}]) | {"rule": evil})])
    assert "<script>" not in page
    assert "<b>" not in page
    assert "&lt;script&gt;" in page
    assert not {"\u202e", "\x1b"} & set(page)


def test_what_the_terms_forbid_is_not_shown_whatever_the_folder_holds(run):
    page = render([run(DOCUMENT, not_shown="its terms do not allow to hand it on: GroupLens")])
    assert "Samples are not shown: its terms do not allow to hand it on: GroupLens." in page
    assert "data:image" not in page
    assert "How many?" not in page
    assert "ROC" in page  # of all samples, not of one


def test_a_test_without_examples_says_nothing_of_them(run, tmp_path):
    assert shown(run({})) is None
    assert "Examples" not in render([run({"version": 1}, "offline")])
    assert shown(run(DOCUMENT, "server")) is None, "a performance test has no answers to show"
