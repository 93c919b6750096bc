"""Asks the store with SQL of a person: in a process of its own, with limits."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from orchestrator.errors import StepFailed, UsageError
from orchestrator.host.command import TIMED_OUT, run_program
from orchestrator.results.tables.engine import MEMORY_MB, duckdb, first_line
from orchestrator.results.tables.queries import HELP, MOST_ROWS, TIMEOUT_S, Answer, not_reading

if TYPE_CHECKING:
    from orchestrator.results.tables.database import Database

_LONGEST_SQL = 100_000


def ask(
    database: Database, sql: str, *, limit: int = MOST_ROWS, timeout_s: float = TIMEOUT_S, memory_mb: int = MEMORY_MB
) -> Answer:
    """One statement that reads, over the views ``results`` and ``every_result``.

    Raises:
        UsageError: `bad-query`, `query-not-reading`; StepFailed: `query-time`, `query-failed`, `broken-store`.
    """
    if len(sql) > _LONGEST_SQL:
        raise UsageError(f"the query has {len(sql):,} characters; {_LONGEST_SQL:,} are the most", slug="bad-query")
    duckdb()
    request = {"parquet": str(database.parquet().absolute()), "sql": sql, "limit": limit, "memory_mb": memory_mb}
    # -P: a file of the working folder must not be imported in the place of a module
    argv = [sys.executable, "-P", "-m", "orchestrator.results.tables.worker"]
    done = run_program(argv, text=json.dumps(request), timeout_s=timeout_s)
    if done.code == TIMED_OUT:
        raise StepFailed(
            f"the query took longer than {timeout_s:g} s and was ended",
            hint="ask for less, or give it longer with --timeout",
            slug="query-time",
        )
    try:
        found = json.loads(done.stdout)
    except ValueError:
        why = done.tail(1).strip() or f"its process ended with {done.code}"
        raise StepFailed(
            f"the query failed: {why}", hint=f"it may hold {memory_mb} MB; ask for less", slug="query-failed"
        ) from None
    if "unreadable" in found:
        raise database.unreadable(found["unreadable"])
    if "refused" in found:
        raise not_reading(found["refused"])
    if "error" in found:
        raise UsageError(f"the query failed: {first_line(found['error'])}", hint=HELP, slug="bad-query")
    return Answer(columns=tuple(found["columns"]), rows=tuple(map(tuple, found["rows"])), more=found["more"])
