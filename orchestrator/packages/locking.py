"""Making locks: what registries, repositories, the distribution's signed lists and the Python index have now.

Debian packages are looked up by apt with folders of its own, so that neither root nor
the host's state is needed and every list is checked against the distribution's keys.
Wheels are resolved by pip for the platform of the image, not of the host. A base's digest
is what a registry answered for its tag, or it is not in the lock at all.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.definitions.kinds.lock import BasePin, Deb, GitPin, LayerLock, PlatformLock, Sdist, Wheel
from orchestrator.definitions.locks import compiled_on, normalised, registry_images, suite, wanted_debs
from orchestrator.errors import AssetError, MlorchError, UsageError
from orchestrator.host.command import run_program
from orchestrator.host.folders import cache_home
from orchestrator.host.scratch import scratch_folder, secret_folder
from orchestrator.packages.fetch import Fetcher, sdist_pin
from orchestrator.packages.wheels import last_words, python_pins

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from orchestrator.definitions.kinds.layers import Layer

    Unlocked = Callable[[str, str, str, MlorchError], None]
    """Called for a base that no registry answers for: image, platform, the digest that it keeps, and why."""

_ARCH = {"linux/amd64": "amd64", "linux/arm64": "arm64"}
_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_SUITE = "bookworm"
"""Of a layer whose recipe names none."""
_TIMEOUT_S = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Origins:
    """Where digests and commits come from; without one, the pins that are there stay as they are.

    ``digest`` gives what a registry has for an image on a platform (and raises `MlorchError`
    where it gives none), ``commit`` what a repository's ref names. ``fetch`` knows the archives
    and indexes of the site.
    """

    fetch: Fetcher
    digest: Callable[[str, str], str] | None = None
    commit: Callable[[str, str], str] | None = None
    unlocked: Unlocked = lambda _image, _platform, _digest, _error: None


def make_lock(
    layer: Layer,
    old: LayerLock | None,
    *,
    platforms: Sequence[str],
    update: Sequence[str] = (),
    origins: Origins,
    say: Callable[[str], None] = lambda _text: None,
) -> LayerLock:
    """The lock of `layer` as of now; with ``update`` only those names move, all other pins stay.

    A base that no registry answers for keeps the digest that it had, or has none.

    Raises:
        AssetError: apt, pip or git is missing or failed, or a package does not exist.
        UsageError: ``update`` names something that the layer does not have, or a ref is not there.
    """
    found: dict[str, PlatformLock] = {}
    for platform in platforms:
        pinned = old.platforms.get(platform, PlatformLock()) if old else PlatformLock()
        locker = _Locker(layer=layer, platform=platform, old=pinned, update=update, origins=origins)
        found[platform] = locker.lock(say)
    _check_update(layer, found, update)
    others = {name: pins for name, pins in old.platforms.items() if name not in found} if old else {}
    return LayerLock(layer=layer.name, platforms={**others, **found})


def _check_update(layer: Layer, found: Mapping[str, PlatformLock], update: Sequence[str]) -> None:
    known: set[str] = set()
    for platform, pins in found.items():
        known |= {deb.name for deb in pins.debs} | {wheel.name for wheel in pins.wheels}
        known |= {sdist.name for sdist in pins.sdists}
        known |= {pin.url for pin in pins.git} | set(registry_images(layer, platform))
    for name in update:
        if name not in known and normalised(name) not in known:
            raise UsageError(
                f"layer `{layer.name}` has nothing named `{name}` to move",
                hint=f"it has: {', '.join(sorted(known)) or 'none'}",
                slug="unknown-package",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Locker:
    """Looks up what a layer is made of on one platform; ``old`` are the pins that are there."""

    layer: Layer
    platform: str
    old: PlatformLock
    update: Sequence[str]
    origins: Origins

    def lock(self, say: Callable[[str], None]) -> PlatformLock:
        """The pins as of now. Raises as `make_lock`."""
        return PlatformLock(
            bases=self._bases(),
            git=self._git(),
            debs=self._debs(say),
            wheels=self._wheels(),
            sdists=self._sdists(),
        )

    def _bases(self) -> tuple[BasePin, ...]:
        kept = {pin.image: pin for pin in self.old.bases}
        found = []
        for image in registry_images(self.layer, self.platform):
            pin = kept.get(image)
            if self.origins.digest is not None and (pin is None or not self.update or image in self.update):
                try:
                    pin = BasePin(image=image, digest=self.origins.digest(tagged(image), self.platform))
                except MlorchError as error:
                    self.origins.unlocked(image, self.platform, pin.digest if pin is not None else "", error)
            if pin is not None:
                found.append(pin)
        return tuple(sorted(found, key=lambda pin: pin.image))

    def _git(self) -> tuple[GitPin, ...]:
        kept = {(pin.url, pin.ref): pin for pin in self.old.git}
        found: dict[tuple[str, str], GitPin] = {}
        for tree in self.layer.git:
            pin = kept.get((tree.url, tree.ref))
            if self.origins.commit is not None and (pin is None or not self.update or tree.url in self.update):
                pin = GitPin(url=tree.url, ref=tree.ref, commit=self.origins.commit(tree.url, tree.ref))
            if pin is not None:
                found[tree.url, tree.ref] = pin
        return tuple(found[key] for key in sorted(found))

    def _debs(self, say: Callable[[str], None]) -> tuple[Deb, ...]:
        layer, update, names = self.layer, self.update, wanted_debs(self.layer, self.platform)
        kept = {deb.name: deb for deb in self.old.debs if update and deb.name not in update and deb.name in names}
        moving = [name for name in names if name not in kept]
        say(f"{layer.name} {self.platform}: {len(moving)} Debian packages, {len(layer.python)} Python requirements")
        fresh = debian_pins(moving, self.platform, suite(layer) or _SUITE, self.origins.fetch) if moving else []
        return tuple(sorted([*kept.values(), *fresh], key=lambda deb: deb.name))

    def _wheels(self) -> tuple[Wheel, ...]:
        layer, names = self.layer, self._requirements()
        compiled = compiled_on(layer, self.platform)
        requirements = [text for name, text in names.items() if name not in compiled]
        if not requirements:
            return ()
        kept = []
        for wheel in self.old.wheels:
            if self._stays(wheel.name) and wheel.name not in names:
                kept.append(f"{wheel.name}=={wheel.version}")
        site = self.origins.fetch.site
        return python_pins(requirements, self.platform, layer.python_version, constraints=kept, site=site)

    def _sdists(self) -> tuple[Sdist, ...]:
        """The sources of what is compiled; what they need has to be in the recipe, as none of them is run here."""
        kept = {(sdist.name, sdist.version): sdist for sdist in self.old.sdists if self._stays(sdist.name)}
        found = []
        for name, requirement in self._requirements().items():
            if name in compiled_on(self.layer, self.platform):
                version = requirement.partition("==")[2]
                found.append(kept.get((name, version)) or sdist_pin(name, version, self.origins.fetch))
        return tuple(sorted(found, key=lambda sdist: sdist.name))

    def _requirements(self) -> dict[str, str]:
        """What the layer asks of the Python index, by name."""
        return {normalised(text.partition("==")[0]): text for text in self.layer.python}

    def _stays(self, distribution: str) -> bool:
        return bool(self.update) and distribution not in {normalised(name) for name in self.update}


def tagged(image: str) -> str:
    """`image`, which must name a tag: what `latest` is would be no statement of the recipe.

    Raises:
        UsageError: `base-untagged`.
    """
    if ":" not in image.rpartition("/")[2]:
        raise UsageError(
            f"the image `{image}` names no tag, so there is nothing to look up",
            hint="write the tag that is meant in the recipe: IMAGE:TAG",
            slug="base-untagged",
        )
    return image


# -- Debian packages -------------------------------------------------------------------------


def debian_pins(names: Sequence[str], platform: str, suite_name: str, fetch: Fetcher) -> list[Deb]:
    """The newest versions of packages in a suite, its updates and its security archive.

    Raises:
        AssetError: `no-apt`, `no-mirror`, `apt-failed`, or `no-package` naming those that do not exist.
    """
    from debian.deb822 import Deb822

    if shutil.which("apt-get") is None or not _KEYRING.is_file():
        raise AssetError(
            "locking Debian packages needs apt-get and Debian's archive keys on this machine",
            hint="run `mlorch images lock` on a Debian machine; the lock it writes is good everywhere",
            slug="no-apt",
        )
    arch = _ARCH[platform]
    with scratch_folder(cache_home() / "scratch", "apt-") as folder, secret_folder() as sources:
        options = _apt_state(folder, sources, arch, suite_name, fetch.mirrors)
        _apt(["apt-get", *options, "update", "-qq"])
        text = _apt(["apt-cache", *options, "show", "--no-all-versions", *names])
    pins = {stanza["Package"]: _deb(stanza) for stanza in Deb822.iter_paragraphs(text, use_apt_pkg=False)}
    if missing := sorted(set(names) - pins.keys()):
        raise AssetError(f"suite {suite_name} has no package {', '.join(missing)} for {arch}", slug="no-package")
    return [pins[name] for name in names]


def _apt_state(
    folder: Path, sources: Path, arch: str, suite_name: str, mirrors: Mapping[str, Sequence[str]]
) -> list[str]:
    """Folders of apt's own below `folder`, its list in `sources`: addresses may hold a password. The options for it."""
    for part in ("lists/partial", "cache/archives/partial"):
        (folder / part).mkdir(parents=True)
    stanzas = [
        (mirrors["main"][0], f"{suite_name} {suite_name}-updates"),
        *((url, f"{suite_name}-security") for url in mirrors.get("security", ())[:1]),
    ]
    text = "\n".join(
        f"Types: deb\nURIs: {url}\nSuites: {suites}\nComponents: main\nArchitectures: {arch}\nSigned-By: {_KEYRING}\n"
        for url, suites in stanzas
    )
    (sources / "lock.sources").write_text(text, encoding="utf-8")
    (folder / "status").touch()
    values = {
        "Dir::State::Lists": folder / "lists",
        "Dir::State::status": folder / "status",
        "Dir::Cache": folder / "cache",
        "Dir::Etc::sourcelist": "/dev/null",
        "Dir::Etc::sourceparts": sources,
        "Dir::Etc::preferencesparts": "/dev/null",
        "Dir::Etc::preferences": "/dev/null",
        "APT::Architecture": arch,
        "APT::Architectures::": arch,
        "APT::Sandbox::User": "root",
        "Acquire::Languages": "none",
        "Acquire::Retries": "3",
    }
    return [word for key, value in values.items() for word in ("-o", f"{key}={value}")]


def _apt(argv: list[str]) -> str:
    done = run_program(argv, timeout_s=_TIMEOUT_S)
    if done.code != 0 and "No packages found" not in done.stderr:
        raise AssetError(f"{argv[0]} failed with status {done.code}", slug="apt-failed", detail=last_words(done.stderr))
    return done.stdout


def _deb(stanza: Mapping[str, str]) -> Deb:
    path = stanza["Filename"]
    return Deb(
        name=stanza["Package"],
        version=stanza["Version"],
        # The security archive keeps its pool below `updates`; the main one never does.
        archive="security" if path.startswith("pool/updates/") else "main",
        path=path,
        sha256=stanza["SHA256"],
        size=int(stanza["Size"]),
    )
