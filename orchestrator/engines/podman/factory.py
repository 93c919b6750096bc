"""The factory of podman: what commands ask before anything else of it is imported."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from orchestrator.engines.access import HERE, EngineAccess
from orchestrator.engines.podman.cli import VARIABLE, find, program, too_old
from orchestrator.engines.podman.ids import this_users_ids
from orchestrator.engines.podman.runs import RunSweep, running
from orchestrator.errors import EngineError, MlorchError

if TYPE_CHECKING:
    from orchestrator.engines.consent import Consent
    from orchestrator.engines.inventory import LookUp, RepositoryLookUp
    from orchestrator.engines.model import EngineFacts
    from orchestrator.engines.podman.engine import PodmanEngine


def connect(access: EngineAccess = HERE) -> PodmanEngine:
    """podman as it is installed, else mlorch's own; `EngineError` (`no-engine`) without either."""
    from orchestrator.engines.podman.engine import PodmanEngine

    return PodmanEngine(find(), access=access)


def warm() -> None:
    """Nothing: podman is a program."""


def fast_lookup(access: EngineAccess = HERE) -> LookUp | None:
    """One call of podman for all references: there is no daemon to ask."""
    return find(access.silent_s).images_by_reference


def fast_repository_lookup(access: EngineAccess = HERE) -> RepositoryLookUp | None:  # noqa: ARG001 (of the protocol)
    """None: podman's client is the engine itself."""
    return None


def sweepable(access: EngineAccess = HERE) -> RunSweep | None:  # noqa: ARG001 (of the protocol)
    """Only where a run of this user began and did not end: asking podman costs a tenth of a second."""
    return RunSweep(find()) if running() else None


def unmet_requirement(facts: EngineFacts) -> str:
    """Why mlorch cannot build with this podman; empty where it can."""
    return too_old(facts)


def ensure(consent: Consent, access: EngineAccess = HERE) -> tuple[EngineFacts, tuple[str, ...]]:
    """podman, unpacked for mlorch where there is none, that has really started a container.

    Raises:
        EngineError: as `orchestrator.engines.private.podman.ensure`; `engine-unfit` or `no-user-namespaces` where
            no container starts.
    """
    from orchestrator.engines.podman.trial import require_container, unfit

    did: tuple[str, ...] = ()
    if program() is None:
        _require_user_namespaces()
        from orchestrator.engines.private.podman import ensure as make_sure

        did = make_sure(consent)
    engine = connect(access)
    try:
        facts = engine.facts()
    except MlorchError as error:
        raise unfit(error) from error
    if why := unmet_requirement(facts):
        raise EngineError(why, hint=f"update podman, or name another program in {VARIABLE}", slug="engine-unfit")
    require_container(engine)
    return facts, did


def _require_user_namespaces() -> None:
    """Told before anything is fetched: without them a plain user's podman starts nothing."""
    if os.geteuid() == 0:
        return
    from orchestrator.host.namespaces import refused_user_namespaces

    refusal = refused_user_namespaces()
    if refusal is not None:
        raise EngineError(
            f"podman would need a user namespace, and {refusal.why}", hint=refusal.remedy, slug="no-user-namespaces"
        )


def builder(facts: EngineFacts) -> tuple[str, str, str]:
    """What builds, and what a plain user's podman with one id alone cannot."""
    name = f"{facts.builder}, {facts.storage_driver} image store"
    if not facts.rootless:
        return name, "", ""
    found = this_users_ids()
    return name, found.lacks, found.remedy
