"""From the named inputs of layers to the packages in an image; pure.

The inputs are what a content id is the hash of, so a list made from them cannot leave
out a package that a layer installs.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from orchestrator.facts.build import BuildPlan, LayerStep


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A package that a layer puts into an image: ``kind`` is ``deb`` or ``pypi``.

    ``sha256`` are the hashes of the files that may satisfy it, ``source`` the source package
    of a Debian package where its path in the archive tells it.
    """

    kind: str
    name: str
    version: str
    sha256: tuple[str, ...]
    layer: str
    level: str
    arch: str = ""
    source: str = ""

    @property
    def purl(self) -> str:
        """The package URL (https://github.com/package-url/purl-spec)."""
        from packageurl import PackageURL

        if self.kind == "pypi":
            return PackageURL("pypi", None, self.name, self.version).to_string()
        named = {"arch": self.arch, "upstream": self.source if self.source != self.name else ""}
        qualifiers = {key: value for key, value in named.items() if value}
        return PackageURL("deb", "debian", self.name, self.version, qualifiers).to_string()


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """An image and the layers that made it, base first: what documents are written about.

    ``digest`` is that of its manifest (``sha256:…``); ``recipe_sha256`` is the hash of the
    benchmark's recipe and empty for an image of no benchmark.
    """

    name: str
    digest: str
    platform: str
    layers: tuple[LayerStep, ...]
    target: str = ""
    benchmark: str = ""
    recipe_sha256: str = ""

    @property
    def content_id(self) -> str:
        """The identity that the image was built under."""
        return self.layers[-1].content_id

    @property
    def architecture(self) -> str:
        """``amd64`` or ``arm64``."""
        return architecture(self.platform)


def architecture(platform: str) -> str:
    """The name of a platform's processor as Debian and OCI spell it."""
    return platform.partition("/")[2]


def subject_of(plan: BuildPlan, step: LayerStep, digest: str, recipe_sha256: str = "") -> Subject:
    """The image of ``step``, one of the layers of ``plan``; ``recipe_sha256`` is the hash of the benchmark's recipe."""
    layers = plan.layers[: plan.layers.index(step) + 1]
    whole = len(layers) == len(plan.layers)
    return Subject(
        name=step.name,
        digest=digest,
        platform=step.platform,
        layers=layers,
        target=plan.target,
        benchmark=plan.benchmark if whole else "",
        recipe_sha256=recipe_sha256 if whole else "",
    )


def packages_of(layers: Sequence[LayerStep]) -> tuple[Package, ...]:
    """Every package of ``layers``, sorted by kind and name; one that a later layer replaces is listed once."""
    found: dict[tuple[str, str], Package] = {}
    for layer in layers:
        for part in _of_layer(layer):
            found[part.kind, part.name] = part
    return tuple(found[key] for key in sorted(found))


def pinned_packages(inputs: Mapping[str, str]) -> Iterator[tuple[str, str, str, tuple[str, ...]]]:
    """Kind (``deb`` or ``pypi``), name, version and hashes of every package that the inputs of a layer name."""
    kinds = {"deb": "deb", "wheel": "pypi", "sdist": "pypi"}
    for input_name, value in inputs.items():
        what, colon, package = input_name.partition(":")
        version, _, hashes = value.partition(" ")
        if colon and what in kinds:
            yield kinds[what], package, version, tuple(sorted(hashes.split()))


def _of_layer(layer: LayerStep) -> Iterator[Package]:
    paths = {deb.name: PurePosixPath(deb.path) for deb in layer.debs}
    for kind, name, version, sha256 in pinned_packages(layer.inputs):
        path = paths.get(name, PurePosixPath()) if kind == "deb" else None
        yield Package(
            kind=kind,
            name=name,
            version=version,
            sha256=sha256,
            layer=layer.name,
            level=layer.level,
            arch=_deb_arch(path, layer.platform) if path is not None else "",
            source=path.parent.name if path is not None else "",
        )


def _deb_arch(path: PurePosixPath, platform: str) -> str:
    """``all`` where the file name says so, else the platform's."""
    return "all" if path.stem.endswith("_all") else architecture(platform)


def base_image(layers: Sequence[LayerStep]) -> tuple[str, str] | None:
    """Name and digest of the image that the lowest layer starts from, None where it starts from packages."""
    kind, _, rest = layers[0].base_source.partition(":")
    name, at, digest = rest.partition("@")
    return (name or kind, digest) if at else None
