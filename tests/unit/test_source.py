"""YAML with positions: what is read, what is refused and where the fault is said to be."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_recipes import FILES

from orchestrator.definitions import kinds
from orchestrator.definitions.kinds.benchmarks import Benchmark
from orchestrator.definitions.kinds.layers import Layer
from orchestrator.definitions.kinds.recipes import KINDS
from orchestrator.definitions.yaml import decode, nearest, read_document, render_problem, to_plain
from orchestrator.definitions.yaml.document import MAX_BYTES
from orchestrator.definitions.yaml.patterns import PATTERNS
from orchestrator.errors import DefinitionError, MlorchError, Problem, Span

GOLDEN = Path(__file__).parents[1] / "golden" / "errors"


def faults(text: str, model=Layer) -> list[Problem]:
    with pytest.raises(DefinitionError) as caught:
        decode(read_document("t.yaml", text), model)
    return list(caught.value.problems())


def places(problems: list[Problem]) -> list[tuple[str, int, int]]:
    return [(p.slug, p.span.line, p.span.column) for p in problems]


# -- golden files ------------------------------------------------------------------------


@pytest.mark.parametrize("case", sorted(p.name for p in GOLDEN.iterdir() if p.is_dir()))
def test_golden_errors(case, monkeypatch, update_golden):
    """The whole text that a person sees for a faulty file, compared exactly."""
    folder = GOLDEN / case
    monkeypatch.chdir(folder)
    try:
        document = read_document("bad.yaml")
        kind = document.node(("kind",))
        decode(document, KINDS[getattr(kind, "value", "layer")])
        shown = ""
    except DefinitionError as error:
        shown = "\n".join(render_problem(problem) for problem in error.problems()) + "\n"
    expected = folder / "expected.txt"
    if update_golden:
        expected.write_text(shown, encoding="utf-8")
    assert shown == expected.read_text(encoding="utf-8")


def test_seven_faults_give_seven_errors():
    """The acceptance case of the project, whatever the golden file says."""
    shown = (GOLDEN / "seven-faults" / "expected.txt").read_text(encoding="utf-8")
    assert shown.count(": error: ") == 7


def test_no_golden_file_is_left_over():
    assert all({f.name for f in case.iterdir()} == {"bad.yaml", "expected.txt"} for case in GOLDEN.iterdir())


# -- what values become ------------------------------------------------------------------


@pytest.mark.parametrize("written", ["3.10", "no", "12:30", "1e3", "0o17", "2026-01-01", "=", "0x1F", "1_0"])
def test_text_fields_keep_the_text_that_was_written(written):
    text = FILES["recipes/layers/userland.yaml"] + f"python_version: {written}\nenv: {{A: {written}}}\n"
    layer = decode(read_document("t.yaml", text), Layer)
    assert (layer.python_version, layer.env["A"]) == (written, written)


def test_the_field_decides_how_text_reads():
    benchmark = decode(
        read_document("t.yaml", FILES["recipes/benchmarks/classify.yaml"] + "official: yes\n"), Benchmark
    )
    assert benchmark.official is True
    assert benchmark.accuracy.factor == pytest.approx(0.99)
    assert benchmark.scenarios["Server"].target_latency_ns == 1000


def test_plain_nulls_are_none_and_quoted_ones_text():
    document = read_document("t.yaml", 'a: \nb: ~\nc: null\nd: ""\ne: "null"\nf: !!str\n')
    assert to_plain(document) == {"a": None, "b": None, "c": None, "d": "", "e": "null", "f": ""}


def test_aliases_repeat_a_value_and_point_at_where_it_is_written():
    document = read_document("t.yaml", "a: &x [1, 2]\nb: *x\n")
    assert to_plain(document) == {"a": ["1", "2"], "b": ["1", "2"]}
    assert str(document.span(("b", 1))) == "t.yaml:1:11"


# -- places ------------------------------------------------------------------------------


def test_spans_of_values_keys_and_of_what_is_missing():
    document = read_document("t.yaml", "sources:\n  - kind: oci\n    suite: bookworm\n")
    assert str(document.span(("sources", 0, "suite"))) == "t.yaml:3:12"
    assert str(document.span(("sources", 0, "suite"), key=True)) == "t.yaml:3:5"
    assert str(document.span(("sources", 0, "nothing"))) == "t.yaml:2:5"
    assert str(document.span(("sources", 7, "nothing"))) == "t.yaml:1:1"
    assert str(document.find("bookworm")) == "t.yaml:3:12"


def test_columns_count_characters_and_carets_count_cells():
    (problem,) = faults("kind: layer\nname: n\ntitle: t\ntemplate: x\nenv: {ü: 1}\nlevel: base\n")
    assert (problem.span.line, problem.span.column, problem.span.end_column) == (5, 7, 8)
    wide = Problem(
        slug="s", message="m", source_line="a: 漢字 x", span=Span(path="p", line=1, column=4, end_line=1, end_column=6)
    )
    assert render_problem(wide).splitlines()[-1] == "  |    ^^^^"


# -- refusals ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "slug", "line", "column"),
    [
        ("a: 1\n\tb: 2\n", "yaml-syntax", 2, 1),
        ("a: [1,\nb: 2\n", "yaml-syntax", 1, 4),
        ("a: [x\n", "yaml-syntax", 1, 4),
        ("a: 'x\n\n\n", "yaml-syntax", 1, 4),
        ("a: *x\n", "yaml-syntax", 1, 4),
        ("a: &x [*x]\n", "yaml-syntax", 1, 8),
        ("a: 1\n---\nb: 2\n", "yaml-syntax", 2, 1),
        ("a: b: c\n", "yaml-syntax", 1, 5),
        ("a: \x07\n", "yaml-syntax", 1, 4),
        ("a: 1\nb: \ud800\n", "yaml-syntax", 2, 4),
        ("", "empty-file", 1, 1),
        ("# nothing\n", "empty-file", 1, 1),
        ("- a\n", "bad-value", 1, 1),
        ("- " * 400_000, "too-large", 1, 65),
        ("x" * (MAX_BYTES + 1), "too-large", 1, 1),
    ],
)
def test_what_is_no_definition_at_all(text, slug, line, column):
    assert places(faults(text))[0] == (slug, line, column)


def test_a_list_of_lists_is_refused_by_our_bound_or_the_parsers():
    slug, line, column = places(faults("[" * 500_000))[0]
    assert (slug, line) == ("too-large", 1)
    assert column in {33, 1001}  # PyYAML 6.0.4 has a bound of its own, 1000 levels, and its scanner reads ahead


def test_a_bomb_of_aliases_is_refused_before_it_is_expanded():
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    with pytest.raises(DefinitionError, match="exceeds"):
        read_document("bomb.yaml", "\n".join(rows))


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.system [id]", "!!binary aGk=", "!mine x", "!!int 3"])
def test_tags_construct_nothing(tag):
    document = read_document("t.yaml", f"a: {tag}\n")
    with pytest.raises(DefinitionError) as caught:
        to_plain(document)
    assert places(caught.value.problems()) == [("yaml-tag", 1, 4)]


def test_merge_and_duplicate_keys_are_refused_where_they_stand():
    text = FILES["recipes/layers/userland.yaml"] + "env: {A: 1, A: 2}\n<<: {debs: [x]}\ntitle: again\n"
    problems = faults(text)
    assert places(problems) == [("duplicate-key", 6, 13), ("merge-key", 7, 1), ("duplicate-key", 8, 1)]
    assert problems[2].hint == "first given on line 3"


def test_files_that_cannot_be_read(tmp_path):
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(b"a: 1\ntitle: caf\xe9\n")
    with pytest.raises(DefinitionError) as caught:
        read_document(latin)
    assert places(caught.value.problems()) == [("not-utf8", 2, 11)]
    with pytest.raises(DefinitionError, match="no such file"):
        read_document(tmp_path / "nowhere.yaml")
    with pytest.raises(DefinitionError, match="directory"):
        read_document(tmp_path)


def test_a_byte_order_mark_and_dos_line_ends_do_not_move_places(tmp_path):
    path = tmp_path / "dos.yaml"
    path.write_bytes(b"\xef\xbb\xbfkind: layer\r\nname: A\r\n")
    with pytest.raises(DefinitionError) as caught:
        decode(read_document(path), Layer)
    assert ("bad-value", 2, 7) in places(caught.value.problems())


# -- the faults of pydantic --------------------------------------------------------------


def test_a_package_name_cannot_carry_a_command():
    text = FILES["recipes/layers/userland.yaml"] + 'debs:\n  - "x; rm -rf /"\npython: ["x==1; rm -rf /"]\n'
    problems = faults(text)
    assert places(problems) == [("bad-value", 7, 5), ("bad-value", 8, 10)]
    assert all("x; rm -rf /" in p.message or "x==1; rm -rf /" in p.message for p in problems)


@pytest.mark.parametrize("bad", ['"libc6\\n"', '"$(id)"', '"a b"', "-x", "..", '""', '"a`id`"', "../../x"])
def test_no_package_path_or_name_reaches_a_shell(bad):
    base = FILES["recipes/layers/userland.yaml"]
    for more in (f"debs: [{bad}]", f"python: [{bad}]", f"copy: [{{source: x, to: {bad}}}]"):
        assert places(faults(f"{base}{more}\n"))[0][1] == 6


def test_a_misspelt_key_is_one_fault():
    text = FILES["recipes/layers/userland.yaml"].replace("template:", "tempalte:")
    (problem,) = faults(text)
    assert (problem.slug, problem.span.line, problem.hint) == ("unknown-key", 5, "did you mean `template`?")


def test_a_missing_key_of_a_nested_mapping_points_at_the_mapping():
    text = FILES["recipes/benchmarks/classify.yaml"].replace(", reference: 90.0", "")
    (problem,) = faults(text, Benchmark)
    assert (problem.slug, problem.span.line, problem.span.column) == ("missing-key", 16, 1)
    assert "`reference`" in problem.message
    assert "`accuracy`" in problem.message


def test_a_wrong_kind_of_source_is_one_fault_at_its_kind():
    text = FILES["recipes/layers/os.yaml"].replace("bootstrap", "bootstrp")
    (problem,) = faults(text)
    assert (problem.slug, problem.span.line, problem.span.column) == ("unknown-kind", 7, 11)
    assert problem.hint == "did you mean `bootstrap`?"


def test_a_list_whose_entries_are_refused_is_not_called_too_short():
    assert len(faults(FILES["recipes/layers/os.yaml"].replace("[libc6]", "[LIBC]"))) == 1
    (problem,) = faults(FILES["recipes/layers/os.yaml"].replace("[libc6]", "[]"))
    assert "too few" in problem.message


def test_a_file_of_faults_is_told_in_part_and_soon():
    problems = faults("".join(f"key-{number}: x\n" for number in range(20_000)))
    assert len(problems) == 201
    assert (problems[0].span.line, problems[-1].slug) == (1, "too-many-faults")


@pytest.mark.parametrize("character", ["a", ".", "a.", "/", "../", "-", "=", " "])
@pytest.mark.parametrize("key", ["debs", "python", "env", "copy"])
def test_long_values_are_refused_without_backtracking(character, key):
    """A regular expression that backtracks would take hours over these."""
    value = character * (200_000 // len(character)) + "!"
    shapes = {"env": f'{{A: "{value}"}}', "copy": f'[{{source: "{value}", to: "{value}"}}]'}
    started = time.process_time()
    faults(f"{FILES['recipes/layers/userland.yaml']}{key}: " + shapes.get(key, f'["{value}"]') + "\nx: 1\n")
    assert time.process_time() - started < 2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("factor: 0.99", "factor: 1.5"), "out of range"),
        (("factor: 0.99", "factor: high"), "not a number"),
        (("factor: 0.99", "factor: nan"), "not a finite number"),
        (("performance_samples: 2", "performance_samples: 2.5"), "not a whole number"),
        (("performance_samples: 2", "performance_samples: " + "9" * 5000), "sensible size"),
        (("frameworks: [engine]", "frameworks: engine"), "not a list"),
        (("  Offline: {}", "  Offlin: {}"), "not possible"),
        (("input: {name: x}", "input: x"), "not a mapping"),
        (("title: Classify", "title:"), "no value"),
        (("title: Classify", 'title: ""'), "empty"),
    ],
)
def test_values_that_do_not_fit_are_told_in_plain_words(change, words):
    (problem,) = faults(FILES["recipes/benchmarks/classify.yaml"].replace(*change), Benchmark)
    assert problem.slug == "bad-value"
    assert words in problem.message
    assert "Input should" not in problem.message


def test_every_pattern_of_the_definitions_has_words():
    """A new constrained text in `definitions` needs a sentence in `wording`."""
    named = {
        meta.pattern
        for module in pkgutil.iter_modules(kinds.__path__, f"{kinds.__name__}.")
        for alias in vars(importlib.import_module(module.name)).values()
        for meta in getattr(alias, "__metadata__", ())
        if getattr(meta, "pattern", None)
    }
    assert named
    assert named <= set(PATTERNS)


# -- nothing else escapes ----------------------------------------------------------------

TEXT = st.text(alphabet=st.characters(), max_size=200)
YAMLISH = st.lists(st.sampled_from([*" \n\t-:[]{}&*!|>%@`'\"#?,<~=", "a", "kind", ": ", "\n  ", "- "]), max_size=60)
BASES = st.sampled_from(
    [text for name, text in FILES.items() if name.startswith("recipes/") and name.endswith(".yaml")]
)


def survives(text: str) -> None:
    for model in KINDS.values():
        try:
            decode(read_document("t.yaml", text), model)
        except DefinitionError as error:
            found = error.problems()
            assert found
            for problem in found:
                assert render_problem(problem)
                assert problem.span is not None


@settings(max_examples=400, deadline=None)
@given(TEXT | YAMLISH.map("".join))
def test_any_text_is_decoded_or_refused(text):
    survives(text)


@settings(max_examples=400, deadline=None)
@given(BASES, st.data())
def test_a_damaged_recipe_is_decoded_or_refused(text, data):
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 20)))
    survives(text[:start] + data.draw(TEXT | YAMLISH.map("".join)) + text[end:])


@settings(max_examples=100, deadline=None)
@given(message=TEXT, line=TEXT, column=st.integers(1, 300), width=st.integers(0, 50))
def test_a_rendered_problem_never_carries_control_characters(message, line, column, width):
    span = Span(path="p.yaml", line=3, column=column, end_line=3, end_column=column + width)
    shown = render_problem(Problem(slug="s", message=message, hint=message, span=span, source_line=line))
    assert shown.startswith(f"p.yaml:3:{column}: error: ")
    assert all(character.isprintable() or character == "\n" for character in shown)
    assert len(shown.split("\n")) in {1, 2, 4, 5}


def test_nearest_ignores_case_and_joints():
    assert nearest("performanceSamples", ["performance_samples", "sample"]) == ["performance_samples"]
    assert nearest("target-qps", ["target_qps"]) == ["target_qps"]
    assert nearest("xyz", ["target_qps"]) == []


@pytest.mark.processes
def test_rendering_an_error_imports_neither_yaml_nor_pydantic():
    code = (
        "import sys, orchestrator.definitions.yaml; print(sorted({'yaml', 'pydantic', 'difflib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_failure_of_a_definition_exits_with_three():
    assert DefinitionError.exit_code == 3
    assert issubclass(DefinitionError, MlorchError)
