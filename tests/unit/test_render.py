"""Templates: faults have a place, nothing of Python is reachable, the same facts give the same bytes."""

from __future__ import annotations

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
