"""Frozen values and JSON: what goes out comes back, and nothing else is taken for it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from orchestrator.facts.codec import CodecError, from_plain, to_plain


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    name: str
    size: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    title: str
    share: float
    good: bool
    part: Part
    more: tuple[Part, ...] = ()
    maybe: Part | None = None
    limits: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    found: Mapping[str, float | int] = field(default_factory=dict)
    anything: object = None


WHOLE = Whole(
    title="t",
    share=0.5,
    good=True,
    part=Part(name="a", size=1),
    more=(Part(name="b"), Part(name="c")),
    maybe=Part(name="d"),
    limits={"nofile": (1, 2)},
    found={"rate": 1.5, "count": 3},
    anything={"deep": [1, None, {"x": "y"}]},
)


def test_a_value_survives_json():
    assert from_plain(Whole, json.loads(json.dumps(to_plain(WHOLE)))) == WHOLE


def test_a_whole_number_of_a_union_stays_one():
    found = from_plain(Whole, to_plain(WHOLE)).found
    assert [type(value) for value in (found["rate"], found["count"])] == [float, int]


def test_fields_keep_their_order_and_other_mappings_are_sorted():
    plain = to_plain(Whole(title="t", share=1, good=False, part=Part(name="x"), found={"b": 1, "a": 2}))
    assert list(plain)[:3] == ["title", "share", "good"]
    assert list(plain["found"]) == ["a", "b"]


def test_an_old_name_of_a_key_is_read_at_any_depth():
    plain = to_plain(WHOLE)
    plain["more"][1]["label"] = plain["more"][1].pop("name")
    assert from_plain(Whole, plain, renamed={"label": "name"}) == WHOLE
    with pytest.raises(CodecError, match="more has the unknown key 'label'"):
        from_plain(Whole, plain)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda d: d.update(surprise=1), "has the unknown key 'surprise'"),
        (lambda d: d.pop("title"), "lacks a required key: 'title'"),
        (lambda d: d.update(title=1), "title has the wrong type"),
        (lambda d: d.update(good=1), "good has the wrong type"),
        (lambda d: d["part"].update(size=True), "part.size has the wrong type"),
        (lambda d: d["part"].update(size=1.0), "part.size has the wrong type"),
        (lambda d: d.update(share="1"), "share has the wrong type"),
        (lambda d: d.update(share=True), "share has the wrong type"),
        (lambda d: d.update(more={"name": "x"}), "more has the wrong type"),
        (lambda d: d.update(maybe=[]), "maybe is not an object"),
        (lambda d: d.update(limits={"nofile": [1]}), "limits.nofile has the wrong type"),
        (lambda d: d.update(found={"rate": None}), "found.rate has the wrong type"),
    ],
)
def test_another_document_is_refused_with_the_place(change, says):
    document = to_plain(WHOLE)
    change(document)
    with pytest.raises(CodecError) as caught:
        from_plain(Whole, document)
    assert str(caught.value) == says


def test_a_document_that_is_no_object_is_refused():
    for document in (None, [], "text", 1):
        with pytest.raises(CodecError, match="is not an object"):
            from_plain(Whole, document)
