"""What a run is asked for: one frozen request for the command line, the API and a scheduler.

An option of `mlorch run` is one field here and one `click.option` in `commands/run.py`, or in
`commands/run_options.py` where `mlorch tune` takes it too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.definitions.yaml import nearest
from orchestrator.errors import UsageError
from orchestrator.facts.compliance import ASKING, DIVISIONS
from orchestrator.facts.compliance import MODE as COMPLIANCE
from orchestrator.facts.processors import cpu_list
from orchestrator.facts.runs import LONGEST_S
from orchestrator.facts.scenarios import SCENARIOS
from orchestrator.facts.sizes import meant_number
from orchestrator.facts.times import seconds_of
from orchestrator.operations.plan_cache import AUTO
from orchestrator.operations.pull_policy import DEFAULT_PULL_POLICY, PullPolicy, option, words_of
from orchestrator.operations.run.endpoint import check_endpoint
from orchestrator.operations.run.power import check_power
from orchestrator.plan.run.cells import duration_ms
from orchestrator.plan.run.devices.choice import parse
from orchestrator.plan.run.processors import parse_cpus

if TYPE_CHECKING:
    from collections.abc import Sequence

MODES = ("performance", "accuracy", COMPLIANCE, "all")
RESULTS = Path("results")
COMMAND_LINE = ("mlorch", "run")
API = ("api.run",)
"""How a record's command line begins where a Python program asked for the run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """What a run is asked for; empty ``target``, ``benchmarks``, ``scenarios`` and ``devices`` mean the default.

    Words are taken as a person gives them: names in any case, ``duration`` as ``30s`` or ``10m``;
    `checked` gives the request that the use case takes. ``target_qps`` in queries a second.
    ``caller`` is how the record's command line begins.
    """

    benchmarks: tuple[str, ...] = ()
    suite: str = option("--suite", "")
    """All benchmarks of that name, beside those that are named."""
    target: str | None = option("--target", None)
    arch: str | None = option("--arch", None)
    scenarios: tuple[str, ...] = option("--scenario", ())
    mode: str = option("--mode", "all")
    round: str = option("--round", "")
    division: str = option("--division", "")
    """Of a submission: `closed` and `network` ask for compliance tests, `open` does not."""
    duration: str | None = option("--duration", None)
    timeout: str | None = option("--timeout", None)
    """How long each test may take, as ``90m`` or ``12h``; a day and more without."""
    official: bool = option("--official", default=False)
    target_qps: float | None = option("--target-qps", None)
    find: bool = option("--find", default=False)
    devices: str = option("--devices", "")
    cpus: str = option("--cpus", "")
    """The host's processors to run on, as the kernel lists them (``0-3,8``); empty: one thread of every core."""
    wait: bool = option("--wait", default=True)
    """Whether to wait for processors that another mlorch on this host has, or fail at once."""
    changes: tuple[str, ...] = option("--set", ())
    """``KEY=VALUE`` each: choices of the benchmark's axes, fields of its recipe, parameters of its harness."""
    roles: str = option("--roles", "")
    """The parts that the run is to have, each in containers of its own: ``server,client``; empty: as the recipe has."""
    endpoint: str = option("--endpoint", "")
    """The address of a server that is there already; its key is named by file or variable, and never here."""
    endpoint_model: str = option("--model", "")
    endpoint_dataset: str = option("--dataset", "")
    """The benchmark whose questions it is asked; another way to name one."""
    endpoint_key_file: str = option("--endpoint-key-file", "")
    endpoint_key_env: str = option("--endpoint-key-env", "")
    endpoint_ca_file: str = option("--endpoint-ca-file", "")
    power: str = option("--power", "")
    """``server=HOST[:PORT][,ntp=HOST[:PORT]]``: MLCommons' power server, and the time server of both clocks; or
    ``informal``: this host's own counters of energy."""
    sign_key: str = option("--sign-key", "")
    """The file of a private key that every record is signed with when its run has ended; its password is the
    variable MLORCH_KEY_PASSWORD's."""
    data: tuple[str, ...] = option("--data", ())
    """``NAME=FOLDER`` each: a model or dataset that is on this host already."""
    base_source: str = option("--base-source", "")
    locked: bool = option("--locked", default=False)
    pull_policy: PullPolicy = DEFAULT_PULL_POLICY
    engine: str = option("--engine", "")
    recipes: tuple[str, ...] = option("--recipes", ())
    results: Path = option("--results", RESULTS)  # noqa: RUF009 (a field)
    caller: tuple[str, ...] = COMMAND_LINE
    session: str = ""
    """What the records of several requests share, where they belong together; empty for a name of its own."""

    @property
    def min_duration_ms(self) -> int | None:
        """The least duration of a performance test in milliseconds; None where nothing was said."""
        return None if self.duration is None else duration_ms(self.duration)

    @property
    def timeout_s(self) -> int | None:
        """The seconds that a test may take; None where nothing was said. Raises `UsageError` [timeout-syntax]."""
        if self.timeout is None:
            return None
        try:
            found = seconds_of(self.timeout.strip())
        except ValueError:
            found = 0
        if not 0 < found <= LONGEST_S:
            raise UsageError(f"`{self.timeout}` is no time limit", hint="write 600s, 90m or 12h", slug="timeout-syntax")
        return found

    @property
    def wants_compliance(self) -> bool:
        """Whether compliance tests are asked for: by the mode, or with everything else by the division that is named.

        Nobody who names none gets them: a workload that only stands for a model cannot stand in the closed division.
        """
        return self.mode == COMPLIANCE or (self.mode == "all" and self.division in ASKING)

    @property
    def role_names(self) -> frozenset[str]:
        """The roles that were named."""
        return frozenset(name.strip() for name in self.roles.split(",") if name.strip())

    def to_argv(self) -> tuple[str, ...]:
        """The command line that asks for exactly this: for records, and for a scheduler that starts it elsewhere."""
        results = () if self.results != RESULTS else ("--results", str(RESULTS))  # said always: settings have one too
        return (*self.caller, *self.benchmarks, *words_of(self), *results, *words_of(self.pull_policy))


