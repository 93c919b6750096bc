"""docs/hard-cases.md: every piece of a recipe in it stands in a recipe that ships, and what ships has no fault."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from orchestrator.cli import run
from orchestrator.definitions.catalog import builtin_root, load
from orchestrator.definitions.catalog.check import check
from orchestrator.definitions.catalog.load import load_chosen
from orchestrator.definitions.variations import Change

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "hard-cases.md").read_text(encoding="utf-8")
PIECES = re.findall(r"^```yaml\n# of (recipes/\S+)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
IMPLEMENTATIONS = re.findall(r"`(\S+) --set implementation=(\w+)`", TEXT)
CATALOG = load([builtin_root()])


def test_every_piece_says_where_it_is_from():
    assert len(PIECES) == TEXT.count("```yaml") >= 10
    assert len(IMPLEMENTATIONS) == 6


@pytest.mark.parametrize(("file", "piece"), PIECES)
def test_a_piece_stands_in_its_recipe(file, piece):
    assert piece in (ROOT / file).read_text(encoding="utf-8"), f"{file} does not have this any more"


def test_the_recipes_have_no_fault():
    assert check(CATALOG) == ()


@pytest.mark.parametrize(("benchmark", "implementation"), IMPLEMENTATIONS)
def test_an_implementation_that_is_named_is_there(benchmark, implementation):
    found = load_chosen(CATALOG, [benchmark], (Change("implementation", implementation),))
    harness = found.benchmark(benchmark).definition.harness
    assert "vendors" in found.harness(harness).document.path


def test_all_ten_cases_are_there():
    assert [int(number) for number in re.findall(r"^## ([0-9]+)\. ", TEXT, re.MULTILINE)] == list(range(1, 11))


@pytest.mark.parametrize(
    ("words", "slug"),
    [
        (("-b", "llama2-70b", "-t", "rocm", "--set", "implementation=amd"), "base-unlocked"),
        (("-b", "resnet50", "-t", "cuda", "--set", "implementation=nvidia"), "base-unlocked"),
        (("-b", "llama2-70b", "-t", "cuda", "--set", "implementation=nvidia"), "base-unlocked"),
        (("-b", "dlrm-v2", "-t", "cpu", "--set", "implementation=intel"), "base-unlocked"),
        (("-b", "llama2-70b", "-t", "xpu", "--set", "implementation=intel"), "base-unlocked"),
        (("-b", "llama3.1-8b", "-t", "cuda", "--set", "implementation=redhat"), "layer-unlocked"),
    ],
)
def test_a_build_of_a_vendors_stack_is_refused_and_says_what_to_do(words, slug, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert run(["build", *words]) != 0
    told = capsys.readouterr().err
    assert f"[{slug}]" in told
    assert "mlorch images lock" in told
