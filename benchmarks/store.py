"""The store of results: importing the published tables of MLPerf Inference, and asking it, also with a million rows.

The tables come from the folder MLORCH_BENCH_TABLES: summaries and reports of rounds, as CSV or JSON. What is not there
is made in their form, of as many rows as that round published, and the row says so. The million rows are the imported
ones again and again under other platforms, as a store of many campaigns would have them. A query is timed with a
connection of its own, as each command opens one; a command as a whole, with Python's start and the import of DuckDB,
stands in the last column. What counts is processor time of all threads, which other load does not lengthen: on two
quiet processors the wall time is less.
"""

from __future__ import annotations

import csv
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from common import Bar, NotHereError, cpu_seconds, mlorch, note

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.operations.context import Context

TABLES = "MLORCH_BENCH_TABLES"
PUBLISHED = {
    "v3.0": 9721,
    "v3.1": 13351,
    "v4.0": 10458,
    "v4.1": 962,
    "v5.0": 1000,
    "v5.1": 1456,
    "v6.0": 500,
    "v6.1": 492,
}
"""Rows of each round's table, or about as many where it cannot be had."""
MILLION = 1_000_000
TURNS = 7
WHERE = "accelerators = 8 AND scenario = 'Offline' AND division = 'closed' AND benchmark LIKE 'llama%'"
GROUP = "SELECT round, benchmark, scenario, max(result), avg(accuracy), count(*) FROM results GROUP BY ALL"


def measure() -> list[Bar]:
    """Rows for the import of all tables, and for each query on them and on a million rows."""
    try:
        import duckdb  # noqa: F401
    except ImportError:
        raise NotHereError("DuckDB is not installed: `pip install 'mlorch[store]'`") from None
    from orchestrator.operations.context import Context

    with tempfile.TemporaryDirectory(prefix="mlorch-bench-") as folder:
        sources, made = _tables(Path(folder))
        store = Path(folder) / "store"
        bars = [_import(Context(), sources, store, made)]
        bars += _queries(store, "published tables", 0.2)
        _grow(store)
        return [*bars, *_queries(store, "a million rows", 0.5)]


def _import(context: Context, sources: list[str], store: Path, made: list[str]) -> Bar:
    from orchestrator.operations.results_import import ImportRequest, import_results

    request = ImportRequest(sources=tuple(sources), store=store)
    costs, total = [], 0
    for _ in range(3):
        shutil.rmtree(store, ignore_errors=True)
        began = _Cost.now()
        total = import_results(context, request).added.total
        costs.append(_Cost.since(began))
    best = min(costs)
    detail = f"{total:,} results of {len(sources)} tables; wall time {min(one.wall for one in costs):.1f} s"
    if made:
        detail += f"; {', '.join(made)} made in their form"
    return Bar(what="results import: the tables of v3.0 to v6.1 (CPU)", value=best.cpu, bar=10, unit="s", detail=detail)


def _queries(store: Path, what: str, bar: float) -> list[Bar]:
    from orchestrator.operations.results_store import list_store, top_results
    from orchestrator.results.tables.database import Database
    from orchestrator.results.tables.queries import own_query
    from orchestrator.results.tables.ranking import Ranking

    ranking = Ranking(benchmark="resnet", round="all", division="all")
    env = {**os.environ, "MLORCH_HOME": str(store.parent / "home")}
    top = [*mlorch("results", "top"), "-b", "resnet", "--round", "all", "--division", "all", "--store", str(store)]
    listing = [*mlorch("results", "list"), "--where", WHERE, "--store", str(store)]
    asked: list[tuple[str, Callable[[], object], list[str]]] = [
        ("top", lambda: top_results(ranking, store), top),
        ("list --where", lambda: list_store(WHERE, store, last=20), listing),
        ("group by round, benchmark and scenario", lambda: own_query(Database(store), GROUP), []),
    ]
    bars = []
    for name, work, command in asked:
        note(f"{what}: {name}")
        costs = [_cost(work) for _ in range(TURNS)]
        detail = f"wall time {min(one.wall for one in costs) * 1000:.0f} ms"
        if command:
            whole = min(cpu_seconds(command, env=env) for _ in range(3))
            detail += f"; the command as a whole {whole * 1000:.0f} ms CPU"
        label = f"results store, {what}: {name} (CPU)"
        bars.append(Bar(what=label, value=min(costs).cpu, bar=bar, unit="s", detail=detail))
    return bars


