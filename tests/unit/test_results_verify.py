"""`results verify`: a clean run passes, and every kind of tampering is named with its file."""

from __future__ import annotations

import json
import os
import struct
from dataclasses import replace

import pytest
from results_parts import CASES, RIGHT, SAMPLES, add_run, record_of

from orchestrator.errors import StepFailed
from orchestrator.facts.record import FileHash, Setting
from orchestrator.facts.record_file import from_json, to_json
from orchestrator.host.files import sha256_file
from orchestrator.results.store import Store
from orchestrator.results.verify.accuracy import read_labels
from orchestrator.results.verify.verification import verify


def _labels(path, values, descr="<i4"):
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': ({len(values)},), }}"
    header = header.ljust(117) + "\n"
    body = struct.pack(f"<{len(values)}{ {'<i4': 'i', '|u1': 'B', '<i8': 'q'}[descr] }", *values)
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + body)
    return path


def _rehash(folder, **changes):
    """What a forger does who knows of the hashes: record and seal made anew."""
    record = from_json((folder / "run.json").read_text(), path="run.json")
    files = {
        name: FileHash(sha256=sha256_file(folder / name), size=(folder / name).stat().st_size) for name in record.files
    }
    (folder / "run.json").write_text(to_json(replace(record, files=files, **changes)))


def _faults(folder, labels=None):
    return [(fault.file, fault.message) for fault in verify(folder, labels).faults]


@pytest.mark.parametrize("case", CASES)
def test_an_untouched_run_passes(tmp_path, case):
    _, folder = add_run(Store(tmp_path), case)
    found = verify(folder)
    assert found.faults == ()
    assert found.ok


@pytest.mark.parametrize("name", ["mlperf_log_detail.txt", "settings.json", "harness.json", "console.log"])
def test_a_changed_file_is_named(tmp_path, name):
    _, folder = add_run(Store(tmp_path), "server")
    data = bytearray((folder / name).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / name).write_bytes(data)
    assert (name, "the content differs from what was recorded") in _faults(folder)


def test_missing_added_and_longer_files_are_named(tmp_path):
    _, folder = add_run(Store(tmp_path), "offline")
    (folder / "console.log").unlink()
    (folder / "extra.txt").write_text("x")
    with (folder / "harness.json").open("a") as stream:
        stream.write(" ")
    assert sorted(file for file, _ in _faults(folder)) == ["console.log", "extra.txt", "harness.json"]


def test_a_report_beside_the_run_is_no_fault(tmp_path):
    _, folder = add_run(Store(tmp_path), "offline")
    (folder / "report.html").write_text("x")
    assert _faults(folder) == []


def test_an_edited_record_breaks_its_seal(tmp_path):
    _, folder = add_run(Store(tmp_path), "offline")
    text = (folder / "run.json").read_text().replace('"target": "cpu"', '"target": "gpu"')
    (folder / "run.json").write_text(text)
    assert ("run.json", "the record was changed after mlorch wrote it") in _faults(folder)


def test_an_invalid_result_cannot_be_made_valid_by_editing_the_record(tmp_path):
    _, folder = add_run(Store(tmp_path), "server-invalid")
    _rehash(folder, valid=True)
    assert _faults(folder) == [("run.json", "LoadGen says valid False, the record True")]


@pytest.mark.parametrize(
    ("case", "change", "figure"),
    [
        ("offline", lambda m: replace(m, loadgen=_metric(m.loadgen, 9000.5)), "metrics.samples_per_second.value"),
        ("server", lambda m: replace(m, loadgen=replace(m.loadgen, latency_ns={"p99": 1})), "latency_ns.p99"),
        ("accuracy", lambda m: replace(m, accuracy=replace(m.accuracy, value=0.99)), "accuracy.value"),
        ("server", lambda m: replace(m, loadgen=None), "loadgen.scenario"),
        ("server-invalid", lambda m: replace(m, reasons=()), "reasons.0"),
    ],
)
def test_a_figure_of_the_record_that_the_logs_do_not_give_is_named(tmp_path, case, change, figure):
    record, folder = add_run(Store(tmp_path), case)
    _rehash(folder, measured=change(record.measured))
    faults = _faults(folder)
    assert {file for file, _ in faults} == {"run.json"}
    assert any(message.startswith(f"measured.{figure}") or f".{figure} is" in message for _, message in faults)


def _metric(loadgen, value):
    first, *others = loadgen.metrics
    return replace(loadgen, metrics=(replace(first, value=value), *others))


def test_links_and_pipes_in_a_run_are_named_and_not_read(tmp_path):
    _, folder = add_run(Store(tmp_path), "offline")
    for name in ("console.log", "mlperf_log_detail.txt"):
        (folder / name).unlink()
    (folder / "console.log").symlink_to("/etc/passwd")
    os.mkfifo(folder / "mlperf_log_detail.txt")
    faults = dict(reversed(_faults(folder)))
    assert "is a link" in faults["console.log"]
    assert "no regular file" in faults["mlperf_log_detail.txt"]


