"""`--power informal`: this host's own counters, read from made-up trees of /sys, and what their figure is worth."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
from results_parts import record_of
from run_parts import a_run_environment, a_workload

from orchestrator.errors import UsageError
from orchestrator.facts.energy import REASONS, EnergySource, InformalPower, counted, informal_power, mean_watts
from orchestrator.facts.record_file import from_json, to_json
from orchestrator.facts.runs import DeviceInjection, InjectedDevice
from orchestrator.host.energy import Amd, Nvidia, counters, gauges
from orchestrator.operations.run.request import RunRequest, checked
from orchestrator.plan.run.cells import Cell
from orchestrator.plan.run.planner import plan_run
from orchestrator.plan.run.settings import Choices
from orchestrator.results.report import render
from orchestrator.results.summary import document, summarise, table
from orchestrator.runs.energy_meter import EnergyMeter

TEST, DONE = ({"event": "phase", "name": name} for name in ("test", "done"))
LARGEST = 262_143_328_850


def zone(root, name: str, said: str, energy: int | None = 1_000_000):
    """A zone of RAPL below a root; one without energy is there and cannot be read."""
    folder = root / "sys/class/powercap" / name
    folder.mkdir(parents=True)
    (folder / "name").write_text(f"{said}\n")
    (folder / "max_energy_range_uj").write_text(f"{LARGEST}\n")
    if energy is not None:
        (folder / "energy_uj").write_text(f"{energy}\n")
    return folder


def flags(root, *words: str):
    (root / "proc").mkdir(exist_ok=True)
    (root / "proc/cpuinfo").write_text(f"processor\t: 0\nflags\t\t: fpu {' '.join(words)}\n")


def test_whole_processors_and_their_memory_are_counted_and_parts_of_them_are_not(tmp_path):
    for name, said in (
        ("intel-rapl:0", "package-0"),
        ("intel-rapl:0:0", "core"),
        ("intel-rapl:0:1", "dram"),
        ("intel-rapl:1", "package-1"),
        ("intel-rapl:2", "psys"),
        ("intel-rapl-mmio:0", "package-0"),
    ):
        zone(tmp_path, name, said)
    found, why = counters(tmp_path)
    assert ([one.name for one in found], why) == (["package-0", "package-0 dram", "package-1"], "")


@pytest.mark.parametrize(
    ("there", "words", "code"),
    [(True, ("hypervisor",), "not-root"), (False, ("hypervisor",), "virtual-machine"), (False, (), "no-counters")],
)
def test_why_there_are_no_counters_is_told(tmp_path, there, words, code):
    flags(tmp_path, *words)
    if there:
        zone(tmp_path, "intel-rapl:0", "package-0", energy=None)
    assert counters(tmp_path) == ((), code)
    assert code in REASONS


@pytest.mark.parametrize(
    ("readings", "largest", "came_to"),
    [([5, 5, 9], 100, (4, 0)), ([90, 98, 3, 10], 100, (20, 1)), ([90, 3], 0, (3, 1)), ([7], 100, (0, 0))],
)
def test_a_counter_that_begins_anew_is_counted_on_and_told(readings, largest, came_to):
    assert counted(readings, largest) == came_to


def test_samples_count_for_the_time_between_them():
    assert mean_watts([(0.0, 100.0), (1.0, 100.0), (11.0, 200.0)]) == pytest.approx((100 + 1500) / 11)


def step(*devices: InjectedDevice):
    environment = a_run_environment(informal_power=True)
    made = plan_run(a_workload(), environment, Cell(scenario="Offline", mode="performance"), "x", Choices())
    return replace(made, device_injection=DeviceInjection(devices=devices))


class Gauge:
    kind = "nvml"

    def __init__(self, *answers):
        self.answers = iter(answers)

    def read(self):
        return next(self.answers)


@pytest.fixture
def clock(monkeypatch):
    """A clock that a test sets."""
    now = SimpleNamespace(at=100.0)
    monkeypatch.setattr("orchestrator.runs.energy_meter.time", SimpleNamespace(monotonic=lambda: now.at))
    return now


def measured(root, clock, gauge=None, *, seconds=2.0, after=None, others=None):
    """What a meter says of a test of some seconds, at whose end ``after`` was done."""
    meter = EnergyMeter(
        step=step(), root=root, every_s=3600, find_gauges=lambda _: ((gauge,), "") if gauge else ((), "")
    )
    with meter:
        meter.event({"event": "phase", "name": "calibration"})
        meter.event(TEST)
        clock.at += seconds
        if after is not None:
            after()
        meter.event(DONE)
    return meter.found(others)


def test_the_figure_is_the_energy_of_the_test_over_its_time(tmp_path, clock):
    folder = zone(tmp_path, "intel-rapl:0", "package-0", energy=500)
    found = measured(tmp_path, clock, after=lambda: (folder / "energy_uj").write_text("90000500\n"))
    assert (found.joules, found.watts, found.seconds, found.reasons) == (90.0, 45.0, 2.0, ())
    assert [(one.name, one.kind, one.samples) for one in found.sources] == [("package-0", "rapl", 2)]


def test_processors_and_accelerators_are_added(tmp_path, clock):
    folder = zone(tmp_path, "intel-rapl:0", "package-0", energy=0)
    gauge = Gauge({"GPU 0": 300.0}, {"GPU 0": 300.0})
    found = measured(tmp_path, clock, gauge, after=lambda: (folder / "energy_uj").write_text("90000000\n"))
    assert (found.watts, found.joules) == (345.0, 690.0)


def test_a_wrapped_counter_other_load_and_missing_samples_are_told_beside_the_figure(tmp_path, clock):
    folder = zone(tmp_path, "intel-rapl:0", "package-0", energy=LARGEST - 10_000_000)
    found = measured(
        tmp_path, clock, seconds=10.0, others=0.3, after=lambda: (folder / "energy_uj").write_text("90000000\n")
    )
    assert (found.joules, found.watts) == (100.0, 10.0)
    assert found.reasons == ("sampling-gap", "counter-wrapped", "other-load")


def test_a_gauge_that_was_silent_once_is_told(tmp_path, clock):
    flags(tmp_path)
    found = measured(tmp_path, clock, Gauge({"GPU 0": 300.0, "GPU 1": 200.0}, {"GPU 0": 310.0}))
    assert found.watts == 305.0
    assert found.reasons == ("no-counters", "device-not-read")


def test_without_any_counter_there_is_no_figure_and_why(tmp_path, clock):
    flags(tmp_path, "hypervisor")
    found = measured(tmp_path, clock)
    assert (found.watts, found.sources, found.reasons) == (None, (), ("virtual-machine",))


def test_a_test_that_never_began_has_no_figure(tmp_path):
    zone(tmp_path, "intel-rapl:0", "package-0")
    meter = EnergyMeter(step=step(), root=tmp_path)
    with meter:
        pass
    assert (meter.found(None).watts, meter.found(None).reasons) == (None, ("too-short",))


DEVICES = (InjectedDevice(index="1", name="nvidia.com/gpu=1", uuid="GPU-b"),)


def says(stdout: str, code: int = 0):
    return lambda *_arguments, **_options: SimpleNamespace(code=code, stdout=stdout)


def test_only_the_accelerators_of_the_test_are_read():
    run = says("0, GPU-a, 71.35\n1, GPU-b, 310.02\n2, GPU-c, [N/A]\n")
    assert Nvidia(DEVICES, run).read() == {"GPU 1": 310.02}


@pytest.mark.parametrize("text", ["", "1, GPU-b, [Not Supported]\n", "\x00garbage,,,\n1"])
def test_what_nvidia_smi_does_not_know_is_no_figure(text):
    assert Nvidia(DEVICES, says(text)).read() == {}


def test_amd_smi_is_read_in_both_of_its_forms():
    old = '[{"gpu": 1, "power": {"socket_power": {"value": 251, "unit": "W"}}}, {"gpu": 0, "power": "N/A"}]'
    new = '{"gpu_data": [{"gpu": 1, "power": {"socket_power": 252}}]}'
    assert Amd(DEVICES, says(old)).read() == {"GPU 1": 251.0}
    assert Amd(DEVICES, says(new)).read() == {"GPU 1": 252.0}
    assert Amd(DEVICES, says("no json")).read() == {}


def test_accelerators_that_nothing_reads_are_told_and_a_test_without_any_needs_nothing():
    assert gauges(DEVICES, says("", 127)) == ((), "no-device-reader")
    assert gauges((), says("", 127)) == ((), "")


def test_every_view_says_that_the_figure_is_informal(tmp_path):
    source = EnergySource(name="package-0", kind="rapl", joules=90.0, watts=45.0, samples=2)
    fact = informal_power((source,), 2.0, (), 0.2)
    record = replace(record_of("offline"), informal_power=fact, status="failed")
    assert from_json(to_json(record), path="run.json") == record
    summary = summarise(record, tmp_path)
    shown = table([summary], marks=False)
    assert dict(zip(shown.columns, shown.rows[0], strict=True))["power"] == "45.00 W (informal, doubtful)"
    assert document(summary)["informal_power"]["reasons"] == ["other-load"]
    page = render([summary])
    assert "no submission takes it" in page
    assert "and their power is in the figure" in page


def test_a_figure_that_is_none_is_told_as_none(tmp_path):
    record = replace(record_of("offline"), informal_power=InformalPower(seconds=0.0, reasons=("not-root",)))
    page = render([summarise(record, tmp_path)])
    assert "only root may read" in page


def test_informal_is_asked_for_by_its_name_and_not_of_an_endpoint():
    assert checked(RunRequest(power="informal", find=True)).power == "informal"
    with pytest.raises(UsageError, match="exclude each other"):
        checked(
            RunRequest(power="informal", endpoint="http://127.0.0.1:1", endpoint_model="m", benchmarks=("llm-chat",))
        )


def test_only_performance_tests_are_read():
    environment = a_run_environment(informal_power=True)
    accuracy = plan_run(a_workload(), environment, Cell(scenario="Offline", mode="accuracy"), "x", Choices())
    assert (accuracy.informal_power, step().informal_power, step().power) == (False, True, None)
