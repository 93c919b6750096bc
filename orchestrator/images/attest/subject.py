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

_ARCH = {"linux/amd64": "amd64", "linux/arm64": "arm64"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A package that a layer puts into an image: ``kind`` is ``deb`` or ``pypi``.

    ``sha256`` are the hashes of the files that may satisfy it, ``source`` the source package
    of a Debian package where its place in the archive tells it.
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

    ``digest`` is that of its manifest (``sha256:…``); ``recipe`` and ``recipe_sha256`` name
    the benchmark's recipe and are empty for an image of no benchmark.
    """

    name: str
    digest: str
    platform: str
    layers: tuple[LayerStep, ...]
    target: str = ""
    benchmark: str = ""
    recipe: str = ""
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
    return _ARCH.get(platform, platform.partition("/")[2])


def subject_of(plan: BuildPlan, step: LayerStep, digest: str, recipe: tuple[str, str] = ("", "")) -> Subject:
    """The image of ``step``, one of the layers of ``plan``; ``recipe`` is the benchmark recipe's name and hash."""
    layers = plan.layers[: plan.layers.index(step) + 1]
    whole = len(layers) == len(plan.layers)
    return Subject(
        name=step.name,
        digest=digest,
        platform=step.platform,
        layers=layers,
        target=plan.target,
        benchmark=plan.benchmark if whole else "",
        recipe=recipe[0] if whole else "",
        recipe_sha256=recipe[1] if whole else "",
    )


def packages_of(layers: Sequence[LayerStep]) -> tuple[Package, ...]:
    """Every package of ``layers``, sorted by kind and name; one that a later layer replaces is listed once."""
    found: dict[tuple[str, str], Package] = {}
    for layer in layers:
        for part in _of_layer(layer):
            found[part.kind, part.name] = part
    return tuple(found[key] for key in sorted(found))


def _of_layer(layer: LayerStep) -> Iterator[Package]:
    places = {deb.name: deb.path for deb in layer.debs}
    for name, value in layer.inputs.items():
        what, colon, package = name.partition(":")
        version, _, hashes = value.partition(" ")
        if not colon or what not in {"deb", "wheel", "sdist"}:
            continue
        place = PurePosixPath(places.get(package, ""))
        yield Package(
            kind="deb" if what == "deb" else "pypi",
            name=package,
            version=version,
            sha256=tuple(sorted(hashes.split())),
            layer=layer.name,
            level=layer.level,
            arch=_deb_arch(place, layer.platform) if what == "deb" else "",
            source=place.parent.name if what == "deb" else "",
        )


def _deb_arch(place: PurePosixPath, platform: str) -> str:
    """``all`` where the file name says so, else the platform's."""
    return "all" if place.stem.endswith("_all") else architecture(platform)


def base_image(layers: Sequence[LayerStep]) -> tuple[str, str] | None:
    """Name and digest of the image that the lowest layer starts from, None where it starts from packages."""
    kind, _, rest = layers[0].base_source.partition(":")
    name, at, digest = rest.partition("@")
    return (name or kind, digest) if at else None


def rebuilt(described: Sequence[Mapping[str, object]]) -> tuple[LayerStep, ...]:
    """Layers as a provenance statement describes them (name, level, inputs): enough for `packages_of`."""
    from orchestrator.facts.build import LayerStep

    steps = []
    for layer in described:
        inputs = layer.get("inputs")
        steps.append(
            LayerStep(
                name=str(layer.get("name", "")),
                level=str(layer.get("level", "")),
                platform=str(layer.get("platform", "")),
                content_id=str(layer.get("contentId", "")),
                parent=None,
                dockerfile="",
                inputs={str(k): str(v) for k, v in inputs.items()} if isinstance(inputs, dict) else {},
                base_source=str(layer.get("base", "")),
            )
        )
    return tuple(steps)
