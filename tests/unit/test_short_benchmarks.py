"""Benchmarks in short: `like` another, a model named by its file, and what is said of mistakes in them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from orchestrator.cli import run
from orchestrator.definitions.catalog import Root, builtin_root, check, gather
from orchestrator.definitions.catalog.choose import chosen, source_of
from orchestrator.definitions.variations import Change
from orchestrator.host import model_files, recipe_files
from orchestrator.host.model_files import look

NET = Path(__file__).parents[2] / "recipes/models/resnet8-fashion/model.onnx"
SHORT = "kind: benchmark\nname: mine\ntitle: Mine\nlike: image-fashion\nmodel: ./net.onnx\n"


@pytest.fixture(autouse=True)
def _own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("MLORCH_HOME", str(tmp_path / "home"))


def field(number: int, value: bytes | int) -> bytes:
    """One field of a protobuf message."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def tensor(name: str, dtype: int) -> bytes:
    return field(1, name.encode()) + field(2, field(1, field(1, dtype)))


def onnx(inputs=(("x", 2),), outputs=(("y", 1),), weights: bytes = b"") -> bytes:
    graph = field(5, weights) if weights else b""
    graph += b"".join(field(11, tensor(*each)) for each in inputs)
    graph += b"".join(field(12, tensor(*each)) for each in outputs)
    return field(1, 8) + field(7, graph)


def gathered(tmp_path, text: str = SHORT, net: bytes | None = None, **others: str):
    folder = tmp_path / "own"
    folder.mkdir(exist_ok=True)
    (folder / "mine.yaml").write_text(text)
    for name, other in others.items():
        (folder / f"{name}.yaml").write_text(other)
    if net != b"":
        (folder / "net.onnx").write_bytes(NET.read_bytes() if net is None else net)
    return gather([builtin_root(), Root(folder, f"path:{folder}")], look=recipe_files)


def fault(found):
    """The only fault: slug, file, line and column, and the text."""
    (problem,) = found.problems
    return (problem.slug, Path(problem.span.path).name, problem.span.line, problem.span.column), problem.message


def test_five_lines_are_a_benchmark_without_a_fault(tmp_path):
    found = gathered(tmp_path)
    assert (found.problems, check(found.catalog)) == ((), ())
    mine, base = found.catalog.benchmark("mine").definition, found.catalog.benchmark("image-fashion").definition
    assert (mine.dataset, mine.scenarios, mine.accuracy) == (base.dataset, base.scenarios, base.accuracy)
    assert (mine.model, mine.input.name, mine.input.dtype, mine.output.name) == ("mine", "x", "uint8", "logits")
    assert (mine.title, mine.description, mine.default) == ("Mine", "", False), (
        "what says which one it is stays its own"
    )


def test_the_model_of_a_file_has_its_hash_and_says_that_nothing_was_said(tmp_path):
    model = gathered(tmp_path).catalog.model("mine").definition
    shipped = gathered(tmp_path).catalog.model("resnet8-fashion").definition
    assert [each.sha256 for each in model.outputs] == [shipped.outputs[0].sha256], "the ONNX file, and no other form"
    assert (model.trained_by, model.parameters, model.sources[0].licence.spdx) == ("not said", None, "NOASSERTION")


def test_what_is_said_of_a_file_is_kept(tmp_path):
    text = SHORT.replace("./net.onnx", "{file: net.onnx, trained_by: us, licence: {spdx: MIT}}")
    model = gathered(tmp_path, text).catalog.model("mine").definition
    assert (model.trained_by, model.sources[0].licence.spdx, model.sources[0].path) == ("us", "MIT", "net.onnx")


def test_each_value_knows_where_it_was_written(tmp_path):
    entry = gathered(tmp_path, f"{SHORT}accuracy: {{reference: 80}}\n").catalog.benchmark("mine")
    assert source_of(entry, "accuracy.reference").endswith("mine.yaml:6:23")
    assert "image-fashion.yaml:" in source_of(entry, "accuracy.metric")
    assert source_of(entry, "accuracy.metric").endswith("(like image-fashion)")
    assert source_of(entry, "input.name").endswith("mine.yaml:5:8 (read from net.onnx)")
    assert entry.definition.accuracy.reference == 80


def test_a_choice_of_the_command_line_comes_over_all(tmp_path):
    catalog = gathered(tmp_path).catalog
    entry = chosen(catalog, catalog.benchmark("mine"), [Change("accuracy.reference", "50")])
    assert entry.definition.accuracy.reference == 50
    assert source_of(entry, "accuracy.reference") == "command line"
    assert source_of(entry, "dataset").endswith("(like image-fashion)")


def test_a_benchmark_is_like_one_that_is_like_another(tmp_path):
    second = "kind: benchmark\nname: a-second\ntitle: Second\nlike: mine\nperformance_samples: 7\n"
    found = gathered(tmp_path, second=second)
    assert found.problems == ()
    entry = found.catalog.benchmark("a-second")
    assert (entry.definition.model, entry.definition.performance_samples) == ("mine", 7)
    assert "image-fashion.yaml" in source_of(entry, "dataset")


def test_a_fault_in_what_comes_from_another_recipe_shows_the_line_there(tmp_path):
    found = gathered(tmp_path, f"{SHORT}harness: mlcommons-vision\n")
    problem = next(each for each in check(found.catalog) if each.span.path.endswith("image-fashion.yaml"))
    assert problem.source_line == Path(problem.span.path).read_text().splitlines()[problem.span.line - 1]


