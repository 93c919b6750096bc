"""What was measured with power, read: samples of the analyser within a test, the session's records, hashes."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

from orchestrator.submissions.facts import NOT_THERE, PowerFacts, PowerSample, RunFacts, Unread

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.submissions.detail_log import DetailLog
    from orchestrator.submissions.reading import Reader
    from orchestrator.submissions.tree import Folder

CLOCK = "%m-%d-%Y %H:%M:%S.%f"
_USUAL = re.compile(r"[0-9]{2}-[0-9]{2}-[0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{1,6}")
LARGEST_SAMPLES = 64 << 20
_MOST_WATTS = 1e12
"""No mean of a test is as much; an endless one would be no number of JSON."""
_FORM = b"00-00-0000 00:00:00.000,"
_AS_ZERO = bytes.maketrans(b"123456789", b"000000000")
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
    reader: Reader, performance: Folder, power: Folder, testing: RunFacts, ranging: RunFacts, *, session: bool = True
) -> PowerFacts:
    """What was measured with power: the folder ``power`` in ``performance``, beside two runs.

    Without ``session`` the power client's records are left out, where a round does not look at them.
    """
    if not session:
        return PowerFacts(
            path=power.path,
            files=tuple(power.files),
            ranging=ranging,
            testing_power=_samples(reader, testing),
            ranging_power=PowerSample(-1, 0, "not looked at"),
            client=NOT_THERE,
            server=NOT_THERE,
            ptd_log=NOT_THERE,
            hashes={},
        )
    return PowerFacts(
        path=power.path,
        files=tuple(power.files),
        ranging=ranging,
        testing_power=_samples(reader, testing),
        ranging_power=_samples(reader, ranging),
        client=reader.document(power.below("client.json")),
        server=reader.document(power.below("server.json")),
        ptd_log=reader.text(power.below("ptd_logs.txt"), LARGEST_SAMPLES),
        hashes={name: reader.sha1(performance.below(name)) for name in HASHED},
    )


def _samples(reader: Reader, run: RunFacts) -> PowerSample:
    window = window_of(run.log)
    if window is None:
        return PowerSample(-1, 0, "the detail log has no power_begin and power_end")
    text = reader.text(f"{run.path}/{SPL}", LARGEST_SAMPLES)
    if isinstance(text, Unread):
        return PowerSample(-1, 0, f"{SPL} {text.why}")
    try:
        found = [each for each in _watts_within(text, window) if each[1] > 0]
    except _NoSampleError as error:
        return PowerSample(-1, 0, f"{SPL} has a line {error} that is no sample")
    if not found:
        return PowerSample(-1, 0)
    mean = sum([watts for _, watts in found]) / len(found)
    if not mean < _MOST_WATTS:
        most, _ = max(found, key=itemgetter(1))
        return PowerSample(-1, 0, f"{SPL} has a line {most} that is no sample")
    return PowerSample(mean, len(found), first=found[0][0], last=found[-1][0])


class _NoSampleError(ValueError):
    """A line that is no sample, by its number."""


def _watts_within(text: str, window: Window) -> list[tuple[int, float]]:
    """The samples within a test: the number of each one's line, from 1, and its watts."""
    begin, end = (moment.strftime(CLOCK) for moment in window)
    found = [(at, line.split(",", 4)) for at, line in enumerate(text.splitlines(), 1) if line.startswith("Time,")]
    year = begin[6:10]
    try:
        if end[6:10] == year and _usual_moments([parts[1] for _, parts in found], year):
            # Of one year, moments sort as they are written; here with three digits of a second, of strftime six.
            return [(at, float(parts[3])) for at, parts in found if begin < parts[1] + "000" < end]
    except (ValueError, IndexError):
        pass
    return list(_watts_line_by_line(text, _order(begin), _order(end)))


def _usual_moments(moments: list[str], year: str) -> bool:
    """Whether moments are written as usual, and all are of a year."""
    joined = "".join([f"{moment}," for moment in moments])
    return (
        joined.count(f"-{year} ") == len(moments)
        and joined.isascii()
        and joined.encode().translate(_AS_ZERO) == _FORM * len(moments)
    )


def _watts_line_by_line(text: str, begin: str, end: str) -> Iterator[tuple[int, float]]:
    for number, line in enumerate(text.splitlines(), 1):
        if not line.startswith("Time"):
            continue
        parts = line.split(",", 4)
        try:
            if begin < _order(parts[1]) < end:
                yield number, float(parts[3])
        except (ValueError, IndexError):
            raise _NoSampleError(number) from None


def _order(moment: str) -> str:
    """A text that sorts as the moment does. Raises ValueError for no moment."""
    if _USUAL.fullmatch(moment) is None:
        moment = _moment(moment).strftime(CLOCK)
    day, _, fraction = moment.partition(".")
    return f"{day[6:10]}-{day[:5]}{day[10:]}.{fraction:<06}"


@lru_cache(maxsize=64)
def _moment(text: str) -> datetime:
    return datetime.strptime(text, CLOCK).replace(tzinfo=UTC)
