"""What was measured with power, read: samples of the analyser within a test, the session's records, hashes."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from orchestrator.submissions.facts import PowerFacts, PowerSample, RunFacts, Unread

if TYPE_CHECKING:
    from orchestrator.submissions.detail_log import DetailLog
    from orchestrator.submissions.reading import Reader
    from orchestrator.submissions.tree import Folder

CLOCK = "%m-%d-%Y %H:%M:%S.%f"
_USUAL = re.compile(r"[0-9]{2}-[0-9]{2}-[0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{1,6}")
LARGEST_SAMPLES = 64 << 20
_TOLD = re.compile(r"WARNING:|ERROR:|Uncertainty checking for Yokogawa|: Go with mark|: Completed test")
SPL = "spl.txt"
HASHED = (
    *("power/client.log", "power/ptd_logs.txt", "power/server.log"),
    *(f"{run}/{name}" for run in ("ranging", "run_1") for name in (
        "mlperf_log_detail.txt", "mlperf_log_summary.txt", SPL
    )),
)  # fmt: skip
"""The files whose hashes the client and the server have to have written, below `performance/`."""


class Window(NamedTuple):
    """From when to when a test drew power."""

    begin: datetime
    end: datetime

    @property
    def seconds(self) -> float:
        """How long that is."""
        return (self.end - self.begin).total_seconds()


def window_of(log: DetailLog | Unread) -> Window | None:
    """When a test ran, by LoadGen's detail log; None where it does not say."""
    if isinstance(log, Unread):
        return None
    try:
        begin, end = (_moment(str(log.values.get(key))) for key in ("power_begin", "power_end"))
    except ValueError:
        return None
    return Window(begin, end)


def gather_power(
    reader: Reader, performance: Folder, power: Folder, testing: RunFacts, ranging: RunFacts
) -> PowerFacts:
    """What was measured with power: the folder ``power`` in ``performance``, beside two runs."""
    return PowerFacts(
        path=power.path,
        files=tuple(power.files),
        ranging=ranging,
        testing_power=_samples(reader, testing),
        ranging_power=_samples(reader, ranging),
        client=reader.document(power.below("client.json")),
        server=reader.document(power.below("server.json")),
        ptd_log=_ptd_log(reader, power.below("ptd_logs.txt")),
        hashes={name: reader.sha1(performance.below(name)) for name in HASHED},
    )


def _samples(reader: Reader, run: RunFacts) -> PowerSample:
    window = window_of(run.log)
    if window is None:
        return PowerSample(-1, -1, 0, "the detail log has no power_begin and power_end")
    text = reader.text(f"{run.path}/{SPL}", LARGEST_SAMPLES)
    if isinstance(text, Unread):
        return PowerSample(-1, -1, 0, f"{SPL} {text.why}")
    begin, end = (_order(moment.strftime(CLOCK)) for moment in window)
    watts: list[float] = []
    factors: list[float] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.startswith("Time"):
            continue
        parts = line.split(",", 10)
        try:
            if not begin < _order(parts[1]) < end:
                continue
            value, factor = float(parts[3]), float(parts[9]) if len(parts) > 9 else 0.0
        except (ValueError, IndexError):
            return PowerSample(-1, -1, 0, f"{SPL} has a line {number} that is no sample")
        if value > 0:
            watts.append(value)
        if factor > 0:
            factors.append(factor)
    return PowerSample(_mean(watts), _mean(factors), len(watts))


def _order(moment: str) -> str:
    """A text that sorts as the moment does. Raises ValueError for no moment."""
    if _USUAL.fullmatch(moment) is None:
        moment = _moment(moment).strftime(CLOCK)
    day, _, fraction = moment.partition(".")
    return f"{day[6:10]}-{day[:5]}{day[10:]}.{fraction:<06}"


def _moment(text: str) -> datetime:
    return datetime.strptime(text, CLOCK).replace(tzinfo=UTC)


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else -1


def _ptd_log(reader: Reader, path: str) -> tuple[str, ...] | Unread:
    text = reader.text(path, LARGEST_SAMPLES)
    if isinstance(text, Unread):
        return text
    return tuple(line for line in text.splitlines() if _TOLD.search(line))
