"""Axes, parts and conflicts that are not well formed: every fault where it stands, before anything is planned."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator.cli import run
from orchestrator.definitions.catalog import builtin_root
from orchestrator.definitions.catalog.check import check
from orchestrator.definitions.catalog.load import gather

FASHION = Path(__file__).parents[2] / "recipes" / "benchmarks" / "image-fashion.yaml"
AXES = """\
axes:
  prec: {default: a, values: {a: {}, b: {set: {performance_samples: 10}}}}
  impl: {default: x, values: {x: {}, y: {}}}
"""


def axis(text):
    return "axes:\n  p: " + text + "\n"


@pytest.fixture
def recipe(tmp_path):
    """Writes a benchmark whose last lines are those given; gives its path and how many lines come before them."""

    def write(lines):
        head = FASHION.read_text().replace("name: image-fashion", "name: mine").replace("default: true\n", "")
        path = tmp_path / "recipes" / "mine.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(head + lines)
        return path, head.count("\n")

    return write


@pytest.fixture
def faults(recipe):
    """Faults of the last lines of a benchmark: ``LINE:COLUMN`` counted from the first of them, message and hint."""

    def find(lines):
        path, before = recipe(lines)
        gathered = gather([builtin_root()], [path])
        found = []
        for problem in gathered.problems or check(gathered.catalog):
            assert problem.span.path == str(path)
            found.append((f"{problem.span.line - before}:{problem.span.column}", problem.message, problem.hint))
        return found

    return find


@pytest.mark.parametrize(
    ("lines", "where", "message"),
    [
        (AXES + "parts: 3\n", "4:8", "`parts` is a list"),
        (AXES + "parts: {when: {prec: a}}\n", "4:8", "`parts` is a list"),
        (AXES + "parts: [3]\n", "4:9", "a part is a map of `when` and `set`"),
        (AXES + "parts:\n", "4:7", "`parts` is a list"),
        (AXES + "parts: [{set: {title: x}}]\n", "4:9", "a part has no `when: {AXIS: VALUE}`"),
        (AXES + "parts: [{when: [prec], set: {title: x}}]\n", "4:16", "a part has no `when: {AXIS: VALUE}`"),
        (AXES + "parts: [{when: {prec: {a: b}}, set: {title: x}}]\n", "4:23", "a choice is a value of its axis"),
        (AXES + "parts: [{when: {prec: []}, set: {title: x}}]\n", "4:23", "a choice is a value of its axis"),
        (AXES + "parts: [{when: {prec: ~}, set: {title: x}}]\n", "4:23", "a choice is a value of its axis"),
        (AXES + "parts: [{when: {prec: [a, a]}, set: {title: x}}]\n", "4:23", "a value stands in this list twice"),
        (AXES + "parts: [{when: {prec: b}}]\n", "4:9", "a part has no `set`"),
        (AXES + "parts: [{when: {prec: b}, set: {}}]\n", "4:32", "`set` is a map of the recipe's fields"),
        (AXES + "parts: [{when: {prec: b}, set: {title: x}, foo: 1}]\n", "4:44", "a part has no key `foo`"),
        (AXES + "parts: [{when: {prec: b}, set: {axes: {}}}]\n", "4:39", "`axes` cannot be varied"),
        (AXES + "conflicts: {x: 1}\n", "4:12", "`conflicts` is a list"),
        (AXES + "conflicts: [{when: {prec: b, impl: y}}]\n", "4:13", "a conflict does not say why: `because`"),
        (AXES + "conflicts: [{when: {prec: b}, because: not with itself}]\n", "4:20", "has `prec` alone"),
        (
            AXES + "conflicts: [{when: {prec: a, impl: x}, because: they never met}]\n",
            "4:20",
            "the defaults `prec=a` and `impl=x` exclude each other",
        ),
        (
            AXES + "conflicts: [{when: {prec: b, impl: [x, y]}, because: they never met}]\n",
            "4:20",
            "`prec` could never be b",
        ),
        (AXES + "conflicts: [{when: {prec: b, impl: y}, because: no}]\n", "4:49", "`no` is too short"),
        ("axes: 3\n", "1:7", "`axes` is a map of axes by name"),
        ("axes:\n", "1:6", "`axes` is a map of axes by name"),
        ("parts: [{when: {p: a}, set: {title: x}}]\n", "1:20", "there is no axis `p`"),
        (axis("3"), "2:6", "an axis is a map of `about`, `default` and `values`"),
        (axis("{default: a, values: [a, b]}"), "2:27", "axis `p` has no map of `values`"),
        (axis("{default: [a], values: {a: {}}}"), "2:16", "axis `p` has no `default`"),
        (axis("{default: a, values: {a: {}}, foo: 1}"), "2:36", "an axis has no key `foo`"),
        (axis("{default: a, values: {a: x}}"), "2:31", "a value is a map of `title` and `set`"),
        (axis("{default: a, values: {a: {set: [1]}}}"), "2:37", "`set` is a map of the recipe's fields"),
    ],
)
def test_a_malformed_variation_is_told_where_it_stands(faults, lines, where, message):
    ((place, told, _),) = faults(lines)
    assert message in told
    assert place == where


@pytest.mark.parametrize(
    ("lines", "where", "nearest"),
    [
        (AXES + "parts: [{when: {pres: a}, set: {title: x}}]\n", "4:23", "did you mean `prec`?"),
        (AXES + "parts: [{when: {prec: c}, set: {title: x}}]\n", "4:23", "there are: a, b"),
        (AXES + "conflicts: [{when: {prec: b, imp: x}, because: they never met}]\n", "4:35", "did you mean `impl`?"),
        (axis("{default: a, values: {a: {}, b: {sett: {title: x}}}}"), "2:39", "did you mean `set`?"),
        (axis("{default: fp3, values: {fp32: {}, b: {}}}"), "2:16", "did you mean `fp32`?"),
    ],
)
def test_a_mistyped_name_is_told_with_the_nearest(faults, lines, where, nearest):
    ((place, _, hint),) = faults(lines)
    assert place == where
    assert nearest in hint


@pytest.mark.parametrize(
    ("lines", "where", "message"),
    [
        (AXES + "parts: [{when: {prec: b, impl: y}, set: {titel: x}}]\n", "4:42", "`titel` (with prec=b impl=y)"),
        (
            AXES + "parts: [{when: {prec: b, impl: y}, set: {performance_samples: x}}]\n",
            "4:63",
            "`x` is not a whole number (with prec=b impl=y)",
        ),
        (axis("{default: a, values: {a: {}, b: {set: {harness: nobody}}}}"), "2:54", "`nobody` (with p=b)"),
        (axis("{default: a, values: {a: {}, b: {set: {titel: ~}}}}"), "2:45", "unknown key `titel`"),
    ],
)
def test_what_is_wrong_only_with_some_choices_is_told_by_lint(faults, lines, where, message):
    ((place, told, _),) = faults(lines)
    assert message in told
    assert place == where


def test_every_fault_is_told_at_once(faults):
    lines = AXES + "parts: [{when: {pres: a}, set: {title: x}}, 3]\nconflicts: 3\n"
    assert [place for place, _, _ in faults(lines)] == ["4:23", "4:45", "5:12"]


def test_a_part_is_tried_with_choices_that_exclude_nothing(faults):
    lines = AXES + (
        "parts: [{when: {prec: b}, set: {performance_samples: x}}]\n"
        "conflicts: [{when: {prec: b, impl: x}, because: they never met}]\n"
    )
    ((place, told, _),) = faults(lines)
    assert (place, "(with prec=b impl=y)" in told) == ("4:54", True)


@pytest.mark.parametrize("lines", [AXES, AXES + "parts: []\n", "axes: {}\n", axis("{default: 1.0, values: {1.0: {}}}")])
def test_what_is_well_formed_has_no_faults(faults, lines):
    assert faults(lines) == []


@pytest.fixture
def error_of(monkeypatch, tmp_path, capsys):
    """The exit code and the first error of a command line, in a folder with the recipe."""

    def call(*words):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "mlorch.yaml").write_text("recipes: [recipes]\n")
        code = run([*words, "--json"])
        return code, json.loads(capsys.readouterr().out)["error"]

    return call


@pytest.mark.parametrize("words", [("recipes", "lint"), ("plan", "-b", "mine", "-t", "cpu"), ("run", "mine")])
def test_every_command_that_reads_the_recipe_tells_it(recipe, error_of, words):
    path, before = recipe(AXES + "parts: 3\n")
    code, error = error_of(*words)
    assert (code, error["path"], error["line"], error["column"]) == (3, str(path), before + 4, 8)


def test_a_choice_that_makes_a_faulty_recipe_is_told_at_the_fault(recipe, error_of):
    path, before = recipe(axis("{default: a, values: {a: {}, b: {set: {performance_samples: x}}}}"))
    code, error = error_of("plan", "-b", "mine", "-t", "cpu", "--set", "p=b")
    assert (code, error["path"], error["line"]) == (3, str(path), before + 2)
