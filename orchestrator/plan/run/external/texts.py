"""What the texts of an external harness are filled with: its parameters, its own words, and its conditions. Pure."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from orchestrator.definitions.kinds.parameters import NoValue
from orchestrator.definitions.values import TemplateFault, fill, fill_typed
from orchestrator.errors import DefinitionError, Problem, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from orchestrator.definitions.kinds.external import Program
    from orchestrator.definitions.kinds.parameters import Parameter
    from orchestrator.definitions.kinds.texts import Condition
from orchestrator.definitions.values import Value

_NONE: Mapping[str, str] = MappingProxyType({})


def condition_holds(condition: Condition, values: Mapping[str, Value]) -> bool:
    """Whether every value of a condition is the one wanted, or one of those wanted."""
    for name, wanted in condition.items():
        allowed = (wanted,) if isinstance(wanted, str) else wanted
        if _text(values.get(name, "")) not in allowed:
            return False
    return True


def _text(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def parameters_of(
    harness: str, program: Program, values: Mapping[str, Value], chosen: Mapping[str, str]
) -> dict[str, Value]:
    """The program's parameters: default < overlays in their order < what was chosen.

    Raises:
        DefinitionError: `template`, a text of the recipe that cannot be filled.
        UsageError: `unknown-parameter`, `bad-parameter`.
    """
    overlaid: dict[str, str] = {}
    for overlay in program.overlays:
        if condition_holds(overlay.when, values):
            overlaid |= overlay.parameters
    return typed_parameters(Filler(f"harness `{harness}`", values), program.parameters, chosen, overlaid)


def typed_parameters(
    filler: Filler, known: Mapping[str, Parameter], chosen: Mapping[str, str], overlaid: Mapping[str, str] = _NONE
) -> dict[str, Value]:
    """The parameters of a program or a server: default < ``overlaid`` < ``chosen``; errors as `parameters_of`."""
    for name in chosen:
        if name not in known:
            raise _unknown_parameter(filler.owner, name, known)
    texts = {**{name: parameter.default for name, parameter in known.items()}, **overlaid, **chosen}
    return {name: _typed(name, known[name], filler.text(text)) for name, text in texts.items()}


def _unknown_parameter(owner: str, name: str, known: Iterable[str]) -> UsageError:
    from orchestrator.definitions.yaml.text import suggestion

    return UsageError(f"{owner} has no parameter `{name}`", hint=suggestion(name, known), slug="unknown-parameter")


def _typed(name: str, parameter: Parameter, text: str) -> Value:
    """The value of a parameter as its type says. Raises `UsageError` [bad-parameter]."""
    try:
        return parameter.value(text)
    except NoValue as error:
        message = f"`{text[:60]}` is no value for `{name}`"
        raise UsageError(message, hint=f"it takes {error.wanted}", slug="bad-parameter") from None


def words_of(program: Program, values: Mapping[str, Value]) -> tuple[dict[str, Value], dict[str, str]]:
    """The program's own words; and where it has none for a value, why a text that needs it cannot be filled."""
    found: dict[str, Value] = {}
    wordless: dict[str, str] = {}
    for name, words in program.words.items():
        value = _text(values.get(words.of, ""))
        if value in words.values:
            found[f"words.{name}"] = words.values[value]
        else:
            known = ", ".join(words.values)
            wordless[f"words.{name}"] = f"the program cannot do {words.of} `{value}`: it has words for {known}"
    return found, wordless


class Filler:
    """Fills templates of one recipe; a fault says whose they are (``owner``: ``harness `NAME` ``)."""

    def __init__(self, owner: str, values: Mapping[str, Value], absent: Mapping[str, str] | None = None) -> None:
        self.owner = owner
        self._absent = absent or {}
        self.values = values

    def text(self, template: str) -> str:
        try:
            return fill(template, self.values)
        except TemplateFault as fault:
            raise self._error(fault) from None

    def folder(self, template: str) -> str:
        """An absolute path of the container; raises `DefinitionError` where the text is none once it is filled."""
        path = self.text(template)
        if not path.startswith("/") or "\n" in path or "/../" in f"{path}/":
            raise self._error(TemplateFault(f"`{template}` is `{path[:80]}` here, no folder of the container"))
        return path

    def typed(self, template: str) -> Value:
        try:
            return fill_typed(template, self.values)
        except TemplateFault as fault:
            raise self._error(fault) from None

    def _error(self, fault: TemplateFault) -> DefinitionError:
        hint = fault.hint
        if fault.message.startswith("there is no value `settings."):
            hint = "this test leaves that setting to the harness; give the argument a `when`, or set it"
        elif fault.message.startswith("there is no value `endpoint."):
            hint = "it is a client of servers: the benchmark's `roles` say which (docs/runs-of-several-containers.md)"
        for name, why in self._absent.items():
            if fault.message.startswith(f"there is no value `{name}`"):
                hint = why
        message = f"{self.owner}: {fault.message}"
        return DefinitionError([Problem(slug="template", message=message, hint=hint)])
