"""What a session of MLCommons' power client has to look like, by the checks of power_checker.py. Pure."""

from __future__ import annotations

import hashlib
import json
import re
from itertools import islice
from typing import TYPE_CHECKING, Any

from orchestrator.submissions.facts import Document, PowerFacts, PowerSample, ResultFacts, Unread
from orchestrator.submissions.findings import Said
from orchestrator.submissions.power import HASHED, Window, window_of
from orchestrator.submissions.rules.ptd_log import doubts_were_checked, faults_in, ranging_window

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from orchestrator.facts.checker_rules import PowerSession

    SessionCheck = Callable[[ResultFacts, PowerSession], Iterator[Said]]
    """What of a session is none that a round accepts."""

_ANALYZERS = {
    "YokogawaWT210": 8,
    "YokogawaWT500": 35,
    "YokogawaWT500_multichannel": 48,
    "YokogawaWT310": 49,
    "YokogawaWT310E": 49,
    "YokogawaWT330": 52,
    "YokogawaWT330E": 52,
    "YokogawaWT330_multichannel": 77,
    "YokogawaWT210_DC": 508,
    "YokogawaWT310_DC": 549,
    "YokogawaWT330_DC": 586,
}
_TWO_CHANNELS = 77
_MOST_APART = 0.8
"""Seconds by which the clocks of the client and the server may differ."""
_MOST_FAULTS = 99
"""That are counted."""
_LEAST_OF_RANGING = -5
"""Percent by which the test may draw less than the ranging run."""
_IN_SESSION = (
    *("version", "timezone", "modules", "sources", "messages", "uuid", "session_name", "results", "phases"),
)  # fmt: skip


def _sessions(power: PowerFacts | None) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if power is not None:
        for name, document in (("client.json", power.client), ("server.json", power.server)):
            if isinstance(document, Document):
                yield f"{power.path}/{name}", document.fields


def _both(power: PowerFacts | None) -> tuple[Mapping[str, Any], Mapping[str, Any]] | None:
    if power is None or not isinstance(power.client, Document) or not isinstance(power.server, Document):
        return None
    return power.client.fields, power.server.fields


def readable(result: ResultFacts, _asked: PowerSession) -> Iterator[Said]:
    power = result.power
    if power is None:
        return
    for name, what in (("client.json", power.client), ("server.json", power.server), ("ptd_logs.txt", power.ptd_log)):
        if isinstance(what, Unread) and not what.missing:  # what is missing, the rule of files tells
            yield Said(f"{power.path}/{name}", what.why)
    for path, session in _sessions(power):
        lacking = [name for name in _IN_SESSION if name not in session]
        if lacking:
            yield Said(path, f"has no {', '.join(lacking)}")


def sources(result: ResultFacts, asked: PowerSession) -> Iterator[Said]:
    for path, session in _sessions(result.power):
        text = json.dumps(session.get("sources"), sort_keys=True)
        if not hashlib.sha256(text.encode()).hexdigest().startswith(asked.clients):
            yield Said(path, "was made by a power client that is none of MLCommons'")


def _messages_of_ptd(session: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(str(each.get("cmd")), str(each.get("reply"))) for each in session.get("ptd_messages", ())]


def commands(result: ResultFacts, asked: PowerSession) -> Iterator[Said]:
    both = _both(result.power)
    if both is None or result.power is None:
        return
    path, messages = f"{result.power.path}/server.json", _messages_of_ptd(both[1])
    identity = next((reply for command, reply in messages if command == "Identify"), "")
    version = re.search(r"version=(.{1,40}?)-", identity)
    if version is None or version.group(1) not in asked.ptdaemon:
        yield Said(path, f"PTDaemon is of another version than {', '.join(asked.ptdaemon)}: `{identity[:80]}`")
    if identity.partition(",")[0] not in _ANALYZERS:
        yield Said(path, f"the analyser `{identity.partition(',')[0][:40]}` is none that MLCommons accepts")
    for message in (*_wrong_replies(messages), *_ranges(messages, asked.amperes_reset)):
        yield Said(path, message)


