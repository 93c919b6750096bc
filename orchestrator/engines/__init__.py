"""Container engines behind one Protocol; a name maps to a module, imported on use.

Every command imports this package, and most ask an engine nothing: what `model` and `inventory`
define can be had here, and is imported by the first who asks for it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, cast

from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.definitions.settings import Settings
    from orchestrator.engines.inventory import ContainerFacts, ImageFacts
    from orchestrator.engines.model import (
        BuildEvent,
        ContainerExit,
        Engine,
        EngineFactory,
        EngineFacts,
        ImageMoves,
        ImageTransfer,
        RegistryAuth,
        Sweepable,
    )

__all__ = [
    "ENGINES",
    "BuildEvent",
    "ContainerExit",
    "ContainerFacts",
    "Engine",
    "EngineFactory",
    "EngineFacts",
    "ImageFacts",
    "ImageMoves",
    "ImageTransfer",
    "RegistryAuth",
    "Sweepable",
    "engine_factory",
    "engine_name",
]

ENGINES: dict[str, str] = {
    "docker": "orchestrator.engines.docker.factory",
    "podman": "orchestrator.engines.podman.factory",
}
"""Engines by name, each a module that is a `EngineFactory`; the first is the default one."""


def engine_factory(name: str) -> EngineFactory:
    """The factory of the engine of this name, one of `ENGINES`."""
    return cast("EngineFactory", import_module(ENGINES[name]))


def engine_name(settings: Settings, wanted: str, known: Sequence[str]) -> str:
    """The engine that was named, else that of the settings, else what `ensure` chose, else the first known one.

    Raises `UsageError` for one that is not known: no other is used silently.
    """
    name = wanted or settings.engine
    if not name:
        from orchestrator.engines.choice import kept_choice

        name = kept_choice(settings.engine_host, known) or known[0]
    if name in known:
        return name
    from orchestrator.definitions.yaml import suggestion
    from orchestrator.engines.printers import PRINTERS

    hint = suggestion(name, known, "known")
    if name in PRINTERS:
        hint += f"; `mlorch run --dry-run --engine {name}` prints what it would run"
    source = "--engine" if wanted else settings.sources.get("engine", "settings")
    raise UsageError(f"there is no engine `{name}` ({source})", hint=hint, slug="unknown-engine")


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = "inventory" if name in {"ContainerFacts", "ImageFacts"} else "model"
    return getattr(import_module(f"orchestrator.engines.{home}"), name)
