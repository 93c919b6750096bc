"""What else ran on a test's processors: counted from a machine made of files, judged by the limits."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from run_parts import a_run_environment, a_workload

from orchestrator.facts.endpoints import Endpoint
from orchestrator.facts.processors import LIMITS, Disturbance, reasons
from orchestrator.plan.run.cells import Cell
from orchestrator.plan.run.planner import plan_run
from orchestrator.plan.run.settings import Choices
from orchestrator.runs import disturbance
from orchestrator.runs.disturbance import DisturbanceMeter

PAGE = Path(__file__).parents[2] / "docs/processors.md"
ID = "c0ffee" * 10 + "beef"
HZ = 100


def put(path, text: str) -> None:
    """Write a file in one go, as the kernel's counters are read while they change."""
    new = path.with_name(f"{path.name}.new")
    new.write_text(text)
    new.rename(path)


class Machine:
    """/proc and /sys of four processors, whose counters go on as told; siblings are 0,2 and 1,3."""

    def __init__(self, root, monkeypatch, *, version: int = 2) -> None:
        self.root, self.version, self.at = root, version, 1000.0
        self.busy = dict.fromkeys(range(4), 100.0)
        self.steal = dict.fromkeys(range(4), 5.0)
        self.used, self.throttled, self.stalled, self.heat = 50.0, 0.0, 7.0, 3
        (root / "proc/pressure").mkdir(parents=True)
        for cpu in range(4):
            for folder in ("topology", "thermal_throttle"):
                (root / f"sys/devices/system/cpu/cpu{cpu}/{folder}").mkdir(parents=True)
            pair = f"{cpu % 2},{cpu % 2 + 2}"
            (root / f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list").write_text(pair)
        if version == 2:
            self.group = root / f"sys/fs/cgroup/system.slice/docker-{ID}.scope"
            self.group.mkdir(parents=True)
            (root / "sys/fs/cgroup/cgroup.controllers").write_text("cpu cpuset")
        else:
            self.group = root / f"sys/fs/cgroup/cpuacct/docker/{ID}"
            self.group.mkdir(parents=True)
            (root / f"sys/fs/cgroup/cpu/docker/{ID}").mkdir(parents=True)
        monkeypatch.setattr(disturbance, "time", SimpleNamespace(monotonic=lambda: self.at))
        self.write()

    def write(self) -> None:
        lines = ["cpu  1 2 3 4"]
        for cpu, busy in self.busy.items():
            # user nice system idle iowait irq softirq steal guest guest_nice
            lines.append(f"cpu{cpu} {busy * HZ - 40:.0f} 10 10 999 77 10 10 {self.steal[cpu] * HZ:.0f} 5 0")
            heat = self.root / f"sys/devices/system/cpu/cpu{cpu}/thermal_throttle/core_throttle_count"
            put(heat, str(self.heat))
        put(self.root / "proc/stat", "\n".join([*lines, "intr 1 2 3"]))
        put(self.root / "proc/loadavg", "1.50 1.0 0.5 1/100 4242")
        pressure = f"some avg10=0.00 avg60=0.00 avg300=0.00 total={self.stalled * 1e6:.0f}\nfull total=0"
        put(self.root / "proc/pressure/cpu", pressure)
        if self.version == 2:
            usage = f"usage_usec {self.used * 1e6:.0f}\nnr_throttled 2\nthrottled_usec "
            put(self.group / "cpu.stat", f"{usage}0")
            put(self.group.parent / "cpu.stat", f"{usage}{self.throttled * 1e6:.0f}")  # of the slice above
        else:
            put(self.group / "cpuacct.usage", f"{self.used * 1e9:.0f}")
            stat = self.root / f"sys/fs/cgroup/cpu/docker/{ID}/cpu.stat"
            put(stat, f"nr_periods 9\nthrottled_time {self.throttled * 1e9:.0f}")

    def runs(self, seconds: float, *, own=0.0, others=0.0, sibling=0.0, steal=0.0, throttled=0.0, heat=0) -> None:
        """Time passes; processor seconds on 0 and 1 by the test and by others, on 2 and 3 by ``sibling``."""
        for cpu in (0, 1):
            self.busy[cpu] += (own + others) / 2
            self.busy[cpu + 2] += sibling / 2
            self.steal[cpu] += steal / 2
        self.used += own
        self.throttled += throttled
        self.stalled += seconds / 4
        self.heat += heat
        self.write()
        self.at += seconds  # last: the meter's thread samples once time has passed


@pytest.fixture
def machine(tmp_path, monkeypatch):
    return Machine(tmp_path, monkeypatch)


def a_step(mode="performance"):
    return plan_run(a_workload(), a_run_environment(), Cell(scenario="Offline", mode=mode), "r", Choices())


def phase(meter: DisturbanceMeter, name: str) -> None:
    meter.event({"event": "phase", "name": name})


def watched(machine: Machine, *, mode="performance", ids=(ID,), seen=True, endpoint=None, **happened):
    """What a meter says of a test of ten seconds on processors 0 and 1, with busy seconds before and after it."""
    asked = []

    def containers():
        asked.append(1)
        return ids

    step = replace(a_step(mode), endpoint=endpoint)
    with DisturbanceMeter(step=step, containers=containers, root=machine.root, every_s=1e-3) as meter:
        phase(meter, "load")
        limit = time.monotonic() + 60
        while len(asked) < 2 and not (seen and meter._groups):
            assert time.monotonic() < limit
        machine.runs(30, own=1, others=50, steal=9)  # before LoadGen starts: nobody counts that
        phase(meter, "accuracy" if mode == "accuracy" else "test")
        machine.runs(10, **happened)
        phase(meter, "done")
        machine.runs(30, others=50, steal=9)
    return meter.found()


@pytest.mark.parametrize("version", [1, 2])
def test_a_quiet_test_is_not_disturbed_and_its_figures_are_shares_of_its_processors(tmp_path, monkeypatch, version):
    machine = Machine(tmp_path, monkeypatch, version=version)
    found = watched(machine, own=16, others=0.4, steal=0.2, sibling=0.2)
    assert (found.window, found.seconds, found.cpus) == ("test", 10, (0, 1))
    assert (found.own, found.others, found.steal, found.siblings) == (0.8, 0.02, 0.01, 0.01)
    assert (found.throttled, found.thermal, found.pressure) == (0, 0, 0.25)
    assert found.load == (1.5, 1.5)
    assert found.unknown == found.reasons == ()


@pytest.mark.parametrize(
    ("happened", "said"),
    [
        ({"others": 1.2}, "other programs used 6.0 % of its processors (more than 5 %)"),
        ({"steal": 1.2}, "the hypervisor gave 6.0 % of its processors to other machines (more than 5 %)"),
        (
            {"sibling": 2.4},
            "other programs used 12.0 % of the other threads of its cores (more than 10 %)",
        ),
        ({"throttled": 0.2}, "a quota of its control group stopped it for 2.0 % of the time (more than 1 %)"),
        ({"heat": 1}, "its cores slowed down for heat 2 times"),
    ],
)
@pytest.mark.parametrize("version", [1, 2])
def test_too_much_of_anything_marks_the_result_with_the_figure(tmp_path, monkeypatch, version, happened, said):
    found = watched(Machine(tmp_path, monkeypatch, version=version), own=16, **happened)
    assert found.reasons == (said,)


def test_an_accuracy_is_the_same_on_a_busy_machine(machine):
    found = watched(machine, mode="accuracy", own=4, others=8)
    assert (found.others, found.reasons) == (0.4, ())


def test_an_endpoint_on_this_machine_is_no_disturbance_of_its_own_test(machine):
    endpoint = Endpoint(url="http://127.0.0.1:8000/v1", model="m")
    found = watched(machine, endpoint=endpoint, own=4, others=10, steal=1.2)
    assert found.others == 0.5
    assert "the endpoint may be one of the other programs" in found.unknown[0]
    assert found.reasons == ("the hypervisor gave 6.0 % of its processors to other machines (more than 5 %)",)


def test_what_the_test_used_is_not_guessed_where_it_cannot_be_seen(machine):
    found = watched(machine, ids=("feed" * 16,), seen=False, own=16, others=2, steal=2)
    assert (found.own, found.others, found.worst_others, found.throttled) == (None, None, None, None)
    assert found.steal == 0.1
    assert "what its own containers used is not known" in found.unknown[0]
    assert len(found.reasons) == 1  # of what is known


def test_without_proc_stat_nothing_is_claimed(machine):
    (machine.root / "proc/stat").unlink()
    machine.write = lambda: None
    found = watched(machine, own=16, others=4)
    assert (found.own, found.others, found.steal, found.siblings) == (None, None, None, None)
    assert found.unknown
    assert found.reasons == ()


def test_a_moment_is_too_short_to_judge(tmp_path, monkeypatch):
    machine = Machine(tmp_path, monkeypatch)
    with DisturbanceMeter(step=a_step(), containers=lambda: [ID], root=tmp_path) as meter:
        phase(meter, "test")
        machine.runs(0.4, others=0.8)
        phase(meter, "done")
    found = meter.found()
    assert (found.others, found.steal, found.reasons) == (None, None, ())
    assert found.unknown == ("it was measured for 0.4 s, too short to tell",)


def test_a_test_that_never_began_has_no_figures(machine):
    with DisturbanceMeter(step=a_step(), containers=list, root=machine.root) as meter:
        phase(meter, "load")
    assert (meter.found().seconds, meter.found().reasons) == (0, ())
    assert meter.found().unknown


def test_a_container_that_is_gone_at_the_end_takes_no_figure_with_it(machine):
    """Its last second is left out: half of what it used would look like somebody else's."""
    with DisturbanceMeter(step=a_step(), containers=lambda: [ID], root=machine.root, every_s=0.01) as meter:
        phase(meter, "load")
        wait_for(lambda: meter._groups)
        phase(meter, "test")
        machine.runs(10, own=18, others=0.2)
        wait_for(lambda: meter._sums.known_s == 10)
        machine.runs(1, own=2)
        (machine.group / "cpu.stat").unlink()
        phase(meter, "done")
    found = meter.found()
    assert (found.seconds, found.own, found.others, found.reasons) == (11, 0.9, 0.01, ())


def wait_for(condition) -> None:
    limit = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < limit


def test_a_whole_busy_processor_counts_on_a_large_machine_too():
    quiet = Disturbance(window="test", seconds=60, cpus=tuple(range(64)), others=0.015)
    assert reasons(quiet) == ()
    busy = replace(quiet, others=0.017)
    assert reasons(busy) == ("other programs used 1.7 % of its processors (more than 1.56 %)",)


def test_every_limit_says_why_it_is_where_it_is():
    assert all(limit.why and 0 < limit.share < 1 for limit in LIMITS.values())


def test_the_documentation_has_the_limits_that_count():
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    limits = [row.split("|")[2] for row in rows]
    for limit in LIMITS.values():
        assert any(f"{limit.share * 100:g} %" in cell for cell in limits)
