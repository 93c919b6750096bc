"""Two sets of runs against each other: which figures moved, which way, and what differed in what ran.

Only runs of the same benchmark, scenario and mode are compared. The figure that LoadGen reports
for the scenario and the accuracy decide; latencies beside them are shown and decide nothing, as a
scenario bounds or reports the one that counts. An INVALID run has no figure: it is never equal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from orchestrator.errors import UsageError
from orchestrator.facts.measured import Metric
from orchestrator.facts.metrics import LATENCIES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from orchestrator.facts.record import RunRecord
    from orchestrator.results.summary import Summary

Verdict = Literal["better", "same", "worse", "not comparable"]
ACCURACY_POINTS = 0.3
"""Percentage points that an accuracy may fall: what another runtime's rounding costs. Of one that is no share it is
percent of what was."""
_OF_ACCURACIES = ("%", "")
"""Units; nothing else has them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One metric of both runs; ``change`` is in percent of ``was`` (of an accuracy in points), None without one."""

    name: str
    unit: str
    was: float | None
    now: float | None
    change: float | None
    verdict: Verdict
    decides: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Something in what ran that is not the same: an image, a setting, the host, the data."""

    what: str
    was: object
    now: object


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A run against the one before it."""

    was: Summary
    now: Summary
    verdict: Verdict
    reason: str
    figures: tuple[Figure, ...] = ()
    differences: tuple[Difference, ...] = ()

    @property
    def regressed(self) -> bool:
        """Whether a figure that decides got worse, or there is none any more."""
        return self.verdict == "worse" or (self.verdict == "not comparable" and not self.now.good)


def key_of(record: RunRecord) -> tuple[str, str, str]:
    """What two runs must have in common to be compared."""
    return (record.benchmark, record.scenario, record.test_name)


def system_of(record: RunRecord) -> str:
    """The server that was measured where it was there already; empty where mlorch started all that was measured."""
    return "" if record.endpoint is None else f"{record.endpoint.model} at {record.endpoint.url}"


def pairs(was: Sequence[Summary], now: Sequence[Summary]) -> list[tuple[Summary, Summary]]:
    """The runs that can be compared, in the order of ``now``; of several with one key the newest counts.

    A run is paired with one on the same target where there is one, else with the only one there is.

    Raises:
        UsageError: `nothing-to-compare`, saying in what the runs differ.
    """
    found: list[tuple[Summary, Summary]] = []
    for new in _newest(now):
        same = [old for old in _newest(was) if key_of(old.record) == key_of(new.record)]
        exact = [old for old in same if old.record.target == new.record.target]
        if exact or len(same) == 1:
            found.append(((exact or same)[0], new))
    if not found:
        raise _nothing(was, now)
    return found


def _newest(runs: Sequence[Summary]) -> list[Summary]:
    """One run a test, the newest; ``runs`` are newest first."""
    newest: dict[tuple[str, ...], Summary] = {}
    for run in runs:
        newest.setdefault((*key_of(run.record), run.record.target), run)
    return list(newest.values())


def _nothing(was: Sequence[Summary], now: Sequence[Summary]) -> UsageError:
    def tests(runs: Sequence[Summary]) -> str:
        names = dict.fromkeys(" ".join(key_of(run.record)) for run in runs)
        return ", ".join(list(names)[:4]) + (" …" if len(names) > 4 else "") or "nothing"

    return UsageError(
        f"nothing is the same in both: there is {tests(was)}, and {tests(now)}",
        hint="compare runs of the same benchmark, scenario and mode; `mlorch results list` shows what there is",
        slug="nothing-to-compare",
    )


def compare(was: Summary, now: Summary, *, tolerance: float) -> Comparison:
    """Two runs of the same test; ``tolerance`` is a share of the figure before (0.05 is 5 %)."""
    differences = tuple(_differences(was.record, now.record))
    refusal = _refusal(was, now)
    if refusal:
        return Comparison(was=was, now=now, verdict="not comparable", reason=refusal, differences=differences)
    figures = tuple(_figures(was, now, tolerance))
    deciding = [figure for figure in figures if figure.decides]
    verdicts = {figure.verdict for figure in deciding}
    verdict: Verdict = next((word for word in _GRAVEST if word in verdicts), "not comparable")
    reason = "; ".join(f"{f.name} {_moved(f)}" for f in deciding) or "neither run has a figure"
    return Comparison(was=was, now=now, verdict=verdict, reason=reason, figures=figures, differences=differences)


_GRAVEST: tuple[Verdict, ...] = ("worse", "better", "same")


def _refusal(was: Summary, now: Summary) -> str:
    """Why the figures must not be set side by side; empty where they may."""
    if was.good and now.good:
        return ""
    if now.good:
        return f"was {was.verdict}, is {now.verdict}: there is no figure to compare with"
    if was.good:
        return f"was {was.verdict}, is {now.verdict}: the new run's figure does not count"
    return f"was {was.verdict}, is {now.verdict}: neither run has a figure"


# -- figures ---------------------------------------------------------------------------------


def _figures(was: Summary, now: Summary, tolerance: float) -> Iterator[Figure]:
    old, new = _metrics(was), _metrics(now)
    for name, one in (old | new).items():
        change = _change(old.get(name), new.get(name))
        verdict: Verdict = "not comparable"
        if change is not None:
            allowed = ACCURACY_POINTS if one.unit in _OF_ACCURACIES else tolerance * 100
            verdict = _verdict(change, allowed, higher=one.higher_is_better)
        yield Figure(
            name=name,
            unit=one.unit,
            was=old[name].value if name in old else None,
            now=new[name].value if name in new else None,
            change=change,
            verdict=verdict,
            # In accuracy mode LoadGen's rate says how long scoring took, not how fast the system is.
            decides=one.unit in _OF_ACCURACIES or (now.record.mode == "performance" and not name.startswith(_LATENCY)),
        )


_LATENCY = "latency "


def _metrics(summary: Summary) -> dict[str, Metric]:
    """All figures of a run by name: accuracies (shares in percent), the one that LoadGen reports first, latencies."""
    found: dict[str, Metric] = {}
    loadgen = summary.loadgen
    for one in summary.accuracies:
        value, unit = (one.value * 100, "%") if one.unit == "fraction" else (one.value, "")
        found[one.name] = Metric(name=one.name, title="", value=value, unit=unit)
    if loadgen is None or loadgen.result is None:
        return found
    found[loadgen.result.title] = loadgen.result
    for name in LATENCIES:
        if name in loadgen.latency_ns:
            value = float(loadgen.latency_ns[name])
            found[_LATENCY + name] = Metric(name=name, title="", value=value, unit="ns", higher_is_better=False)
    return found


def _change(old: Metric | None, new: Metric | None) -> float | None:
    """In points for a share of right answers, else in percent of what was; None with nothing to compare with."""
    if old is None or new is None:
        return None
    if new.unit == "%":
        return new.value - old.value
    return (new.value - old.value) / old.value * 100 if old.value else None


def _verdict(change: float, allowed: float, *, higher: bool) -> Verdict:
    gain = change if higher else -change
    if abs(gain) <= allowed + 1e-9:
        return "same"
    return "better" if gain > 0 else "worse"


def _moved(figure: Figure) -> str:
    if figure.change is None:
        return "is missing in one of the runs"
    return f"{figure.change:+.2f} {'points' if figure.unit == '%' else '%'}"


# -- what differed -----------------------------------------------------------------------------


def _differences(was: RunRecord, now: RunRecord) -> Iterator[Difference]:
    """What differs in what ran, by name: image, layers, recipe, data, settings, container, engine, host, mlorch."""
    old, new = _facts(was), _facts(now)
    for name in sorted(old.keys() | new.keys(), key=_rank):
        if old.get(name) != new.get(name):
            yield Difference(what=name, was=old.get(name), now=new.get(name))


_ORDER = (
    "endpoint",
    "target",
    "model",
    "dataset",
    "image",
    "layer",
    "recipe",
    "setting",
    "container",
    "engine",
    "host",
    "mlorch",
)


def _rank(name: str) -> tuple[int, str]:
    head = name.partition(" ")[0]
    return (_ORDER.index(head) if head in _ORDER else len(_ORDER), name)


def _facts(record: RunRecord) -> dict[str, object]:
    found: dict[str, object] = {
        "target": record.target,
        "image digest": record.image.digest or record.image.image_id,
        "recipe": record.recipe.sha256,
        "mlorch": record.mlorch_version,
        "container cpus": list(record.container.cpus),
        "container memory": record.container.memory,
        "container devices": sorted((*record.container.devices, *record.container.cdi_devices)),
    }
    if record.endpoint is not None:
        found |= {"endpoint": system_of(record)}
        found |= {f"endpoint {name}": text for name, text in record.endpoint.said.items()}
    found |= {f"layer {layer.name}": layer.content_id for layer in record.image.layers}
    found |= {f"setting {name}": setting.value for name, setting in record.settings.items()}
    for asset in (record.model, record.dataset):
        if asset is not None:
            found |= {f"{asset.kind} {asset.name}/{file}": digest for file, digest in asset.files.items()}
    found |= {f"engine {name}": value for name, value in record.engine.items()}
    for name, value in _flat(record.host):
        if not any(word in name for word in _PASSING):
            found[f"host {name}"] = value
    return found


_PASSING = ("load", "free", "available", "uptime", "time", "temperature", "boot")
"""Words of facts of a host that do not stay."""


def _flat(value: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    for name, item in value.items():
        if isinstance(item, dict):
            yield from _flat(item, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", item
