"""What ships renders to these bytes, on every machine: a layer once, and a list of layers for every target.

`render/layers/<layer>/` holds what `mlorch render` writes for a layer, less what differs by where it stands: its
content id, its parent's, the platform, the target in its name. `render/<target>.txt` lists each image with its
platform, and the content ids of its layers. Where a layer of one name differs between targets, the name of the first target that needs it is added.
"""

from __future__ import annotations

import difflib
import functools
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from orchestrator.definitions.catalog import builtin_root, load
from orchestrator.definitions.catalog.load import load_chosen
from orchestrator.definitions.variations import Change
from orchestrator.plan.build.bases import base_candidates
from orchestrator.plan.build.layers import merge_layers, rendered
from orchestrator.plan.build.planner import build_plan, build_plans
from orchestrator.plan.build.resolve import resolve_side

if TYPE_CHECKING:
    from orchestrator.facts.build import BuildPlan, LayerStep

GOLDEN = Path(__file__).parent / "render"
CATALOG = load([builtin_root()])

ARM = "cpu-arm64"
"""`cpu` once more, for the platform on which LoadGen is compiled."""
TARGETS = ("cpu", *sorted({*CATALOG.names("target"), ARM} - {"cpu"}))
IMPLEMENTATIONS = {
    "rocm": (("llama2-70b", "amd"),),
    "cpu": (("dlrm-v2", "intel"),),
    "cuda": (("llama3.1-8b", "redhat"), ("resnet50", "nvidia"), ("llama2-70b", "nvidia")),
    "xpu": (("llama2-70b", "intel"),),
}
"""For a target the vendors' stacks that are recorded beside the defaults: a benchmark, and whose program runs it."""
NAMED_BY_TARGET = ("benchmark", "side")
OWN_TEXT = frozenset(
    path.read_text(encoding="utf-8") for path in builtin_root().dockerfiles.iterdir() if path.is_file()
)


@functools.cache
def plans_of(target: str) -> tuple[BuildPlan, ...]:
    """One plan for every benchmark of a target, and one for the image that prepares models and data."""
    name, platform = ("cpu", "linux/arm64") if target == ARM else (target, None)
    side = build_plan(CATALOG, resolve_side(CATALOG, target=name, layer="prep", platform=platform))
    return (*build_plans(CATALOG, target=name, platform=platform), side, *plans_of_vendors(target))


def plans_of_vendors(target: str) -> tuple[BuildPlan, ...]:
    """The plan of each vendor's stack that is recorded."""
    plans: list[BuildPlan] = []
    for benchmark, implementation in IMPLEMENTATIONS.get(target, ()):
        catalog = load_chosen(CATALOG, [benchmark], (Change("implementation", implementation),))
        plans += build_plans(catalog, target=target, benchmarks=[benchmark])
    return tuple(plans)


def files_of(step: LayerStep) -> dict[str, str]:
    """What is rendered for a layer, less what ships as it is (its hash is in layer.json)."""
    found = rendered("", [step])
    return {path.removeprefix(f"/{step.name}/"): text for path, text in found.items() if text not in OWN_TEXT}


def of_any_image(step: LayerStep) -> dict[str, str]:
    """The files of a layer without its name and platform, and with the word PARENT for its parent."""
    files = files_of(step)
    facts = json.loads(files["layer.json"])
    assert facts.pop("name") == step.name
    assert facts.pop("platform") == facts["inputs"].pop("platform") == step.platform
    assert facts.pop("image") == f"localhost/mlorch/{step.name}:{facts.pop('content_id')}"
    parent = facts.pop("parent")
    if parent is not None:
        assert facts["inputs"].pop("parent") == parent.partition(":")[2]
        files["Dockerfile"] = files["Dockerfile"].replace(parent, "PARENT")
    files["layer.json"] = json.dumps(facts, indent=1, sort_keys=True) + "\n"
    return files


@functools.cache
def now() -> dict[str, str]:
    """All golden files as the recipes of today make them, by path below `render/`."""
    folders: dict[str, dict[str, str]] = {}
    found: dict[str, str] = {}
    for target in TARGETS:
        listed = []
        for plan in plans_of(target):
            listed.append(f"{plan.layers[-1].name} {plan.layers[-1].platform}\n")
            for above, step in zip((None, *plan.layers), plan.layers, strict=False):
                assert step.parent == (above.image if above else None)
                name = step.name.removesuffix(f"-{plan.target}") if step.level in NAMED_BY_TARGET else step.name
                folder = folder_of(step, folders, (name, f"{name}-on-{target}", f"{name}-of-vendor"))
                listed.append(f"  {step.content_id}  {folder}\n")
        found[f"{target}.txt"] = "".join(listed)
    for folder, files in folders.items():
        found |= {f"layers/{folder}/{path}": text for path, text in files.items()}
    return found


def folder_of(step: LayerStep, folders: dict[str, dict[str, str]], names: tuple[str, ...]) -> str:
    """The first of `names` that holds exactly the files of this layer, or is free."""
    files = of_any_image(step)
    for name in names:
        if folders.setdefault(name, files) == files:
            return name
    raise AssertionError(f"two layers differ and have one name: {names[-1]}")


def test_everything_that_ships_renders_as_recorded(update_golden: bool):
    if update_golden:
        shutil.rmtree(GOLDEN)
        for path, text in now().items():
            (GOLDEN / path).parent.mkdir(parents=True, exist_ok=True)
            (GOLDEN / path).write_text(text, encoding="utf-8")
    recorded = {
        str(path.relative_to(GOLDEN)): path.read_text(encoding="utf-8") for path in GOLDEN.rglob("*") if path.is_file()
    }
    differences = [difference(path, recorded.get(path), now().get(path)) for path in sorted(recorded.keys() | now())]
    assert not any(differences), "if this is meant, `make golden` records it:\n" + "".join(differences)


def difference(path: str, was: str | None, is_now: str | None) -> str:
    """What came, went or changed, as a unified diff."""
    if was is None:
        return f"new: {path}\n"
    if is_now is None:
        return f"gone: {path}\n"
    return "".join(difflib.unified_diff(was.splitlines(True), is_now.splitlines(True), f"recorded/{path}", f"now/{path}"))


@pytest.mark.parametrize("target", TARGETS)
def test_no_site_no_host_and_no_moving_reference_in_what_is_rendered(target: str):
    for step in merge_layers(plans_of(target)):
        for path, written in files_of(step).items():
            text = written.replace('"git:https://', '"git:')  # a tree goes by its upstream address and commit
            for word in ("http://", "https://", "/home/", ":latest", "--privileged", "# syntax="):
                assert word not in text, f"{step.name}/{path} holds {word}"


def test_a_digest_of_a_registry_base_changes_the_first_line_and_the_way_packages_come():
    digest = "sha256:" + "a" * 64
    (base,) = base_candidates(CATALOG, "cpu", source=f"registry:example.test/debian@{digest}")
    plan = build_plans(CATALOG, target="cpu", benchmarks=["image-fashion"], base=base)[0]
    assert f"FROM example.test/debian@{digest}\n" in plan.layers[0].dockerfile
    assert "apt-get" in plan.layers[1].dockerfile
    assert not plan.layers[0].debs
    assert not plan.layers[1].debs
