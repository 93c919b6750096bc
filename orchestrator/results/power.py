"""What a session of MLCommons' power client says: read strictly from the files that it left, and judged."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from orchestrator.facts.neutral import one_line
from orchestrator.facts.power import PERFORMANCE, PowerCheck, is_simulated
from orchestrator.host.untrusted import UnreadableFile, read_text
from orchestrator.submissions.facts import Document
from orchestrator.submissions.power import window_of
from orchestrator.submissions.power_session import read_session, session_faults

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from orchestrator.facts.measured import LoadGenResult
    from orchestrator.facts.power import Clock, PowerFact

CHECK_LOG = "console-power-check.log"
"""What check.py printed."""
_CHECK = re.compile(r"(?:INFO|WARNING|ERROR):main:\[([x ])\] (.{1,200})")
_SAID = re.compile(r"(?:WARNING|ERROR):main:\t(.*)")
_LONGEST, _LONGEST_WHY, _MOST = 4 << 20, 400, 50
_TAKEN = "x"


def checks_of(folder: Path) -> tuple[PowerCheck, ...]:
    """Each check of check.py with its verdict, from what it printed; none where it printed none."""
    try:
        lines = read_text(folder, CHECK_LOG, _LONGEST, errors="replace").splitlines()
    except UnreadableFile:
        return ()
    found: list[PowerCheck] = []
    for line in lines:
        check, said = _CHECK.fullmatch(line.rstrip()), _SAID.match(line)
        if check is not None and len(found) < _MOST:
            found.append(PowerCheck(name=one_line(check[2]), passed=check[1] == _TAKEN))
        elif said is not None and found and not found[-1].why:
            found[-1] = replace(found[-1], why=one_line(said[1])[:_LONGEST_WHY])
    return tuple(found)


def power_fact(
    planned: PowerFact, folder: Path, scenario: str, loadgen: LoadGenResult | None, clocks: Iterable[Clock] = ()
) -> PowerFact:
    """``planned`` with what the session in ``folder`` says; as it is where there is no whole session."""
    fact = replace(planned, clocks=tuple(clocks) or planned.clocks)
    if not (folder / PERFORMANCE).is_dir():
        return fact
    result = read_session(folder / PERFORMANCE, scenario)
    power, window = result.power, window_of(result.run.log)
    if power is None or window is None:
        return fact
    measured = power.testing_power if power.testing_power.samples else None
    server = power.server.fields if isinstance(power.server, Document) else {}
    analysers, types = tuple(_identities(server)), tuple(_device_types(server))
    joules = None if measured is None else measured.watts * window.seconds
    queries, samples = (loadgen.query_count, loadgen.sample_count) if loadgen is not None else (0, 0)
    return replace(
        fact,
        session=_text(server.get("session_name")),
        protocol=_protocol(server),
        analysers=analysers,
        device_types=types,
        simulated=is_simulated(analysers, types),
        watts=None if measured is None else round(measured.watts, 6),
        ranging_watts=round(power.ranging_power.watts, 6) if power.ranging_power.samples else None,
        samples=power.testing_power.samples,
        seconds=round(window.seconds, 3),
        joules_per_query=_share(joules, queries),
        joules_per_sample=_share(joules, samples),
        checks=checks_of(folder),
        faults=tuple(one_line(text)[:_LONGEST_WHY] for text in session_faults(result))[:_MOST],
    )


def _share(joules: float | None, count: int) -> float | None:
    return float(f"{joules / count:.6g}") if joules is not None and count else None


def _text(value: object) -> str:
    return one_line(str(value or ""))[:_LONGEST_WHY]


def _messages(server: Any, key: str) -> Iterator[tuple[str, str]]:
    messages = server.get(key)
    for each in messages if isinstance(messages, list) else ():
        if isinstance(each, dict):
            yield _text(each.get("cmd")), _text(each.get("reply"))


def _identities(server: Any) -> Iterator[str]:
    """What PTDaemon says of each analyser, once each."""
    yield from dict.fromkeys(reply for command, reply in _messages(server, "ptd_messages") if command == "Identify")


def _device_types(server: Any) -> Iterator[int]:
    configured = server.get("ptd_config")
    for each in configured if isinstance(configured, list) else ():
        number = each.get("device_type") if isinstance(each, dict) else None
        if type(number) is int:
            yield number


def _protocol(server: Any) -> str:
    """The first answer of the power server: its name and version."""
    return next((reply for _, reply in _messages(server, "messages")), "")
