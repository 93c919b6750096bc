"""What ``--set`` changed of what a result is judged by: its bar of accuracy, its rules, counts and limits. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.definitions.catalog.entries import Entry
    from orchestrator.definitions.kinds.benchmarks import Benchmark

JUDGED_BY = frozenset({
    "accuracy", "dataset", "generation", "note", "official", "performance_samples", "round", "scenarios",
    "stands_for", "task",
})  # fmt: skip
"""Fields of a benchmark that say what its result is worth."""
FREE = frozenset({
    "default", "description", "frameworks", "harness", "input", "inputs", "layer", "model", "output", "outputs",
    "parameters", "roles", "suites", "title",
})  # fmt: skip
"""Fields that say what is run: any of them may be tuned, and the result is judged as before."""
_TUNED = ("target_qps", "expected_latency_ns")
"""Settings of a scenario that tell LoadGen what the system is thought to do."""


def changed_rules(entry: Entry[Benchmark]) -> tuple[str, ...]:
    """What ``--set`` made another than the recipe with its choices has, one text each: ``accuracy.factor=0 (0.99)``."""
    return tuple(_changed(entry))


def _changed(entry: Entry[Benchmark]) -> Iterator[str]:
    by_hand = entry.variation.by_hand if entry.variation is not None else {}
    for path, (before, after) in by_hand.items():
        first, _, rest = path.partition(".")
        if first in FREE or (first == "scenarios" and rest.rpartition(".")[2] in _TUNED):
            continue
        yield f"{path}={after or 'nothing'} ({before or 'nothing'} in the recipe)"


def require_rules(entry: Entry[Benchmark]) -> None:
    """Raise `UsageError` [official-set] where ``--set`` changed what an official result is judged by."""
    changed = changed_rules(entry)
    if changed:
        raise UsageError(
            f"--official holds benchmark `{entry.definition.name}` to its rules, and --set changes them: "
            f"{'; '.join(changed)}",
            hint="leave that --set out, or --official; rates, parameters and what is run may be set",
            slug="official-set",
        )
