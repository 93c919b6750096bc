"""Detection over recorded machines: what each has, in which state, which target is taken and what is said."""

from __future__ import annotations

import dataclasses
import json

import pytest
from machine_parts import NAMES, lay_out, pci, write

from orchestrator.definitions.catalog import builtin_root, load
from orchestrator.definitions.kinds.targets import Target
from orchestrator.facts.devices import FoundDevice
from orchestrator.host.accelerators import found_devices, this_machine
from orchestrator.host.checks import check_host, checks_of
from orchestrator.host.detect import Passable, best, presence, presences
from orchestrator.host.pci import pci_devices
from orchestrator.host.sysfs import hardware_signature
from orchestrator.operations.target_choice import all_targets, choice_message

CATALOG = load([builtin_root()])
TARGETS = all_targets(CATALOG)


def target(name: str) -> Target:
    found = CATALOG.target(name).definition
    assert isinstance(found, Target)
    return found


def test_there_are_enough_machines():
    assert len(NAMES) >= 12


@pytest.mark.parametrize("name", NAMES)
def test_a_machine_is_what_its_file_says(tmp_path, name):
    spec = lay_out(name, tmp_path)
    found = {each.name: each for each in presences(TARGETS, this_machine(tmp_path))}
    assert {each.name for each in found.values() if each.present} == set(spec["expect"]), "present or absent"
    for one, wanted in spec["expect"].items():
        agrees(found[one], dict(wanted))
    for one, words in spec.get("absent", {}).items():
        assert words in found[one].why
    for each in found.values():
        assert each.why
        assert each.present or (each.driver_ok, each.container_ok, each.devices) == (None, None, ())
        assert each.driver_ok is not False or each.hint, "a driver that does not work comes with what to do"
        json.dumps(dataclasses.asdict(each))
    taken = best(TARGETS, tuple(found.values()))
    assert taken is not None
    assert taken.name == spec["best"]
    if "amiss" in spec:
        findings = check_host(checks_of(taken, CATALOG), this_machine(tmp_path))
        assert [finding.name for finding in findings if finding.ok is False] == spec["amiss"]


def agrees(found, wanted):
    """Whether a presence is what a machine's file expects of it."""
    assert found.driver_ok is wanted.pop("driver_ok"), found.why
    for key in ("why", "hint"):
        assert wanted.pop(key, "") in getattr(found, key)
    assert found.variant == wanted.pop("variant", found.variant)
    assert list(found.archs) == wanted.pop("archs", list(found.archs))
    assert len(found.devices) == wanted.pop("count", len(found.devices))
    assert [device.index for device in found.devices] == list(range(len(found.devices)))
    assert all(device.target == found.name for device in found.devices)
    for place, facts in enumerate(wanted.pop("devices", [])):
        is_so(found.devices[facts.get("index", place)], facts)
    assert not wanted, f"not understood: {wanted}"


def is_so(device: FoundDevice, facts):
    for key, value in facts.items():
        have = getattr(device, key)
        if key == "parts":
            assert len(have) == len(value)
            for part, expected in zip(have, value, strict=True):
                assert {name: getattr(part, name) for name in expected} == {
                    name: tuple(one) if isinstance(one, list) else one for name, one in expected.items()
                }
        else:
            assert have == (tuple(value) if isinstance(value, list) else value), key


# -- what no file says -------------------------------------------------------------------


def test_every_target_that_has_devices_is_seen_on_a_machine(tmp_path):
    seen = set()
    for name in NAMES:
        (tmp_path / name).mkdir()
        lay_out(name, tmp_path / name)
        found = presences(TARGETS, this_machine(tmp_path / name))
        seen |= {each.name for each in found if each.present and each.driver_ok}
    assert seen == {one.name for one in TARGETS}


@pytest.mark.parametrize("one", [one for one in TARGETS if one.detect.pci], ids=lambda one: one.name)
def test_no_device_counts_by_its_vendor_alone(tmp_path, one):
    for number, rule in enumerate(one.detect.pci):
        pci(tmp_path, f"0000:{number + 1:02x}:00.0", f"{rule.vendor}:0b0b", "020000", "some_nic")
        pci(tmp_path, f"0000:{number + 1:02x}:00.1", f"{rule.vendor}:0b0c", "010802", "nvme")
        pci(tmp_path, f"0000:{number + 1:02x}:00.2", f"{rule.vendor}:0b0d", "030000", "someone_elses")
        pci(tmp_path, f"0000:{number + 1:02x}:00.3", f"{rule.vendor}:0b0e", "040300", rule.drivers[0])
    write(tmp_path, "proc/cpuinfo", "flags : fpu")
    assert found_devices(one, this_machine(tmp_path)) == ()


