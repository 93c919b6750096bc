# ruff: noqa: E501 (good inputs, one a line)
"""What is fuzzed of results: LoadGen's logs, what a harness tells, records."""

from __future__ import annotations

import io
import json
import tempfile
from functools import cache
from pathlib import Path

from fuzz_target import LOGS, Target, folder

_CUT = b"\n%%%% summary\n"


def _logs() -> list[bytes]:
    found = []
    for case in ("offline", "server-invalid", "singlestream-tokens", "accuracy"):
        detail = (LOGS / case / "mlperf_log_detail.txt").read_bytes()
        found.append(detail + _CUT + (LOGS / case / "mlperf_log_summary.txt").read_bytes())
    return found


def _loadgen(data: bytes) -> None:
    from orchestrator.results.measure import measure

    at = folder() / "loadgen"
    at.mkdir(exist_ok=True)
    detail, _, summary = data.partition(_CUT)
    (at / "mlperf_log_detail.txt").write_bytes(detail)
    (at / "mlperf_log_summary.txt").write_bytes(summary)
    measure(_record(), at, {})


def _harness(data: bytes) -> None:
    """harness.json, and the same bytes as lines of events."""
    from orchestrator.facts.record import AccuracyGoal
    from orchestrator.results.measure import HARNESS, harness_document, measure
    from orchestrator.runs.console_log import ConsoleLog

    at = folder() / "harness"
    at.mkdir(exist_ok=True)
    (at / HARNESS).write_bytes(data)
    document = harness_document(at)
    measure(_record(), at, document)
    json.dumps(document)
    assert AccuracyGoal is not None

    events: list[object] = []
    log = ConsoleLog(
        stream=io.StringIO(), secrets=("a",), on_event=events.append, on_line=events.append, largest=10_000
    )
    for line in data.decode("utf-8", "replace").splitlines():
        log.line(line)
        log.line('{"event": ' + line)
    view = _view()
    for event in events:
        view.event(None, event) if isinstance(event, dict) else view.line(_Step, event)


class _Step:
    external = None


@cache
def _view() -> object:
    from orchestrator.commands.run_view import RunView
    from orchestrator.console import Console

    view = RunView(Console(quiet=True))
    view._progress = view._console.progress().__enter__()
    view._task = view._progress.add_task("test", total=None, note="")
    return view


@cache
def _record() -> object:
    from results_parts import record_of

    return record_of("offline")


def _record_file(data: bytes) -> None:
    """A record, and all that is shown of one that can be read."""
    from orchestrator.facts.record_file import from_json, to_json
    from orchestrator.results.report import render
    from orchestrator.results.summary import document, row, summarise

    record = from_json(data.decode("utf-8", "surrogateescape"), path="run.json")
    to_json(record)
    summary = summarise(record, folder())
    json.dumps(document(summary), default=str)
    row(summary)
    render([summary])


def _records() -> list[bytes]:
    from results_parts import add_run

    from orchestrator.results.store import Store

    store = Store(Path(tempfile.mkdtemp(dir=folder())))
    found = []
    for second, case in enumerate(("offline", "server-tokens", "accuracy")):
        made, at = add_run(store, case, second)
        assert made
        found.append((at / "run.json").read_bytes())
    return found


TARGETS = (
    Target("loadgen", _logs, _loadgen, (b'{"key": "', b'"value": ', b"result_validity", b"Result is : ")),
    Target(
        "harness",
        lambda: [
            json.dumps(
                {
                    "status": "done",
                    "accuracy": {"metric": "top1", "value": 91.5, "unit": "%", "samples": 10, "correct": 9},
                }
            ).encode(),
            json.dumps(
                {"status": "done", "accuracies": [{"metric": "a", "value": 1, "samples": 2, "interval": [0, 1]}]}
            ).encode(),
            b'{"event": "progress", "done": 1, "total": 2}\n{"event": "phase", "name": "x"}\n{"event": "log", "text": "y"}',
        ],
        _harness,
        (b'"accuracy": ', b'"interval": ', b'"samples": ', b'"event": '),
    ),
    Target("record", _records, _record_file, (b'"measured": ', b'"reasons": ', b'"settings": ', b'"run_id": ')),
)
