"""By which method a run gets its devices: methods, variables, groups, and every reason not to start."""

from __future__ import annotations

from dataclasses import replace

import pytest
from device_plan_parts import CUT, FOUR, NODES, USER, WHY, a_device_inventory, cdi, chip, planned, target
from run_parts import GIB, a_host, a_run_environment, a_target, a_workload

from orchestrator.cli import run
from orchestrator.engines.docker.containers import argv as docker_argv
from orchestrator.errors import HostLimitError
from orchestrator.facts.devices import CdiDevice, DeviceInventory
from orchestrator.facts.host import NumaNode
from orchestrator.plan.run.cells import Cell
from orchestrator.plan.run.devices.nodes import doubtful_nodes
from orchestrator.plan.run.planner import plan_run
from orchestrator.plan.run.settings import Choices

# -- the methods, in their order --------------------------------------------------------


def test_cdi_comes_first_and_names_each_device():
    devices = planned(site=a_device_inventory(cdi=True, cdi_devices=cdi("0", "1", "2", "3", "all"), gpus=True))
    assert devices.cdi == tuple(f"example.com/chip={index}" for index in range(4))
    assert (devices.nodes, devices.gpus, devices.runtime) == ((), (), "")
    assert devices.env == {}
    assert devices.device_injection.method == "cdi"
    assert "/etc/cdi/chip.json" in devices.device_injection.why
    assert devices.device_injection.whole


def test_part_of_the_devices_by_cdi_counts_from_zero_inside():
    devices = planned("1,3", a_device_inventory(cdi=True, cdi_devices=cdi("0", "1", "2", "3", "all")))
    assert devices.cdi == ("example.com/chip=1", "example.com/chip=3")
    assert devices.env == {
        "CHIP_VISIBLE": "0,1", "CHIP_HOST": "1,3", "CHIP_UUID": "GPU-1111,GPU-3333",
        "CHIP_PCI": "0000:3b:00.0,0000:3d:00.0",
    }  # fmt: skip
    assert [(d.index, d.name, d.uuid) for d in devices.device_injection.devices] == [
        ("1", "example.com/chip=1", "GPU-1111"), ("3", "example.com/chip=3", "GPU-3333"),
    ]  # fmt: skip


@pytest.mark.parametrize("short", ["GPU-1111", "0000:3b:00.0", "0000:3b:00.0-0xe211"])
def test_a_spec_may_name_devices_by_uuid_or_address(short):
    devices = planned("1", a_device_inventory(cdi=True, cdi_devices=cdi("all", short)))
    assert devices.cdi == (f"example.com/chip={short}",)


def test_a_spec_that_counts_in_another_order_is_read_by_its_nodes():
    swapped = tuple(
        CdiDevice(name=f"example.com/chip={name}", nodes=(f"/dev/chip{node}",), shared=("/dev/chipctl",))
        for name, node in (("0", 3), ("1", 2), ("2", 1), ("3", 0))
    )
    devices = planned("0", a_device_inventory(cdi=True, cdi_devices=swapped))
    assert devices.cdi == ("example.com/chip=3",)
    assert devices.device_injection.nodes == ("/dev/chip0", "/dev/chipctl")
    assert devices.groups == ("105",)


def test_a_spec_whose_names_fit_nothing_is_passed_over_and_all_serves_only_for_all():
    only_all = a_device_inventory(cdi=True, cdi_devices=cdi("all"))
    assert planned(site=only_all).cdi == ("example.com/chip=all",)
    part = planned("0", only_all)
    assert part.device_injection.method == "nodes"
    assert part.device_injection.passed_over[0] == "cdi: no CDI spec names device 0 of example.com/chip"


def test_parts_have_cdi_names_of_their_own():
    site = a_device_inventory(found=(CUT,), cdi=True, cdi_devices=cdi("0:0", "0:1", "all"))
    assert planned("uuid:MIG-1", site).cdi == ("example.com/chip=0:1",)
    by_uuid = a_device_inventory(found=(CUT,), cdi=True, cdi_devices=cdi("MIG-0", "MIG-1"))
    devices = planned("0:1", by_uuid)
    assert devices.cdi == ("example.com/chip=MIG-1",)
    assert devices.env["CHIP_UUID"] == "MIG-1"
    assert devices.device_injection.devices[0].profile == "1g.10gb"


