"""Which devices a run gets: what --devices means, and what names none of this host's."""

from __future__ import annotations

from dataclasses import replace

import pytest
from device_plan_parts import CUT, FOUR, USER, WHY, a_device_inventory, chip, labels, planned
from run_parts import a_target

from orchestrator.errors import UsageError
from orchestrator.facts.devices import CdiDevice, DeviceInventory, FoundDevice, Part
from orchestrator.plan.run.devices import plan_devices
from orchestrator.plan.run.devices.choice import choose, parse


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        ("", ["0", "1", "2", "3"]),
        ("all", ["0", "1", "2", "3"]),
        ("0,2", ["0", "2"]),
        ("2,0", ["0", "2"]),
        ("1-3", ["1", "2", "3"]),
        ("0, 2-3", ["0", "2", "3"]),
        ("count:2", ["0", "1"]),
        ("uuid:GPU-2222", ["2"]),
        ("uuid:gpu-2222,0", ["0", "2"]),
        ("pci:0000:3b:00.0", ["1"]),
        ("pci:3B:00.0", ["1"]),
        ("1,1,pci:3b:00.0", ["1"]),
    ],
)
def test_devices_are_chosen_as_they_are_named_in_the_hosts_order(selection, expected):
    choice = choose(selection, FOUR, "chip", required=True)
    assert [unit.label for unit in choice.units] == expected
    assert choice.whole is (len(expected) == 4)


@pytest.mark.parametrize(
    ("selection", "expected"),
    [("", ["0:0", "0:1", "1"]), ("0", ["0:0", "0:1"]), ("0:1", ["0:1"]), ("uuid:MIG-1,1", ["0:1", "1"]),
     ("uuid:GPU-0000", ["0:0", "0:1"]), ("count:2", ["0:0", "0:1"])],
)  # fmt: skip
def test_a_device_that_is_cut_into_parts_is_used_by_its_parts(selection, expected):
    choice = choose(selection, (CUT, chip(1)), "chip", required=True)
    assert [unit.label for unit in choice.units] == expected


@pytest.mark.parametrize(
    "selection",
    ["x", "0,,1", "-1", "3-1", "count:0", "count:", "all,0", "none,1", "uuid:", "uuid:a b", "pci:1:2", "GPU-1", "0;1",
     "0:1:2", "99999", "pci:zz:00.0", ","],
)  # fmt: skip
def test_what_names_no_device_is_told_with_the_grammar(selection):
    with pytest.raises(UsageError, match="--devices") as error:
        parse(selection)
    assert error.value.slug == "devices-syntax"
    assert "count:2" in error.value.hint


@pytest.mark.parametrize(
    ("selection", "slug", "words"),
    [
        ("7", "unknown-device", "has no device 7"),
        ("uuid:GPU-9999", "unknown-device", "uuid:GPU-9999"),
        ("pci:0000:99:00.0", "unknown-device", "pci:0000:99:00.0"),
        ("count:5", "unknown-device", "has 4 devices here"),
        ("uuid:MIG-77777777", "no-parts", "MIG is off"),
        ("0:1", "no-parts", "MIG is off"),
        ("none", "device-required", "needs a device"),
    ],
)
def test_a_device_that_is_not_there_is_told_with_those_that_are(selection, slug, words):
    with pytest.raises(UsageError, match=words) as error:
        choose(selection, FOUR, "chip", required=True)
    assert error.value.slug == slug
    assert error.value.exit_code == 2
    if slug in {"unknown-device", "no-parts"}:
        assert "0 (Chip One, 0000:3a:00.0, GPU-0000)" in error.value.hint


def test_a_host_that_tells_no_uuids_says_so():
    with pytest.raises(UsageError, match="does not show the UUIDs"):
        choose("uuid:GPU-1", (chip(0, uuid=""),), "chip", required=True)
    nameless = replace(CUT, parts=tuple(replace(part, uuid="") for part in CUT.parts))
    with pytest.raises(UsageError, match=r"does not show the UUIDs.*uuid:MIG-1 may be any") as error:
        choose("uuid:MIG-1", (nameless,), "chip", required=True)
    assert "0:1 (Chip One" in error.value.hint
    with pytest.raises(UsageError, match="has no device uuid:MIG-9"):
        choose("uuid:MIG-9", (CUT,), "chip", required=True)


def test_parts_that_share_a_node_are_told_apart_by_all_of_theirs():
    parts = tuple(Part(uuid="", index=i, nodes=("/dev/cap-gi", f"/dev/cap{i}")) for i in (0, 1))
    swapped = tuple(
        CdiDevice(name=f"example.com/chip=0:{1 - i}", nodes=("/dev/chip0", "/dev/cap-gi", f"/dev/cap{i}"))
        for i in (0, 1)
    )
    site = a_device_inventory(found=(replace(CUT, parts=parts),), cdi=True, cdi_devices=swapped)
    assert planned("0:0", site).cdi == ("example.com/chip=0:1",)


def test_uuids_of_parts_are_learned_from_a_spec_that_names_them():
    """The kernel shows MIG instances without their UUIDs; a spec has them, and its nodes say which is which."""
    nameless = replace(CUT, parts=tuple(replace(part, uuid="") for part in CUT.parts))
    names = ("MIG-0badcafe-0000-0000-0000-000000000001", "MIG-0badcafe-0000-0000-0000-000000000000")
    specs = tuple(
        CdiDevice(name=f"example.com/chip={name}", nodes=("/dev/chip0", f"/dev/cap{1 - index}"))
        for index, name in enumerate(names)
    )
    site = a_device_inventory(found=(nameless,), cdi=True, cdi_devices=specs)
    devices = planned(f"uuid:{names[0]}", site)
    assert (labels(devices), devices.cdi) == (["0:1"], (f"example.com/chip={names[0]}",))
    assert devices.env["CHIP_UUID"] == names[0]


def test_devices_of_two_targets_cannot_be_in_one_run():
    other = FoundDevice(target="card", index=0, pci="0000:70:00.0", uuid="GPU-card")
    with pytest.raises(UsageError, match=r"different targets.*`card`.*0 of `chip`") as error:
        choose("0,pci:0000:70:00.0", (*FOUR, other), "chip", required=True)
    assert error.value.slug == "devices-mixed"
    with pytest.raises(UsageError, match="of target `card`, not of `chip`") as error:
        choose("uuid:GPU-card", (*FOUR, other), "chip", required=True)
    assert (error.value.slug, error.value.hint) == ("devices-other-target", "run it with --target card")


def test_a_target_without_devices_has_none_to_choose():
    with pytest.raises(UsageError, match="no devices to choose") as error:
        plan_devices(a_target(), DeviceInventory(), "0", USER)
    assert error.value.slug == "no-devices"
    assert plan_devices(a_target(), DeviceInventory(), "", USER).device_injection.method == "none"


def test_a_processor_target_whose_devices_are_optional_runs_without_one():
    optional = [{"name": "/dev/dri/renderD*", "each": True, "optional": True, **WHY}]
    iron = a_target(name="chip", passthrough={"nodes": optional})
    assert plan_devices(iron, DeviceInventory(), "", USER).device_injection.method == "none"
    one = DeviceInventory(found=(chip(0, nodes=("/dev/dri/renderD128",)),))
    assert plan_devices(iron, one, "", USER).nodes == ("/dev/dri/renderD128",)
    assert plan_devices(iron, one, "none", USER).nodes == ()
