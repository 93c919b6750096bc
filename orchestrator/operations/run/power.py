"""`mlorch run --power`: which power server is meant, whether a run can be measured with it, and with which image."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from orchestrator.errors import UsageError
from orchestrator.facts.power import NTP_PORT, PORT, PowerServer
from orchestrator.plan.run.power import LAYER

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from orchestrator.definitions.catalog import Catalog
    from orchestrator.definitions.kinds.benchmarks import Benchmark
    from orchestrator.operations.plan_cache import Selection
    from orchestrator.operations.run.benchmarks import PlannedBenchmark
    from orchestrator.operations.run.request import RunRequest

INFORMAL = "informal"
"""`--power informal`: what this host's own counters say, without an analyser."""
_ADDRESS = re.compile(
    r"(?:\[(?P<v6>[0-9A-Fa-f:.]{2,45})\]"
    r"|(?P<name>(?!.{254})[A-Za-z0-9][A-Za-z0-9_-]{0,62}(?:\.[A-Za-z0-9_-]{1,63}){0,126}\.?))"
    r"(?::(?P<port>[0-9]{1,5}))?"
)
"""A name as the resolver takes it: labels of 63 characters at most, none empty."""
_HINT = (
    "write --power server=HOST[:PORT], and ,ntp=HOST[:PORT] where another host is the time server; or --power informal"
)


def power_server(text: str) -> PowerServer | None:
    """The server of `--power server=HOST[:PORT][,ntp=HOST[:PORT]]`; None of an empty text, and of `informal`.

    Raises `UsageError` [power-syntax]. Without ``ntp`` the power server's own host is asked for the time.
    """
    if text in {"", INFORMAL}:
        return None
    said: dict[str, str] = {}
    for part in text.split(","):
        name, given, value = part.strip().partition("=")
        if not given or name not in {"server", "ntp"} or name in said:
            raise UsageError(f"`{text}` names no power server", hint=_HINT, slug="power-syntax")
        said[name] = value
    if "server" not in said:
        raise UsageError(f"`{text}` names no power server", hint=_HINT, slug="power-syntax")
    host, port = _address(said["server"], PORT)
    ntp_host, ntp_port = _address(said["ntp"], NTP_PORT) if "ntp" in said else (host, NTP_PORT)
    return PowerServer(host=host, port=port, ntp_host=ntp_host, ntp_port=ntp_port)


def _address(text: str, port: int) -> tuple[str, int]:
    found = _ADDRESS.fullmatch(text)
    number = port if found is None or found["port"] is None else int(found["port"])
    if found is None or not 0 < number < 65536:
        raise UsageError(f"`{text}` is no host with a port", hint=_HINT, slug="power-syntax")
    return found["v6"] or found["name"], number


def check_power(request: RunRequest) -> None:
    """Whether the options fit each other. Raises `UsageError`: `power-syntax`, `power-not-possible`."""
    measured = power_server(request.power) is not None
    others = {"--endpoint": request.endpoint}
    others |= {"--find": "find" if request.find else ""} if measured else {}
    if not request.power:
        return
    for name in [name for name, given in others.items() if given]:
        hint = "search the rate first: it is kept for this system" if name == "--find" else "leave one of them out"
        raise UsageError(f"{name} and --power exclude each other", hint=hint, slug="power-not-possible")
    if request.mode not in {"performance", "all"}:
        message = f"--power measures performance tests, and --mode says {request.mode} only"
        raise UsageError(message, hint="leave --mode out", slug="power-not-possible")


def require_power(catalog: Catalog, request: RunRequest, what: Benchmark) -> None:
    """Whether a benchmark can be measured with power. Raises `UsageError`: `power-not-possible`."""
    if power_server(request.power) is None:
        return
    if catalog.harness(what.harness).definition.program is not None:
        raise UsageError(
            f"benchmark `{what.name}` cannot be measured with power yet: its harness is somebody else's program",
            hint="mlorch measures benchmarks of its own harness with power; `--power informal` works with every one",
            slug="power-not-possible",
        )


def with_power(
    catalog: Catalog,
    request: RunRequest,
    selection: Selection,
    planned: Sequence[PlannedBenchmark],
    image_of: Callable[[Selection], str],
) -> tuple[PlannedBenchmark, ...]:
    """The workloads with the image of the power client and its commit, where power is asked for.

    ``image_of`` gives the side image of a selection, built or only planned.
    """
    if power_server(request.power) is None:
        return tuple(planned)
    image, commit = image_of(selection.beside(LAYER)), catalog.layer(LAYER).definition.git[0].ref
    return tuple(
        replace(one, workload=replace(one.workload, power_image=image, power_commit=commit)) for one in planned
    )
