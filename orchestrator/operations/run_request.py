"""What a run is asked for: one frozen request for the command line, the API and a scheduler."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.errors import UsageError
from orchestrator.facts.scenarios import SCENARIOS
from orchestrator.operations.kept_plans import AUTO
from orchestrator.operations.pull_policy import DEFAULT_PULL_POLICY, PullPolicy
from orchestrator.plan.run.devices.choice import parse
from orchestrator.plan.run.duration import duration_ms
from orchestrator.plan.run.settings import OFFICIAL_MIN_DURATION_MS

if TYPE_CHECKING:
    from collections.abc import Sequence

MODES = ("performance", "accuracy", "all")
API = "api.run"
"""The first word of a record's command line where a Python program asked for the run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """What a run is asked for; ``target``, ``benchmarks``, ``scenarios`` and ``devices`` empty mean the default.

    ``min_duration_ms`` in milliseconds, ``target_qps`` in queries a second. Make one with `run_request`,
    which checks it. ``caller`` is the program's name in the record: ``mlorch run`` or ``api.run``.
    """

    benchmarks: tuple[str, ...] = ()
    target: str | None = None
    arch: str | None = None
    scenarios: tuple[str, ...] = ()
    mode: str = "all"
    min_duration_ms: int | None = None
    official: bool = False
    target_qps: float | None = None
    find: bool = False
    devices: str = ""
    results: Path = field(default_factory=lambda: Path("results"))
    base_source: str = ""
    locked: bool = False
    pull_policy: PullPolicy = DEFAULT_PULL_POLICY
    engine: str = ""
    recipes: tuple[str, ...] = ()
    caller: tuple[str, ...] = ("mlorch", "run")

    def to_argv(self) -> tuple[str, ...]:
        """The command line that asks for exactly this: for records, and for a scheduler that starts it elsewhere."""
        words = [*self.caller, *self.benchmarks]
        given = {
            "--target": self.target,
            "--arch": self.arch,
            "--mode": self.mode if self.mode != "all" else None,
            "--duration": f"{self.min_duration_ms}ms" if self.min_duration_ms is not None else None,
            "--target-qps": repr(self.target_qps) if self.target_qps is not None else None,
            "--devices": self.devices,
            "--base-source": self.base_source,
            "--engine": self.engine,
        }
        for option, value in given.items():
            words += [option, value] if value else []
        for scenario in self.scenarios:
            words += ["--scenario", scenario]
        for recipe in self.recipes:
            words += ["--recipes", recipe]
        flags = {"--official": self.official, "--find": self.find, "--locked": self.locked}
        words += [flag for flag, on in flags.items() if on]
        return (*words, *self.pull_policy.to_argv(), "--results", str(self.results))


def run_request(  # noqa: PLR0913 (the options of `mlorch run`, all by name)
    *,
    benchmarks: Sequence[str] = (),
    target: str | None = None,
    arch: str | None = None,
    scenarios: Sequence[str] = (),
    mode: str = "all",
    duration: str | None = None,
    official: bool = False,
    target_qps: float | None = None,
    find: bool = False,
    devices: str = "",
    results: Path,
    base_source: str = "",
    locked: bool = False,
    pull_policy: PullPolicy = DEFAULT_PULL_POLICY,
    engine: str = "",
    recipes: Sequence[str] = (),
    caller: tuple[str, ...] = ("mlorch", "run"),
) -> RunRequest:
    """A request from words as a person gives them, checked: names in any case, ``duration`` as ``30s`` or ``10m``.

    Raises:
        UsageError: `unknown-scenario`, `unknown-mode`, `duration`, `target-qps`, `devices-syntax`,
            `official-duration`; options that exclude each other.
    """
    request = RunRequest(
        benchmarks=tuple(benchmarks),
        target=None if target == AUTO else target,
        arch=arch,
        scenarios=tuple(known_name("scenario", name, (*SCENARIOS, "all")) for name in scenarios),
        mode=known_name("mode", mode, MODES),
        min_duration_ms=None if duration is None else duration_ms(duration),
        official=official,
        target_qps=target_qps,
        find=find,
        devices=devices.strip(),
        results=results,
        base_source=base_source,
        locked=locked,
        pull_policy=pull_policy,
        engine=engine,
        recipes=tuple(recipes),
        caller=caller,
    )
    _check(request)
    return request


def known_name(what: str, word: str, known: Sequence[str]) -> str:
    """``word`` as ``known`` spells it, whatever its case; raises `UsageError` with the nearest names."""
    by_folded = {name.casefold().replace("-", ""): name for name in known}
    found = by_folded.get(word.casefold().replace("-", ""))
    if found is not None:
        return found
    near = [by_folded[key] for key in difflib.get_close_matches(word.casefold(), by_folded, n=2)]
    start = f"did you mean {' or '.join(f'`{name}`' for name in near)}? " if near else ""
    raise UsageError(f"there is no {what} `{word}`", hint=f"{start}known: {', '.join(known)}", slug=f"unknown-{what}")


def _check(request: RunRequest) -> None:
    """Options that exclude each other or mean nothing."""
    if request.target_qps is not None and not 0 < request.target_qps < 1e9:
        raise UsageError("--target-qps must be a positive number", slug="target-qps")
    if request.find and request.target_qps is not None:
        raise UsageError("--find and --target-qps exclude each other", hint="give one of them")
    parse(request.devices)
    shortest = request.min_duration_ms
    if request.official and shortest is not None and shortest < OFFICIAL_MIN_DURATION_MS:
        raise UsageError(
            "--official needs a duration of at least 600 s", hint="leave --duration out", slug="official-duration"
        )
    if request.find and request.mode == "accuracy":
        raise UsageError("--find measures performance, and --mode says accuracy only", hint="leave --mode out")
