"""Power: the server that is asked for, what is planned with it, and what the record keeps of what was drawn.

The plan and the record are of MLCommons' power client, which measures a test twice: once to find the analyser's
ranges (*ranging*), once for the figure (*testing*).
"""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.facts.containers import ContainerSpec  # noqa: TC001 (the codec reads the annotations)

PORT, NTP_PORT = 4950, 123
"""Where MLCommons' power server and a time server listen."""
MOST_APART_S = 0.4
"""Seconds by which two clocks may differ: the power client's own limit."""
PERFORMANCE, POWER, RANGING, TESTING = "performance", "power", "ranging", "run_1"
"""The folder of a session in a run's folder, and the folders in it, as a submission has them."""
EXCHANGE, SOCKET, LOADGEN, SESSION = "/power", "mlorch.sock", "loadgen", "session"
"""Where the client's container has the folder that it shares with mlorch, and what is in it."""
PHASES = {RANGING: "ranging", TESTING: "testing"}
"""What the client calls the two tests, by their folders."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerServer:
    """The director's power server, and the time server that both clocks are compared with."""

    host: str
    port: int
    ntp_host: str
    ntp_port: int

    @property
    def address(self) -> str:
        """``host:port``, an address of IPv6 in brackets."""
        return _address(self.host, self.port)

    @property
    def ntp_address(self) -> str:
        """The same of the time server."""
        return _address(self.ntp_host, self.ntp_port)


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedPower:
    """How a test is measured with power: the client's container, the test's own for ranging, and the check's.

    ``commit`` is of MLCommons' repository; the test itself is the step's container.
    """

    server: PowerServer
    commit: str
    client: ContainerSpec
    ranging: ContainerSpec
    check: ContainerSpec

    @property
    def deviations(self) -> tuple[str, ...]:
        """What its containers are given beyond the run contract: the ways out of the client's one."""
        way = (
            f"a socket in {EXCHANGE} of the power client's container: mlorch joins it to the power server "
            f"{self.server.address} and the time server {self.server.ntp_address}, which measure; it has no network"
        )
        return (way,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """How far another clock is ahead of this host's, in seconds, give or take half of ``delay_s``."""

    of: str
    ahead_s: float
    delay_s: float

    @property
    def agrees(self) -> bool:
        """Whether the rule of the power client holds."""
        return abs(self.ahead_s) <= MOST_APART_S


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerCheck:
    """One check of MLCommons' check.py: ``why`` is what it said where it was not passed, or took it with a warning."""

    name: str
    passed: bool
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerFact:
    """What a test drew, by an analyser, and what is known of the measurement.

    ``analysers`` are in the words of PTDaemon (reply to ``Identify``), ``device_types`` its numbers of them. ``watts``
    is the mean between LoadGen's ``power_begin`` and ``power_end``, of ``samples`` in ``seconds``; None where nothing
    was measured. Of a mean power P over t seconds a query took P t / queries joules. ``checks`` are check.py's,
    ``faults`` what mlorch's rules of a submission say against the session.
    """

    server: str
    ntp: str
    image: str
    commit: str
    session: str = ""
    protocol: str = ""
    analysers: tuple[str, ...] = ()
    device_types: tuple[int, ...] = ()
    simulated: bool = False
    """The analyser, or PTDaemon, says of itself that it is none: a figure for tests alone."""
    watts: float | None = None
    ranging_watts: float | None = None
    samples: int = 0
    seconds: float = 0.0
    joules_per_query: float | None = None
    joules_per_sample: float | None = None
    clocks: tuple[Clock, ...] = ()
    checks: tuple[PowerCheck, ...] = ()
    faults: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether the session is one that MLCommons' check takes, and mlorch's rules too."""
        return bool(self.checks) and all(one.passed for one in self.checks) and not self.faults


SIMULATED = ("simulat", "dummy", "emulat", "fake")
"""Words by which a daemon or an analyser says that nothing is measured."""
NO_DEVICE = 0
"""PTDaemon's number of the analyser that it makes up itself."""


def is_simulated(analysers: tuple[str, ...], device_types: tuple[int, ...]) -> bool:
    """Whether a session says of its analysers that they are none."""
    said = " ".join(analysers).casefold()
    return NO_DEVICE in device_types or any(word in said for word in SIMULATED)
