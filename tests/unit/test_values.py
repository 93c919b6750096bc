"""Templates of an external harness: names and whole numbers, and nothing that could be code."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.definitions.values import TemplateFault, check_template, fill, fill_typed, names_in

VALUES = {"cpus": 8, "scenario": "Offline", "param.batch": 32, "settings.target_qps": 1200.5, "devices.count": 0}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("", ""),
        ("plain text", "plain text"),
        ("--scenario={scenario}", "--scenario=Offline"),
        ("{cpus * param.batch}", "256"),
        ("{(cpus - 2) // 3} left {cpus % 3}", "2 left 2"),
        ("{max(1, devices.count)}", "1"),
        ("{min(cpus, 4, param.batch)}", "4"),
        ("{-cpus + 10}", "2"),
        ('{{"a": {cpus}}}', '{"a": 8}'),
        ("{settings.target_qps}", "1200.5"),
    ],
)
def test_names_and_whole_numbers_are_filled_in(template, text):
    assert fill(template, VALUES) == text


def test_a_text_that_is_one_expression_keeps_its_type():
    assert fill_typed("{cpus * 2}", VALUES) == 16
    assert fill_typed("{settings.target_qps}", VALUES) == 1200.5
    assert fill_typed("n={cpus}", VALUES) == "n=8"


@pytest.mark.parametrize(
    "template",
    [
        "{__import__('os').system('id')}",
        "{cpus.__class__}",
        "{cpus ** 99999999}",
        "{[1, 2]}",
        "{cpus if 1 else 2}",
        "{lambda: 1}",
        "{open('/etc/passwd')}",
        "{'a' * 1000000}",
        "{True}",
        "{1.5 * 2}",
        "{max()}",
        "{}",
        "{a b}",
        "{cpus << 40}",
        "{" + "(" * 150 + "1" + ")" * 150 + "}",
        "{max(cpus, key=cpus)}",
    ],
)
def test_nothing_that_could_be_code_is_an_expression(template):
    with pytest.raises(TemplateFault):
        fill(template, VALUES)


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{cpuz}", "there is no value `cpuz`"),
        ("a { b", "a single `{`"),
        ("a } b", "a single `}`"),
        ("{scenario * 2}", "`scenario` in `{scenario * 2}` is `Offline`, which is no whole number"),
        ("{settings.target_qps // 2}", "is 1200.5, which is no whole number"),
        ("{cpus // devices.count}", "divides by zero"),
        ("{9000000000000000000 * cpus}", "beyond 64 bits"),
        ("{" + "1+" * 200 + "1}", "an expression of 401 characters"),
    ],
)
def test_what_cannot_be_filled_is_said(template, message):
    with pytest.raises(TemplateFault) as caught:
        fill(template, VALUES)
    assert message in caught.value.message


def test_a_mistaken_name_is_answered_with_the_nearest():
    with pytest.raises(TemplateFault) as caught:
        fill("{scenaro}", VALUES)
    assert caught.value.hint == "did you mean `scenario`?"


def test_a_template_can_be_checked_without_values():
    known = {"cpus", "param.batch"}
    check_template("{cpus + param.batch}", known.__contains__, sorted(known))
    with pytest.raises(TemplateFault, match=r"param\.bach"):
        check_template("{param.bach}", known.__contains__, sorted(known))
    assert names_in("{cpus + param.batch} {cpus}") == ("cpus", "param.batch")


@given(st.text(max_size=80))
def test_any_text_is_filled_or_refused(text):
    with contextlib.suppress(TemplateFault):
        fill(text, VALUES)


@given(st.text(alphabet="abcxyz .,:=-/0123456789", max_size=60))
def test_text_without_braces_stays(text):
    assert fill(text, VALUES) == text
