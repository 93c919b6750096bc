"""The log of PTDaemon, by power_checker.py: when the ranging run was, and which errors and warnings count. Pure."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from orchestrator.submissions.power import CLOCK, Window

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.facts.checker_rules import Answer

_RANGING_ERRORS = (
    "Can't evaluate uncertainty of this sample!",
    "Bad watts reading nan from ",
    "Bad amps reading nan from ",
    "Bad pf reading nan from ",
    "Bad volts reading nan from ",
    "Current appears to be too high for set range",
)
"""Usual while the range is looked for."""
_USUAL_ERRORS = tuple(f": ERROR: {each}" for each in _RANGING_ERRORS)
"""How their lines go on after the moment."""
_TESTING_ERRORS = ("USB.",)
_UNCERTAIN = re.compile(r"Uncertainty \d{1,40}.\d{1,40}%, which is above 1.00% limit for the last sample!")
"""Bounded, as `re` tries every way to share out a million digits."""
_STAMP = re.compile(r"\d\d-\d\d-\d{4} \d\d:\d\d:\d\d\.\d{3}")


def faults_in(text: str, ranging: Window, testing: Window | None, *, ends_at_a_warning: bool) -> Iterator[str]:
    """The lines that are refused; ``ends_at_a_warning`` ends at the first that is only told, as officially."""
    begin, end = _text(ranging.begin), _text(ranging.end)
    year = begin[6:10] if begin[6:10] == end[6:10] else ""
    for line in _doubtful(text, testing):
        if begin < line[:_LENGTH] < end and line[6:10] == year and line.startswith(_USUAL_ERRORS, _LENGTH):
            continue  # there are thousands; of one year, moments sort as they are written
        if "ERROR:" not in line and not ends_at_a_warning and _UNCERTAIN.search(line) is None:
            continue  # a warning that is told at most
        answer = _answer(line, ranging, testing)
        if answer == "refuse":
            yield line
        elif answer == "tell" and ends_at_a_warning:
            return


def _doubtful(text: str, testing: Window | None) -> Iterator[str]:
    """The errors, and the warnings so far within the test that they can count."""
    if testing is None or testing.end - testing.begin <= 2 * _UNSURE:
        yield from [line for line in text.splitlines() if "ERROR:" in line]
        return
    begin, end = _text(testing.begin + _UNSURE), _text(testing.end - _UNSURE)
    one_year = begin[6:10] == end[6:10]
    for line in text.splitlines():
        far = not one_year or line[6:10] != begin[6:10] or begin <= line[:_LENGTH] <= end
        if "ERROR:" in line or (far and "WARNING:" in line):
            yield line


def lines_with(text: str, words: str) -> Iterator[str]:
    """The lines that contain some words."""
    at = text.find(words)
    while at >= 0:
        stop = text.find("\n", at)
        stop = len(text) if stop < 0 else stop
        yield text[text.rfind("\n", 0, at) + 1 : stop]
        at = text.find(words, stop)


def doubts_were_checked(text: str, ranging: Window) -> bool:
    """Whether PTDaemon checked the uncertainty of its samples from before the ranging run."""
    said = next(lines_with(text, "Uncertainty checking for Yokogawa"), "")
    at = _stamp(said)
    return "is activated" in said and at is not None and at < ranging.begin


def _answer(line: str, ranging: Window, testing: Window | None) -> Answer:
    """What an error or a warning of PTDaemon means: any error outside the ranging run is refused, and doubt of the
    samples within the test; what else is unusual is told."""
    _, error, told = line.partition("ERROR:")
    if error:
        told = told.strip()
        if told in _TESTING_ERRORS:
            return "tell"
        at = _stamp(line)
        if at is None or not ranging.begin < at < ranging.end:
            return "refuse"
        return "skip" if told.startswith(_RANGING_ERRORS) else "tell"
    _, warning, told = line.partition("WARNING:")
    at = _stamp(line) if warning and testing is not None else None
    if at is None or testing is None or min(at - testing.begin, testing.end - at) <= _UNSURE:
        return "skip"
    return "refuse" if _UNCERTAIN.search(told) is not None else "tell"


_UNSURE = timedelta(seconds=800)
"""The official checker lets doubt pass so near to the ends of a test: it adds its milliseconds to seconds."""


def ranging_window(text: str, session: str) -> Window | None:
    """When the ranging run of a session was; None where the log does not say."""
    mark = f": Go with mark '{session}_ranging'"
    begun = next((line for line in lines_with(text, mark) if line[_LENGTH:].strip() == mark), None)
    if begun is None:
        return None
    done = ": Completed test"
    after = text[text.find(begun) + len(begun) :]
    ended = next((line for line in lines_with(after, done) if line[_LENGTH:].strip() == done), None)
    begin, end = _stamp(begun), _stamp(ended or "")
    return Window(begin, end) if begin is not None and end is not None else None


_LENGTH = len("07-31-2025 09:26:03.554")


def _text(moment: datetime) -> str:
    """A moment as a line begins with it, to the millisecond."""
    return moment.strftime(CLOCK)[:_LENGTH]


def _stamp(line: str) -> datetime | None:
    """When a line was written; None where it does not begin with a time."""
    if _STAMP.match(line) is None:
        return None
    try:
        return datetime.fromisoformat(f"{line[6:10]}-{line[:5]}{line[10:_LENGTH]}+00:00")
    except ValueError:
        return None