@pytest.mark.parametrize(
    ("text", "net", "where", "words"),
    [
        (SHORT.replace("image-fashion", "image-fashon"), None, ("unknown-benchmark", 4, 7), "no benchmark"),
        (SHORT.replace("like: image-fashion", "like: mine"), None, ("like-circle", 4, 7), "mine like mine"),
        (SHORT.replace("image-fashion", "[a]"), None, ("bad-value", 4, 7), "name of a benchmark"),
        (SHORT.replace("title: Mine\n", ""), None, ("missing-key", 1, 1), "`title` is missing"),
        (SHORT, b"", ("file-missing", 5, 8), "no file `net.onnx`"),
        (SHORT, b"<html>not found</html>", ("not-onnx", 5, 8), "no ONNX model"),
        (SHORT, NET.read_bytes()[:5000], ("not-onnx", 5, 8), "in the middle"),
        (SHORT.replace("./net", "../net"), None, ("file-outside", 5, 8), "leads out"),
        (SHORT.replace("./net.onnx", "/etc/passwd"), None, ("file-outside", 5, 8), "leads out"),
        (SHORT.replace("./net.onnx", "./"), None, ("model-folder", 5, 8), "is a folder"),
        (SHORT.replace("./net", "./my net"), None, ("bad-value", 5, 8), "not a relative path"),
        (SHORT.replace("./net.onnx", "{file: net.onnx, size: 3}"), None, ("unknown-key", 5, 25), "`size`"),
        (f"{SHORT}input: {{name: image}}\n", None, ("model-interface", 6, 15), "no input `image`"),
        (f"{SHORT}input: {{dtype: float32}}\n", None, ("model-interface", 6, 16), "takes uint8, not float32"),
        (SHORT, onnx(inputs=(("a", 1), ("b", 1))), ("model-interface", 5, 8), "2 inputs"),
        (SHORT, onnx(outputs=(("a", 1), ("b", 1))), ("model-interface", 5, 8), "2 outputs"),
        (SHORT, onnx(inputs=(("a", 10),)), ("model-interface", 5, 8), "takes float16"),
        (SHORT, onnx(weights=field(8, b"w") + field(14, 1)), ("model-parts", 5, 8), "other files"),
        (SHORT.replace("name: mine", "name: resnet8-fashion"), None, ("duplicate-definition", 5, 8), "the same"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_once_and_where_it_is(tmp_path, text, net, where, words):
    found, message = fault(gathered(tmp_path, text, net))
    assert found == (where[0], "mine.yaml", *where[1:])
    assert words in message


def test_a_circle_of_several_is_told_in_each(tmp_path):
    text = "kind: benchmark\nname: {}\ntitle: T\nlike: {}\n"
    found = gathered(tmp_path, text.format("a", "b"), b=text.format("b", "a"), c=text.format("c", "a"))
    assert sorted(problem.message for problem in found.problems) == [
        "benchmark `a` is like itself: a like b like a",
        "benchmark `b` is like itself: b like a like b",
    ]
    assert ("benchmark", "c") in found.catalog.broken


def test_one_that_is_like_a_broken_one_has_no_fault_of_its_own(tmp_path):
    found = gathered(tmp_path, SHORT, b"", other=SHORT.replace("mine", "other").replace("image-fashion", "mine"))
    assert fault(found)[0][0] == "file-missing"


@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_what_is_no_file_is_not_read(tmp_path, kind):
    (tmp_path / "own").mkdir()
    place = tmp_path / "own" / "net.onnx"
    if kind == "link":
        place.symlink_to(NET)
    else:
        os.mkfifo(place)
    assert fault(gathered(tmp_path, SHORT, b""))[0] == ("file-kind", "mine.yaml", 5, 8)


def test_inputs_with_a_value_in_the_file_are_not_asked_for(tmp_path):
    net = onnx(inputs=(("x", 2), ("w", 1)), weights=field(8, b"w"))
    found = gathered(tmp_path, SHORT, net)
    assert found.problems == ()
    assert found.catalog.benchmark("mine").definition.input.name == "x"


def test_a_file_is_hashed_once_until_it_changes(tmp_path, monkeypatch):
    net = tmp_path / "net.onnx"
    net.write_bytes(onnx())
    monkeypatch.setattr(model_files, "_SETTLED_NS", -1)
    first = look(tmp_path, "net.onnx")
    with monkeypatch.context() as patch:
        patch.setattr(model_files, "_read", None)
        assert look(tmp_path, "net.onnx") == first
    net.write_bytes(onnx(outputs=(("z", 1),)))
    assert look(tmp_path, "net.onnx").sha256 != first.sha256


def test_new_writes_a_benchmark_that_is_right_at_once(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("net.onnx").write_bytes(NET.read_bytes())
    assert run(["recipes", "new", "benchmark", "mine", "--model", "net.onnx"]) == 0
    assert run(["recipes", "lint", "recipes", "--recipes", "."]) == 0
    capsys.readouterr()
    assert run(["recipes", "show", "mine", "--recipes", ".", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["definition"]["like"] == "image-fashion"
    assert shown["sources"]["output.name"].endswith("(read from mine.onnx)")


@pytest.mark.parametrize(
    ("words", "slug", "code"),
    [
        (("benchmark", "mine", "--model", "junk.onnx"), "bad-model", 2),
        (("benchmark", "mine", "--model", "misspelt.onnx"), "bad-model", 2),
        (("benchmark", "mine", "--model", "./no-folder"), "bad-model", 2),
        (("benchmark", "Mine!", "--model", "junk.onnx"), "bad-name", 2),
        (("model", "mine", "--model", "junk.onnx"), "benchmark-only", 2),
    ],
)
def test_new_says_what_cannot_be_and_writes_nothing(tmp_path, monkeypatch, capsys, words, slug, code):
    monkeypatch.chdir(tmp_path)
    Path("junk.onnx").write_bytes(b"junk")
    assert run(["recipes", "new", *words]) == code
    assert f"[{slug}]" in capsys.readouterr().err
    assert not Path("recipes").exists()
