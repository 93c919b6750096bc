"""Locks: those that ship fit their recipes; stale ones are refused at the recipe's line."""

from dataclasses import replace

import pytest

from orchestrator.commands.common import wants_locked
from orchestrator.definitions.catalog import builtin_root, load
from orchestrator.definitions.kinds.layers import Layer
from orchestrator.definitions.kinds.lock import Deb, LayerLock, PlatformLock, Wheel
from orchestrator.definitions.locks import lock_text, normalised, platform_lock, wanted_debs
from orchestrator.errors import DefinitionError
from orchestrator.operations.context import Context
from orchestrator.plan.build.planner import build_plans

AMD64 = "linux/amd64"


@pytest.fixture(scope="module")
def catalog():
    return load([builtin_root()])


@pytest.fixture
def changed(catalog):
    """The catalogue with another lock for one layer."""

    def change(layer, **pins):
        lock = catalog.lock(layer)
        new = lock.model_copy(update={"platforms": {AMD64: lock.platforms[AMD64].model_copy(update=pins)}})
        return replace(catalog, _locks={layer: new})

    return change


def layers(catalog):
    return [e.definition for e in catalog.entries("layer") if isinstance(e.definition, Layer)]


ONLY = {"pytorch-cpu": AMD64}
"""Layers whose packages are pinned for one platform alone: the other has no wheels, or no use for them."""


def test_every_layer_that_ships_is_locked_for_every_platform_of_every_target(catalog):
    """Each on the platforms of the targets that have it; what all targets share, on x86-64 at least."""
    used: dict[str, set[str]] = {name: {platform} for name, platform in ONLY.items()}
    for entry in catalog.entries("target"):
        target = entry.definition
        for name in (target.base, target.runtime, *target.frameworks.values(), "loadgen", "toolchain-cpp"):
            if name not in ONLY:
                used.setdefault(name, set()).update(target.platforms)
    for layer in layers(catalog):
        for platform in used.get(layer.name, {AMD64}):
            pins = platform_lock(catalog, layer, platform)
            if layer.unlocked:
                assert catalog.lock(layer.name) is None
                continue
            assert (pins == PlatformLock()) == (not wanted_debs(layer, platform) and not layer.python)


def test_locks_that_ship_are_as_they_would_be_written(catalog):
    for layer in layers(catalog):
        path = catalog.lock_path(layer.name)
        if path is not None:
            assert path.read_text() == lock_text(catalog.lock(layer.name)), path


def test_locks_name_no_host(catalog):
    for layer in layers(catalog):
        path = catalog.lock_path(layer.name)
        assert path is None or "://" not in path.read_text()


def test_numpy_is_the_same_where_data_is_prepared_and_where_it_is_used(catalog):
    versions = {
        wheel.version
        for layer in ("onnxruntime-cpu", "prep")
        for wheel in catalog.lock(layer).platforms[AMD64].wheels
        if wheel.name == "numpy"
    }
    assert len(versions) == 1


def test_a_package_that_the_lock_lacks_is_shown_at_its_line(catalog, changed):
    layer = catalog.layer("runtime-cpu").definition
    debs = catalog.lock("runtime-cpu").platforms[AMD64].debs
    with pytest.raises(DefinitionError) as caught:
        platform_lock(changed("runtime-cpu", debs=debs[2:]), layer, AMD64)
    problems = caught.value.problems()
    assert [p.slug for p in problems] == ["lock-stale", "lock-stale"]
    for problem, name in zip(problems, (debs[0].name, debs[1].name), strict=True):
        line = catalog.layer("runtime-cpu").path.read_text().splitlines()[problem.span.line - 1]
        assert line.strip() == f"- {name}"
        assert "mlorch images lock runtime-cpu" in problem.hint


def test_another_version_than_the_recipe_asks_for_is_refused(catalog, changed):
    layer = catalog.layer("onnxruntime-cpu").definition
    wheels = tuple(
        wheel.model_copy(update={"version": "1.0"}) if wheel.name == "numpy" else wheel
        for wheel in catalog.lock("onnxruntime-cpu").platforms[AMD64].wheels
    )
    with pytest.raises(DefinitionError) as caught:
        platform_lock(changed("onnxruntime-cpu", wheels=wheels), layer, AMD64)
    (problem,) = caught.value.problems()
    assert "numpy 1.0" in problem.message