def test_gpus_where_the_engine_has_the_hook_and_no_spec():
    every = planned(site=a_device_inventory(gpus=True, runtimes=("chiprun",)))
    assert (every.gpus, every.env) == (("GPU-0000", "GPU-1111", "GPU-2222", "GPU-3333"), {})
    assert every.device_injection.method == "gpus"
    assert every.device_injection.passed_over == ("cdi: the engine does not take CDI names",)
    part = planned("2", a_device_inventory(gpus=True))
    assert part.gpus == ("GPU-2222",)
    assert part.env["CHIP_VISIBLE"] == "0"
    nameless = tuple(replace(device, uuid="") for device in FOUR)
    assert planned("0,2", a_device_inventory(gpus=True, found=nameless)).gpus == ("0", "2")
    assert planned("", a_device_inventory(gpus=True, found=nameless)).gpus == ("all",)
    assert planned("0,2", a_device_inventory(gpus=True, found=nameless)).env["CHIP_UUID"] == "0,1"


def test_the_vendors_runtime_reads_its_variable_outside_so_it_has_the_hosts_indices():
    site = a_device_inventory(runtimes=("chiprun", "runc"))
    every = planned(site=site, gpus=False)
    assert (every.runtime, every.env) == ("chiprun", {"CHIP_DEVICES": "all"})
    by_uuid = planned(site=site, gpus=False, runtime={"name": "chiprun", "env": "CHIP_DEVICES", "by": "uuid", **WHY})
    assert by_uuid.env == {"CHIP_DEVICES": "GPU-0000,GPU-1111,GPU-2222,GPU-3333"}
    part = planned("1,3", site, gpus=False)
    assert part.env["CHIP_DEVICES"] == "1,3"
    assert part.env["CHIP_VISIBLE"] == "0,1"


def test_plain_nodes_are_those_of_the_chosen_devices_and_the_shared_ones():
    devices = planned("1,3")
    assert devices.nodes == ("/dev/chip1", "/dev/chip3", "/dev/chipctl")
    assert devices.groups == ("105",)
    assert devices.env["CHIP_VISIBLE"] == "0,1"
    assert devices.expects == ("/dev/chip1", "/dev/chip3", "/dev/chipctl")
    assert [line.partition(":")[0] for line in devices.device_injection.passed_over] == ["cdi", "gpus", "runtime"]


def test_a_node_of_a_device_that_the_recipe_does_not_name_is_not_passed():
    site = a_device_inventory(found=(chip(0, nodes=("/dev/chip0", "/dev/chip0-debug")),))
    patterns = [{"name": "/dev/chip[0-9]", "each": True, **WHY}]
    assert planned(site=site, nodes=patterns).nodes == ("/dev/chip0",)


def test_a_part_by_nodes_has_its_devices_nodes_and_its_own():
    nodes = [*NODES, {"name": "/dev/cap[0-9]*", "each": True, "optional": True, **WHY}]
    devices = planned("0:1", a_device_inventory(found=(CUT,)), nodes=nodes)
    assert devices.nodes == ("/dev/chip0", "/dev/chipctl", "/dev/cap1")


def test_where_all_devices_share_their_nodes_the_variable_counts_as_the_host_does():
    """On such hardware only the vendor's software keeps the chosen ones apart."""
    site = a_device_inventory(found=tuple(replace(device, nodes=()) for device in FOUR))
    devices = planned("2", site, nodes=[{"name": "/dev/chipctl", **WHY}])
    assert devices.nodes == ("/dev/chipctl",)
    assert devices.env["CHIP_VISIBLE"] == "2"


def test_libraries_of_the_driver_are_laid_over_the_image_with_plain_nodes_only():
    libraries = [{"name": "libchip.so.1", **WHY}]
    site = a_device_inventory(libraries={"libchip.so.1": "/usr/lib/libchip.so.1.2"})
    (mount,) = planned(site=site, libraries=libraries).mounts
    assert (mount.source, mount.target) == ("/usr/lib/libchip.so.1.2", "/usr/lib/x86_64-linux-gnu/libchip.so.1")
    assert mount.read_only
    by_name = replace(site, cdi=True, cdi_devices=cdi("0", "1", "2", "3"))
    assert planned(site=by_name, libraries=libraries).mounts == ()
    with pytest.raises(HostLimitError, match=r"libchip\.so\.1"):
        planned(libraries=libraries)


# -- reasons not to start ----------------------------------------------------------------


def test_no_way_at_all_names_each_and_why():
    with pytest.raises(HostLimitError) as error:
        planned(site=a_device_inventory(cdi=True, cdi_devices=()), nodes=[])
    assert error.value.slug == "no-device-way"
    for words in ("no CDI spec", "cannot do --gpus", "no OCI runtime `chiprun`"):
        assert words in error.value.message
    assert "docs/devices.md" in error.value.hint