def _wrong_replies(messages: list[tuple[str, str]]) -> Iterator[str]:
    expected = {
        "SR,A": "Range A changed",
        "SR,V": "Range V changed",
        "Go,1000,": "Starting untimed measurement, maximum 500000 samples at 1000ms with 0 rampup samples",
        "Stop": "Stopping untimed measurement",
    }
    stops = 0
    for command, reply in messages:
        for start, answer in expected.items():
            if not command.startswith(start):
                continue
            wanted = answer
            if start == "Stop":
                stops += command == "Stop"
                wanted = "Error: no measurement to stop" if stops > 2 else answer
            if reply != wanted:
                yield f"PTDaemon answered `{command[:40]}` with `{reply[:80]}`"


def _ranges(messages: list[tuple[str, str]], amperes: tuple[int, ...]) -> Iterator[str]:
    """The ranges of the analyser are put back to what they were; ``amperes``: by which of the commands for it."""
    if len(messages) < 3:
        yield "has fewer messages to PTDaemon than a session has"
        return
    first = messages[2][1].split(",")
    for letter, at, which in (("A", 1, amperes), ("V", 3, (3,))):
        set_to = [command for command, _ in messages if command.startswith(f"SR,{letter}")]
        try:
            fixed = first[at] == "0" and float(first[at + 1]) > 0
        except (ValueError, IndexError):
            yield f"the analyser's ranges cannot be read from `{messages[2][1][:80]}`"
            return
        wanted = f"SR,{letter},{first[at + 1] if fixed else 'Auto'}"
        if len(set_to) < max(which) or wanted not in [set_to[number - 1] for number in which]:
            yield f"the range of {'amperes' if letter == 'A' else 'volts'} was not put back to `{wanted}`"


def same(result: ResultFacts, _asked: PowerSession) -> Iterator[Said]:
    both = _both(result.power)
    if both is None or result.power is None:
        return
    for key in ("uuid", "session_name"):
        if both[0].get(key) != both[1].get(key):
            yield Said(result.power.path, f"client.json and server.json have another `{key}`")


def replies(result: ResultFacts, _asked: PowerSession) -> Iterator[Said]:
    both = _both(result.power)
    if both is None or result.power is None:
        return
    client, server = (session.get("messages", []) for session in both)
    if len(client) != len(server):
        yield Said(result.power.path, f"the client has {len(client)} messages, and the server {len(server)}")
        return
    for number, (mine, other) in enumerate(zip(client, server, strict=True)):
        if mine["cmd"] != other["cmd"] or (mine["cmd"] != "time" and mine["reply"] != other["reply"]):
            yield Said(result.power.path, f"the client and the server differ in message {number}")
            return
    versions = [
        re.search(rf"mlcommons/power {side} v(\d+)$", str(server[0][key])) if server else None
        for side, key in (("client", "cmd"), ("server", "reply"))
    ]
    if None in versions or len({version.group(1) for version in versions if version is not None}) != 1:
        yield Said(result.power.path, "the client and the server are of different versions, or do not say theirs")


def clocks(result: ResultFacts, _asked: PowerSession) -> Iterator[Said]:
    both = _both(result.power)
    if both is None or result.power is None:
        return
    for name, log in (("ranging", result.power.ranging.log), ("testing", result.run.log)):
        client, server = (session["phases"][name] for session in both)
        if len(client) != len(server):
            yield Said(result.power.path, f"the client and the server have other phases of {name}")
            continue
        apart = max((abs(mine[0] - other[0]) for mine, other in zip(client, server, strict=True)), default=0)
        if apart > _MOST_APART:
            yield Said(result.power.path, f"the clocks are {apart * 1000:.0f} ms apart in {name}")
        window = window_of(log)
        if isinstance(log, Unread):  # told by its own rule
            continue
        if window is None:
            yield Said(result.power.path, f"the detail log of {name} has no power_begin and power_end")
        elif not _within(window, client):
            yield Said(result.power.path, f"LoadGen's test is not within the phase of {name}")


