"""Host facts over recorded trees: machines that this one is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orchestrator.host.facts import group_ids, host_facts, parse_list
from orchestrator.host.nodes import device_nodes

if TYPE_CHECKING:
    from pathlib import Path

GIB = 2**30


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        place = root / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text + "\n")
    return root


def two_sockets(root: Path, **more: str) -> Path:
    """Two sockets of two cores with two threads: 0-3 first threads, 4-7 their siblings."""
    files = {
        "proc/cpuinfo": "processor : 0\nmodel name : Big CPU\nflags : fpu avx2\n",
        "proc/meminfo": f"MemTotal: {64 * 2**20} kB\nMemAvailable: {60 * 2**20} kB\nHugePages_Total: 8\n"
        "Hugepagesize: 2048 kB\nSwapTotal: 0 kB",
        "proc/sys/kernel/hostname": "node7",
        "proc/sys/kernel/osrelease": "6.1.0",
        "proc/sys/kernel/random/boot_id": "boot",
        "proc/loadavg": "0.50 1.25 2.00 1/200 4711",
        "proc/self/status": "Name: x\nCpus_allowed_list:\t0-7",
        "proc/self/cgroup": "0::/",
        "etc/os-release": 'NAME="Debian"\nPRETTY_NAME="Debian GNU/Linux 12"',
        "sys/devices/system/cpu/online": "0-7",
        "sys/devices/system/node/online": "0-1",
        "sys/devices/system/node/node0/cpulist": "0-1,4-5",
        "sys/devices/system/node/node1/cpulist": "2-3,6-7",
        "sys/devices/system/node/node0/meminfo": f"Node 0 MemTotal: {32 * 2**20} kB",
        "sys/devices/system/node/node1/meminfo": f"Node 1 MemTotal: {32 * 2**20} kB",
        "sys/devices/system/cpu/intel_pstate/no_turbo": "1",
    }
    for cpu in range(8):
        core = cpu % 4
        base = f"sys/devices/system/cpu/cpu{cpu}"
        files[f"{base}/topology/thread_siblings_list"] = f"{core},{core + 4}"
        files[f"{base}/topology/physical_package_id"] = str(core // 2)
        files[f"{base}/cpufreq/scaling_governor"] = "performance"
    return tree(root, files | more)


def test_a_server_with_two_sockets(tmp_path):
    facts = host_facts(two_sockets(tmp_path), environ={})
    assert (facts.sockets, facts.cores, facts.smt) == (2, ((0, 4), (1, 5), (2, 6), (3, 7)), True)
    assert [(n.node, n.cpus, n.memory) for n in facts.nodes] == [
        (0, (0, 1, 4, 5), 32 * GIB),
        (1, (2, 3, 6, 7), 32 * GIB),
    ]
    assert (facts.memory_total, facts.memory_available, facts.memory_limit) == (64 * GIB, 60 * GIB, None)
    assert (facts.cpu_model, facts.governor, facts.turbo) == ("Big CPU", "performance", False)
    assert (facts.hugepages, facts.hugepage_size, facts.load) == (8, 2 * 2**20, (0.5, 1.25, 2.0))
    assert (facts.hostname, facts.distribution, facts.virtualisation) == ("node7", "Debian GNU/Linux 12", "")


def test_cgroup_v2_limits_of_any_ancestor_count(tmp_path):
    root = two_sockets(
        tmp_path,
        **{
            "proc/self/cgroup": "0::/user.slice/job",
            "sys/fs/cgroup/user.slice/memory.max": str(8 * GIB),
            "sys/fs/cgroup/user.slice/job/memory.max": "max",
            "sys/fs/cgroup/user.slice/job/cpuset.cpus.effective": "2-3",
        },
    )
    facts = host_facts(root, environ={})
    assert facts.memory_limit == 8 * GIB
    assert facts.allowed_cpus == (2, 3)
    assert facts.cgroup == "v2"


def test_cgroup_v1_hybrid_limits(tmp_path):
    root = two_sockets(
        tmp_path,
        **{
            "proc/self/cgroup": "9:name=systemd:/\n4:memory:/box\n3:cpuset:/box\n0::/",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
            "sys/fs/cgroup/memory/box/memory.limit_in_bytes": str(2 * GIB),
            "sys/fs/cgroup/cpuset/box/cpuset.effective_cpus": "0,4",
            "proc/self/status": "Cpus_allowed_list:\t0-3",
        },
    )
    facts = host_facts(root, environ={})
    assert (facts.memory_limit, facts.memory, facts.allowed_cpus, facts.cgroup) == (2 * GIB, 2 * GIB, (0,), "v1")


def test_a_path_outside_the_cgroup_namespace_falls_back_to_the_mounts_root(tmp_path):
    root = two_sockets(
        tmp_path,
        **{"proc/self/cgroup": "4:memory:/docker/abc", "sys/fs/cgroup/memory/memory.limit_in_bytes": str(GIB)},
    )
    assert host_facts(root, environ={}).memory_limit == GIB


def test_an_arm_machine_and_a_hidden_sys(tmp_path):
    root = tree(
        tmp_path,
        {
            "proc/cpuinfo": "processor : 0\nprocessor : 1\nFeatures : asimd\nCPU implementer : 0x41\nCPU part : 0xd0c",
            "proc/meminfo": "MemTotal: 1048576 kB\nMemFree: 1000 kB",
        },
    )
    facts = host_facts(root, environ={})
    assert (facts.machine, facts.cpu_model, facts.online_cpus) == ("aarch64", "Arm 0x41 0xd0c", (0, 1))
    assert (facts.cores, facts.nodes[0].cpus, facts.memory_available) == (((0,), (1,)), (0, 1), 1000 * 1024)


def test_the_system_id_names_hardware_and_not_its_state(tmp_path):
    first = host_facts(two_sockets(tmp_path / "a"), environ={}).system_id
    state = {"proc/loadavg": "9 9 9", "proc/sys/kernel/hostname": "other", "proc/sys/kernel/osrelease": "7"}
    assert host_facts(two_sockets(tmp_path / "b", **state), environ={}).system_id == first
    part = {"proc/cpuinfo": "processor : 0\nmodel name : Other CPU"}
    assert host_facts(two_sockets(tmp_path / "c", **part), environ={}).system_id != first


def test_anonymous_leaves_the_name_out(tmp_path):
    assert host_facts(two_sockets(tmp_path), environ={"MLORCH_ANONYMOUS": "1"}).hostname == "anonymous"


def test_this_machine_has_processors_and_memory():
    facts = host_facts()
    assert set(facts.allowed_cpus) <= set(facts.online_cpus)
    assert facts.memory_total > facts.memory_available > 0
    assert sorted(cpu for core in facts.cores for cpu in core) == list(facts.online_cpus)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [("0-3,8", (0, 1, 2, 3, 8)), ("", ()), ("5", (5,)), ("x-y", ()), ("3-1", ()), ("1,1-2", (1, 2))],
)
def test_lists_of_the_kernel(text, numbers):
    assert parse_list(text) == numbers


def test_device_nodes_by_glob_and_group_numbers(tmp_path):
    tree(tmp_path, {"dev/gpu1": "", "dev/gpu0": "", "etc/group": "root:x:0:\nrender:x:105:u"})
    assert device_nodes("/dev/gpu*", tmp_path) == ("/dev/gpu0", "/dev/gpu1")
    assert device_nodes("/dev/none*", tmp_path) == ()
    assert group_ids(tmp_path)["render"] == "105"
