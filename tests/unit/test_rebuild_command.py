"""`mlorch images rebuild` and `mlorch render --contexts` as a person calls them, without an engine."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from layer_parts import NO_PARTS

from orchestrator.cli import run
from orchestrator.commands.images.rebuild import show
from orchestrator.console import Console
from orchestrator.images.difference import Differs
from orchestrator.images.rebuild import Rebuilt
from orchestrator.plan.build.content import EPOCH


@pytest.fixture
def called(capsys):
    """Runs a command line; gives exit status, stdout, stderr."""

    def call(*arguments: str) -> tuple[int, str, str]:
        status = run([str(argument) for argument in arguments])
        shown = capsys.readouterr()
        return status, shown.out, shown.err

    return call


def outcome(state: str, difference: Differs | None = None) -> Rebuilt:
    return Rebuilt(
        name="loadgen", content_id="a" * 64, state=state, image="localhost/mlorch/loadgen:a", digest="sha256:was",
        rebuilt="sha256:is", seconds=1.5, difference=difference,
    )  # fmt: skip


DIFFERS = Differs(
    where="layer", path="etc/a", what="mode", there="0644", rebuilt="0755", layer=3, made_by="COPY /out/ /"
)


def test_a_layer_that_no_plan_has_is_told_with_the_nearest_name(called):
    status, out, _ = called("images", "rebuild", "--verify", "loadgn", "-t", "cpu", "--json")
    error = json.loads(out)["error"]
    assert (status, error["slug"]) == (2, "unknown-layer")
    assert "`loadgen`" in error["hint"]


def test_a_side_image_is_a_layer_too_and_no_engine_is_told_as_that(called):
    status, out, _ = called("images", "rebuild", "--verify", "prep", "-t", "cpu", "--json")
    assert (status, json.loads(out)["error"]["slug"]) == (4, "no-engine")


def test_what_differs_is_said_in_one_line(capsys):
    show(Console(), [outcome("identical"), outcome("differs", DIFFERS)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["identical", "loadgen", "sha256:is", "1.5", "s"]
    assert lines[2].strip() == "there: sha256:was"
    assert lines[3].strip() == "layer 3 (COPY /out/ /): /etc/a: mode: 0644 there, 0755 rebuilt"


def test_two_manifests_of_the_same_content_are_told_as_that(capsys):
    show(Console(), [outcome("differs")])
    assert "nothing but the manifest itself" in capsys.readouterr().out


def test_the_document_has_a_layer_and_its_difference(capsys):
    Console(quiet=True).document({"layers": [outcome("identical"), outcome("differs", DIFFERS)]})
    identical, differs = json.loads(capsys.readouterr().out)["layers"]
    assert (identical["state"], identical["difference"]) == ("identical", None)
    assert differs["difference"] == {
        "where": "layer", "path": "etc/a", "what": "mode", "there": "0644", "rebuilt": "0755", "layer": 3,
        "made_by": "COPY /out/ /", "also": [], "others": 0,
    }  # fmt: skip


def test_contexts_need_a_place_to_be_written_to(called):
    status, _, err = called("render", "-t", "cpu", "--contexts")
    assert status == 2
    assert "-o DIR" in err


def test_layers_that_need_no_package_are_rendered_whole(called, tmp_path, monkeypatch):
    monkeypatch.setattr("orchestrator.operations.context.Context.parts", _no_packages)
    status, _, err = called("render", "-t", "cpu", "-b", "image-fashion", "--contexts", "-o", tmp_path)
    assert status == 0, err
    assert (tmp_path / "cpu/harness-code/content/opt/mlorch/mlorch_harness/app.py").stat().st_mtime == EPOCH
    assert (tmp_path / "cpu/image-fashion-cpu/content.tar").stat().st_size
    assert (tmp_path / "cpu/image-fashion-cpu/layer.json").exists()


def _no_packages(_bench):
    return replace(
        NO_PARTS,
        rootfs=lambda _step, out, _on_event: out.write_bytes(b"tar"),
        pip=lambda _step, out: out.write_bytes(b""),
    )
