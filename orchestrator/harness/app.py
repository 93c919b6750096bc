"""One test from start to end: read the settings, load, calibrate, warm up, test, write harness.json."""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from . import VERSION
from .backends import kind
from .lines import ProgressLines, emit, log, phase, write_json
from .scenarios import SCENARIOS
from .settings import Settings, SettingsError, read

if TYPE_CHECKING:
    from collections.abc import Callable

    from .effective import Effective
    from .lines import Progress
    from .samples import Samples
    from .sut import System, Tally
    from .tasks import Task

DONE, FAILED, REFUSED = 0, 1, 2
GRACE_SECONDS = 5.0
"""How long LoadGen may take to end after a failure before the process leaves without it."""


class Report:
    """harness.json: filled during the run, written once, by whoever ends it."""

    def __init__(self, folder: Path, start_ns: int) -> None:
        self.folder = folder
        self.calibration: dict[str, object] | None = None
        self.search: dict[str, object] | None = None
        self.effective: dict[str, object] = {}
        self.backend: dict[str, object] | None = None
        self.accuracy: dict[str, object] | None = None
        names = ("imported", "model_loaded", "calibrated", "first_query", "end")
        self.times = {"start_unix_ns": start_ns} | {f"{name}_unix_ns": 0 for name in names}
        self._lock = threading.Lock()
        self._written = False

    def stamp(self, name: str) -> None:
        self.times[f"{name}_unix_ns"] = time.time_ns()

    def write(self, error: BaseException | None) -> int:
        """Write the file, unless that has been done; returns the exit status."""
        with self._lock:
            if not self._written:
                self._written = True
                self.stamp("end")
                write_json(self.folder / "harness.json", self._document(error))
        return FAILED if error else DONE

    def _document(self, error: BaseException | None) -> dict[str, object]:
        from .facts import container

        return {
            "version": VERSION,
            "status": "failed" if error else "done",
            "error": {"type": type(error).__name__, "message": str(error)} if error else None,
            "container": container(),
            "backend": self.backend,
            "calibration": self.calibration,
            "search": self.search,
            "effective": self.effective,
            "accuracy": self.accuracy,
            "times": self.times,
        }


class Model(Protocol):
    """A loaded model, driven through a test in this order."""

    def describe(self) -> dict[str, object]: ...

    def calibrate(self) -> Effective:
        """What the test runs with; the settings' gaps are measured."""
        ...

    def warm_up(self) -> None: ...

    def system(self, on_failure: Callable[[BaseException], None]) -> System:
        """What LoadGen tests; the first failure is told at once, from any thread."""
        ...


class Stopped(Exception):
    """A signal ended the test."""


