"""Targets as data: the build axis, what a target without benchmarks plans, host checks, a new one in one file."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from machine_parts import lay_out, pci, write
from pydantic import ValidationError

from orchestrator.cli import run
from orchestrator.definitions.catalog import builtin_root, load
from orchestrator.definitions.catalog.roots import Root
from orchestrator.definitions.kinds.detection import Arch, Detect, Fact, PciRule
from orchestrator.definitions.kinds.targets import HostCheck, Target
from orchestrator.errors import EngineError, HostLimitError, UsageError
from orchestrator.host.accelerators import this_machine
from orchestrator.host.checks import check_host
from orchestrator.host.detect import presence
from orchestrator.operations.target_choice import all_targets, require_platform, require_present, require_settings
from orchestrator.plan.build.bases import base_candidates
from orchestrator.plan.build.frameworks import benchmarks_of
from orchestrator.plan.build.layers import merge_layers
from orchestrator.plan.build.planner import build_plan, build_plans
from orchestrator.plan.build.resolve import arch_of, resolve_framework

CATALOG = load([builtin_root()])
WITHOUT_ONNX = {"gaudi", "neuron", "tpu"}
"""Targets whose frameworks load no ONNX."""


def target(name: str) -> Target:
    found = CATALOG.target(name).definition
    assert isinstance(found, Target)
    return found


# -- every target plans ------------------------------------------------------------------


@pytest.mark.parametrize("name", CATALOG.names("target"))
def test_every_target_plans_everything_that_it_supports(name):
    plans = build_plans(CATALOG, target=name)
    names = [plan.benchmark for plan in plans]
    benchmarks = {each: CATALOG.benchmark(each).definition for each in CATALOG.names("benchmark")}
    # Benchmarks with somebody else's harness run on some targets only.
    ours = {each for each, what in benchmarks.items() if what.harness == "loadgen-onnx"}
    frameworks = set(target(name).frameworks)
    assert ours.intersection(names) == {each for each in ours if frameworks.intersection(benchmarks[each].frameworks)}
    assert "image-fashion" in names
    assert ("image-smoke" in names) == (name not in WITHOUT_ONNX)
    assert [layer.level for layer in plans[0].layers][:2] == ["base", "runtime"]
    assert all(layer.dockerfile for layer in merge_layers(plans))


@pytest.mark.parametrize("name", CATALOG.names("target"))
def test_a_vendor_image_is_unlocked_until_somebody_looked_its_digest_up(name):
    base = build_plans(CATALOG, target=name)[0].layers[0]
    assert bool(base.unlocked) == (name not in {"cpu", "openvino", "cuda", "tpu"})


@pytest.mark.parametrize("name", CATALOG.names("target"))
def test_every_recipe_of_a_target_says_why_and_where_from(name):
    one = target(name)
    assert all(note.source for note in one.notes)
    assert all(grant.reason for grant in (*one.capabilities, *one.passthrough.nodes, *one.passthrough.groups))
    assert one.host
    text = CATALOG.target(name).path.read_text(encoding="utf-8")
    rules = one.detect.pci or ((one.detect.soc,) if one.detect.soc else ())
    assert not rules or any(word in text for word in ("pciids", "drivers/accel", "jax/", "Makefile.const"))


@pytest.mark.parametrize(("name", "framework"), [("cpu", "onnxruntime"), ("cuda", "onnxruntime")])
def test_arm64_is_pinned_up_to_the_framework(name, framework):
    plan = build_plan(CATALOG, resolve_framework(CATALOG, target=name, framework=framework, platform="linux/arm64"))
    assert {layer.platform for layer in plan.layers} == {"linux/arm64"}
    assert all(deb.path.endswith(("_arm64.deb", "_all.deb")) for layer in plan.layers for deb in layer.debs)


def test_a_target_shares_the_layers_below_its_framework_with_the_others():
    plan = build_plans(CATALOG, target="tpu")[0]
    cpu = build_plans(CATALOG, target="cpu")[0]
    assert [layer.image for layer in plan.layers[:2]] == [layer.image for layer in cpu.layers[:2]]
    assert plan.layers[2].name == "jax-tpu"


def test_a_digest_from_the_command_line_keeps_the_way_packages_come():
    source = "registry:rocm/onnxruntime@sha256:" + "a" * 64
    (base,) = base_candidates(CATALOG, "rocm", source=source)
    plan = build_plans(CATALOG, target="rocm", base=base)[0]
    assert not plan.layers[0].unlocked
    assert plan.layers[1].debs, "Debian's Python is laid over the vendor's image, not installed by its apt"


# -- the build axis ----------------------------------------------------------------------


def test_the_arch_is_one_that_the_target_has():
    rocm = target("rocm")
    assert (arch_of(rocm, None), arch_of(rocm, "gfx950"), arch_of(target("cpu"), None)) == ("gfx942", "gfx950", "")
    with pytest.raises(UsageError, match="nothing for arch `gfx900`") as caught:
        arch_of(rocm, "gfx900")
    assert "gfx942, gfx950" in caught.value.hint
    with pytest.raises(UsageError, match="--arch gfx942 means nothing"):
        arch_of(target("cpu"), "gfx942")
    with pytest.raises(ValidationError, match="not among the choices"):
        Arch.model_validate({"choices": ["a"], "default": "b"})


def overlay(tmp_path, **files: str):
    for name, text in files.items():
        write(tmp_path, f"recipes/{name.replace('__', '/')}.yaml", text)
    return load([builtin_root(), Root(path=tmp_path, origin="test")])


LAYER = """kind: layer
name: kernels
title: Kernels of one kind of device
level: framework
template: python.Dockerfile.j2
per_arch: true
env: {BUILT_FOR: something}
"""
CHIP = """kind: target
name: t-chip
title: An invented accelerator
platforms: [linux/amd64]
base: base-bookworm
runtime: runtime-cpu
frameworks: {onnxruntime: kernels}
providers: {onnxruntime: [CPUExecutionProvider]}
priority: 99
arch: {choices: [one, two], default: one}
detect:
  pci:
    - title: T-Chip
      vendor: abcd
      drivers: [tchip]
      ids: {"0001": {name: T-Chip One, arch: one}, "0002": {name: T-Chip Two, arch: two}}
      facts:
        number: {glob: "/sys/bus/pci/devices/{pci}/tchip/tchip*", pattern: "([0-9]+)"}
        serial: {file: "/sys/bus/pci/devices/{pci}/serial"}
      uuid: "T-{serial}"
      nodes: ["/dev/tchip{number}"]
  driver:
    title: the T-Chip driver
    nodes: [/dev/tchipctl]
    version: {file: /sys/module/tchip/version, minimum: "2.1", reason: the images speak its second interface}
    hint: install tchip-dkms