def test_a_summary_that_contradicts_the_detail_log_is_named(tmp_path):
    _, folder = add_run(Store(tmp_path), "server-invalid")
    path = folder / "mlperf_log_summary.txt"
    path.write_text(path.read_text().replace("Result is : INVALID", "Result is : VALID"))
    _rehash(folder)
    assert [file for file, _ in _faults(folder)] == ["mlperf_log_summary.txt"]


@pytest.mark.parametrize(
    ("case", "line", "other"),
    [
        ("offline", "Samples per second: 5600.65", "Samples per second: 9600.65"),
        ("server", "Completed samples per second    : 789.96", "Completed samples per second    : 799.96"),
        ("singlestream", "90.0th percentile latency (ns) : 440933", "90.0th percentile latency (ns) : 340933"),
        ("offline", "Samples per second: 5600.65", "Samples per second: 5600.65\nSamples per second: 9600"),
        ("multistream", "percentile estimate: 1908806", "percentile estimate: fast"),
        ("server", "99.90 percentile latency (ns)   : 4924841", "99.90 percentile latency (ns)   : 924841"),
    ],
)
def test_a_figure_of_the_summary_that_the_detail_log_does_not_have_is_named(tmp_path, case, line, other):
    _, folder = add_run(Store(tmp_path), case)
    path = folder / "mlperf_log_summary.txt"
    assert line in path.read_text()
    path.write_text(path.read_text().replace(line, other))
    _rehash(folder)
    ((file, message),) = _faults(folder)
    assert file == "mlperf_log_summary.txt"
    assert other.rpartition(":")[2].strip() in message


def test_a_run_that_is_done_and_has_no_figures_is_named_but_for_records_of_mlorch_0_1(tmp_path):
    _, folder = add_run(Store(tmp_path), "offline")
    _rehash(folder, measured=None)
    assert _faults(folder) == [("run.json", "the run is done, and its record has no figures (`measured`)")]
    _, folder = add_run(Store(tmp_path), "offline", 1, old=True)
    assert _faults(folder) == []


def test_settings_of_another_run_are_named(tmp_path):
    _, folder = add_run(Store(tmp_path), "offline")
    settings = json.loads((folder / "settings.json").read_text())
    settings["execution"]["batch"] = 8
    settings["scenario"] = "Server"
    (folder / "settings.json").write_text(json.dumps(settings))
    _rehash(folder)
    messages = [message for _, message in _faults(folder)]
    assert "scenario is 'Server', in the record 'Offline'" in messages
    assert "execution.batch is 8, in the record 16" in messages


def test_a_data_set_of_another_size_than_loadgen_was_told_of_is_named(tmp_path):
    _, folder = add_run(Store(tmp_path), "offline")
    settings = json.loads((folder / "settings.json").read_text())
    settings["dataset"]["samples"] = 10_000
    (folder / "settings.json").write_text(json.dumps(settings))
    _rehash(folder)
    assert ("mlperf_log_detail.txt", "the program told LoadGen of 64 samples, and the data set has 10,000") in _faults(
        folder
    )


def test_a_setting_that_the_harness_measured_must_be_the_recorded_one(tmp_path):
    record, folder = add_run(Store(tmp_path), "offline")
    _rehash(folder, settings={**record.settings, "loadgen.target_qps": Setting(value=9000.0, source="calibrated")})
    assert _faults(folder) == [("harness.json", "loadgen.target_qps is 7000.0, in the record 9000.0")]


@pytest.mark.parametrize(("change", "says"), [("drop", "63 different samples"), ("double", "1 samples are there more")])
def test_an_accuracy_log_must_hold_every_sample_once(tmp_path, change, says):
    _, folder = add_run(Store(tmp_path), "accuracy")
    path = folder / "mlperf_log_accuracy.json"
    entries = json.loads(path.read_text())
    entries[5:6] = [] if change == "drop" else [entries[4]]
    path.write_text(json.dumps(entries))
    _rehash(folder)
    assert any(says in message for _, message in _faults(folder))


@pytest.mark.parametrize("old", [False, True], ids=["with figures", "of mlorch 0.1"])
def test_an_accuracy_log_that_was_emptied_is_named_once_whatever_the_record_holds(tmp_path, old):
    _, folder = add_run(Store(tmp_path), "accuracy", old=old)
    (folder / "mlperf_log_accuracy.json").write_text("[]")
    found = [message for file, message in _faults(folder) if file != "harness.json"]
    assert found == ["2 bytes; 3567 were recorded", "0 different samples, the dataset has 64"]


def test_a_large_accuracy_log_is_read_for_its_hash_and_for_its_answers_and_no_third_time(tmp_path, monkeypatch):
    _, folder = add_run(Store(tmp_path), "accuracy")
    opened, real = [], os.open

    def seen(path, *rest, **more):
        opened.append(str(path))
        return real(path, *rest, **more)

    monkeypatch.setattr(os, "open", seen)
    assert verify(folder).ok
    assert opened.count("mlperf_log_accuracy.json") == 2


