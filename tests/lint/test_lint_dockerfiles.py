"""Every rule finds its planted example, at its place; what is good has no finding; what we render is clean."""

from __future__ import annotations

import difflib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.cli import run
from orchestrator.definitions.catalog import builtin_root, load
from orchestrator.lint.catalogue import RULES
from orchestrator.lint.check import lint
from orchestrator.plan.build.frameworks import benchmarks_of
from orchestrator.plan.build.layers import merge_layers
from orchestrator.plan.build.planner import build_plan, build_plans
from orchestrator.plan.build.resolve import resolve_side

HERE = Path(__file__).parent
EXAMPLES = sorted(path.name for path in HERE.glob("*.Dockerfile"))
CATALOG = load([builtin_root()])


def found(name: str):
    return lint((HERE / name).read_text(encoding="utf-8"), name)


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_has_exactly_the_findings_that_are_recorded(name, update_golden):
    """`NAME.expected`: a line a finding, as `line:column level rule message`."""
    text = "".join(f"{p.span.line}:{p.span.column} {p.level} {p.slug} {p.message}\n" for p in found(name))
    place = HERE / f"{name.removesuffix('.Dockerfile')}.expected"
    if update_golden:
        place.write_text(text, encoding="utf-8")
    expected = place.read_text(encoding="utf-8")
    assert text == expected, "".join(difflib.unified_diff(expected.splitlines(True), text.splitlines(True)))


@pytest.mark.parametrize("rule", [name for name in RULES if not name.startswith("allow-")])
def test_a_rule_has_an_example_of_its_name_that_breaks_it(rule):
    assert rule in {problem.slug for problem in found(f"{rule}.Dockerfile")}


def test_exceptions_need_a_rule_that_exists_a_reason_and_something_to_accept():
    assert {p.slug for p in found("allow.Dockerfile")} == {
        "allow-no-reason", "allow-unknown", "allow-unused", "apt-unpinned",
    }  # fmt: skip


def test_what_is_good_has_no_finding():
    assert found("good.Dockerfile") == ()


def test_no_finding_repeats_a_secret():
    for rule in ("secret-in-env", "secret-in-run"):
        for problem in found(f"{rule}.Dockerfile"):
            for text in (problem.message, problem.source_line, problem.hint):
                assert "hf_abc" not in text
                assert "0123456789abcdef" not in text


def test_every_finding_stands_where_its_text_does():
    for name in EXAMPLES:
        lines = (HERE / name).read_text(encoding="utf-8").splitlines()
        for problem in found(name):
            line = lines[problem.span.line - 1]
            assert 1 <= problem.span.column <= len(line), (name, problem)
            assert not line[problem.span.column - 1].isspace(), (name, problem)


def plans_of(target):
    """The plans of every benchmark of a target, and of the side image that prepares data."""
    plans = list(build_plans(CATALOG, target=target)) if benchmarks_of(CATALOG, target) else []
    return [*plans, build_plan(CATALOG, resolve_side(CATALOG, target=target, layer="prep"))]


@pytest.mark.parametrize("target", CATALOG.names("target"))
def test_what_we_render_is_clean_for_every_target_and_benchmark(target):
    plans = plans_of(target)
    last = {plan.image for plan in plans[:-1]}
    for step in merge_layers(plans):
        runs = step.image in last
        problems = lint(step.dockerfile, step.name, tag=step.image, contexts=tuple(step.contexts), runs=runs)
        assert problems == (), step.name


# -- against another linter ----------------------------------------------------------------------

HADOLINT = Path(sys.executable).parent / "hadolint"
SAME = {
    "from-no-digest": (),  # hadolint wants a tag only
    "from-moving-tag": ("DL3006", "DL3007"),
    "apt-unpinned": ("DL3008",),
    "apt-lists-kept": ("DL3009",),
    "pip-unpinned": ("DL3013",),
    "user-root": ("DL3002",),
    "pipe-to-shell": ("DL4006",),
}
ACCEPTED: dict[str, str] = {}
"""Rules of hadolint that what we render may break, each with its reason; none today."""


def hadolint(path: Path) -> set[tuple[int, str]]:
    """Line and rule of what hadolint says."""
    done = subprocess.run([HADOLINT, "--format=json", path], capture_output=True, text=True, check=False)
    return {(item["line"], item["code"]) for item in json.loads(done.stdout)}


@pytest.mark.skipif(not HADOLINT.exists(), reason="hadolint comes for x86-64 only")
@pytest.mark.parametrize(("rule", "codes"), [(rule, codes) for rule, codes in SAME.items() if codes])
def test_hadolint_finds_our_planted_examples_as_well(rule, codes):
    theirs = {code for _, code in hadolint(HERE / f"{rule}.Dockerfile")}
    assert theirs & set(codes)


@pytest.mark.skipif(not HADOLINT.exists(), reason="hadolint comes for x86-64 only")
@pytest.mark.parametrize("target", CATALOG.names("target"))
def test_what_we_render_is_clean_under_hadolint(target, tmp_path):
    for step in merge_layers(plans_of(target)):
        place = tmp_path / f"{step.name}-{step.content_id[:12]}" / "Dockerfile"
        place.parent.mkdir()
        place.write_text(step.dockerfile)
        said = {(line, code) for line, code in hadolint(place) if code not in ACCEPTED}
        assert said == set(), (step.name, step.dockerfile)


PIECES = (
    "FROM a AS b\n", "FROM b\n", "RUN ", "COPY --from=b ", "ENV A_HASH=", "ARG X\n",
    "ADD https://x/y.git#z /a\n", "git clone ",
    "<<E\n", "E\n", "\\\n", "$(", ")", "${", "}", "`", "'", '"', "&&", "|", ";", "#", "\n", " ", "é", "\t",
    '["a", "b"]', "--b=",
    "# mlorch lint: allow ", "because ", "pip install ", "apt-get install -y ", "conda create python=30",
    "curl ", "$A_HASH",
)  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), max_size=40).map("".join))
def test_no_text_breaks_the_linter(text):
    for problem in lint(text, "Dockerfile"):
        assert problem.span.line >= 1
        assert problem.span.column >= 1


def test_warnings_pass_unless_strict_and_errors_fail(tmp_path, capsys):
    bad, mild = HERE / "git-moving.Dockerfile", HERE / "user-root.Dockerfile"
    assert run(["recipes", "lint", str(mild)]) == 0
    assert "user-root.Dockerfile:4:6: warning: " in capsys.readouterr().err
    assert run(["recipes", "lint", "--strict", str(mild)]) == 3
    assert run(["recipes", "lint", str(bad), "--json"]) == 3
    error = json.loads(capsys.readouterr().out)["error"]
    assert {problem["slug"] for problem in error["problems"]} == {"git-moving"}
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/Dockerfile.gpu").write_bytes(b"\xff")
    assert run(["recipes", "lint", str(tmp_path)]) == 3
    assert "cannot read the Dockerfile" in capsys.readouterr().err


def test_the_page_names_every_rule():
    page = (Path(__file__).parents[2] / "docs/lint.md").read_text(encoding="utf-8")
    assert [name for name in RULES if f"`{name}`" not in page] == []
