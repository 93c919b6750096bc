"""What a recipe may say of a layer: one rendered Dockerfile with one parent, and the base of the lowest."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from orchestrator.definitions.kinds.base import (
    AbsolutePath,
    DebName,
    Definition,
    Digest,
    EnvName,
    EnvValue,
    GitRef,
    GitUrl,
    ImageName,
    Level,
    Line,
    Name,
    Platform,
    RelativePath,
    Requirement,
    Strict,
)


class RegistrySource(Strict):
    """A base image from a registry; its digest is here or in the lock, else it is unlocked: planned, never built."""

    kind: Literal["registry"]
    image: ImageName
    digests: dict[Platform, Digest] = Field(default_factory=dict)
    package_manager: Literal["apt", "none"] = "apt"


class OciSource(Strict):
    """A base image in an OCI layout folder or archive on this machine."""

    kind: Literal["oci"]
    path: str
    package_manager: Literal["apt", "none"] = "none"


class BootstrapSource(Strict):
    """A root file system made from the distribution's packages, without a registry."""

    kind: Literal["bootstrap"]
    suite: Name
    debs: tuple[DebName, ...] = Field(min_length=1)


BaseSource = Annotated[RegistrySource | OciSource | BootstrapSource, Field(discriminator="kind")]


class CopiedFile(Strict):
    """A file or folder that a layer copies in; ``source`` is beside the recipe or ``builtin:PATH``."""

    source: Annotated[str, StringConstraints(pattern=r"^(?:builtin:)?(?!/)(?!.*(?:^|/)\.\.(?:/|\Z))[A-Za-z0-9._/-]+\Z")]
    to: AbsolutePath


class GitTree(Strict):
    """The files of a repository at a ref, copied in at ``to``; the lock says which commit the ref is.

    A ref that is a commit (40 digits) needs no lock. With `paths` only those files and folders are copied.
    """

    url: GitUrl
    ref: GitRef
    to: AbsolutePath
    paths: tuple[RelativePath, ...] = ()


class Layer(Definition):
    """One rendered Dockerfile with one parent."""

    kind: Literal["layer"]
    level: Level
    over: Name | None = None
    """A layer of the same level below this one: CUDA's libraries over the Python that other targets share."""
    template: RelativePath
    sources: tuple[BaseSource, ...] = ()
    debs: tuple[DebName, ...] = ()
    debs_on: dict[Platform, tuple[DebName, ...]] = Field(default_factory=dict)
    """Packages that only one platform has, e.g. the assembler of its processor; beside `debs`."""
    python: tuple[Requirement, ...] = ()
    from_source: dict[Platform, tuple[str, ...]] = Field(default_factory=dict)
    """Which distributions of `python` have no wheel there: compiled from their pinned source by `toolchain`."""
    toolchain: Name | None = None
    """The side layer whose packages compile; they are in the step that does it and in no image."""
    python_version: Line = "3.11"
    env: dict[EnvName, EnvValue] = Field(default_factory=dict)
    copy_files: tuple[CopiedFile, ...] = Field(default=(), alias="copy")
    git: tuple[GitTree, ...] = ()
    per_arch: bool = False
    """Whether what is in the layer depends on the target's `arch`; then each arch has images of its own."""
    smoke: tuple[str, ...] = ()
    """A command (argv) that must succeed in the finished layer, e.g. an import."""
    unlocked: Annotated[str, StringConstraints(pattern=r"^(?:|.{8,400})\Z")] = ""
    """Why nobody has made its lock yet: such a layer is planned and rendered, never built."""
