"""Dockerfile text from a template and the facts of one layer. Pure.

Templates run in jinja2's immutable sandbox, since a recipe repository brings its own:
no attribute of Python is reachable, an undefined name is an error at its line, what a
template may use is limited (`template_limits`), and it can only include what the catalogue
hands out (which refuses links and paths that leave the tree). A value ends no line: the
filters that quote one refuse a line's end, which would begin another instruction.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from typing import TYPE_CHECKING

import jinja2  # noqa: TID253 (who imports this module renders)
from jinja2.exceptions import SecurityError  # noqa: TID253

from orchestrator.errors import DefinitionError, Span
from orchestrator.plan.build.template_limits import Bounded, Budget

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import CodeType

    from jinja2.bccache import Bucket

    from orchestrator.definitions.catalog import Template


class _Compiled(jinja2.BytecodeCache):
    """What templates compile to, by name and text: every plan has its own renderer, and most templates are shared."""

    def __init__(self) -> None:
        self._code: dict[tuple[str, str], CodeType] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        """Fill in what was compiled of the same text under the same path."""
        bucket.code = self._code.get((bucket.key, bucket.checksum))

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep what was compiled."""
        if bucket.code is not None:
            self._code[bucket.key, bucket.checksum] = bucket.code


_COMPILED = _Compiled()


class Renderer:
    """Renders templates by name; ``load`` gives them, as `Catalog.template`."""

    def __init__(self, load: Callable[[str], Template]) -> None:
        self._load = load
        self._paths: dict[str, str] = {}
        self._environment = Bounded(
            loader=jinja2.FunctionLoader(self._source),
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
            autoescape=False,
            bytecode_cache=_COMPILED,
        )
        self._environment.add_filters(
            {"sh": _shell, "json": _json, "dockerenv": _docker_env, "exec": _json, "jsonlist": _json_pair}
        )

    def render(self, name: str, facts: Mapping[str, object]) -> str:
        """The text of template `name` with `facts`.

        Raises:
            DefinitionError: a syntax error (`template-syntax`), a name that no layer
                supplies (`template-undefined`) or an operation that the sandbox
                refuses (`template-unsafe`), each with the template's path and line.
        """
        self._environment.budget = Budget()
        try:
            text = self._environment.get_template(name).render(facts)
        except jinja2.TemplateSyntaxError as error:
            raise self._fault(error, error.name or name, "template-syntax", error.lineno) from None
        except SecurityError as error:
            raise self._fault(error, name, "template-unsafe") from None
        except jinja2.TemplateNotFound as error:
            raise self._fault(f"template `{error.name}` is included but not there", name, "template-missing") from None
        except jinja2.UndefinedError as error:
            raise self._fault(error, name, "template-undefined") from None
        except DefinitionError as error:  # of the loader: an include that leads out of the tree; located at the include
            raise self._located(error, name) from None
        except RecursionError as error:
            _, line = self._last_frame(error, name)
            why = "the template calls or includes itself without an end, or is nested too deeply"
            raise self._fault(why, name, "template-unsafe", line) from None
        except (TypeError, ValueError, ArithmeticError) as error:
            raise self._fault(error, name, "template-failed") from None
        return _tidy(text)

    def _source(self, name: str) -> tuple[str, str, Callable[[], bool]]:
        template = self._load(name)
        self._paths[name] = path = str(template.path)
        self._environment.text_size += len(template.text)
        return template.text, path, self._included_again

    def _included_again(self) -> bool:
        """Jinja asks this of a template that it has already: whether it is as it was, which costs what it writes."""
        self._environment.budget.spend(1, self._environment.text_size)
        return True

    def _fault(self, error: Exception | str, name: str, slug: str, line: int | None = None) -> DefinitionError:
        path = self._paths.get(name, name)
        if line is None and isinstance(error, Exception):
            path, line = self._last_frame(error, path)
        hint = {
            "template-undefined": "use one of the names that docs/recipes.md lists, or set it in the layer's recipe",
            "template-unsafe": "templates may read the facts of their layer and nothing else",
        }.get(slug, "")
        return DefinitionError.fault(slug, str(error), hint, Span.at(path, line or 1))

    def _located(self, error: DefinitionError, name: str) -> DefinitionError:
        path, line = self._last_frame(error, self._paths.get(name, ""))
        if line is None:
            return error
        return DefinitionError(replace(one, span=one.span or Span.at(path, line)) for one in error.problems())

    def _last_frame(self, error: Exception, path: str) -> tuple[str, int | None]:
        """The innermost template frame of a failure: jinja2 rewrites tracebacks to template lines."""
        line = None
        known = set(self._paths.values())
        trace = error.__traceback__
        while trace is not None:
            filename = trace.tb_frame.f_code.co_filename
            if filename in known:
                path, line = filename, trace.tb_lineno
            trace = trace.tb_next
        return path, line


def _tidy(text: str) -> str:
    """No trailing blanks, no runs of empty lines, one newline at the end: the same bytes everywhere."""
    lines: list[str] = []
    for raw in text.split("\n"):  # as Docker does: U+2028 in a title ends no line
        line = raw.rstrip()
        if line or (lines and lines[-1]):
            lines.append(line)
    while lines and not lines[-1]:
        lines.pop()
    return "\n".join(lines) + "\n"


def _json(value: object) -> str:
    """The exec form of a Dockerfile instruction: a JSON array of words."""
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=True)


def _json_pair(source: str, to: str) -> str:
    return _json([source, to])


def _shell(value: str) -> str:
    """A word for a shell in RUN."""
    return shlex.quote(_one_line(value))


def _docker_env(value: str) -> str:
    """A value quoted for ENV: docker expands `$` and eats backslashes in double quotes."""
    escaped = _one_line(value).replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$")
    return f'"{escaped}"'


def _one_line(value: str) -> str:
    if len(f"{value}.".splitlines()) > 1:
        raise ValueError("a value with a line's end cannot stand in an instruction")
    return value
