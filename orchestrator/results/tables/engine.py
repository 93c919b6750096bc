"""DuckDB, imported only where the store is used, and locked down where somebody else's SQL runs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from orchestrator.errors import StepFailed

if TYPE_CHECKING:
    from pathlib import Path

THREADS = 2
MEMORY_MB = 1024
"""What a query may hold; reading needs a hundredth of it."""


def duckdb() -> Any:
    """The library; an extra of the package, as a run needs none of it.

    Raises:
        StepFailed: `missing-package`.
    """
    try:
        import duckdb as library
    except ImportError:
        raise StepFailed(
            "the results store needs DuckDB, which is not installed",
            hint=f"`{sys.executable} -m pip install 'mlorch[store]'`; runs and their results need none of it",
            slug="missing-package",
        ) from None
    return library


def text_literal(text: str) -> str:
    """A text of SQL."""
    return "'" + text.replace("'", "''") + "'"


def reading(parquet: Path, *, memory_mb: int = MEMORY_MB, threads: int = THREADS) -> Any:
    """A connection that can read one file and nothing else: no other file, no network, no extension, no setting.

    It has two views: ``results``, and ``every_result`` with those that a later import has again.
    """
    connection = duckdb().connect()
    path = text_literal(str(parquet))
    for line in (
        f"SET memory_limit = '{memory_mb}MB'",
        f"SET threads = {threads}",
        "SET temp_directory = ''",  # nothing is written where memory does not do
        "SET autoinstall_known_extensions = false",
        "SET autoload_known_extensions = false",
        "SET python_enable_replacements = false",  # else a name in SQL may be a variable of ours
        f"SET allowed_paths = [{path}]",
        "SET enable_external_access = false",
        f"CREATE VIEW every_result AS SELECT * FROM read_parquet({path})",
        # rows by their place, so that a ranking reads a few columns of all rows and all columns of a few
        f"CREATE VIEW numbered AS SELECT * FROM read_parquet({path}, file_row_number = true) WHERE is_current",
        "CREATE VIEW results AS SELECT * EXCLUDE (is_current) FROM every_result WHERE is_current",
        "SET lock_configuration = true",
    ):
        connection.execute(line)
    return connection


def first_line(error: object) -> str:
    """What DuckDB says is wrong, without its advice."""
    return str(error).strip().partition("\n")[0]
