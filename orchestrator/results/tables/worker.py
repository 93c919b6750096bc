"""Runs somebody's SQL over one Parquet file, in a process of its own that may be killed and cannot grow.

Started as a module by `asking`: a request as JSON on stdin, an answer as JSON on stdout.
"""

from __future__ import annotations

import json
import resource
import sys
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from orchestrator.results.tables.engine import duckdb, reading

_LARGEST_ANSWER = 64 << 20
"""Characters of JSON: whoever asked holds it several times over, without this process's limits."""
_REST = 1 << 30
"""Bytes of address space beyond what DuckDB may hold: the interpreter, the library and stacks."""


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Columns and rows of a statement that only reads, or what is wrong with it."""
    library = duckdb()
    sql, limit = str(request["sql"]), int(request["limit"])
    try:
        statements = library.extract_statements(sql)
    except library.Error as error:
        return {"error": str(error)}
    kinds = [str(one.type).rpartition(".")[2] for one in statements]
    if kinds != ["SELECT"]:
        return {"refused": kinds}
    try:
        connection = reading(Path(request["parquet"]), memory_mb=int(request["memory_mb"]))
    except library.Error as error:
        return {"unreadable": str(error)}
    try:
        found = connection.execute(statements[0])
        columns = [str(one[0]) for one in found.description]
        rows = found.fetchmany(limit + 1)
    except (library.Error, MemoryError) as error:
        return {"error": str(error) or "out of memory"}
    return {"columns": columns, "rows": [[_plain(value) for value in row] for row in rows[:limit]],
            "more": len(rows) > limit}  # fmt: skip


def _plain(value: Any) -> Any:
    """A value as JSON has it; what JSON has no word for is text."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else str(value)  # noqa: PLR0124 (NaN)
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, dict):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value.isoformat() if isinstance(value, date | datetime | time) else _text(value)


def _text(value: Any) -> str:
    return str(value) if not isinstance(value, timedelta) else f"{value.total_seconds()} s"


def main() -> None:
    """Read the request, hold this process to its memory, and answer."""
    request = json.load(sys.stdin)
    most = (int(request["memory_mb"]) << 20) + _REST
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    text = json.dumps(answer(request))
    if len(text) > _LARGEST_ANSWER:
        text = json.dumps({"error": f"its answer has {len(text):,} characters, more than {_LARGEST_ANSWER:,}"})
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
