"""Results with power: the figure, and what a session of MLCommons' power client has to look like."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from submission_parts import RESNET, found, good_tree, rules, system_json, values_of, write, write_log

from orchestrator.submissions.check import check_tree
from orchestrator.submissions.findings import Rulebook
from orchestrator.submissions.power import CLOCK, HASHED

OFFLINE = f"{RESNET}/Offline"
SINGLE = f"{RESNET}/SingleStream"
BEGIN = datetime(2025, 7, 31, 9, 0, 0, tzinfo=UTC)
SOURCES = {"client.py": "0" * 40}
SESSION = "2025-07-31_session"


def at(seconds: float) -> str:
    """A moment of the session, as the power client writes it."""
    return (BEGIN + timedelta(seconds=seconds)).strftime(CLOCK)[:-3]


RUNS = {"ranging": (100, 700), "run_1": (800, 1400)}


def messages():
    """What the client asked of PTDaemon."""
    texts = [
        ("Hello", "Hello, PTDaemon here!"),
        ("Identify", "YokogawaWT310,123,version=1.11.1-x"),
        ("RR,123", "Ranges,1,2.0,0,300.0"),
    ]
    go = "Starting untimed measurement, maximum 500000 samples at 1000ms with 0 rampup samples"
    for _ in range(2):
        texts += [("SR,A,Auto", "Range A changed"), ("SR,V,Auto", "Range V changed"), ("Go,1000,0,x", go)]
        texts += [("Stop", "Stopping untimed measurement")]
    texts += [("SR,A,Auto", "Range A changed"), ("SR,V,300.0", "Range V changed"), ("SR,A,Auto", "Range A changed")]
    return [{"cmd": command, "reply": reply} for command, reply in texts]


def session(**changes):
    """What the client and the server both write."""
    hello = {"cmd": "mlcommons/power client v3", "reply": "mlcommons/power server v3"}
    phases = {name: [[BEGIN.timestamp() + s] for s in (b - 50, b - 10, e + 10)] for name, (b, e) in (
        ("ranging", RUNS["ranging"]), ("testing", RUNS["run_1"])
    )}  # fmt: skip
    return {
        "version": "1", "timezone": 0, "modules": {}, "sources": SOURCES, "messages": [hello], "results": {},
        "uuid": {"client": "a", "server": "b"}, "session_name": SESSION, "phases": phases, **changes,
    }  # fmt: skip


def add_power(root, result=OFFLINE, **changes):
    """Power files of a result; `changes` of `client`, `server`, `ptd` and `spl`."""
    scenario = result.rpartition("/")[2]
    folder = root / result / "performance"
    for name, (begin, end) in RUNS.items():
        write_log(folder / name, values_of(scenario, power_begin=at(begin), power_end=at(end)))
        watts = changes.get("watts", {}).get(name, 250.0)
        samples = [
            f"Time,{at(second)},Watts,{watts},Volts,230,Amps,1.1,PF,0.98,Mark,x" for second in range(begin, end + 1, 10)
        ]
        write(folder / name / "spl.txt", changes.get("spl", "\n".join(samples)) + "\n")
    ptd = [
        f"{at(0)}: Uncertainty checking for YokogawaWT310 is activated",
        f"{at(90)}: Go with mark '{SESSION}_ranging'",
        f"{at(300)}: ERROR: Bad watts reading nan from x",
        f"{at(710)}: Completed test",
        *changes.get("ptd", ()),
    ]
    write(folder / "power" / "ptd_logs.txt", "\n".join(ptd) + "\n")
    for name in ("client.log", "server.log"):
        write(folder / "power" / name, "x\n")
    hashes = {name: hashlib.sha1((folder / name).read_bytes()).hexdigest() for name in HASHED}
    client, server = session(results=hashes), session(results=hashes, ptd_messages=messages())
    server["ptd_config"] = [{"device_type": 49, "command": [], "channel": None}]
    write(folder / "power" / "client.json", json.dumps({**client, **changes.get("client", {})}))
    write(folder / "power" / "server.json", json.dumps({**server, **changes.get("server", {})}))
    for name in ("analyzer_table.md", "power_settings.md"):
        write(root / "closed/Acme/measurements/box/resnet" / scenario / name, "x")


def check(root, *, round_name: str = "v5.1", **more):
    """As of `submission_parts`; the round takes the power client of these tests."""
    digest = hashlib.sha256(json.dumps(SOURCES, sort_keys=True).encode()).hexdigest()
    whole = rules(round_name)
    session = whole.checker.power_session._replace(clients=(digest,))
    checks = {**whole.checker.checks, **more.pop("checks", {})}
    known = replace(whole, checker=replace(whole.checker, power_session=session, checks=checks))
    official = more.pop("official", False)
    return check_tree(root, Rulebook(known, as_official=official), **more)


@pytest.fixture
def tree(tmp_path):
    return good_tree(tmp_path / "tree")


def rows_of(checked, location):
    """The rows of a result: performance, then power."""
    rows = [SimpleNamespace(**dict(zip(checked.columns, each, strict=True))) for each in checked.rows]
    return [each for each in rows if each.Location == location]


def test_a_result_with_power_has_two_rows(tree):
    add_power(tree)
    checked = check(tree)
    assert checked.findings == ()
    performance, power = rows_of(checked, OFFLINE)
    assert (performance.Result, performance.Units, performance.has_power) == ("1234.5", "Samples/s", "True")
    assert (power.Result, power.Units, power.has_power) == ("250.0", "Watts", "True")


def test_a_round_that_looks_at_no_session_takes_any(tree):
    add_power(tree, client={"uuid": "another"}, ptd=("no log",))
    (tree / OFFLINE / "performance/ranging/mlperf_log_detail.txt").write_text(":::MLLOG {")
    assert not rows_of(check(tree), OFFLINE)
    _, power = rows_of(check(tree, checks={"power-check": "skip"}), OFFLINE)
    assert power.Result == "250.0"


def test_streams_count_millijoules_a_query(tree):
    add_power(tree, SINGLE)
    _, power = rows_of(check(tree), SINGLE)
    assert (power.Result, power.Units) == (str(250.0 * 600 * 1000 / 1000), "millijoules")


def test_a_system_for_power_alone_has_no_row_of_performance(tree):
    write(
        tree / "closed/Acme/systems/box.json", json.dumps(system_json("closed", "box", "edge", system_power_only=True))
    )
    add_power(tree)
    (power,) = rows_of(check(tree), OFFLINE)
    assert power.Units == "Watts"


def changed_messages(number: int, **changes):
    return {"server": {"ptd_messages": [
        {**each, **(changes if index == number else {})} for index, each in enumerate(messages())
    ]}}  # fmt: skip


FAULTS = [
    ({"client": {"sources": {}}}, "power-client"),
    ({"client": {"session_name": "other"}}, "power-same-session"),
    ({"client": {"uuid": {}}}, "power-same-session"),
    ({"client": {"messages": []}}, "power-messages"),
    ({"client": {"messages": [{"cmd": "mlcommons/power client v2", "reply": ""}]}}, "power-messages"),
    ({"client": {"results": {HASHED[0]: "0" * 40}}}, "power-hashes"),
    ({"server": {"debug": True}}, "power-configuration"),
    ({"server": {"ptd_config": [{"device_type": 7, "command": [], "channel": None}]}}, "power-configuration"),
    ({"server": {"ptd_config": [{"device_type": 77, "command": ["-c", "1"], "channel": [1]}]}}, "power-configuration"),
    ({"server": {"results": {}}, "client": {"results": {}}}, "power-hashes"),
    (changed_messages(1, reply="YokogawaWT310,123,version=1.10.0-x"), "power-commands"),
    (changed_messages(1, reply="Toy,123,version=1.11.1-x"), "power-commands"),
    (changed_messages(3, reply="no"), "power-commands"),
    (changed_messages(12, cmd="SR,V,Auto"), "power-commands"),
    ({"ptd": [f"{at(1000)}: ERROR: lost the analyser"]}, "power-log"),
    ({"watts": {"run_1": 230.0}}, "power-ranging"),
    ({"spl": "nothing"}, "power-samples"),
    ({"spl": "Time,yesterday,Watts,1,,,,,,"}, "power-samples"),
    ({"watts": {"run_1": "inf"}}, "power-samples"),
    ({"watts": {"run_1": 1e308}}, "power-samples"),
    ({"client": {"phases": {"ranging": [], "testing": []}}}, "power-clocks"),
    ({"client": {"phases": 7}}, "power-clocks"),
]


@pytest.mark.parametrize(("changes", "rule"), FAULTS)
def test_a_session_that_is_not_as_it_should_be_is_refused(tree, changes, rule):
    add_power(tree, **changes)
    checked = check(tree)
    assert rule in {each.rule for each in checked.findings}
    assert OFFLINE in checked.refused
    assert rows_of(checked, OFFLINE) == []


def test_errors_after_a_warning_count_but_as_the_official_checker(tree):
    add_power(tree, ptd=[f"{at(1000)}: ERROR: USB.", f"{at(1001)}: ERROR: lost", f"{at(1002)}: ERROR: lost"])
    (told,) = [each for each in check(tree).findings if each.rule == "power-log"]
    assert told.message.startswith("tells of 2 faults")
    assert len(rows_of(check(tree, official=True), OFFLINE)) == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"ptd": [f"{at(1000)}: WARNING: Uncertainty {'1' * 200_000}"]},
        changed_messages(1, reply=f"YokogawaWT310,{'version=' * 100_000}"),
    ],
)
def test_a_line_without_end_is_looked_at_in_time(tree, changes):
    add_power(tree, **changes)
    began = time.monotonic()
    check(tree)
    assert time.monotonic() - began < 15, "the check is made in processes of its own"


def test_clocks_that_are_apart_are_refused(tree):
    later = session()["phases"]
    later = {name: [[moment + 0.9] for (moment,) in phases] for name, phases in later.items()}
    add_power(tree, client={"phases": later})
    assert ("power-clocks", f"{OFFLINE}/performance/power") in found(check(tree))


@pytest.mark.parametrize("name", ["power/ptd_logs.txt", "power/client.json", "run_1/spl.txt", "ranging/spl.txt"])
def test_a_missing_file_of_power_refuses_the_result(tree, name):
    add_power(tree)
    (tree / OFFLINE / "performance" / name).unlink()
    checked = check(tree)
    assert OFFLINE in checked.refused
    assert not any("could not be judged" in each.message for each in checked.findings)


def test_a_result_with_power_says_how_it_was_measured(tree):
    add_power(tree)
    (tree / "closed/Acme/measurements/box/resnet/Offline/analyzer_table.md").unlink()
    assert found(check(tree)) == {
        ("power-settings", "closed/Acme/measurements/box/resnet/Offline"),
        ("complete", RESNET),
    }


@pytest.mark.parametrize("content", [b"", b"\xff\x00", b"[]", b"{}", b'{"results": 7, "messages": {"a": 1}}'])
def test_odd_records_of_a_session_end_nothing(tree, content):
    add_power(tree)
    for name in ("client.json", "server.json", "ptd_logs.txt"):
        (tree / OFFLINE / "performance" / "power" / name).write_bytes(content)
    checked = check(tree)
    assert OFFLINE in checked.refused
    assert len(checked.rows) == 3
