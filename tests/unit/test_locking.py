"""Making locks: what moves, what stays, and what apt and pip said."""

import pytest

from orchestrator.definitions.kinds.layers import Layer
from orchestrator.definitions.kinds.lock import Deb, LayerLock, PlatformLock, Wheel
from orchestrator.errors import AssetError, UsageError
from orchestrator.host.site import SiteConfig
from orchestrator.packages import locking
from orchestrator.packages.fetch import Fetcher

AMD64 = "linux/amd64"
FETCH = Fetcher(SiteConfig(archives={"main": ("http://m/debian",)}))
ORIGINS = locking.Origins(fetch=FETCH)
LAYER = Layer(
    kind="layer",
    name="l",
    title="t",
    level="runtime",
    template="debs.Dockerfile.j2",
    debs=("alpha", "beta"),
    python=("numpy==2.0",),
)
STANZA = """\
Package: alpha
Version: 1:2.0-1+deb12u1
Filename: pool/updates/main/a/alpha/alpha_2.0-1+deb12u1_amd64.deb
Size: 123
SHA256: {digest}
Description: text
 Version: not a field
"""


def pin(name, version):
    return Deb(name=name, version=version, path=f"p/{name}_{version}.deb", sha256="0" * 64, size=1)


def wheel(name, version):
    return Wheel(name=name, version=version, sha256=("1" * 64,))


@pytest.fixture
def world(monkeypatch):
    """A distribution and an index that have newer versions of everything; what they were asked for."""
    asked = {}

    def debs(names, _platform, _suite, _fetch):
        asked["debs"] = list(names)
        return [pin(name, "new") for name in names]

    def wheels(requirements, _platform, _version, *, constraints, site):
        asked["constraints"] = list(constraints)
        kept = dict(line.split("==") for line in constraints)
        return (wheel("numpy", "2.0"), wheel("needed", kept.get("needed", "new")))

    monkeypatch.setattr(locking, "debian_pins", debs)
    monkeypatch.setattr(locking, "python_pins", wheels)
    return asked


@pytest.fixture
def old():
    pins = PlatformLock(
        debs=(pin("alpha", "old"), pin("beta", "old"), pin("left", "old")),
        wheels=(wheel("numpy", "1.0"), wheel("needed", "old")),
    )
    return LayerLock(layer="l", platforms={AMD64: pins, "linux/arm64": pins})


def versions(lock, platform=AMD64):
    pins = lock.platforms[platform]
    return {p.name: p.version for p in (*pins.debs, *pins.wheels)}


def test_everything_moves_unless_told_otherwise(world, old):
    new = locking.make_lock(LAYER, old, platforms=[AMD64], origins=ORIGINS)
    assert versions(new) == {"alpha": "new", "beta": "new", "numpy": "2.0", "needed": "new"}


def test_update_moves_one_package_and_a_package_that_left_the_recipe_goes(world, old):
    new = locking.make_lock(LAYER, old, platforms=[AMD64], origins=ORIGINS, update=["beta"])
    assert world["debs"] == ["beta"]
    assert versions(new) == {"alpha": "old", "beta": "new", "numpy": "2.0", "needed": "old"}


def test_other_platforms_stay_as_they_are(world, old):
    new = locking.make_lock(LAYER, old, platforms=[AMD64], origins=ORIGINS)
    assert new.platforms["linux/arm64"] == old.platforms["linux/arm64"]


def test_update_of_something_that_is_not_there(world, old):
    with pytest.raises(UsageError) as caught:
        locking.make_lock(LAYER, old, platforms=[AMD64], origins=ORIGINS, update=["gamma"])
    assert "gamma" in caught.value.message
    assert "alpha" in caught.value.hint


def test_what_apt_says_becomes_a_pin(monkeypatch):
    digest = "ab" * 32
    monkeypatch.setattr(locking.shutil, "which", lambda _name: "/usr/bin/apt-get")
    monkeypatch.setattr(locking.Path, "is_file", lambda _path: True)
    monkeypatch.setattr(locking, "_apt_state", lambda *_: [])
    monkeypatch.setattr(locking, "_apt", lambda argv: STANZA.format(digest=digest) if "show" in argv else "")
    (found,) = locking.debian_pins(["alpha"], AMD64, "bookworm", FETCH)
    assert (found.version, found.size, found.sha256, found.archive) == ("1:2.0-1+deb12u1", 123, digest, "security")
    with pytest.raises(AssetError) as caught:
        locking.debian_pins(["alpha", "omega"], AMD64, "bookworm", FETCH)
    assert caught.value.slug == "no-package"
    assert "omega" in caught.value.message


def test_without_apt_it_says_where_to_run_it(monkeypatch):
    monkeypatch.setattr(locking.shutil, "which", lambda _name: None)
    with pytest.raises(AssetError) as caught:
        locking.debian_pins(["alpha"], AMD64, "bookworm", FETCH)
    assert caught.value.slug == "no-apt"
    assert "Debian machine" in caught.value.hint