def main(arguments: list[str], start_ns: int) -> int:
    """The exit status; the caller leaves the process with it at once."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python3 -m mlorch_harness SETTINGS\n")
        return REFUSED
    path = Path(arguments[0])
    report = Report(path.absolute().parent, start_ns)
    try:
        settings = read(path)
    except SettingsError as error:
        sys.stderr.write(f"settings refused: {error}\n")
        if report.folder.is_dir():
            report.write(error)
        return REFUSED
    faulthandler.enable()
    _watch_signals(report)
    try:
        _run(settings, report)
    except Exception as error:  # noqa: BLE001 - whatever it is, it ends up in harness.json
        return _failed(error, report)
    phase("done")
    return report.write(None)


def _failed(error: BaseException, report: Report) -> int:
    log(f"failed: {type(error).__name__}: {error}")
    return report.write(error)


def _watch_signals(report: Report) -> None:
    """SIGTERM and SIGINT end the test with a record.

    A thread waits for them, as the main thread is inside LoadGen where Python's handlers
    do not run; and process 1 of a container ignores signals that nobody waits for.
    """
    signals = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)

    def wait() -> None:
        number = signal.sigwait(signals)
        _leave(Stopped(f"stopped by {signal.Signals(number).name}"), report)

    threading.Thread(target=wait, name="signals", daemon=True).start()


def _leave(error: BaseException, report: Report) -> None:
    """End the process from any thread."""
    code = _failed(error, report)
    sys.stdout.flush()
    os._exit(code)


def _run(settings: Settings, report: Report) -> None:
    phase("load")
    from . import joined, loadgen, rate_search, tasks

    report.stamp("imported")
    samples, task = joined.create(settings), tasks.create(settings)
    samples.load(range(settings.dataset.performance_samples))
    model = _model(settings, samples, task)
    report.backend = model.describe()
    report.stamp("model_loaded")

    phase("calibrate")
    chosen = model.calibrate()
    report.calibration, report.effective = chosen.calibration, chosen.document()
    report.stamp("calibrated")
    log(chosen.layout.words)

    phase("warmup")
    model.warm_up()
    if rate_search.wanted(settings):
        phase("search")
        _search_rate(settings, chosen, model, report)

    phase("accuracy" if settings.mode == "accuracy" else "test")
    system = model.system(lambda error: _end_soon(error, report))
    pool = system.pool
    system.start()
    with ProgressLines(lambda: _progress(settings, chosen, pool)):
        loadgen.run(settings, chosen, samples, system, report.folder)
    system.stop()
    report.times["first_query_unix_ns"] = pool.first_query_ns
    if pool.error is not None:
        raise pool.error
    if settings.mode == "performance":
        pool.latencies.write(report.folder, of="query" if settings.scenario.endswith("Stream") else "sample")
    emit("progress", done=pool.done, total=pool.done, qps=None, left_s=0.0)
    if settings.mode == "accuracy":
        report.accuracy = task.accuracy(report.folder / "mlperf_log_accuracy.json")
        if report.accuracy is not None:
            _write_examples(settings, report.folder)


def _search_rate(settings: Settings, chosen: Effective, model: Model, report: Report) -> None:
    """Replace the guessed rate by one that short tests kept up with; where none did, the guess stays."""
    from . import loadgen, rate_search

    began = time.monotonic()
    seconds = min(rate_search.SEARCH_SECONDS, settings.loadgen.min_duration_ms / 1000)

    def attempt(rate: float, lasts: float) -> rate_search.Try:
        system = model.system(lambda error: _end_soon(error, report))
        system.start()
        try:
            return loadgen.probe(settings, chosen, system, rate, lasts)
        finally:
            system.stop()

    guess = chosen.values["target_qps"]
    found = rate_search.search(guess * rate_search.FIRST, attempt, lambda: seconds - (time.monotonic() - began))
    rate_search.confirm(found, attempt, min(rate_search.CONFIRM_SECONDS, settings.loadgen.min_duration_ms / 1000))
    if found.rate is None:
        chosen.put("target_qps", round(found.careful(guess), 2), "calibrated")
    else:
        chosen.put("target_qps", round(found.rate, 2), "searched")
    report.search, report.effective = found.document(), chosen.document()
    log(f"{chosen.values['target_qps']:,.0f} queries/s after {len(found.tries)} short tests: {found.ended}")


def _model(settings: Settings, samples: Samples, task: Task) -> Model:
    """The model, loaded; raises what loading it raises."""
    what = kind(settings.backend)
    if what == "served":
        from .served import Served

        return Served(settings, samples, task)
    if what == "generates":
        from .generation import Streamed

        return Streamed(settings, samples, task)
    from .batches import Batched

    return Batched(settings, samples, task)


def _write_examples(settings: Settings, folder: Path) -> None:
    """Where the accuracy is counted here, its examples are made here too; the figure stands without them."""
    from . import examples
    from .tasks.log import logged

    try:
        examples.write(folder, settings, logged(folder / "mlperf_log_accuracy.json", settings.dataset.samples))
    except (ValueError, OSError) as error:
        log(f"there are no examples: {error}")


def _end_soon(error: BaseException, report: Report) -> None:
    """After a failure LoadGen is given a moment to end, then the process leaves without it."""
    timer = threading.Timer(GRACE_SECONDS, _leave, (error, report))
    timer.daemon = True
    timer.start()


def _progress(settings: Settings, chosen: Effective, pool: Tally) -> Progress:
    """Samples done, how many there are, seconds left; None where only LoadGen knows."""
    done = pool.done
    if not pool.first_query_ns:
        return done, None, None
    elapsed = pool.seconds
    total = None
    if settings.mode == "accuracy":
        total = settings.dataset.samples
    elif SCENARIOS[settings.scenario].arrival == "all at once":
        total = pool.issued
    if total is not None:
        return done, total, elapsed / done * (total - done) if done else None
    left = settings.loadgen.min_duration_ms / 1000 - elapsed
    if done:
        queries = done / chosen.values.get("samples_per_query", 1)
        left = max(left, (chosen.values["min_query_count"] - queries) * elapsed / queries)
    return done, None, max(left, 0.0)
