"""What the tests of a session leave behind: their images are removed, and anything else fails the session.

The images of built-in recipes stay: they are the cache that makes the next session quick.
"""

from __future__ import annotations

import functools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.engines import ENGINES, engine_factory
from orchestrator.engines.private.podman import home
from orchestrator.errors import EngineError, MlorchError, StepFailed
from orchestrator.images.prune import ID_LABEL, is_own
from orchestrator.operations.context import Context
from orchestrator.operations.images.listing import current_ids
from orchestrator.runs.sweep import RUN_LABEL, orphaned

if TYPE_CHECKING:
    from orchestrator.engines import Engine, ImageFacts

TEST_LABEL = "org.mlorch.test"
FOLDERS_IN, FOLDERS = Path("/var/tmp"), "mlorch-test-*"
"""An engine that a test starts for itself looks after its own: `own_engine.left_by`."""


@dataclass
class LeftOver:
    """Made when a session starts, so that it knows what was there before."""

    images: dict[str, set[str]] = field(init=False)
    folders: set[Path] = field(init=False)

    def __post_init__(self) -> None:
        self.images = {engine.name: image_names(engine) for engine in running_engines()}
        if not (home() / "storage").exists():  # podman comes with the first test that wants it, and has no image yet
            self.images.setdefault("podman", set())
        self.folders = set(folders_of_tests())

    def remove_images(self) -> None:
        """Remove the images that came since, but for those of built-in recipes; upper layers first."""
        for engine in running_engines():
            with ThreadPoolExecutor(8) as pool:  # those that go together cost the engine little more than one
                for _, same in groupby(sorted(self.new_images(engine), key=depth), key=depth):
                    list(pool.map(functools.partial(removed, engine), [facts.image for facts in same]))

    def findings(self) -> list[str]:
        """What is left of the tests, in words; empty where nothing is."""
        found = [f"the folder {path}" for path in sorted(folders_of_tests()) if path not in self.folders]
        for engine in running_engines():
            found += [f"the image {facts.image} in {engine.name}" for facts in self.new_images(engine)]
            engine.wait_removed()
            containers = [*engine.containers(TEST_LABEL), *filter(orphaned, engine.containers(RUN_LABEL))]
            found += [f"the container {facts.name} in {engine.name}" for facts in containers]
        return found

    def new_images(self, engine: Engine) -> list[ImageFacts]:
        """Images that came since the session started and belong to no built-in recipe."""
        before = self.images.get(engine.name)
        if before is None:  # nobody could say what was there, so nothing is touched
            return []
        new = [facts for name in image_names(engine) - before if (facts := engine.image(name)) is not None]
        new.sort(key=lambda facts: facts.image)
        return [facts for facts in new if not is_own(facts) or facts.labels[ID_LABEL] not in built_in_ids()]


@functools.cache
def built_in_ids() -> frozenset[str]:
    """The content ids of everything that the recipes that ship can make on this machine."""
    return current_ids(Context())


def depth(facts: ImageFacts) -> int:
    """Upper images come first."""
    return -len(facts.layers)


def removed(engine: Engine, image: str) -> bool:
    """Whether the image went; a container may need it, and then `findings` names both."""
    try:
        engine.remove_image(image)
    except MlorchError:
        return False
    return True


def running_engines() -> list[Engine]:
    """The engines that can be asked now; none is started or fetched for this."""
    found = []
    for name in ENGINES:
        try:
            found.append(engine_factory(name).connect())
        except EngineError:
            continue
    return found


def image_names(engine: Engine) -> set[str]:
    """The name of every image that mlorch or a test built; quicker than `Engine.images`, which looks into each."""
    try:
        listed = _LISTED[engine.name](engine)
    except StepFailed:  # somebody removed an image while podman listed it
        listed = _LISTED[engine.name](engine)
    found = set()
    for names, labels in listed:
        if {ID_LABEL, TEST_LABEL} & (labels or {}).keys():
            found.update(names or ())
    return found


_LISTED = {
    "docker": lambda engine: [(one["RepoTags"], one["Labels"]) for one in engine.sdk.images()],
    "podman": lambda engine: [
        (one.get("Names"), one.get("Labels")) for one in engine.podman.documents("images", "--format", "json")
    ],
}
"""Names and labels of all images, by one question each."""


def folders_of_tests() -> list[Path]:
    """Folders that tests make outside of pytest's own folder."""
    return list(FOLDERS_IN.glob(FOLDERS))
