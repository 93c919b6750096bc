"""A short run of `make fuzz`: what once broke a reader, and further inputs of the same kind, always the same ones."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from feed import CORPUS, corpus_of, fuzz
from targets import TARGETS


@pytest.fixture(autouse=True)
def _own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("MLORCH_HOME", str(tmp_path / "mlorch"))


@pytest.mark.parametrize("name", TARGETS)
def test_a_reader_holds(name):
    read, fault = fuzz(name, seconds=10, inputs=500, seed=1)
    assert fault is None, f"it is kept as {fault}"
    assert read


@pytest.mark.parametrize("name", TARGETS)
def test_its_good_inputs_are_read_without_a_complaint(name):
    """Else the fuzzer would only see how the first byte is refused."""
    target = TARGETS[name]
    seeds = target.seeds()
    assert seeds
    target.read(seeds[0])


def test_the_corpus_is_of_readers_that_there_are():
    assert {path.name for path in CORPUS.iterdir() if path.is_dir()} <= TARGETS.keys()
    assert all(corpus_of(path.name) for path in CORPUS.iterdir() if path.is_dir())