host: [linux-throughput]
checks:
  - {name: fan, file: /sys/class/tchip/fan, minimum: 50, level: need, why: it melts otherwise, hint: turn the fan on}
passthrough:
  cdi: t.test/chip
  nodes:
    - {name: /dev/tchipctl, reason: the control node}
    - {name: "/dev/tchip[0-9]*", each: true, reason: the node of each chip}
"""


def test_only_layers_that_depend_on_the_arch_have_it_in_their_identity(tmp_path):
    catalog = overlay(tmp_path, targets__chip=CHIP, layers__kernels=LAYER)
    one, two = (build_plans(catalog, target="t-chip", arch=arch)[0] for arch in ("one", "two"))
    assert (one.arch, two.arch) == ("one", "two")
    same = [a.content_id == b.content_id for a, b in zip(one.layers, two.layers, strict=True)]
    assert same[:2] == [True, True], "base and runtime are the same for every device"
    assert same[2:] == [False] * len(same[2:]), "the layer that depends on it, and all above"
    assert (one.layers[2].inputs["arch"], two.layers[2].inputs["arch"]) == ("one", "two")
    default = build_plans(catalog, target="t-chip")[0]
    assert default.image == one.image


def test_the_built_in_targets_have_the_same_images_for_every_arch():
    """No layer of theirs holds code for one kind of device today; MIGraphX and CUDA wheels serve several."""
    for name, archs in (("rocm", ("gfx942", "gfx950")), ("cuda", ("sm_80", "sm_100"))):
        images = {build_plans(CATALOG, target=name, arch=arch)[0].image for arch in archs}
        assert len(images) == 1


# -- a new target is one file ------------------------------------------------------------


def test_a_new_target_is_one_file(tmp_path):
    """Base, runtime and framework may be built-in ones: then nothing but the target's own file is needed."""
    alone = CHIP.replace("kernels", "onnxruntime-cpu")
    catalog = overlay(tmp_path / "mine", targets__chip=alone)
    assert {"image-fashion", "image-smoke"} <= set(benchmarks_of(catalog, "t-chip"))
    names = ["image-fashion", "image-smoke"]
    plans = build_plans(catalog, target="t-chip", benchmarks=names)
    cpu = build_plans(catalog, target="cpu", benchmarks=names)
    assert [p.layers[-2].content_id for p in plans] == [p.layers[-2].content_id for p in cpu], "only the last differs"
    chip = next(one for one in all_targets(catalog) if one.name == "t-chip")
    root = tmp_path / "host"
    for number, device in ((0, "0001"), (1, "0002")):
        folder = pci(root, f"0000:0{number + 1}:00.0", f"abcd:{device}", "120000", "tchip", 0)
        write(folder, "serial", f"7{number}")
        write(folder, f"tchip/tchip{number}/dev", "250:0")
        write(root, f"dev/tchip{number}", "")
    write(root, "dev/tchipctl", "")
    write(root, "sys/module/tchip/version", "2.10.3-rc1")
    write(root, "sys/class/tchip/fan", "30 %")
    machine = this_machine(root, "x86_64")
    here = presence(chip, machine)
    assert (here.present, here.driver_ok, here.why) == (True, True, "T-Chip One, T-Chip Two")
    assert [(d.uuid, d.nodes) for d in here.devices] == [("T-70", ("/dev/tchip0",)), ("T-71", ("/dev/tchip1",))]
    assert here.archs == ("one", "two")
    (fan,) = (finding for finding in check_host(chip.checks, machine))
    assert (fan.ok, fan.stops, fan.found) == (False, True, "30 %")
    with pytest.raises(HostLimitError, match="it melts otherwise") as caught:
        require_settings(chip, [fan])
    assert (caught.value.slug, caught.value.hint) == ("host-setting", "turn the fan on")


