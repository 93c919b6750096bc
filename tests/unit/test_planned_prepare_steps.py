"""A dry run shows the prepare steps of what is not here yet, and which devices a step on one is given."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator.cli import run

MODEL = """\
kind: model
name: quantised
title: A network that a vendor's tool makes on the device
format: onnx
trained_by: us
sources: [{kind: generated, licence: {spdx: MIT}}]
prepare:
  command: [quantise, --out, /out/model.onnx]
  layer: prep
  inputs: [model/resnet8-fashion]
  needs_device: true
outputs: [{file: model.onnx, sha256: "0000000000000000000000000000000000000000000000000000000000000000"}]
"""
BENCHMARK = "kind: benchmark\nname: mine\ntitle: Mine\nlike: image-fashion\nmodel: quantised\n"


@pytest.fixture
def dry(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MLORCH_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    recipes = tmp_path / "own"
    recipes.mkdir()
    (recipes / "model.yaml").write_text(MODEL)
    (recipes / "mine.yaml").write_text(BENCHMARK)

    def dry(*words: str):
        code = run(["run", "mine", "--recipes", str(recipes), "-s", "Offline", "--dry-run", *words])
        return code, capsys.readouterr()

    return dry


def test_a_step_on_a_device_is_shown_with_how_the_device_is_passed(dry):
    code, said = dry("--target", "cuda", "--json")
    assert code == 0, said.err
    steps = {each["asset"]: each for each in json.loads(said.out)["prepares"]}
    assert set(steps) == {"model/quantised", "dataset/fashion-mnist"}
    step = steps["model/quantised"]
    assert step["devices"]["method"] != "none"
    assert "quantise" in step["argv"]
    assert any("/inputs/resnet8-fashion" in word for word in step["argv"])
    assert steps["dataset/fashion-mnist"]["devices"]["method"] == "none"


def test_a_dry_run_for_people_says_what_is_prepared_first(dry):
    code, said = dry("--target", "cuda")
    assert code == 0, said.err
    assert "model/quantised is not here: its prepare step runs first" in said.err
    assert "`mlorch assets get model/quantised dataset/fashion-mnist`" in " ".join(said.err.split())
    assert "devices by " in said.err
    assert "quantise" in said.err
    assert "quantise --out" not in said.out, "the lines to paste are those of the tests"


def test_a_target_without_devices_is_told_before(dry):
    code, said = dry("--target", "cpu")
    assert code == 1
    assert "target `cpu` has none" in said.err
    assert "[prepare-device]" in said.err
    assert not list(Path().rglob("run.json"))
