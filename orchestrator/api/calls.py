"""What the calls of the API share: from keyword arguments to requests, from results to documents."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from orchestrator.facts.codec import to_plain

if TYPE_CHECKING:
    from orchestrator.operations.build_request import BuildRequest
    from orchestrator.operations.context import Context
    from orchestrator.operations.progress import Progress
    from orchestrator.operations.pull_policy import PullPolicy

    Document = dict[str, Any]


def document_of(value: Any) -> Any:
    """A result as the JSON types that `--json` prints."""
    own = getattr(value, "document", None)
    return json.loads(json.dumps(to_plain(own() if own is not None else value), default=str))


def progress_of(*, talk: bool) -> Progress:
    """What goes on, on stderr, or nothing."""
    if not talk:
        from orchestrator.operations.progress import Silent

        return Silent()
    from orchestrator.commands.progress import ConsoleProgress
    from orchestrator.console import Console

    return ConsoleProgress(Console())


def context_of(progress: Progress, options: dict[str, Any]) -> Context:
    """What a call works with; ``recipes``, ``locked`` and ``engine`` are taken out of ``options``."""
    from orchestrator.operations.context import Context

    recipes, locked, engine = options.pop("recipes", ()), options.pop("locked", False), options.pop("engine", "")
    return Context(tuple(recipes), locked=locked, wanted_engine=engine, talk=progress)


def build_request(target: str | None, options: dict[str, Any]) -> BuildRequest:
    """The images that a call means: ``options`` are fields of `BuildRequest` and of `PullPolicy`."""
    from orchestrator.operations.build_request import BuildRequest

    policy = pull_policy(options)
    return BuildRequest(targets=(target,) if target else (), pull_policy=policy, **options)


def pull_policy(options: dict[str, Any]) -> PullPolicy:
    """The pull policy of a call; its options are taken out of ``options``."""
    from orchestrator.operations.pull_policy import PullPolicy

    names = [field.name for field in fields(PullPolicy) if field.name in options]
    return PullPolicy(**{name: options.pop(name) for name in names})