# -- before a run ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("machine", "name", "slug", "words"),
    [
        ("plain-vm", "cuda", "device-missing", "no NVIDIA GPU on PCI"),
        ("old-driver", "cuda", "driver-not-ok", "is 535.183.01; needed is 580"),
        ("nouveau", "cuda", "driver-not-ok", "bound to vfio-pci"),
        ("inf2-no-driver", "neuron", "driver-not-ok", "has no driver"),
        ("jetson-old", "jetson", "driver-not-ok", "needed is 36"),
        ("amx-xeon", "jetson", "device-missing", "this host is linux/amd64"),
    ],
)
def test_a_run_stops_before_anything_is_made(tmp_path, machine, name, slug, words):
    lay_out(machine, tmp_path)
    with pytest.raises(HostLimitError, match="target `") as caught:
        require_present(target(name), presence(target(name), this_machine(tmp_path)))
    assert caught.value.slug == slug
    assert words in caught.value.message
    assert caught.value.hint


def test_a_target_that_is_here_passes(tmp_path):
    lay_out("h100-sxm-8", tmp_path)
    require_present(target("cuda"), presence(target("cuda"), this_machine(tmp_path)))


def test_images_of_another_platform_need_an_emulator(tmp_path):
    plans = [SimpleNamespace(platform="linux/arm64")]
    engine = SimpleNamespace(platform="linux/amd64", host="unix:///run/docker.sock")
    with pytest.raises(EngineError, match="linux/arm64 cannot be built here") as caught:
        require_platform(plans, engine, tmp_path)
    assert caught.value.slug == "foreign-platform"
    assert "qemu-aarch64" in caught.value.hint
    write(tmp_path, "proc/sys/fs/binfmt_misc/qemu-aarch64", "enabled")
    require_platform(plans, engine, tmp_path)
    require_platform(plans, SimpleNamespace(platform="linux/amd64", host="ssh://far"), tmp_path / "none")
    require_platform([SimpleNamespace(platform="linux/amd64")], engine, tmp_path / "none")


# -- host checks -------------------------------------------------------------------------


def check(**more: object) -> HostCheck:
    base = {
        "name": "thing",
        "file": "/proc/thing",
        "level": "note",
        "why": "because of it",
        "hint": "change the thing",
    }
    return HostCheck.model_validate({**base, **more})