def _within(window: Window, phases: list[Any]) -> bool:
    """Clocks of a zone with summer time may be an hour apart."""
    for moment in window:
        at = moment.timestamp()
        if not any(phases[1][0] < at - shift < phases[2][0] for shift in (0, 3600)):
            return False
    return True


def drawn(result: ResultFacts, _asked: PowerSession) -> Iterator[Said]:
    if result.power is None:
        return
    ranging, testing = (_watts(each) for each in (result.power.ranging_power, result.power.testing_power))
    if ranging and round((testing / ranging - 1) * 100, 2) <= _LEAST_OF_RANGING:
        yield Said(result.run.path, f"drew {testing:g} W, more than 5 % less than the ranging run's {ranging:g} W")


def _watts(sample: PowerSample) -> float:
    return round(sample.watts, 5)


def hashes(result: ResultFacts, _asked: PowerSession) -> Iterator[Said]:
    both = _both(result.power)
    if both is None or result.power is None:
        return
    client, server = (dict(session.get("results", {})) for session in both)
    told = {**client, **server}
    folder = result.power.path.rpartition("/")[0]
    for name in HASHED:
        path = f"{folder}/{name}"
        if name in client and name in server and client[name] != server[name]:
            yield Said(path, "client.json and server.json have another hash of it")
        if name not in told:
            yield Said(path, "neither client.json nor server.json has its hash")
        elif result.power.hashes[name] and told[name] != result.power.hashes[name]:
            found = result.power.hashes[name]
            yield Said(path, f"is not the file of the session: its sha1 is {found}, and was {told[name]}")


def ptd_log(result: ResultFacts, _asked: PowerSession, *, ends_at_a_warning: bool = False) -> Iterator[Said]:
    power, both = result.power, _both(result.power)
    if power is None or both is None or isinstance(power.ptd_log, Unread):
        return
    path = f"{power.path}/ptd_logs.txt"
    ranging = ranging_window(power.ptd_log, str(both[1].get("session_name")))
    if ranging is None:
        yield Said(path, "does not say when the ranging run was")
        return
    if not doubts_were_checked(power.ptd_log, ranging):
        yield Said(path, "does not say before the ranging run that uncertainty is checked")
    testing = window_of(result.run.log)
    found = faults_in(power.ptd_log, ranging, testing, ends_at_a_warning=ends_at_a_warning)
    bad = list(islice(found, _MOST_FAULTS + 1))
    if bad:
        many = f"more than {_MOST_FAULTS}" if len(bad) > _MOST_FAULTS else str(len(bad))
        yield Said(path, f"tells of {many} faults outside the ranging run; the first: {bad[0].strip()[:200]}")


def configuration(result: ResultFacts, _asked: PowerSession) -> Iterator[Said]:
    both = _both(result.power)
    if both is None or result.power is None:
        return
    path = f"{result.power.path}/server.json"
    said = both[1].get("ptd_config", ())
    for analyser in [said] if isinstance(said, dict) else said:  # of one analyser, before v5.1
        number = analyser["device_type"]
        if number not in _ANALYZERS.values():
            yield Said(path, f"the analyser of number {number} is none that MLCommons accepts")
        elif number == _TWO_CHANNELS and not _two_channels(analyser):
            yield Said(path, "the analyser of several channels measured one")
    if both[1].get("debug", False) is not False:
        yield Said(path, "the power server ran in its debug mode")


def _two_channels(analyser: Mapping[str, Any]) -> bool:
    command = list(analyser["command"])
    channels = command[command.index("-c") + 1] if "-c" in command[:-1] else ""
    return len(str(channels).split(",")) == 2 and len(analyser["channel"] or ()) == 2


SESSION_CHECKS: tuple[SessionCheck, ...] = (
    *(readable, sources, commands, same, replies, clocks, drawn, hashes, ptd_log, configuration),
)  # fmt: skip
"""What a session is held to, in a submission or not."""
