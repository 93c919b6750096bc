"""Which framework a benchmark uses on a target, and so which targets run which benchmarks. Pure over the catalogue."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

from orchestrator.definitions.catalog.check_rounds import round_faults
from orchestrator.definitions.catalog.choose import chosen
from orchestrator.definitions.variations import choices_of
from orchestrator.errors import MlorchError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orchestrator.definitions.catalog import Catalog, Entry
    from orchestrator.definitions.kinds.benchmarks import Benchmark
    from orchestrator.definitions.kinds.servers import Server
    from orchestrator.definitions.kinds.targets import Target


def shared_frameworks(target: Target, benchmark: Benchmark, only: Sequence[str] = ()) -> tuple[str, ...]:
    """The frameworks that both have, the one to use first: what the target prefers, then the benchmark's order.

    ``only`` are the targets that the benchmark's harness runs on, where it does not run on every one.
    """
    if only and target.name not in only:
        return ()
    shared = [name for name in benchmark.frameworks if name in target.frameworks]
    ranks = {name: rank for rank, name in enumerate(target.prefer)}
    return tuple(sorted(shared, key=lambda name: ranks.get(name, len(ranks))))


def _shared(catalog: Catalog, target: Target, benchmark: Benchmark) -> tuple[str, ...]:
    """As `shared_frameworks`, of those that can load the benchmark's model under its harness.

    None where a server of the benchmark has no image for the target.
    """
    if _servers_without_image(catalog, target, benchmark):
        return ()
    harness = catalog.harness(benchmark.harness).definition
    found = shared_frameworks(target, benchmark, harness.targets)
    if harness.program is not None:
        return found
    model = catalog.model(benchmark.model).definition
    return tuple(name for name in found if model.is_for(harness.backends[name]))


def _servers_without_image(catalog: Catalog, target: Target, benchmark: Benchmark) -> list[Server]:
    servers = (catalog.server(name).definition for name in benchmark.server_names)
    return [server for server in servers if target.name not in server.images]


def runs_on(catalog: Catalog, *, target: str, benchmark: str) -> bool:
    """Whether `target` can run `benchmark`, with its servers. Raises `UsageError` for an unknown name."""
    return bool(_shared(catalog, catalog.target(target).definition, catalog.benchmark(benchmark).definition))


def benchmarks_of(catalog: Catalog, target: str) -> tuple[str, ...]:
    """The benchmarks that `target` can run, sorted. Raises `UsageError` for an unknown target."""
    on = catalog.target(target).definition
    found = (entry.definition for entry in catalog.benchmarks())
    return tuple(what.name for what in found if _shared(catalog, on, what))


def targets_of(catalog: Catalog, benchmark: Benchmark) -> tuple[str, ...]:
    """The targets that can run `benchmark`, sorted."""
    found = (entry.definition for entry in catalog.targets())
    return tuple(on.name for on in found if _shared(catalog, on, benchmark))


def targets_by_choice(catalog: Catalog, benchmark: Benchmark) -> dict[str, tuple[str, ...]]:
    """The targets that `benchmark` runs on with a choice of its recipe and not as it is, each with its choices.

    A choice is ``AXIS=VALUE``, as `--set` takes it; those that need another choice beside them are left out.
    """
    already = targets_of(catalog, benchmark)
    found: dict[str, list[str]] = {}
    for choice, other in _choices(catalog, benchmark):
        for target in targets_of(catalog, other):
            if target not in already:
                found.setdefault(target, []).append(choice)
    return {target: tuple(choices) for target, choices in sorted(found.items())}


def benchmark_in(catalog: Catalog, name: str, round_name: str = "") -> Entry[Benchmark]:
    """A benchmark by the rules of a round; of the one that its recipe names where none is given.

    Raises:
        UsageError: `unknown-benchmark`, `unknown-round`; `unknown-round-model`, `loadgen-round`, `loadgen-model`
            where the round has no such model, or does not accept the LoadGen of the harness.
    """
    entry = catalog.benchmark(name)
    if not round_name:
        return entry  # checked with the recipe
    catalog.round(round_name)
    found = replace(entry, definition=entry.definition.model_copy(update={"round": round_name}))
    fault = next(round_faults(catalog, found.definition), None)
    if fault is not None:
        raise UsageError(f"benchmark `{name}`: {fault.message}", hint=fault.hint, slug=fault.slug)
    return found


def framework_of(catalog: Catalog, *, target: str, benchmark: str) -> str:
    """The framework that `benchmark` uses on `target`.

    Raises:
        UsageError: an unknown name, or the two share no framework; with what each has.
    """
    on, what = catalog.target(target).definition, catalog.benchmark(benchmark).definition
    shared = _shared(catalog, on, what)
    if not shared:
        raise _unsupported(catalog, on, what)
    return shared[0]


def _unsupported(catalog: Catalog, on: Target, what: Benchmark) -> UsageError:
    by_choice = targets_by_choice(catalog, what)
    others = [f"on {target} with `--set {choices[0]}`" for target, choices in by_choice.items()]
    hint = f"it runs on: {', '.join((*targets_of(catalog, what), *others)) or 'no target'}"
    both = [name for name in what.frameworks if name in on.frameworks]
    only = catalog.harness(what.harness).definition.targets
    without = _servers_without_image(catalog, on, what)
    if without:
        why = f"for which its server `{without[0].name}` has no image"
        hint += f"; the server has one for {', '.join(without[0].images)}"
    elif both and only and on.name not in only:
        why = f"its harness `{what.harness}` does not run there"
    elif both:
        why = f"and its model `{what.model}` has no file that {' or '.join(both)} loads"
        hint += "; write one under `files` of the model's recipe"
    else:
        why = f"which has no layer for {' or '.join(what.frameworks)}"
        hint += f"; `{on.name}` has {', '.join(on.frameworks)}: add another under `frameworks` of its recipe"
    if on.name in by_choice:
        choices = " or ".join(f"`--set {choice}`" for choice in by_choice[on.name])
        hint = f"on `{on.name}` it runs with {choices}; as it is on: {', '.join(targets_of(catalog, what))}"
    message = f"benchmark `{what.name}` does not support target `{on.name}`, {why}"
    return UsageError(message, hint=hint, slug="unsupported-target")


def _choices(catalog: Catalog, benchmark: Benchmark) -> Iterator[tuple[str, Benchmark]]:
    """Every choice of a benchmark's recipe, one each, and the benchmark that it makes."""
    entry = catalog.benchmark(benchmark.name)
    for choice in choices_of(entry.written or entry.document):
        try:
            other = chosen(catalog, entry, (choice,)).definition
        except MlorchError:  # what it excludes has to be chosen as well
            continue
        yield f"{choice.key}={choice.value}", cast("Benchmark", other)
