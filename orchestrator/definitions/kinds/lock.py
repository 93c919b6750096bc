"""What `images/*.lock.yaml` holds: base digests, commits, exact packages with their hashes; one file per layer.

A model or dataset whose recipe has no hashes has a file of its own, ``images/model-NAME.lock.yaml``.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from orchestrator.definitions.kinds.base import (
    Commit,
    DebName,
    Digest,
    GitRef,
    GitUrl,
    ImageName,
    Name,
    Platform,
    RelativePath,
    Sha256,
    Strict,
)
from orchestrator.definitions.kinds.sources import FilePath  # noqa: TC001 (pydantic reads it)


class Deb(Strict):
    """One Debian package; ``path`` is relative to the root of an archive mirror."""

    name: DebName
    version: str
    archive: Literal["main", "security"] = "main"
    path: RelativePath
    sha256: Sha256
    size: int = Field(gt=0)


class Wheel(Strict):
    """One Python distribution and the hashes of the files that may satisfy it."""

    name: str
    version: str
    sha256: tuple[Sha256, ...] = Field(min_length=1)


class Sdist(Strict):
    """One Python distribution as source, compiled while the layer is built."""

    name: str
    version: str
    filename: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*\.(?:tar\.gz|zip)\Z")]
    sha256: Sha256
    size: int = Field(gt=0)


class BasePin(Strict):
    """The manifest that a registry gave for a base image (its name and tag as in the recipe) on one platform."""

    image: ImageName
    digest: Digest


class GitPin(Strict):
    """The commit that a repository's ref named."""

    url: GitUrl
    ref: GitRef
    commit: Commit


class PlatformLock(Strict):
    """The pins of one layer on one platform, sorted by name."""

    bases: tuple[BasePin, ...] = ()
    git: tuple[GitPin, ...] = ()
    debs: tuple[Deb, ...] = ()
    wheels: tuple[Wheel, ...] = ()
    sdists: tuple[Sdist, ...] = ()


class LayerLock(Strict):
    """One lock file."""

    version: Literal["1"] = "1"
    layer: Name
    platforms: dict[Platform, PlatformLock] = Field(min_length=1)


class LockedFile(Strict):
    """A file of a source, as it was when it was first fetched."""

    path: FilePath
    sha256: Sha256
    size: int = Field(ge=0)


class LockedSource(Strict):
    """The files that a source gave; ``source`` names it as messages do."""

    source: str
    files: tuple[LockedFile, ...] = ()


class LockedOutput(Strict):
    """What an output was: the hash of a file, or of a folder's manifest with the number of its files."""

    path: RelativePath
    sha256: Sha256
    files: int | None = Field(default=None, gt=0)
    size: int = Field(ge=0)


class AssetLock(Strict):
    """The hashes of a model or dataset whose recipe has none: of what came when somebody fetched it first.

    ``recipe`` is a hash of what the recipe says of sources, steps and outputs; of another one the lock is void.
    """

    version: Literal["1"] = "1"
    kind: Literal["model", "dataset"]
    name: Name
    recipe: Sha256
    sources: tuple[LockedSource, ...] = ()
    outputs: tuple[LockedOutput, ...] = Field(min_length=1)
