"""A test measured with power: what a session gives, and every way in which it does not come to its end."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from power_parts import (
    CHECKS,
    IDENTITY,
    Engine,
    Server,
    Times,
    a_client,
    a_test,
    asked,
    line_of,
    passes,
    run_with_power,
    write_session,
)
from results_parts import LOGS

from orchestrator.facts.record_file import from_json, to_json
from orchestrator.results.power_text import joules, power_rows, power_text
from orchestrator.results.report import render
from orchestrator.results.summary import document, summarise, table
from orchestrator.results.verify.verification import verify

pytestmark = pytest.mark.sockets


@pytest.fixture
def power(tmp_path):
    """Runs a test with power; what it talks to may be chosen."""
    made = []

    def run(engine=None, server=None, times=None):
        server, times = server or Server(), times or Times()
        made.extend((server, times))
        return run_with_power(tmp_path, engine or Engine(), server, times)

    yield run
    for each in made:
        each.close()


def left(outcome) -> list[str]:
    return sorted(
        path.name for path in outcome.folder.iterdir() if path.name.startswith((".", "performance", "ranging"))
    )


def test_a_session_gives_the_mean_power_of_the_test_and_what_it_was_measured_with(power):
    engine = Engine()
    outcome = power(engine)
    assert outcome.error is None, outcome.error
    assert engine.ran == ["-power", "-ranging", "", "-power-check"]
    fact = outcome.record.power
    assert (fact.watts, fact.ranging_watts, fact.commit, fact.session) == (40.0, 40.0, "c4b3ad8202fb", "s")
    assert (fact.analysers, fact.device_types, fact.protocol) == ((IDENTITY,), (49,), "mlcommons/power server v3")
    assert fact.joules_per_query == pytest.approx(
        40.0 * fact.seconds / outcome.record.measured.loadgen.query_count, rel=1e-5
    )
    assert [(one.name, one.passed) for one in fact.checks] == [(name, True) for name in CHECKS]
    assert [clock.agrees for clock in fact.clocks] == [True, True]
    assert "performance/run_1/spl.txt" in outcome.record.files
    assert left(outcome) == ["performance"]
    assert from_json(to_json(outcome.record), path="run.json") == outcome.record


def test_every_view_says_that_a_simulated_analyser_measured_nothing(power):
    outcome = power()
    summary = summarise(outcome.record, outcome.folder)
    assert outcome.record.power.simulated
    shown = table([summary], marks=False)
    assert dict(zip(shown.columns, shown.rows[0], strict=True))["power"] == "40.00 W (simulated, not by the rules)"
    assert document(summary)["power"]["simulated"] is True
    assert "simulated: its analyser says that it is none" in render([summary])
    assert ("analyser", IDENTITY) in power_rows(outcome.record.power)


def test_a_table_without_power_has_no_column_of_it(power):
    summary = summarise(replace(power().record, power=None), Path("/nowhere"))
    assert "power" not in table([summary]).columns


def test_what_check_py_refuses_is_kept_with_its_reason_and_the_test_still_counts(power):
    def check(on_line):
        passes(on_line)
        for line in ("ERROR:main:[ ] Check PTD configuration", "ERROR:main:\tDevice number 7 is not supported", ""):
            on_line(line)
        return 1

    outcome = power(Engine(check=check))
    assert outcome.record.valid is True
    assert outcome.record.power.checks[-1].why == "Device number 7 is not supported"
    assert not outcome.record.power.passed
    assert "not by the rules" in power_text(outcome.record.power)


def test_a_check_that_judges_nothing_is_a_failure_that_names_its_log(power):
    outcome = power(Engine(check=lambda on_line: on_line("Traceback") or 1))
    assert outcome.error.slug == "power-check"
    assert "console-power-check.log" in outcome.error.hint


@pytest.mark.parametrize(
    ("server", "times", "whose"),
    [({"ahead_s": 3.0}, {}, "power server"), ({}, {"ahead_s": -3.0}, "NTP")],
)
def test_clocks_apart_end_it_before_anything_runs_and_none_is_set(power, server, times, whose):
    engine, asked_server = Engine(), Server(**server)
    outcome = power(engine, asked_server, Times(**times))
    assert outcome.error.slug == "power-clock"
    assert whose in outcome.error.message
    assert engine.ran == []
    assert "set_ntp" not in asked_server.heard


def test_a_client_that_wants_a_clock_set_is_told_no_and_its_server_never_hears_of_it(power):
    said = []

    def client(exchange, on_line):
        return a_client(exchange, said.append, say=("time", "set_ntp", "time"))

    server = Server()
    outcome = power(Engine(client=client), server)
    assert outcome.error is None
    assert "set_ntp" not in server.heard
    assert server.heard.count("time") == 3  # once by mlorch itself
    assert "compares clocks" in next(text for text in said if text.startswith("set_ntp"))


def test_a_daemon_that_answers_garbage_ends_it_before_anything_runs(power):
    engine = Engine()
    outcome = power(engine, Server(greeting=b"\x1b[31m;;;\r\n"))
    assert (outcome.error.slug, engine.ran) == ("power-server", [])


def test_a_server_that_is_lost_while_ranging_stops_the_ranging_run_at_once_and_leaves_no_half_session(power):
    engine = Engine()
    server = Server(dies_at="goodbye")

    def client(exchange, _on_line):
        with asked(exchange, "server") as connection:
            line_of(connection, "mlcommons/power client v3")
            with asked(exchange, "workload") as workload:
                connection.sendall(b"goodbye\r\n")  # the server dies while the test runs
                return 0 if workload.makefile("rb").readline() == b"done\n" else 1

    def test(_results, _on_line):
        assert engine.stopped.wait(20), "the ranging run went on without its server"
        return 137

    engine._client, engine._test = client, test
    outcome = power(engine, server)
    assert outcome.error.slug == "power-server"
    assert "(the ranging run)" in outcome.error.message
    assert str(outcome.folder / "console-power.log") in outcome.error.hint
    assert engine.ran == ["-power", "-ranging"]
    assert (outcome.record.status, outcome.record.valid, outcome.record.power.watts) == ("failed", None, None)
    assert "performance" not in left(outcome)


def test_a_client_that_ends_before_the_test_is_told_with_its_log(power):
    def client(_exchange, on_line):
        on_line("client [CRITICAL] Could not start new session")
        return 0  # as MLCommons' client does where the clocks do not agree

    outcome = power(Engine(client=client))
    assert outcome.error.slug == "power-client"
    assert "before the ranging run" in outcome.error.message
    assert "Could not start new session" in outcome.error.detail


def test_a_session_that_is_not_whole_is_none(power):
    def client(exchange, on_line):
        status = a_client(exchange, on_line)
        (exchange / "session" / "run_1" / "spl.txt").unlink()
        return status

    outcome = power(Engine(client=client))
    assert outcome.error.slug == "power-client"
    assert "run_1/spl.txt" in outcome.error.hint
    assert "performance" not in left(outcome)


def test_a_link_in_a_session_is_not_followed(power, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("a key")

    def client(exchange, on_line):
        status = a_client(exchange, on_line)
        (exchange / "session" / "power" / "client.log").unlink()
        (exchange / "session" / "power" / "client.log").symlink_to(secret)
        return status

    outcome = power(Engine(client=client))
    assert outcome.error.slug == "power-client"
    assert not [
        path for path in outcome.folder.rglob("*") if path.is_file() and "a key" in path.read_text(errors="replace")
    ]


def test_a_ranging_run_that_fails_ends_the_session(power):
    def test(results, on_line):
        return 3 if results.name == "ranging" else a_test(results, on_line)

    engine = Engine(test=test)
    outcome = power(engine)
    assert "ranging run ended with status 3" in outcome.error.message
    assert "console-ranging.log" in outcome.error.hint
    assert "" not in engine.ran


def test_the_client_reaches_nothing_but_its_two_servers(power):
    other, heard = Server(), []

    def client(exchange, on_line):
        for what in (f"connect 127.0.0.1:{other.port}", "engine", "server 127.0.0.1:1"):
            with asked(exchange, what) as connection:
                heard.append(connection.makefile("rb").read())
        return a_client(exchange, on_line)

    outcome = power(Engine(client=client))
    other.close()
    assert outcome.error is None
    assert heard == [b"", b"", b""]
    assert other.heard == []


def test_verify_counts_the_power_anew_and_finds_one_that_was_edited(power):
    outcome = power()
    assert verify(outcome.folder).ok
    path = outcome.folder / "run.json"
    edited = replace(outcome.record, power=replace(outcome.record.power, watts=20.0, simulated=False))
    path.write_text(to_json(edited))  # with a seal of its own
    assert [fault.message for fault in verify(outcome.folder).faults] == [
        "power.simulated is False, the session gives True",
        "power.watts is 20.0, the session gives 40.0",
    ]


def forges(results, on_line):
    """A test that writes a session and a verdict of its own."""
    for run in ("ranging", "run_1"):
        shutil.copytree(LOGS / "offline", results / "performance" / run)
    write_session(results / "performance")
    (results / "console-power-check.log").write_text("INFO:main:[x] Check of mine\n")
    return a_test(results, on_line)


def test_a_session_that_the_test_itself_wrote_is_not_believed(power):
    outcome = power(Engine(test=forges))
    assert outcome.error is None
    assert [one.name for one in outcome.record.power.checks] == list(CHECKS)


def test_neither_is_it_where_there_is_no_other(power):
    def client(exchange, on_line):
        status = a_client(exchange, on_line)
        (exchange / "session" / "power" / "client.json").unlink()
        return status

    outcome = power(Engine(client=client, test=forges))
    assert outcome.error.slug == "power-client"
    assert (outcome.record.power.watts, outcome.record.power.checks) == (None, ())


def test_nothing_is_left_of_the_folder_that_the_client_shared(power, tmp_path):
    power()
    assert list((tmp_path / "power").iterdir()) == []


def test_the_record_of_a_run_without_power_says_nothing_of_it(power):
    record = replace(power().record, power=None)
    assert json.loads(to_json(record)).get("power") is None


@pytest.mark.parametrize(
    ("value", "words"),
    [(1213.81, "1,214 J"), (0.0061, "6.100 mJ"), (2e-6, "2.000 µJ"), (0.0, "0 µJ"), (-3.0, "-3.000 J")],
)
def test_an_energy_has_the_unit_that_suits_it(value, words):
    assert joules(value) == words
