"""What will be built: layers as frozen steps.

Of the standard library, and apart from what runs: a kept plan is read on every `mlorch plan`.
"""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 (the codec reads the annotations)
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextFile:
    """A file that enters a build context at ``path``: copied from ``source``, or made of ``text``."""

    path: str
    sha256: str
    mode: int = 0o644
    source: str = ""
    text: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DebPin:
    """A Debian package to lay into a root file system; ``path`` below an archive mirror's root."""

    name: str
    version: str
    archive: str
    path: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TreePin:
    """The files of a commit of a git repository (those below ``paths``), laid out at ``path`` of the context."""

    path: str
    url: str
    commit: str
    paths: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SdistPin:
    """The source of a Python distribution, which a layer compiles."""

    name: str
    version: str
    filename: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerStep:
    """One layer: a Dockerfile, its context, its parent and its identity.

    ``inputs`` are the named parts of the content id; `plan --explain` compares
    them with the label of the image that was built last.
    """

    name: str
    level: str
    platform: str
    content_id: str
    parent: str | None
    dockerfile: str
    files: tuple[ContextFile, ...] = ()
    debs: tuple[DebPin, ...] = ()
    """Packages that are laid out as ``rootfs.tar`` in the context."""
    pip: DebPin | None = None
    """The package whose pip installs this layer's wheels; mounted into the step, never in the image."""
    sdists: tuple[SdistPin, ...] = ()
    """Sources that this layer compiles, below ``sdists`` in the context."""
    toolchain: str = ""
    """The layer whose lock pins the compiler; empty where nothing is compiled."""
    tools: tuple[DebPin, ...] = ()
    """The packages of the compiler, laid out as ``tools.tar``; in a stage of the build, never in the image."""
    common: str = ""
    """What the Dockerfile would hash to were nothing compiled, as where there are wheels; empty: its own hash."""
    trees: tuple[TreePin, ...] = ()
    inputs: Mapping[str, str] = field(default_factory=dict)
    base_source: str = ""
    """``bootstrap``, ``registry:IMAGE@DIGEST`` or ``oci:@DIGEST`` for a base layer, else empty.

    ``registry:IMAGE`` without a digest is unlocked: such a step is planned and shown, never built.
    """
    contexts: Mapping[str, str] = field(default_factory=dict)
    """Named build contexts; where they lie is no part of the identity."""
    unpinned: tuple[str, ...] = ()
    """What the layer asks for and no lock pins: such a step is planned and shown, never built."""

    @property
    def unlocked(self) -> str:
        """The image of a base whose digest nobody has looked up; empty for every other layer."""
        kind, _, image = self.base_source.partition(":")
        return image if kind == "registry" and "@" not in image else ""

    @property
    def repository(self) -> str:
        """Where images of this layer live in an engine: ``localhost/mlorch/<name>``.

        A name without a registry would mean a public one: a parent that is missing would be
        looked for there, under a name that is not ours.
        """
        return f"localhost/mlorch/{self.name}"

    @property
    def image(self) -> str:
        """The local reference: repository and content id as the tag."""
        return f"{self.repository}:{self.content_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildPlan:
    """The layers of one image, parents first; the last one is what runs."""

    target: str
    benchmark: str
    platform: str
    layers: tuple[LayerStep, ...]
    framework: str = ""
    """The framework of the benchmark on this target; empty for a side image."""
    arch: str = ""
    """What device code is built for; empty where the target has no such axis."""

    @property
    def image(self) -> str:
        """The reference of the finished image."""
        return self.layers[-1].image
