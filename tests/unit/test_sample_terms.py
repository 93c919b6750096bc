"""Whether samples of a data set may stand in a report: by its recipe and the terms of its sources."""

from __future__ import annotations

import pytest

from orchestrator.definitions.kinds.assets import Dataset
from orchestrator.operations.context import Context
from orchestrator.plan.run.sample_terms import why_not_shown


def dataset(*licences, kind="generated", **changes):
    sources = []
    for number, licence in enumerate(licences):
        source = {"kind": kind, "licence": licence}
        if kind == "recipe":
            source |= {"path": f"{number}.npy", "sha256": "a" * 64}
        if kind == "local":
            source |= {"where": "there", "looks_like": "a folder"}
        sources.append(source)
    prepare = {"prepare": {"script": "p.py", "layer": "prep"}} if kind != "local" else {}
    return Dataset.model_validate(
        {"kind": "dataset", "name": "x", "title": "x", "samples": 1, "sources": sources, "outputs": [{"file": "a.npy"}]}
        | prepare
        | changes
    )


@pytest.mark.parametrize("spdx", ["MIT", "Apache-2.0", "CC-BY-4.0"])
def test_a_licence_with_a_name_of_its_own_lets_samples_be_shown(spdx):
    assert why_not_shown(dataset({"spdx": spdx})) == ""


@pytest.mark.parametrize("spdx", ["NOASSERTION", "NONE", "LicenseRef-Waymo", ""])
def test_terms_that_nobody_knows_do_not(spdx):
    assert "not known to allow it: ask" in why_not_shown(dataset({"spdx": spdx, "note": "ask"}))
    assert why_not_shown(dataset({"spdx": spdx, "redistribution": "allowed"})) == ""


def test_data_that_are_under_other_terms_than_their_package_are_not_shown():
    why = why_not_shown(dataset({"spdx": "MIT", "redistribution": "forbidden", "note": "the photos have none"}))
    assert why == "its terms do not allow to hand it on: the photos have none"


def test_one_source_that_forbids_it_is_enough():
    forbidden = {"spdx": "MIT", "redistribution": "forbidden"}
    assert why_not_shown(dataset({"spdx": "MIT"}, forbidden, kind="recipe")) == "its terms do not allow to hand it on"


def test_what_only_a_user_has_is_not_shown():
    assert why_not_shown(dataset({"spdx": "MIT"}, kind="local")).startswith("it may only be had from its publisher")


def test_the_recipe_has_the_last_word():
    assert why_not_shown(dataset({"spdx": "NOASSERTION"}, show_samples=True)) == ""
    assert why_not_shown(dataset({"spdx": "MIT"}, show_samples=False)) == (
        "the recipe of the data set says so (`show_samples`)"
    )


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("fashion-mnist", True),
        ("fashion-scenes", True),
        ("gsm8k-100", True),
        ("imagenet-20", False),
        ("imagenet-20-folder", False),
        ("movielens-small", False),
        ("vader-reviews", False),
        ("wordsim-353", False),
        ("imagenet-2012-val", False),
    ],
)
def test_the_data_sets_that_ship(name, shown):
    assert (why_not_shown(Context().catalog.dataset(name).definition) == "") is shown