def test_the_nodes_of_devices_fit_what_is_passed(tmp_path):
    """The nodes that detection finds are those that the passthrough of the same target names as each device's own."""
    for name in NAMES:
        (tmp_path / name).mkdir()
        lay_out(name, tmp_path / name)
        machine = this_machine(tmp_path / name)
        for one in TARGETS:
            patterns = [node.name for node in one.passthrough.nodes if node.each]
            for device in found_devices(one, machine):
                for node in device.nodes:
                    assert any(_matches(node, pattern) for pattern in patterns), (one.name, node, patterns)


def _matches(node: str, pattern: str) -> bool:
    import fnmatch

    return fnmatch.fnmatchcase(node, pattern)


def test_the_engine_is_asked_only_where_the_driver_works(tmp_path):
    lay_out("two-vendors", tmp_path)
    asked: list[tuple[str, int]] = []

    def judge(one, devices):
        asked.append((one.name, len(devices)))
        if one.name == "cuda":
            return Passable(ok=False, trouble="no way leads there", hint="make one")
        return Passable(ok=True, how="nodes: all there")

    found = {each.name: each for each in presences(TARGETS, this_machine(tmp_path), judge)}
    assert ("rocm", 0) not in asked
    assert (found["cuda"].container_ok, found["cuda"].hint) == (False, "make one")
    assert "no way leads there" in found["cuda"].why
    assert (found["xpu"].container_ok, found["xpu"].how) == (True, "nodes: all there")
    taken = best(TARGETS, tuple(found.values()))
    assert taken is not None
    assert taken.name == "xpu", "of two, the one that can be used"


def test_a_choice_between_two_says_what_else_is_here(tmp_path):
    lay_out("two-vendors", tmp_path)
    found = presences(TARGETS, this_machine(tmp_path))
    told = choice_message("cuda", found)
    assert told.startswith("target cuda: NVIDIA GeForce RTX 4090; also here: ")
    assert "xpu (Intel Arc B580)" in told
    assert "--target takes another" in told


def test_where_there_is_nothing_to_choose_nothing_is_said(tmp_path):
    lay_out("plain-vm", tmp_path)
    assert choice_message("cpu", presences(TARGETS, this_machine(tmp_path))) == ""


def test_what_cannot_be_used_is_told_beside_what_is_taken(tmp_path):
    lay_out("old-driver", tmp_path)
    told = choice_message("cpu", presences(TARGETS, this_machine(tmp_path)))
    assert "cuda" in told
    assert "580" in told


def test_a_broken_or_hidden_bus_is_no_error(tmp_path):
    pci(tmp_path, "0000:01:00.0", "10de:2330", "030200")
    (tmp_path / "sys/bus/pci/devices/0000:02:00.0").symlink_to("../nowhere")
    (tmp_path / "sys/bus/pci/devices/not-an-address").mkdir()
    assert [device.address for device in pci_devices(tmp_path)] == ["0000:01:00.0"]
    assert pci_devices(tmp_path / "none") == ()


def test_addresses_are_ordered_as_numbers(tmp_path):
    for address in ("10000:01:00.0", "0000:0a:00.0", "0000:b1:00.0", "0009:01:00.0"):
        pci(tmp_path, address, "10de:2330", "030200")
    found = [device.address for device in pci_devices(tmp_path)]
    assert found == ["0000:0a:00.0", "0000:b1:00.0", "0009:01:00.0", "10000:01:00.0"]


def test_the_signature_of_the_hardware_follows_devices_and_drivers(tmp_path):
    (tmp_path / "dev").mkdir()
    empty = hardware_signature(tmp_path)
    folder = pci(tmp_path, "0000:01:00.0", "10de:2330", "030200")
    bare = hardware_signature(tmp_path)
    (folder / "driver").symlink_to("../../../bus/pci/drivers/nvidia")
    bound = hardware_signature(tmp_path)
    assert len({empty, bare, bound}) == 3


def test_one_machine_is_read_in_little_time(tmp_path):
    """A server shows hundreds of functions; detection must not be felt."""
    import time

    lay_out("h100-sxm-8", tmp_path)
    for number in range(300):
        pci(tmp_path, f"0001:{number // 8:02x}:{number % 8:02x}.0", "8086:1234", "088000", "some")
    start = time.process_time()
    presences(TARGETS, this_machine(tmp_path))
    assert time.process_time() - start < 1.0


def test_a_target_may_have_no_rule_of_detection():
    bare = Target.model_validate(
        {"kind": "target", "name": "bare", "title": "Bare", "platforms": ["linux/amd64"], "base": "b", "runtime": "r",
         "frameworks": {"f": "l"}}
    )  # fmt: skip
    found = presence(bare, this_machine(machine="x86_64"))
    assert not found.present
    assert "no rule to detect it" in found.why
    assert "docs/targets.md" in found.hint