def test_gpus_on_an_engine_without_the_hook_is_told():
    with pytest.raises(HostLimitError, match=r"cannot do --gpus.*NVIDIA container toolkit"):
        planned(cdi=None, runtime=None, nodes=[])


def test_no_device_is_told_before_anything_else():
    for engine in ({}, {"gpus": True}, {"runtimes": ("chiprun",)}):
        with pytest.raises(HostLimitError, match="no device of target `chip`") as error:
            planned(site=a_device_inventory(found=(), nodes={}, **engine))
        assert error.value.slug == "device-missing"


def test_a_missing_shared_node_is_named_with_its_reason():
    with pytest.raises(HostLimitError, match=r"no /dev/chipctl \(the tests need it\)"):
        planned(site=a_device_inventory(nodes={}))


def test_a_device_that_lacks_its_node_is_named():
    with pytest.raises(HostLimitError, match=r"device 1 has no node /dev/chip\[0-9\]\*"):
        planned("1", a_device_inventory(found=(chip(0), chip(1, nodes=()))))


def test_a_group_that_the_host_does_not_have_is_told():
    with pytest.raises(HostLimitError, match="group `render`, which this host does not have") as error:
        planned(site=a_device_inventory(groups={"video": "44"}))
    assert error.value.slug == "group-missing"
    unknown = a_device_inventory(groups={}, cdi=True, cdi_devices=cdi("0", "1", "2", "3"))
    with pytest.raises(HostLimitError, match="group `render`"):
        planned(site=unknown)


def nodes_with(**rights) -> DeviceInventory:
    site = a_device_inventory()
    return replace(site, facts={path: replace(node, **rights) for path, node in site.facts.items()})


@pytest.mark.parametrize(
    ("rights", "user", "groups"),
    [
        ({"mode": 0o666}, USER, ()),
        ({"mode": 0o660}, "1000:105", ()),
        ({"mode": 0o660, "gid": 44}, USER, ("44",)),
        ({"mode": 0o600, "uid": 1000}, USER, ()),
        ({"mode": 0o660, "gid": 0}, "0:0", ()),
    ],
)
def test_only_groups_that_open_a_node_are_given(rights, user, groups):
    assert planned(site=nodes_with(**rights), user=user).groups == groups


@pytest.mark.parametrize(
    ("rights", "user"),
    [
        ({"mode": 0o600}, USER),
        ({"mode": 0o640}, USER),
        ({"mode": 0o660, "gid": 6}, USER),
        ({"mode": 0o660, "gid": 0}, USER),
        ({"mode": 0o060, "uid": 1000}, USER),  # the owner is not asked as one of a group
        ({"mode": 0o660, "uid": 7, "gid": 7}, "0:0"),  # root has no capability inside
    ],
)
def test_a_device_that_the_run_may_not_open_is_told(rights, user):
    with pytest.raises(HostLimitError, match=r"/dev/chip0 belongs to .* cannot open it") as error:
        planned(site=nodes_with(**rights), user=user)
    assert error.value.slug == "device-rights"
    assert "udev" in error.value.hint


@pytest.mark.parametrize(
    ("rights", "words"),
    [({"kind": "b"}, "a disk"), ({"kind": "d"}, "a folder"), ({"kind": "-"}, "no device"),
     ({"major": 1, "minor": 1}, "the memory of the host")],
)  # fmt: skip
def test_disks_folders_and_memory_are_never_passed(rights, words):
    with pytest.raises(HostLimitError, match=words) as error:
        planned(site=nodes_with(**rights))
    assert error.value.slug == "device-kind"


@pytest.mark.parametrize(
    ("subsystem", "name", "words"),
    [("misc", "tun", "networks of the host"), ("misc", "vsock", "hypervisor"), ("msr", "msr0", "registers"),
     ("tty", "console", "terminal"), ("input", "event3", "keyboards"), ("misc", "kvm", "virtual machines"),
     ("mem", "kmsg", "memory, log"), ("nvme", "nvme0", "disk")],
)  # fmt: skip
def test_nodes_of_the_host_itself_are_never_passed_whatever_a_glob_finds(subsystem, name, words):
    with pytest.raises(HostLimitError, match=words) as error:
        planned(site=nodes_with(subsystem=subsystem, name=name))
    assert error.value.slug == "device-kind"


def test_a_node_that_leads_nowhere_is_passed_with_a_word():
    facts = nodes_with(subsystem="mem", name="null", major=1, minor=3)
    planned(site=facts)
    assert "of the kernel's `mem`" in doubtful_nodes(target().passthrough, facts)[0]