def checked(request: RunRequest) -> RunRequest:
    """``request`` with its words as mlorch spells them.

    Raises:
        UsageError: `unknown-scenario`, `unknown-mode`, `unknown-division`, `target-qps`,
            `devices-syntax`, `cpus-syntax`, `duration`, `timeout-syntax`; options that exclude each other.
    """
    request = replace(
        request,
        benchmarks=tuple(dict.fromkeys((*request.benchmarks, *filter(None, [request.endpoint_dataset])))),
        endpoint_dataset="" if request.endpoint else request.endpoint_dataset,
        recipes=tuple(request.recipes),
        changes=tuple(request.changes),
        data=tuple(request.data),
        results=Path(request.results),
        target=None if request.target == AUTO else request.target,
        scenarios=tuple(_scenario(name) for name in request.scenarios),
        mode=known_name("mode", request.mode, MODES),
        division=known_name("division", request.division, DIVISIONS) if request.division else "",
        devices=request.devices.strip(),
        cpus=cpu_list(parse_cpus(request.cpus)),
    )
    if request.target_qps is not None:
        require_rate(request.target_qps)
    if request.find and request.target_qps is not None:
        raise UsageError("--find and --target-qps exclude each other", hint="give one of them")
    check_endpoint(request)
    check_power(request)
    parse(request.devices)
    _ = request.min_duration_ms, request.timeout_s  # refuse what is no time
    if request.find and request.mode == "accuracy":
        hint = "leave --mode out"
        raise UsageError(f"--find measures performance, and --mode says {request.mode} only", hint=hint)
    _check_compliance(request)
    return request


def _check_compliance(request: RunRequest) -> None:
    """Whether what is asked for can be had with compliance tests. Raises `UsageError`."""
    if not request.wants_compliance:
        return
    asked = "--mode compliance" if request.mode == COMPLIANCE else f"compliance tests (--division {request.division})"
    if request.endpoint:
        hint = "compliance tests are made of models that mlorch runs itself"
        raise UsageError(f"{asked} cannot be had of an endpoint", hint=hint, slug="compliance-not-possible")
    if request.find:
        hint = "search first, and run once more without --find: the rate that was found is kept for this system"
        raise UsageError(f"--find and {asked} exclude each other", hint=hint)


def rate_of(text: str) -> float:
    """The rate that a person wrote. Raises `UsageError` [target-qps], with the number that `1k` means."""
    try:
        return float(text)
    except ValueError:
        raise _no_rate(text, meant_number(text)) from None


def _no_rate(given: object, meant: float | None = None) -> UsageError:
    such = "a number, such as 50 or 0.5" if meant is None else f"a number: {meant:.15g}"
    hint = f"give a rate in samples a second as {such}; without it the rate is measured before the test"
    return UsageError(f"--target-qps {given} is no rate", hint=hint, slug="target-qps")


def require_rate(given: object) -> None:
    """Whether a rate can be driven; the API's callers may give anything. Raises `UsageError` [target-qps]."""
    if not isinstance(given, int | float) or isinstance(given, bool) or not 0 < given < 1e9:
        raise _no_rate(given)


def _scenario(word: str) -> str:
    """A scenario as MLPerf spells it."""
    return known_name("scenario", word, (*SCENARIOS, "all"))


def known_name(what: str, word: str, known: Sequence[str]) -> str:
    """``word`` as ``known`` spells it, whatever its case; raises `UsageError` with the nearest names."""
    by_folded = {name.casefold().replace("-", ""): name for name in known}
    found = by_folded.get(word.casefold().replace("-", ""))
    if found is not None:
        return found
    near = nearest(word, known, limit=2)
    start = f"did you mean {' or '.join(f'`{name}`' for name in near)}? " if near else ""
    raise UsageError(f"there is no {what} `{word}`", hint=f"{start}known: {', '.join(known)}", slug=f"unknown-{what}")
