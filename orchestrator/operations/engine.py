"""`engine`: the container engine that mlorch uses, and its own where there is no other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestrator.engines import engine_factory
from orchestrator.engines.access import Consent
from orchestrator.engines.cdi import known
from orchestrator.operations.sweep import sweep_containers

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from orchestrator.engines import EngineFacts
    from orchestrator.operations.context import Context
    from orchestrator.operations.progress import Talk


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineStatus:
    """An engine, and whether mlorch can build with it."""

    facts: EngineFacts
    builder: str
    """what builds images"""
    builder_lacks: str
    """what the images that it builds lack; empty where nothing"""
    why: str
    """why it cannot build; empty where it can"""

    def document(self) -> dict[str, Any]:
        """The JSON of `engine status`."""
        facts = self.facts
        return {
            "host": facts.host,
            "name": facts.name,
            "version": facts.version,
            "api_version": facts.api_version,
            "platform": facts.platform,
            "buildx": facts.buildx,
            "builder": self.builder,
            "containerd_store": facts.containerd_store,
            "storage_driver": facts.storage_driver,
            "cdi": facts.cdi,
            "cdi_devices": [device.name for device in known(facts).devices],
            "gpus": facts.gpus,
            "runtimes": list(facts.runtimes),
            "cgroup_version": facts.cgroup_version,
            "root_dir": facts.root_dir,
            "rootless": facts.rootless,
            "private": facts.private,
            "can_build": not self.why,
            "why": self.why,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class EnsuredEngine:
    """An engine that can build, and what was done to have it: `did` in the JSON of `engine ensure`."""

    status: EngineStatus
    did: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """The JSON of `engine ensure`."""
        return {**self.status.document(), "did": list(self.did)}


@dataclass(frozen=True, slots=True, kw_only=True)
class StoppedEngine:
    """Whether mlorch's own engine ran and was stopped, and the folder that its images and programs stay in."""

    stopped: bool
    home: Path | None
    """None where there is nothing"""


def engine_status(context: Context, talk: Talk) -> EngineStatus:
    """The engine that the context uses; containers of an mlorch that was killed are removed.

    Raises:
        UsageError: `unknown-engine`. EngineError: no engine answers.
    """
    facts = context.engine.facts()
    sweep_containers(context.settings, talk)
    return _status(facts)


def ensure_engine(context: Context, *, yes: bool, confirm: Callable[[str], bool] | None, talk: Talk) -> EnsuredEngine:
    """Make sure that an engine is there; where none can build, get one for mlorch alone.

    ``confirm`` asks a person, who is told what is about to be done; None where nobody can be asked:
    then ``yes`` is needed.

    Raises:
        UsageError: `unknown-engine`. EngineError: `not-asked`, or it cannot be had.
    """
    consent = Consent(yes=yes, confirm=confirm, say=talk.say)
    facts, did = context.engine_factory.ensure(consent, context.engine_access)
    return EnsuredEngine(status=_status(facts), did=did)


def stop_engine() -> StoppedEngine:
    """Stop mlorch's own Docker engine; its images stay, and another engine is never touched. Raises `EngineError`."""
    from orchestrator.engines.private import engine_paths
    from orchestrator.engines.private.daemon import stop

    own = engine_paths()
    stopped = stop(own)
    return StoppedEngine(stopped=stopped, home=own.home if own.home.exists() else None)


def cdi_words(facts: EngineFacts) -> str:
    """What the engine can be asked for by CDI name."""
    if not facts.cdi:
        return "off"
    return ", ".join(device.name for device in known(facts).devices) or "on; no spec names a device"


def _status(facts: EngineFacts) -> EngineStatus:
    factory = engine_factory(facts.name)
    builder, missing, _ = factory.builder(facts)
    return EngineStatus(facts=facts, builder=builder, builder_lacks=missing, why=factory.unmet_requirement(facts))