class _Cost(NamedTuple):
    """Seconds of processors, of all threads, and of the clock."""

    cpu: float
    wall: float

    @classmethod
    def now(cls) -> _Cost:
        return cls(time.process_time(), time.perf_counter())

    @classmethod
    def since(cls, began: _Cost) -> _Cost:
        return cls(time.process_time() - began.cpu, time.perf_counter() - began.wall)


def _cost(work: Callable[[], object]) -> _Cost:
    began = _Cost.now()
    work()
    return _Cost.since(began)


# -- tables ------------------------------------------------------------------------------


def _tables(folder: Path) -> tuple[list[str], list[str]]:
    """The tables of all rounds, and the names of those that were made."""
    given = Path(os.environ[TABLES]) if TABLES in os.environ else None
    sources, made = [], []
    for name, rows in PUBLISHED.items():
        found = sorted(given.glob(f"*{name}*")) if given is not None else []
        if found:
            sources.append(str(found[0]))
        else:
            sources.append(str(_made(folder / f"{name}.csv", name, rows)))
            made.append(name)
    return sources, made


def _made(path: Path, name: str, rows: int) -> Path:
    """A summary as a checker writes it: nine models, three scenarios, one in five with power."""
    from orchestrator.results.tables.inference import KNOWN

    models = ("resnet", "retinanet", "bert-99", "3d-unet-99", "rnnt", "gptj-99", "llama2-70b-99", "dlrm-v2-99", "rgat")
    units = {"Offline": "Samples/s", "Server": "Queries/s", "SingleStream": "Latency (ms)"}
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, KNOWN, restval="")
        writer.writeheader()
        for index in range(rows):
            scenario = list(units)[index % 3]
            row = dict(zip(KNOWN, [""] * len(KNOWN), strict=True)) | {
                "Organization": f"Org{index % 40}",
                "Availability": "available",
                "Division": "closed" if index % 3 else "open",
                "SystemType": "datacenter" if index % 2 else "datacenter,edge",
                "SystemName": f"System {index // 27} (8x Accelerator-80GB, some words of its name)",
                "Platform": f"platform_{index // 27}",
                "Model": models[index // 3 % 9],
                "MlperfModel": models[index // 3 % 9],
                "Scenario": scenario,
                "Result": 1000 + index * 7919 % 99991 / 3,
                "Accuracy": "ROUGE1: 44.45  ROUGE2: 22.04  ROUGEL: 28.61",
                "number_of_nodes": 1,
                "host_processor_model_name": "Some Processor",
                "host_processors_per_node": 2,
                "host_processor_core_count": 64,
                "accelerator_model_name": "Accelerator-80GB",
                "accelerators_per_node": 8,
                "Location": f"closed/Org/results/platform_{index // 27}/{models[index // 3 % 9]}/{scenario}",
                "framework": "framework 1.2.3, runtime 4.5.6",
                "operating_system": "Ubuntu 24.04",
                "notes": "notes of some words, as submitters write them. Power was as the vendor sets it.",
                "compliance": 1,
                "errors": 0,
                "version": name,
                "inferred": 0,
                "has_power": index % 5 == 0,
                "Units": units[scenario],
            }
            writer.writerow(row)
            if index % 5 == 0:
                writer.writerow(row | {"Result": 4000.5, "Units": "Watts"})
    return path


def _grow(store: Path) -> None:
    """The same results under other platforms until there are a million, in the file of the store."""
    import duckdb

    from orchestrator.results.tables.database import Database

    note("a million rows are made")
    path = Database(store).parquet()
    grown = path.with_suffix(".grown")
    connection = duckdb.connect()
    (count,) = connection.execute(f"SELECT count(*) FROM read_parquet('{path}')").fetchone()
    times = MILLION // count + 1
    connection.execute(
        f"COPY (SELECT r.* REPLACE (r.key || '~' || t.i AS key, r.platform || '~' || t.i AS platform, "
        f"r.result * (1 + t.i / 1000) AS result) FROM read_parquet('{path}') r, range({times}) t(i) "
        f"ORDER BY suite, round, benchmark, scenario, key LIMIT {MILLION}) "
        f"TO '{grown}' (FORMAT parquet, COMPRESSION zstd)"
    )
    connection.close()
    grown.replace(path)
