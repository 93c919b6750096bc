"""What the calls of the API share: from keyword arguments to requests, from results to documents."""

from __future__ import annotations

import json
import os
from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeVar

from orchestrator.facts.codec import to_plain

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from orchestrator.operations.context import Context
    from orchestrator.operations.plan_cache import Selection
    from orchestrator.operations.progress import Progress
    from orchestrator.operations.pull_policy import PullPolicy

    Document = dict[str, Any]

Request = TypeVar("Request")
OF_EVERY_CALL = ("recipes", "locked", "engine")


def document_of(value: Any) -> Document:
    """A result as the JSON types that `--json` prints; of several results a list."""
    own = getattr(value, "document", None)
    document: Document = json.loads(json.dumps(to_plain(own() if own is not None else value), default=str))
    return document


def progress_of(*, talk: bool) -> Progress:
    """What goes on, on stderr, or nothing."""
    if not talk:
        from orchestrator.operations.progress import Silent

        return Silent()
    from orchestrator.commands.build_view import ConsoleProgress
    from orchestrator.console import Console

    return ConsoleProgress(Console())


def words(name: str, given: Any) -> tuple[str, ...]:
    """The texts (or paths) of a list; one text alone would be taken for a list of its letters."""
    if isinstance(given, str | bytes | os.PathLike):
        raise TypeError(f"`{name}` is a list: write [{str(given)!r}]")
    return tuple(os.fspath(word) for word in given)


def context_of(progress: Progress, options: dict[str, Any]) -> Context:
    """What a call works with; ``recipes``, ``locked`` and ``engine`` are taken out of ``options``.

    What is left is for a request (`request_of`); a call that makes none takes `only_context`.
    """
    from orchestrator.operations.context import Context

    recipes, locked, engine = options.pop("recipes", ()), options.pop("locked", False), options.pop("engine", "")
    return Context(words("recipes", recipes), locked=locked, wanted_engine=engine, talk=progress)


def only_context(options: dict[str, Any], progress: Progress | None = None) -> Context:
    """What a call works with that has no other ``options``. Raises `TypeError` for one that does not exist."""
    _refuse_unknown(options, OF_EVERY_CALL)
    return context_of(progress or progress_of(talk=False), options)


def request_of(kind: type[Request], options: dict[str, Any], **given: Any) -> Request:
    """A dataclass of what a call gives and of its caller's ``options``.

    Raises `TypeError` for an option that it has not, and for a text where it has a list.
    """
    defaults = {field.name: field.default for field in fields(kind)}  # type: ignore[arg-type]  # all are dataclasses
    _refuse_unknown(options, defaults)
    return kind(**given, **{name: words(name, it) if defaults[name] == () else it for name, it in options.items()})


def _refuse_unknown(options: dict[str, Any], known: Collection[str]) -> None:
    from orchestrator.definitions.yaml.text import suggestion

    for name in options:
        if name not in known:
            raise TypeError(f"there is no option `{name}`; {suggestion(name, known)}")


def selection_of(target: str | None, options: dict[str, Any]) -> Selection:
    """The images that a call means: ``options`` are fields of `Selection`."""
    from orchestrator.operations.plan_cache import Selection

    return request_of(Selection, options, target=target or None)


def pull_policy(options: dict[str, Any]) -> PullPolicy:
    """The pull policy of a call; its options are taken out of ``options``."""
    from orchestrator.operations.pull_policy import PullPolicy

    names = [field.name for field in fields(PullPolicy) if field.name in options]
    return request_of(PullPolicy, {name: options.pop(name) for name in names})


def results_in(given: str | os.PathLike[str] | None) -> Path:
    """The folder of results: the one that was given, or the site's."""
    from orchestrator.definitions.settings import read_settings

    return read_settings().results_folder(given).absolute()
