"""What mlorch itself asks the store, in this process: its own queries, in which a condition of a person may stand."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestrator.errors import StepFailed, UsageError
from orchestrator.results.tables.engine import duckdb, first_line

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from orchestrator.results.tables.database import Database

MOST_ROWS = 10_000
TIMEOUT_S = 30.0
HELP = "`SELECT * FROM results LIMIT 1` and `DESCRIBE results` show what there is; the submitter is `organization`"


def not_reading(kinds: Sequence[str]) -> UsageError:
    """The error of what is no SELECT, or several statements."""
    what = f"{len(kinds)} statements" if len(kinds) != 1 else f"a statement {kinds[0]}"
    return UsageError(
        f"a query is one SELECT, and this is {what}",
        hint="the store is changed by `mlorch results import` only",
        slug="query-not-reading",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a query gives."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    more: bool = False
    """Whether there are more rows than were asked for."""

    def document(self) -> dict[str, Any]:
        """Its JSON."""
        return {"columns": list(self.columns), "rows": [list(row) for row in self.rows], "more": self.more}


class OwnQueries:
    """Asks one connection several times, in this process; a condition of a person may be in what it asks."""

    def __init__(self, database: Database) -> None:
        self._library = duckdb()
        self._connection = database.connect()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def ask(self, sql: str, values: Sequence[Any] = (), *, limit: int = MOST_ROWS) -> Answer:
        """The rows of one statement that reads, ``limit`` at most.

        Raises:
            UsageError: `bad-query`, `query-not-reading`; StepFailed: `query-time`.
        """
        library, watch = self._library, threading.Timer(TIMEOUT_S, self._connection.interrupt)
        watch.daemon = True
        try:
            kinds = [str(one.type).rpartition(".")[2] for one in library.extract_statements(sql)]
            if kinds != ["SELECT"]:
                raise not_reading(kinds)
            watch.start()
            found = self._connection.execute(sql, list(values))
            columns = tuple(str(one[0]) for one in found.description)
            rows = tuple(found.fetchmany(limit + 1))
            return Answer(columns=columns, rows=rows[:limit], more=len(rows) > limit)
        except library.InterruptException:
            raise StepFailed(f"the query took longer than {TIMEOUT_S:g} s and was ended", slug="query-time") from None
        except RuntimeError:  # what DuckDB makes of Ctrl-C
            raise KeyboardInterrupt from None
        except library.Error as error:
            raise UsageError(f"the query failed: {first_line(error)}", hint=HELP, slug="bad-query") from None
        finally:
            watch.cancel()


def own_query(database: Database, sql: str, values: Sequence[Any] = (), *, limit: int = MOST_ROWS) -> Answer:
    """One query of mlorch's own (`OwnQueries.ask`)."""
    with OwnQueries(database) as queries:
        return queries.ask(sql, values, limit=limit)
