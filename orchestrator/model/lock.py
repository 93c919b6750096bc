"""What `images/*.lock.yaml` holds: exact packages with their hashes, one file per layer."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from orchestrator.model.base import DebName, Name, Platform, RelativePath, Sha256, Strict


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


class PlatformLock(Strict):
    """The pins of one layer on one platform, sorted by name."""

    debs: tuple[Deb, ...] = ()
    wheels: tuple[Wheel, ...] = ()


class LayerLock(Strict):
    """One lock file."""

    version: Literal["1"] = "1"
    layer: Name
    platforms: dict[Platform, PlatformLock] = Field(min_length=1)