def test_a_node_that_is_not_known_to_be_an_accelerators_is_told_with_its_reason():
    one = target().passthrough
    paths = nodes_with().nodes
    assert any(paths.values())
    assert doubtful_nodes(one, nodes_with(subsystem="drm")) == ()
    assert doubtful_nodes(one, nodes_with(subsystem="kfd")) == ()
    found = doubtful_nodes(one, nodes_with(subsystem="lirc", name="lirc0"))
    assert found
    assert "of the kernel's `lirc`" in found[0]
    assert one.nodes[0].reason in " ".join(found)


# -- in the plan of a run ----------------------------------------------------------------


def step(selection="", **more):
    site = a_run_environment(devices=a_device_inventory(**more), device_selection=selection)
    return plan_run(a_workload(target=target()), site, Cell(scenario="Offline", mode="performance"), "rid", Choices())


def test_a_run_carries_its_devices_and_why():
    done = step("0,2")
    assert done.container.devices == ("/dev/chip0", "/dev/chip2", "/dev/chipctl")
    assert done.container.groups == ("105",)
    assert done.container.env["CHIP_VISIBLE"] == "0,1"
    assert (done.device_injection.method, done.device_injection.whole) == ("nodes", False)


def test_a_run_stays_on_the_memory_nodes_of_its_devices():
    nodes = (NumaNode(node=0, cpus=(0, 2), memory=8 * GIB), NumaNode(node=1, cpus=(1, 3), memory=8 * GIB))
    host = a_host(nodes=nodes)

    def spec(selection, **changes):
        site = a_run_environment(host=host, devices=a_device_inventory(**changes), device_selection=selection)
        cell = Cell(scenario="Offline", mode="performance")
        return plan_run(a_workload(target=target()), site, cell, "rid", Choices()).container

    assert (spec("0,1").cpus, spec("0,1").memory_nodes) == ((0,), (0,))
    assert (spec("2").cpus, spec("2").memory_nodes) == ((1,), (1,))
    assert (spec("").cpus, spec("").memory_nodes) == ((0, 1), (0, 1))
    nowhere = tuple(replace(device, numa_node=None) for device in FOUR)
    assert spec("2", found=nowhere).cpus == (0, 1)


@pytest.mark.parametrize(
    ("selection", "more", "words"),
    [
        ("", {"gpus": True, "found": (chip(0, uuid=""),)}, ["--gpus", "all"]),
        ("0,2", {"gpus": True}, ["--gpus", '"device=GPU-0000,GPU-2222"']),
        ("1", {"cdi": True, "cdi_devices": cdi("1")}, ["--device", "example.com/chip=1"]),
        ("1", {"runtimes": ("chiprun",)}, ["--runtime", "chiprun"]),
        ("1", {}, ["--device", "/dev/chip1:/dev/chip1:rw"]),
    ],
)
def test_the_printed_line_has_them(selection, more, words):
    argv = docker_argv(step(selection, **more).container)
    assert words == argv[argv.index(words[0]) :][:2]


def test_nothing_in_a_target_can_ask_for_more_than_devices():
    """Whatever a recipe says, the container is not privileged, and its namespaces and profile stay."""
    argv = docker_argv(step().container)
    for word in ("--privileged", "seccomp=unconfined", "apparmor=unconfined", "ALL,", "host"):
        assert word not in argv
    assert argv[argv.index("--cap-drop") + 1] == "ALL"
    for name in ("ALL", "SYS_ADMIN", "SYS_MODULE", "SYS_RAWIO", "DAC_OVERRIDE", "MKNOD"):
        with pytest.raises(ValueError, match="capabilities"):
            a_target(capabilities=[{"name": name, **WHY}])
    for key in ("privileged", "security_opt", "pid", "network", "volumes"):
        with pytest.raises(ValueError, match=key):
            a_target(**{key: "host"})


@pytest.mark.parametrize(
    "name", ["/dev/*", "/dev/mem", "/dev/kmem", "/dev/port", "/etc/passwd", "/dev/../etc/x", "dev/x", "/dev/**", "/"]
)
def test_a_recipe_cannot_name_the_whole_host(name):
    with pytest.raises(ValueError, match="nodes"):
        target(nodes=[{"name": name, **WHY}])


def test_extras_without_a_method_are_a_fault_of_the_recipe():
    with pytest.raises(ValueError, match="need a method to pass devices"):
        a_target(passthrough={"groups": [{"name": "render", **WHY}]})


def test_the_command_line_refuses_a_choice_that_says_nothing_without_asking_anyone(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert run(["run", "--devices", "first", "--dry-run"]) == 2
    assert "[devices-syntax]" in capsys.readouterr().err
    assert run(["run", "--devices", "0", "--target", "cpu", "--dry-run"]) == 2
    assert "[no-devices]" in capsys.readouterr().err