@pytest.mark.parametrize(("samples", "says"), [(64, ()), (63, ("claims 63 samples, LoadGen logged 64",))])
def test_an_accuracy_that_a_container_of_its_own_counted_is_of_every_sample(tmp_path, samples, says):
    record, folder = add_run(Store(tmp_path), "accuracy")
    harness = json.loads((folder / "harness.json").read_text())
    figure = {**harness["accuracy"], "samples": samples}
    (folder / "harness.json").write_text(json.dumps(harness | {"accuracy": None}))
    (folder / "accuracy.json").write_text(json.dumps({"version": 1, "accuracies": [figure]}))
    measured = replace(record.measured, accuracy=replace(record.measured.accuracy, samples=samples))
    _rehash(folder, measured=measured)
    found = [message for file, message in _faults(folder) if file == "accuracy.json" and "claims" in message]
    assert tuple(found) == says
    assert "harness.json" not in dict(_faults(folder))


@pytest.mark.parametrize("whole", [2**23, 100])
@pytest.mark.parametrize("descr", ["<i4", "|u1", "<i8"])
def test_accuracy_is_computed_again_from_labels(tmp_path, monkeypatch, descr, whole):
    """Of a log that is read whole, and of one that is read a line at a time."""
    monkeypatch.setattr("orchestrator.results.verify.accuracy._LARGEST_WHOLE", whole)
    _, folder = add_run(Store(tmp_path / "results"), "accuracy")
    labels = _labels(tmp_path / "labels.npy", [index % 10 for index in range(SAMPLES)], descr)
    assert _faults(folder, labels) == []
    harness = json.loads((folder / "harness.json").read_text())
    harness["accuracy"]["correct"] = SAMPLES
    (folder / "harness.json").write_text(json.dumps(harness))
    _rehash(folder)
    found = _faults(folder, labels)
    assert ("harness.json", f"claims {SAMPLES} right answers, LoadGen's log gives {RIGHT}") in found
    assert all("measured.accuracy.interval" in message for file, message in found if file == "run.json")


def test_labels_that_are_none_are_refused(tmp_path):
    for data in (b"", b"\x93NUMPY\x01\x00\x10\x00{'descr': '<f4'}", b"\x93NUMPY\x01\x00"):
        (tmp_path / "l.npy").write_bytes(data)
        with pytest.raises(StepFailed):
            read_labels(tmp_path / "l.npy")
    whole = _labels(tmp_path / "l.npy", [1, 2, 3])
    whole.write_bytes(whole.read_bytes()[:-1])
    with pytest.raises(StepFailed, match="cut off"):
        read_labels(whole)


def test_a_run_that_has_not_ended_does_not_pass(tmp_path):
    folder = Store(tmp_path).begin(record_of("offline"))
    assert not verify(folder).ok


def test_an_unreadable_record_is_a_fault_and_no_folder_is_an_error(tmp_path):
    folder = tmp_path / "x"
    folder.mkdir()
    with pytest.raises(StepFailed):
        verify(folder)
    (folder / "run.json").write_text("{")
    assert [file for file, _ in _faults(folder)] == ["run.json"]


def test_a_folder_that_was_renamed_is_told(tmp_path):
    _, folder = add_run(Store(tmp_path), "offline")
    other = folder.rename(tmp_path / "best-result")
    assert any("the folder is not" in message for _, message in _faults(other))


def test_a_record_that_is_a_link_is_a_fault_of_its_run_only(tmp_path):
    _, folder = add_run(Store(tmp_path), "offline")
    (folder / "run.json").unlink()
    (folder / "run.json").symlink_to("/etc/hostname")
    assert "links are not followed" in _faults(folder)[0][1]


def test_a_name_with_line_ends_does_not_look_like_a_line_of_its_own(tmp_path):
    _, folder = add_run(Store(tmp_path), "offline")
    (folder / "x\n20260101T000000Z-good: ok").touch()
    assert _faults(folder) == [("x\\n20260101T000000Z-good: ok", "the file was not there when the run ended")]


def test_figures_without_a_name_are_compared_by_their_number(tmp_path):
    record, folder = add_run(Store(tmp_path), "offline")
    result = replace(record.measured.loadgen, effective={"x": [{"a": 1}]})
    _rehash(folder, measured=replace(record.measured, loadgen=result))
    assert any("measured.loadgen.effective.x.0.a is 1" in message for _, message in _faults(folder))


@pytest.mark.parametrize("index", ["true", "-1", "0.0", '"0"'])
def test_a_sample_whose_index_is_no_index_is_a_fault(tmp_path, index):
    _, folder = add_run(Store(tmp_path), "accuracy")
    (folder / "mlperf_log_accuracy.json").write_text(f'[{{"qsl_idx": {index}, "data": "00000000"}}]')
    _rehash(folder)
    assert ("mlperf_log_accuracy.json", "not a list of LoadGen's entries") in _faults(folder)
