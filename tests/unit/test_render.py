"""Templates: faults have a place, nothing of Python is reachable, the same facts give the same bytes."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from orchestrator.definitions.catalog import Template
from orchestrator.definitions.kinds.lock import Wheel
from orchestrator.errors import DefinitionError
from orchestrator.plan.build.render import Renderer
from orchestrator.plan.build.step import requirements

FACTS = {"parent": "mlorch/x:1", "layer": {"name": "demo", "smoke": ("python3", "-c", "print('a b')")}, "env": {}}


def renderer(**templates: str) -> Renderer:
    def load(name: str) -> Template:
        return Template(text=templates[name.replace(".", "_")], path=Path("dockerfiles") / name)

    return Renderer(load)


def fault(text: str) -> object:
    with pytest.raises(DefinitionError) as caught:
        renderer(t_j2=text).render("t.j2", FACTS)
    (problem,) = caught.value.problems()
    return problem


def test_an_undefined_name_is_located_and_stops_the_render():
    problem = fault("FROM {{ parent }}\n\nRUN {{ compiler }}\n")
    assert problem.slug == "template-undefined"
    assert "compiler" in problem.message
    assert (problem.span.path, problem.span.line) == ("dockerfiles/t.j2", 3)


def test_an_undefined_name_in_an_included_file_names_that_file():
    with pytest.raises(DefinitionError) as caught:
        renderer(t_j2="FROM x\n{% include 'part.j2' %}\n", part_j2="\n{{ nothing }}\n").render("t.j2", FACTS)
    (problem,) = caught.value.problems()
    assert (problem.span.path, problem.span.line) == ("dockerfiles/part.j2", 2)


def test_a_syntax_error_is_located():
    problem = fault("FROM x\n{% if %}\n")
    assert (problem.slug, problem.span.line) == ("template-syntax", 2)


@pytest.mark.parametrize(
    "escape",
    [
        "{{ parent.__class__.__mro__ }}",
        "{{ ''.__class__.__base__.__subclasses__() }}",
        "{{ layer.update({'name': 'x'}) }}",
        "{{ self.__init__.__globals__ }}",
    ],
)
def test_a_template_reaches_nothing_of_python(escape: str):
    assert fault(f"FROM x\n{escape}\n").slug in {"template-unsafe", "template-undefined"}


@pytest.mark.parametrize("flood", ["'a' * 9999999999", "'%999999999d' % 1", "9 ** 999999999", "[0] * 9999999999"])
def test_a_template_cannot_fill_the_memory(flood: str):
    assert fault(f"FROM x\n{{{{ {flood} }}}}\n").slug == "template-unsafe"


TEN_TIMES = "{% macro f() %}{% for i in range(10) %}{{ caller() }}{% endfor %}{% endmacro %}"


@pytest.mark.parametrize(
    ("flood", "words"),
    [
        ("{{ 'a'.ljust(9999999999) }}", "cannot call `ljust`"),
        ("{{ '{:>9999999999}'.format(1) }}", "not formatted"),
        ("{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}", "steps"),
        ("{% for a in range(9999999999) %}{% endfor %}", "range is longer"),
        ("{% set n = namespace(s='xx') %}{% for i in range(60) %}{% set n.s = n.s ~ n.s %}{% endfor %}", "longer than"),
        ("{% set n = namespace(s='xx') %}{% for i in range(60) %}{% set n.s = n.s + n.s %}{% endfor %}", "longer than"),
        ("{% set n = namespace(s='xx') %}{% for i in range(60) %}{% set n.s = [n.s,n.s]|join %}{% endfor %}", "longer"),
        ("{% set x %}{% for i in range(900000) %}" + "y" * 2000 + "{% endfor %}{% endset %}", "MiB of text"),
        ("{{ ('x' ~ 'y' * 1) }}", "whole numbers"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "without an end"),
        (f"{TEN_TIMES}{'{% call f() %}' * 9}x{'{% endcall %}' * 9}", "more than"),
    ],
)  # fmt: skip
def test_what_a_template_may_use_is_limited(flood, words):
    began = time.monotonic()
    problem = fault(f"FROM x\n{flood}\n")
    assert problem.slug == "template-unsafe"
    assert words in problem.message
    assert problem.span.line == 2
    assert time.monotonic() - began < 20


LONG = "{% set n = namespace(s='ab', t=0) %}{% for i in range(18) %}{% set n.s = n.s ~ n.s %}{% endfor %}"
"""Half a million characters, and what is done 200 times reads a hundred million."""


@pytest.mark.parametrize(
    ("read", "words"),
    [
        ("n.s.count('z')", "MiB of text"),
        ("n.s.find('z')", "MiB of text"),
        ("n.s.startswith('z') or n.s.isupper()", "MiB of text"),
        ("'z' in n.s", "MiB of text"),
        ("i in 'LITERAL'", "MiB of text"),
        ("n.s == n.s ~ 'z'", "MiB of text"),
        ("n.s is upper", "MiB of text"),
        ("'z' is in n.s", "MiB of text"),
        ("[n.s] | map('lower') | first", "MiB of text"),
        ("[n.s] | select('==', n.s) | first", "MiB of text"),
        ("n.s[1:] and 0", "MiB of text"),
        ("n.s.split('z') and 0", "MiB of text"),
        ("n.s.strip(n.s)", "MiB of text"),
        ("n.s.rfind(n.s[9:])", "MiB of text"),
        ("[n.s, n.s] | sort and 0", "MiB of text"),
        ("[[n.s]].count([n.s])", "MiB of text"),
        ("('f' ~ n.s) | int(0, 16)", "larger than 2^62"),
        ("0x" + "f" * 30, "larger than 2^62"),
    ],
)
def test_what_a_template_reads_counts_as_well_as_what_it_makes(read, words):
    """The charge is what stops it, on every machine at the same place."""
    text = f"FROM x\n{LONG}{{% for i in range(200) %}}{{% if {read} %}}{{% endif %}}{{% endfor %}}\n"
    problem = fault(text.replace("i in 'LITERAL'", f"'z' ~ i in '{'y' * 500_000}'"))
    assert problem.slug in {"template-unsafe", "template-syntax"}
    assert words in problem.message


def test_lists_in_lists_are_gone_through_only_so_far():
    twice = "{% for i in range(64) %}{% set n.a = [n.a, n.a] %}{% set n.b = [n.b, n.b] %}{% endfor %}"
    problem = fault(f"FROM x\n{{% set n = namespace(a=[], b=[]) %}}{twice}{{% if n.a == n.b %}}{{% endif %}}\n")
    assert (problem.slug, "steps" in problem.message) == ("template-unsafe", True)


def test_templates_that_include_themselves_or_each_other_end():
    assert fault("FROM x\n{% include 't.j2' %}\n").slug == "template-unsafe"
    many = "".join("{% include 'NEXT' %}" for _ in range(200))
    deep = {f"p{n}_j2": many.replace("NEXT", f"p{n + 1}.j2") for n in range(4)} | {"p4_j2": ""}
    with pytest.raises(DefinitionError) as caught:
        renderer(t_j2="{% include 'p0.j2' %}", **deep).render("t.j2", FACTS)
    assert caught.value.slug == "template-unsafe"


@pytest.mark.parametrize("text", ["{{ lipsum() }}", "{{ env | random }}", "{{ cycler('a') }}", "{{ joiner() }}"])
def test_nothing_that_differs_from_run_to_run_can_be_had(text):
    assert fault(text).slug in {"template-undefined", "template-syntax"}


@pytest.mark.parametrize(
    "text", ["{{ layer.smoke }}", "{{ layer.smoke | map('upper') }}", "{{ layer.get }}", "{{ 'a' ~ env }}"]
)
def test_only_texts_and_numbers_are_written(text):
    """Anything else is written with its address in memory, which is another one every time."""
    assert "only texts and numbers" in fault(text).message


ENDS = ["\n", "\r", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029"]


@pytest.mark.parametrize("end", ENDS, ids=repr)
def test_no_value_begins_another_instruction(end):
    facts = {**FACTS, "value": f"good{end}RUN evil"}
    for quoted in ("ENV A={{ value | dockerenv }}", "RUN echo {{ value | sh }}"):
        with pytest.raises(DefinitionError) as caught:
            renderer(t_j2=quoted).render("t.j2", facts)
        assert "line's end" in caught.value.message
    words = renderer(t_j2="CMD {{ words | json }}").render("t.j2", {"words": (facts["value"],)})
    assert len(words.splitlines()) == 1
    if end != "\n":
        assert "\nRUN evil" not in renderer(t_j2="# {{ value }}\nFROM x").render("t.j2", facts)


@pytest.mark.parametrize("end", ENDS, ids=repr)
def test_podman_and_the_linter_split_lines_where_docker_does(end):
    from orchestrator.engines.podman.build import adapt
    from orchestrator.lint.dockerfile import parse

    text = f"# title{end}RUN evil\nFROM x\n"
    assert adapt(text, "5.0") == text
    runs = [one.keyword for one in parse(text, "Dockerfile").instructions]
    assert runs == (["RUN", "FROM"] if end == "\n" else ["FROM"])


@pytest.mark.parametrize("end", ["\\n", "\\x85", "\\u2028", "\\u2029", "\\x9b"])
@pytest.mark.parametrize("field", ["title", "env"])
def test_a_recipe_with_a_line_end_in_a_text_of_one_line_is_refused(end, field):
    from orchestrator.definitions.kinds.layers import Layer
    from orchestrator.definitions.yaml import decode, read_document

    value = f'"good{end}RUN evil"'
    more = f"title: {value}\n" if field == "title" else f"title: t\nenv: {{A: {value}}}\n"
    document = read_document("x.yaml", f"kind: layer\nname: n\nlevel: side\ntemplate: t.j2\n{more}")
    with pytest.raises(DefinitionError) as caught:
        decode(document, Layer)
    assert "line break or control character" in caught.value.message


def test_a_template_may_reckon():
    assert renderer(t_j2="{{ 6 * 7 % 40 }}").render("t.j2", {}) == "2\n"


def test_values_are_quoted_for_the_shell_json_and_env():
    text = renderer(
        t_j2="RUN {{ layer.smoke | exec }}\nRUN echo {{ 'a; rm -rf /' | sh }}\nENV A={{ 'x$y\"z' | dockerenv }}\n"
    )
    assert text.render("t.j2", FACTS) == (
        'RUN ["python3", "-c", "print(\'a b\')"]\nRUN echo \'a; rm -rf /\'\nENV A="x\\$y\\"z"\n'
    )


def test_blank_lines_and_trailing_blanks_do_not_depend_on_how_a_template_is_written():
    one = renderer(t_j2="FROM x   \n\n\n\n{% if parent %}\nRUN y\n{% endif %}\n\n").render("t.j2", FACTS)
    two = renderer(t_j2="FROM x\n\nRUN y").render("t.j2", FACTS)
    assert one == two == "FROM x\n\nRUN y\n"


def test_requirements_carry_every_hash_on_one_line():
    first, second = "a" * 64, "b" * 64
    wheel = Wheel(name="numpy", version="2.4.6", sha256=(first, second))
    assert requirements([wheel]) == f"numpy==2.4.6 --hash=sha256:{first} --hash=sha256:{second}\n"