@pytest.mark.parametrize(
    ("more", "text", "ok"),
    [
        ({"expected": ["a", "b"]}, "b", True),
        ({"expected": ["a"]}, "b", False),
        ({"expected": ["always"], "pattern": r"\[(\w+)\]"}, "[always] madvise", True),
        ({"expected": ["always"], "pattern": r"\[(\w+)\]"}, "nothing in brackets", None),
        ({"minimum": 5}, "5", True),
        ({"minimum": 5}, "4 kB", False),
        ({"maximum": 5}, "6", False),
        ({"maximum": 5}, "words", False),
        ({"expected": ["a"]}, None, None),
        ({"expected": ["a"], "absent": "fail"}, None, False),
    ],
)
def test_a_check_reads_one_file(tmp_path, more, text, ok):
    if text is not None:
        write(tmp_path, "proc/thing", text)
    (finding,) = check_host([check(**more)], this_machine(tmp_path, "x86_64"))
    assert finding.ok is ok


def test_a_check_of_many_files_names_those_that_differ(tmp_path):
    for number, word in enumerate(("performance", "powersave", "performance")):
        write(tmp_path, f"sys/cpu{number}/governor", word)
    one = check(file="/sys/cpu*/governor", expected=["performance"])
    (finding,) = check_host([one], this_machine(tmp_path, "x86_64"))
    assert (finding.ok, finding.found, finding.wanted) == (False, "powersave", "performance")


def test_a_check_may_be_for_one_kind_of_machine(tmp_path):
    assert not list(check_host([check(expected=["a"], machine=["aarch64"])], this_machine(tmp_path, "x86_64")))


# -- bad recipes -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "data", "words"),
    [
        (PciRule, {"vendor": "8086", "drivers": ["xe"]}, "a vendor makes more than accelerators"),
        (PciRule, {"vendor": "8086", "classes": ["03"], "drivers": []}, "at least 1"),
        (
            PciRule,
            {"vendor": "8086", "classes": ["03"], "drivers": ["xe"], "nodes": ["/dev/dri/{render}"]},
            "needs the fact `render`",
        ),
        (
            PciRule,
            {"vendor": "8086", "classes": ["03"], "drivers": ["xe"], "uuid": "{", "nodes": []},
            "expected '}'|Single|single",
        ),
        (Fact, {"file": "/sys/a", "link": "/sys/b"}, "exactly one"),
        (Fact, {"file": "/sys/a", "pattern": "("}, "not a regular expression"),
        (Fact, {"file": "/home/a"}, "match pattern"),
        (Fact, {"file": "/sys/../etc/shadow"}, "match pattern"),
        (HostCheck, {"name": "x", "file": "/proc/x", "level": "note", "why": "w" * 9, "hint": "h" * 9}, "expected"),
    ],
)
def test_a_rule_that_cannot_be_is_refused(model, data, words):
    with pytest.raises(ValidationError, match=words):
        model.model_validate(data)


def test_a_detection_that_says_nothing_is_known_as_that():
    assert not Detect().says_something
    assert Detect(always=True).says_something


# -- the command -------------------------------------------------------------------------


@pytest.fixture
def called(monkeypatch, capsys):
    monkeypatch.setattr("orchestrator.operations.context.Context.try_facts", lambda _self: None)

    def call(*arguments: str) -> tuple[int, str, str]:
        status = run(list(arguments))
        shown = capsys.readouterr()
        return status, shown.out, shown.err

    return call


@pytest.mark.parametrize("name", CATALOG.names("target"))
def test_show_tells_all_of_a_target(called, name):
    _, out, _ = called("targets", "show", name)
    one = target(name)
    for words in (
        one.title,
        *one.platforms,
        one.base,
        "check numa-balancing",
        *(n.name for n in one.passthrough.nodes),
    ):
        assert words in out
    _, text, _ = called("targets", "show", name, "--json")
    document = json.loads(text)
    assert {"present", "driver_ok", "container_ok", "devices", "checks", "passage", "definition"} <= document.keys()


def test_auto_is_the_default(called):
    _, auto, _ = called("plan", "--target", "auto", "--json")
    _, bare, _ = called("plan", "--json")
    assert json.loads(auto)["target"] == json.loads(bare)["target"]