def test_a_version_that_an_index_spells_otherwise_is_the_same_one(catalog, changed):
    pins = catalog.lock("openvino").platforms[AMD64].wheels
    wheels = tuple(
        wheel.model_copy(update={"version": f"{wheel.version}.0"}) if wheel.name == "openvino" else wheel
        for wheel in pins
    )
    found = changed("openvino", wheels=wheels)
    assert platform_lock(found, found.layer("openvino").definition, AMD64).wheels == wheels


def test_a_package_too_many_is_refused(catalog, changed):
    layer = catalog.layer("runtime-cpu").definition
    debs = catalog.lock("runtime-cpu").platforms[AMD64].debs
    with pytest.raises(DefinitionError) as caught:
        platform_lock(changed("runtime-cpu", debs=(*debs, debs[0].model_copy(update={"name": "sudo"}))), layer, AMD64)
    assert "sudo" in caught.value.message


def test_a_platform_without_pins_is_refused(catalog):
    with pytest.raises(DefinitionError) as caught:
        platform_lock(catalog, catalog.layer("jax-tpu").definition, "linux/arm64")
    assert caught.value.slug == "lock-missing"
    assert "linux/arm64" in caught.value.message


def test_lock_text_does_not_depend_on_order():
    a = Deb(name="aa", version="1", path="p/a.deb", sha256="a" * 64, size=1)
    b = Deb(name="bb", version="1", path="p/b.deb", sha256="b" * 64, size=1)
    wheels = (Wheel(name="x", version="1", sha256=("1" * 64, "0" * 64)),)
    texts = {
        lock_text(LayerLock(layer="l", platforms={AMD64: PlatformLock(debs=debs, wheels=wheels)}))
        for debs in ((a, b), (b, a))
    }
    assert len(texts) == 1


@pytest.mark.parametrize(
    ("name", "expected"), [("Typing_Extensions", "typing-extensions"), ("a.b[extra]", "a-b"), ("numpy", "numpy")]
)
def test_names_as_indexes_spell_them(name, expected):
    assert normalised(name) == expected


def test_the_drift_of_every_layer_is_told_at_once(catalog):
    locks = {}
    for name in ("base-bookworm", "runtime-cpu"):
        lock = catalog.lock(name)
        pins = lock.platforms[AMD64]
        locks[name] = lock.model_copy(update={"platforms": {AMD64: pins.model_copy(update={"debs": pins.debs[1:]})}})
    with pytest.raises(DefinitionError) as caught:
        build_plans(replace(catalog, _locks=locks), target="cpu", benchmarks=["image-fashion"])
    assert len(caught.value.problems()) == 2


@pytest.mark.parametrize(
    ("given", "environment", "expected"),
    [
        (None, {}, False),
        (None, {"CI": "true"}, True),
        (None, {"CI": "1"}, True),
        (None, {"CI": "false"}, False),
        (None, {"CI": "true", "MLORCH_LOCKED": "0"}, False),
        (None, {"MLORCH_LOCKED": "1"}, True),
        (False, {"CI": "true"}, False),
        (True, {}, True),
    ],
)
def test_in_ci_nothing_moves_unless_told_otherwise(monkeypatch, given, environment, expected):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert wants_locked(given) is expected


def test_with_locked_this_machines_own_locks_do_not_count(monkeypatch):
    monkeypatch.setattr("orchestrator.operations.relock.with_own_locks", lambda roots: (*roots, "own"))
    assert Context().roots()[-1] == "own"
    assert Context(locked=True).roots()[-1] != "own"


def test_of_two_locks_at_once_the_later_one_is_whole_and_says_so(catalog, monkeypatch, tmp_path, capsys):
    from orchestrator.cli import run
    from orchestrator.operations.images import lock as operation

    path, made = tmp_path / "onnxruntime-cpu.lock.yaml", []

    def make_lock(_layer, old, **_):
        if not made:
            path.write_text("of another command, which was quicker")
        made.append(old)
        return old

    monkeypatch.setattr(operation, "make_lock", make_lock)
    for told in (True, False):
        assert run(["images", "lock", "onnxruntime-cpu", "-o", str(tmp_path)]) == 0
        assert path.read_text() == lock_text(catalog.lock("onnxruntime-cpu"))
        assert (f"another command wrote {path} meanwhile" in capsys.readouterr().err) is told
    assert [one.name for one in tmp_path.iterdir()] == [path.name]
