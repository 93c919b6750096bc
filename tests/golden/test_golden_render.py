"""What ships renders to these bytes, on every machine: one folder a target, compared whole."""

from __future__ import annotations

import difflib
import shutil
from pathlib import Path

import pytest

from orchestrator.definitions.catalog import builtin_root, load
from orchestrator.plan.build.layers import merge_layers, rendered
from orchestrator.plan.build.planner import build_plan, build_plans
from orchestrator.plan.build.resolve import base_candidates, resolve_side

GOLDEN = Path(__file__).parent / "render"
CATALOG = load([builtin_root()])


ARM = "cpu-arm64"
"""`cpu` once more, for the platform on which LoadGen is compiled."""
TARGETS = (*CATALOG.names("target"), ARM)
OWN_TEXT = frozenset(path.read_text(encoding="utf-8") for path in builtin_root().dockerfiles.iterdir())


def current(target: str) -> dict[str, str]:
    """What is rendered, less what ships as it is (settle.py): its hash stands in every layer.json."""
    name, platform = ("cpu", "linux/arm64") if target == ARM else (target, None)
    plans = build_plans(CATALOG, target=name, platform=platform)
    side = build_plan(CATALOG, resolve_side(CATALOG, target=name, layer="prep", platform=platform))
    found = rendered(target, merge_layers([*plans, side]))
    return {place: text for place, text in found.items() if text not in OWN_TEXT}


@pytest.mark.parametrize("target", TARGETS)
def test_every_layer_of_every_benchmark_renders_as_recorded(target: str, update_golden: bool):
    found = current(target)
    if update_golden:
        shutil.rmtree(GOLDEN / target, ignore_errors=True)
        for place, text in found.items():
            (GOLDEN / place).parent.mkdir(parents=True, exist_ok=True)
            (GOLDEN / place).write_text(text, encoding="utf-8")
    expected = {
        str(path.relative_to(GOLDEN)): path.read_text(encoding="utf-8")
        for path in (GOLDEN / target).rglob("*")
        if path.is_file()
    }
    assert sorted(found) == sorted(expected), "files came or went; `make golden` records them"
    for place, text in found.items():
        difference = "".join(
            difflib.unified_diff(expected[place].splitlines(True), text.splitlines(True), "recorded", "now")
        )
        assert not difference, f"{place} differs; if that is meant, `make golden`:\n{difference}"


@pytest.mark.parametrize("target", TARGETS)
def test_no_site_no_host_and_no_moving_reference_in_what_is_rendered(target: str):
    for place, text in current(target).items():
        for word in ("http://", "https://", "/home/", ":latest", "--privileged", "# syntax="):
            assert word not in text, f"{place} holds {word}"


def test_a_digest_of_a_registry_base_changes_the_first_line_and_the_way_packages_come():
    digest = "sha256:" + "a" * 64
    (base,) = base_candidates(CATALOG, "cpu", source=f"registry:example.test/debian@{digest}")
    plan = build_plans(CATALOG, target="cpu", benchmarks=["image-fashion"], base=base)[0]
    assert f"FROM example.test/debian@{digest}\n" in plan.layers[0].dockerfile
    assert "apt-get" in plan.layers[1].dockerfile
    assert not plan.layers[0].debs
    assert not plan.layers[1].debs
