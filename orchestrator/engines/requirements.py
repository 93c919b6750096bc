"""Whether an engine can do what mlorch needs, from what it says of itself."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.engines.model import EngineFacts

LEAST_API = (1, 42)
"""Docker 23: the first whose own Dockerfile frontend knows heredocs, `COPY --link` and `ADD --checksum`."""
LEAST_BUILDX = (0, 10)
"""The first that knows `--provenance`; what it says of its progress is read either way."""


def too_old(facts: EngineFacts) -> str:
    """Why the daemon itself cannot build mlorch's layers; empty where it can."""
    if numbers(facts.api_version) < LEAST_API:
        return f"engine {facts.version} (API {facts.api_version}) is too old to build with; it takes Docker 23 or newer"
    return ""


def unmet_requirement(facts: EngineFacts) -> str:
    """Why mlorch cannot build with this engine and its client; empty where it can."""
    if why := too_old(facts):
        return why
    if facts.buildx is None:
        return "the docker client has no buildx plugin"
    if numbers(facts.buildx) < LEAST_BUILDX:
        return f"buildx {facts.buildx} is too old; it takes 0.10 or newer"
    return ""


def numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version: ``0.13.1+ds1`` is (0, 13, 1)."""
    match = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(int(part) for part in match.group().split(".")) if match else ()
