"""What `mlorch.yaml` may say, and the list of published images that its `images` names."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from orchestrator.definitions.kinds.base import Digest, Name, Platform, Sha256, Strict

Url = Annotated[str, StringConstraints(pattern=r"^https?://(?![^/]*@)[A-Za-z0-9.:\[\]_-]+(?:/[A-Za-z0-9._~/+%=-]*)?\Z")]
"""Without credentials: settings are shown and recorded."""
RegistryName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9.-]+(?::[0-9]+)?(?:/[a-z0-9._/-]+)?\Z")]
BaseSourceOption = Annotated[
    str, StringConstraints(pattern=r"^(?:bootstrap|registry|registry:[A-Za-z0-9._:/-]+@sha256:[0-9a-f]{64}|oci:.+)\Z")
]
EngineHost = Annotated[
    str, StringConstraints(pattern=r"^(?:unix:///.+|(?:ssh|tcp)://(?![^/]*:[^/]*@)[A-Za-z0-9.:@\[\]_-]+)\Z")
]


MirrorAddress = Annotated[
    str, StringConstraints(pattern=r"^(?:https://(?![^/]*@)|ssh://(?![^/]*:[^/]*@)|file:///)?[A-Za-z0-9@:._/~+%-]+\Z")
]


DataName = Annotated[
    str, StringConstraints(pattern=r"^(?:(?:model|dataset)/)?[a-z0-9]+(?:[._-][a-z0-9]+)*\Z", max_length=80)
]


class Mirrors(Strict):
    """What stands for addresses that this site does not reach."""

    git: dict[
        Annotated[str, StringConstraints(pattern=r"^(?:https|ssh|file)://[A-Za-z0-9@:._/~+%-]*\Z")], MirrorAddress
    ] = Field(default_factory=dict)
    """Beginning of an address → another one, or a folder: ``https://github.com/: /srv/git/``."""


class SettingsFile(Strict):
    """One `mlorch.yaml`; what it leaves out is left to the environment and the host."""

    recipes: tuple[str, ...] = Field(
        default=(), description="folders, or git addresses at a ref: https://HOST/REPO@TAG"
    )
    registries: tuple[RegistryName, ...] = Field(default=(), description="where images are looked for before building")
    images: str = Field(default="", description="list of published images whose digests bind: `mlorch images push -o`")
    base_source: BaseSourceOption = Field(
        default="", description="bootstrap, registry, registry:IMAGE@sha256:… or oci:PATH"
    )
    ca_bundle: str = Field(default="", description="PEM file that builds and runs trust")
    pip_index: Url = Field(default="", description="address of a Python package index")
    debian_mirror: Url = Field(default="", description="address of a mirror of the Debian archive")
    debian_security_mirror: Url = Field(default="", description="the same for security updates")
    hf_endpoint: Url = Field(default="", description="address of the Hugging Face hub, or of a mirror of it")
    data: dict[DataName, str] = Field(
        default_factory=dict, description="model or dataset → the folder of one who has it already"
    )
    mirrors: Mirrors = Field(default=Mirrors(), description="git: beginnings of addresses, and what stands for each")
    engine: Name = Field(default="", description="container engine")
    engine_host: EngineHost = Field(
        default="", description="where the engine listens, as DOCKER_HOST says it: unix:///PATH, ssh://USER@HOST"
    )
    target: Name = Field(default="", description="hardware target, instead of the detected one")
    results: str = Field(default="", description="folder of results")
    safe_folders: tuple[str, ...] = Field(
        default=(),
        description="folders of other users whose mlorch.yaml counts, or `*`; only in the user's own file",
    )


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
