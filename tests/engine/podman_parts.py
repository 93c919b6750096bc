"""podman for tests: the host's, else unpacked from the distribution's packages into mlorch's own folder."""

from __future__ import annotations

import json

from orchestrator.engines import engine_factory
from orchestrator.engines.consent import Consent


def podman():
    """The podman engine, got where there is none: nothing is installed, and a second time it is there."""
    chosen = engine_factory("podman")
    chosen.ensure(Consent(yes=True, confirm=None, say=print))
    return chosen.connect()


def working_containers(engine) -> set[str]:
    """Containers of builds that are in the store: none belongs to a build that has ended."""
    found = json.loads(engine.podman.ask("ps", "--all", "--external", "--format", "json") or "[]")
    return {item["Id"] for item in found if item.get("Command") == ["buildah"]}


def all_images(engine) -> set[str]:
    """Ids of all images, nameless and intermediate ones too."""
    return set(engine.podman.ask("images", "--all", "--quiet", "--no-trunc").split())
