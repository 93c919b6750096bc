"""What `mlorch.yaml` may say, and the list of published images that its `images` names."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from orchestrator.definitions.kinds.base import Digest, Name, Platform, Sha256, Strict

Url = Annotated[str, StringConstraints(pattern=r"^https?://(?![^/]*@)[A-Za-z0-9.:\[\]_-]+(?:/[A-Za-z0-9._~/+%=-]*)?\Z")]
"""Without credentials: settings are shown and recorded."""
RegistryName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9.-]+(?::[0-9]+)?(?:/[a-z0-9._/-]+)?\Z")]
BaseSourceWish = Annotated[
    str, StringConstraints(pattern=r"^(?:bootstrap|registry|registry:[A-Za-z0-9._:/-]+@sha256:[0-9a-f]{64}|oci:.+)\Z")
]
EngineHost = Annotated[
    str, StringConstraints(pattern=r"^(?:unix:///.+|(?:ssh|tcp)://(?![^/]*:[^/]*@)[A-Za-z0-9.:@\[\]_-]+)\Z")
]


class SettingsFile(Strict):
    """One `mlorch.yaml`; what it leaves out is left to the environment and the host."""

    recipes: tuple[str, ...] = Field(
        default=(), description="folders, or git addresses at a ref: https://HOST/REPO@TAG"
    )
    registries: tuple[RegistryName, ...] = Field(default=(), description="where images are looked for before building")
    images: str = Field(default="", description="list of published images whose digests bind: `mlorch images push -o`")
    base_source: BaseSourceWish = Field(
        default="", description="bootstrap, registry, registry:IMAGE@sha256:… or oci:PATH"
    )
    ca_bundle: str = Field(default="", description="PEM file that builds and runs trust")
    pip_index: Url = Field(default="", description="address of a Python package index")
    debian_mirror: Url = Field(default="", description="address of a mirror of the Debian archive")
    debian_security_mirror: Url = Field(default="", description="the same for security updates")
    engine: Name = Field(default="", description="container engine")
    engine_host: EngineHost = Field(
        default="", description="where the engine listens, as DOCKER_HOST says it: unix:///PATH, ssh://USER@HOST"
    )
    target: Name = Field(default="", description="hardware target, instead of the detected one")
    results: str = Field(default="", description="folder of results")


class PublishedImage(Strict):
    """One image: its layer and identity, and the digest of its manifest."""

    layer: Name
    content_id: Sha256
    platform: Platform
    digest: Digest
    registry: RegistryName


class PublishedList(Strict):
    """One file, as `mlorch images push -o` writes it; its digests bind whoever is given it."""

    version: Literal["1"] = "1"
    images: tuple[PublishedImage, ...] = Field(min_length=1)
