"""What a check finds: a rule that something breaks, where, why and what to do; and how rules are written down."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Literal, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from orchestrator.facts.checker_rules import Answer, CheckerRules
    from orchestrator.facts.rounds import RoundRules

Level = Literal["error", "warning", "hint"]
Subject = TypeVar("Subject")
_LONGEST = 600


class Said(NamedTuple):
    """What a rule says of one thing."""

    path: str
    message: str
    hint: str = ""


class Finding(NamedTuple):
    """A rule that something breaks."""

    rule: str
    level: Level
    """An error is refused, a warning is not; a hint is of something odd that no rule forbids."""
    official: Answer
    """What the round's own checker does: `refuse`, `tell` it and take the result, or `skip` it, not looking."""
    path: str
    """Below the root of the tree."""
    message: str
    hint: str

    def document(self) -> dict[str, str]:
        """Its JSON."""
        return self._asdict()


@dataclass(frozen=True, slots=True)
class Rulebook:
    """The rules of a round and how a check holds to them."""

    round: RoundRules
    as_official: bool = False
    """Whether the official checker's known defects are kept: what it takes is taken."""
    ignored: frozenset[str] = frozenset()
    """Rules that are not looked at."""

    @property
    def checker(self) -> CheckerRules:
        """What the checker asks, apart from the figures of models."""
        return self.round.checker

    def refuses(self, findings: Iterable[Finding]) -> bool:
        """Whether something is refused for what was found."""
        if self.as_official:
            return any(found.official == "refuse" for found in findings)
        return any(found.level == "error" for found in findings)


@dataclass(frozen=True, slots=True)
class Rule(Generic[Subject]):
    """A rule: what it asks, the source that it follows, what to do where it is broken."""

    id: str
    asks: str
    source: str
    """The function of the official checker, or the rule's text."""
    hint: str
    check: Callable[[Subject, Rulebook], Iterator[Said]]
    level: Level = "error"
    official: Answer | None = None
    """Where the round's file cannot say it: what the official checker does."""
    within: str = ""
    """The check of the round's file that this rule is a part of, where that has another name."""

    def findings(self, subject: Subject, book: Rulebook) -> list[Finding]:
        """What breaks the rule. A rule that fails is a finding itself: one odd file ends no check."""
        if book.ignored and (self.id in book.ignored or self.within in book.ignored):
            return []
        try:
            said = list(self.check(subject, book))
            if not said:
                return []
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            said = [Said(str(getattr(subject, "path", "")), f"could not be judged: {type(error).__name__}: {error}")]
        answer = self.official or book.checker.answer(self.within or self.id)
        return [
            Finding(self.id, self.level, answer, each.path, each.message[:_LONGEST], each.hint or self.hint)
            for each in said
        ]


def findings_of(rules: Iterable[Rule[Subject]], subject: Subject, book: Rulebook) -> list[Finding]:
    """What breaks any of some rules; every one is looked at."""
    return [found for rule in rules for found in rule.findings(subject, book)]
