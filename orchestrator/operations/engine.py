"""`engine`: the container engine that mlorch uses, and its own where there is no other."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestrator.engines import ENGINES, engine_factory
from orchestrator.engines.access import EngineAccess
from orchestrator.engines.cdi import known
from orchestrator.engines.choice import choice_file, forget_choice, keep_choice
from orchestrator.engines.consent import Consent
from orchestrator.errors import EngineError, MlorchError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from orchestrator.definitions.settings import Settings
    from orchestrator.engines import EngineFacts
    from orchestrator.operations.context import Context
    from orchestrator.operations.progress import Talk

WITHOUT_ROOT = "podman"
"""The engine that needs no daemon and no root."""
_SHOWN = (
    "host", "name", "version", "api_version", "platform", "buildx", "containerd_store", "storage_driver", "cdi",
    "gpus", "cgroup_version", "root_dir", "rootless", "private",
)  # fmt: skip
"""The facts that `engine status --json` has under their own names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineStatus:
    """An engine, and whether mlorch can build with it."""

    facts: EngineFacts
    builder: str
    """what builds images"""
    builder_lacks: str
    """what the images that it builds lack; empty where nothing"""
    builder_hint: str
    """what to do about that"""
    why: str
    """why it cannot build; empty where it can"""

    def document(self) -> dict[str, Any]:
        """The JSON of `engine status`."""

        return {
            **{name: getattr(self.facts, name) for name in _SHOWN},
            "runtimes": list(self.facts.runtimes),
            "cdi_devices": [device.name for device in known(self.facts).devices],
            "builder": self.builder,
            "can_build": not self.why,
            "why": self.why,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class EnsuredEngine:
    """An engine that is ready, and what was done for it."""

    status: EngineStatus
    did: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """The JSON of `engine ensure`."""
        return {**self.status.document(), "did": list(self.did)}


@dataclass(frozen=True, slots=True, kw_only=True)
class StoppedEngine:
    """What became of mlorch's own engine."""

    stopped: bool
    """whether it ran"""
    home: Path | None
    """the folder that its images and programs stay in; None where there is nothing"""

    def document(self) -> dict[str, Any]:
        """The JSON of `engine stop`."""
        return {"stopped": self.stopped}


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

    Docker takes root. A user without it who named no engine gets podman, which later commands then use as well.

    ``confirm`` asks a person, who is told what is about to be done; None where nobody can be asked:
    then ``yes`` is needed.

    Raises:
        UsageError: `unknown-engine`. EngineError: `not-asked`, or it cannot be had.
    """
    consent = Consent(yes=yes, confirm=confirm, say=talk.say)
    named = bool(context.wanted_engine or context.settings.engine)
    try:
        facts, did = context.engine_factory.ensure(consent, context.engine_access)
    except EngineError as error:
        if named or error.slug != "needs-root" or os.geteuid() == 0:
            raise
        facts, did = _without_root(consent, context.engine_access, error)
    if context.wanted_engine and facts.name == WITHOUT_ROOT:
        did = (*did, _chosen(consent))
    elif context.wanted_engine:
        forget_choice()
    return EnsuredEngine(status=_status(facts), did=did)


def _without_root(consent: Consent, access: EngineAccess, docker: EngineError) -> tuple[EngineFacts, tuple[str, ...]]:
    """podman for a user who may start no daemon, kept for the commands that follow."""
    consent.say(f"{docker.message}; podman takes none")
    facts, did = engine_factory(WITHOUT_ROOT).ensure(consent, access)
    return facts, (*did, _chosen(consent))


def _chosen(consent: Consent) -> str:
    """Keep podman as what commands use that name no engine; gives what was done."""
    keep_choice(WITHOUT_ROOT)
    chose = f"commands that name no engine use podman from now on ({choice_file()} says so)"
    consent.say(chose)
    return chose


def stop_engine() -> StoppedEngine:
    """Stop mlorch's own Docker engine; its images stay, and another engine is never touched. Raises `EngineError`."""
    from orchestrator.engines.private import engine_paths
    from orchestrator.engines.private.daemon import stop

    own = engine_paths()
    stopped = stop(own)
    return StoppedEngine(stopped=stopped, home=own.home if own.home.exists() else None)


def sweep_containers(settings: Settings, talk: Talk) -> None:
    """Remove the containers that a killed mlorch left, on whichever engine of this host they are.

    The quick way of each engine is taken, as commands that find everything there must
    stay quick; `mlorch run` sweeps engines elsewhere too. Never stops the command.
    """
    from orchestrator.runs.sweep import sweep_and_warn

    access = EngineAccess(host=settings.engine_host)
    for name in ENGINES:
        with contextlib.suppress(MlorchError, ValueError):
            sweep_and_warn(engine_factory(name).sweepable(access), talk.warn)


def cdi_words(facts: EngineFacts) -> str:
    """What the engine can be asked for by CDI name."""

    if not facts.cdi:
        return "off"
    return ", ".join(device.name for device in known(facts).devices) or "on; no spec names a device"


def _status(facts: EngineFacts) -> EngineStatus:
    factory = engine_factory(facts.name)
    builder, missing, hint = factory.builder(facts)
    return EngineStatus(
        facts=facts,
        builder=builder,
        builder_lacks=missing,
        builder_hint=hint,
        why=factory.unmet_requirement(facts),
    )
