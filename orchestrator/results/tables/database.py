"""The store on disk: one Parquet file of all results, and `store.json`, which says which file it is and what is in it.

An import writes a new Parquet file, then puts a new `store.json` into its place: killed anywhere, the store is the one
before or the one after. What was read can be read again (`Import.source`), so the store holds no truth of its own.
"""

from __future__ import annotations

import json
import re
import secrets
import shutil
import tempfile
from dataclasses import asdict, dataclass, replace
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from orchestrator.errors import NothingSelectedError, StepFailed
from orchestrator.facts.codec import CodecError, from_plain
from orchestrator.host.file_lock import locked
from orchestrator.host.files import atomic_write_text, write_failure
from orchestrator.host.folders import data_home
from orchestrator.host.replacing import replacing
from orchestrator.host.untrusted import UnreadableFile, read_object
from orchestrator.results.tables.engine import duckdb, first_line, reading, text_literal
from orchestrator.results.tables.row import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.results.tables.row import Row

VERSION = 1
"""Of `store.json` and of the columns; a store of another one is read by no other mlorch."""
NAME = "store.json"
_WORK = ".mlorch-import-"
"""Begins the name of the folder that an import works in: nobody else's begins so."""
_ROWS_FILE = re.compile(r"results-[0-9a-f]{12}\.parquet")
_HALF_FILE = re.compile(r"\.results-[0-9a-f]{12}\.parquet\.[0-9a-f]{16}")
"""One that `replacing` had not finished."""


def store_folder(given: Path | None = None) -> Path:
    """The folder of the store: the one that is given, else the user's."""
    return given if given is not None else data_home() / "results-store"


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """What was imported from one place."""

    source: str
    """A path, absolute, or a URL without credentials."""
    kind: str
    sha256: str
    number: int = 0
    """Counted up, whatever the clock says."""
    imported: str = ""
    rows: int = 0
    rounds: tuple[str, ...] = ()
    label: str = ""
    """What stands for the round of all its rows, where the table's own name of it is another's too."""
    round_rules: str = ""
    """The round by which a tree was checked."""
    skipped: tuple[str, ...] = ()
    """The rules that were not looked at in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What `store.json` says."""

    rows_file: str = ""
    imports: tuple[Import, ...] = ()
    version: int = VERSION

    def document(self) -> dict[str, Any]:
        """Its JSON."""
        return asdict(self)


@dataclass(slots=True, kw_only=True)
class Added:
    """What an import came to."""

    imports: tuple[Import, ...]
    again: int = 0
    """Results of these imports that another import has too; the newest import counts, CM's copies least."""
    differ: int = 0
    """How many of them have another figure there."""
    total: int = 0
    """Results in the store."""


class Batch(NamedTuple):
    """What is imported from one place."""

    rows: Sequence[Row]
    imported: Import


@dataclass(frozen=True, slots=True)
class Database:
    """The results store in a folder; nothing is made until something is imported."""

    folder: Path

    # -- reading -------------------------------------------------------------------------

    def manifest(self) -> Manifest:
        """What is in the store.

        Raises:
            StepFailed: `newer-store`, `broken-store`.
        """
        try:
            found = read_object(self.folder, NAME)
        except UnreadableFile as error:
            if error.missing:
                return Manifest()
            raise self._broken(error.reason) from None
        except FileNotFoundError:
            return Manifest()
        except OSError as error:
            raise self._broken(str(error.strerror)) from None
        version = found.get("version")
        if type(version) is not int or version < 1:
            raise self._broken("says no version")
        if version > VERSION:
            raise StepFailed(
                f"{self.folder / NAME} was written by a newer mlorch (version {version}; this one reads {VERSION})",
                hint="use that mlorch, or another folder (--store); nothing was changed",
                slug="newer-store",
            )
        try:
            manifest = from_plain(Manifest, found)
        except CodecError:
            raise self._broken("is not as mlorch writes it") from None
        if manifest.rows_file and not _ROWS_FILE.fullmatch(manifest.rows_file):
            raise self._broken("names a file that is none of a store")
        return manifest

    def parquet(self) -> Path:
        """The file of all results.

        Raises:
            NothingSelectedError: `empty-store`; StepFailed: `newer-store`, `broken-store`.
        """
        manifest = self.manifest()
        if not manifest.rows_file:
            raise NothingSelectedError(
                f"there is nothing in the store {self.folder}",
                hint="`mlorch results import FILE|URL|TREE|FOLDER` brings results into it",
                slug="empty-store",
            )
        path = self.folder / manifest.rows_file
        if not path.is_file():
            raise self._broken(f"names {manifest.rows_file}, which is not there")
        return path

    def connect(self) -> Any:
        """A connection for queries (`engine.reading`)."""
        path = self.parquet().absolute()
        library = duckdb()
        try:
            return reading(path)
        except library.Error as error:
            raise self.unreadable(error) from None

    def unreadable(self, error: object) -> StepFailed:
        """The error of a file of results that is none, as DuckDB says it."""
        return self._broken(f"names a file of results that cannot be read: {first_line(error)}")

    def _broken(self, why: str) -> StepFailed:
        return StepFailed(
            f"{self.folder / NAME} {why}",
            hint="move the folder away and import again: the sources are the truth, the store only holds them together",
            slug="broken-store",
        )

    # -- writing -------------------------------------------------------------------------

    def add(self, batches: Sequence[Batch], *, only: bool = False) -> Added:
        """Bring rows into the store, in the place of what was imported before from the same sources.

        All of them or none; with ``only`` they are all that is in it afterwards.

        Raises:
            StepFailed: `newer-store`, `broken-store`, `write`; then the store is as it was.
        """
        duckdb()  # said before anything is made
        sources = {batch.imported.source for batch in batches}
        try:
            with locked(self.folder / ".lock"):
                before = self.manifest()
                kept = () if only else tuple(one for one in before.imports if one.source not in sources)
                name = f"results-{secrets.token_hex(6)}.parquet"
                batches = _numbered(batches, 1 + max((one.number for one in kept), default=0))
                added = Added(imports=tuple(batch.imported for batch in batches))
                self._write_rows(name, batches, before, [one.number for one in kept], added)
                after = Manifest(rows_file=name, imports=(*kept, *added.imports))
                atomic_write_text(self.folder / NAME, json.dumps(after.document(), indent=1), overwrite=True)
                self._sweep({name, before.rows_file})
                return added
        except OSError as error:
            raise write_failure(self.folder, error) from error

    def _write_rows(self, name: str, batches: Sequence[Batch], before: Manifest, kept: list[int], added: Added) -> None:
        library = duckdb()
        with (
            replacing(self.folder / name) as part,
            tempfile.TemporaryDirectory(dir=self.folder, prefix=_WORK) as work,
        ):
            lines = Path(work) / "rows.json"
            _write_lines(lines, batches)
            connection = library.connect(config={"temp_directory": f"{work}/spill"})
            try:
                self._fill(connection, lines, before, kept)
                _count(connection, added)
                connection.execute(f"COPY ({_ALL}) TO {text_literal(str(part))} (FORMAT parquet, COMPRESSION zstd)")
            except library.Error as error:
                raise self._broken(f"could not be read with the new rows: {first_line(error)}") from None
            finally:
                connection.close()

    def _fill(self, connection: Any, lines: Path, before: Manifest, kept: list[int]) -> None:
        columns = ", ".join(f"{text_literal(name)}: {text_literal(kind)}" for name, kind in COLUMNS.items())
        limit = 64 * 2**20  # bytes of one line
        new = (
            f"SELECT * REPLACE (published::VARCHAR AS published) FROM read_json("
            f"{text_literal(str(lines))}, format = 'newline_delimited', "
            f"columns = {{{columns}}}, maximum_object_size = {limit})"
        )
        connection.execute(f"CREATE TEMP TABLE fresh AS {new}")
        if before.rows_file and kept:
            path = text_literal(str((self.folder / before.rows_file).absolute()))
            numbers = ", ".join(map(str, kept))
            old = f"SELECT * EXCLUDE (is_current) FROM read_parquet({path}) WHERE import_number IN ({numbers})"
        else:
            old = "SELECT * FROM fresh WHERE false"
        connection.execute(f"CREATE TEMP VIEW old AS {old}")

    def _sweep(self, keep: set[str]) -> None:
        """Remove what killed imports left, and old files; the one before stays, as a query may open it just now.

        Only what this module gave its name: the folder is named by a person, who may keep other tables in it.
        """
        for path in list(self.folder.iterdir()):
            if path.name.startswith(_WORK):
                shutil.rmtree(path, ignore_errors=True)
            elif path.name not in keep and (_ROWS_FILE.fullmatch(path.name) or _HALF_FILE.fullmatch(path.name)):
                path.unlink(missing_ok=True)


_ALL = """
SELECT *, row_number() OVER (PARTITION BY key ORDER BY kind = 'experiments', import_number DESC) = 1 AS is_current
FROM (SELECT * FROM old UNION ALL BY NAME SELECT * FROM fresh)
ORDER BY suite, benchmark, round, scenario, key, import_number
"""
"""Every row. Of a result that several imports have the newest is the current one, CM's copy only where it is alone."""


_TWICE = """
SELECT count(*) AS again,
       count(*) FILTER (least_one IS DISTINCT FROM most AND most - least_one > 1e-9 * abs(most)) AS differ
FROM (
  SELECT key, min(result) AS least_one, max(result) AS most
  FROM (
    SELECT key, result, import_number, false AS fresh FROM old
    UNION ALL SELECT key, result, import_number, true FROM fresh
  )
  GROUP BY key HAVING count(DISTINCT import_number) > 1 AND bool_or(fresh)
)
"""


def _count(connection: Any, added: Added) -> None:
    added.again, added.differ = connection.execute(_TWICE).fetchone()
    both = "SELECT count(DISTINCT key) FROM (SELECT key FROM old UNION ALL SELECT key FROM fresh)"
    (added.total,) = connection.execute(both).fetchone()


def _numbered(batches: Sequence[Batch], first: int) -> list[Batch]:
    return [Batch(one.rows, replace(one.imported, number=first + index)) for index, one in enumerate(batches)]


def _write_lines(path: Path, batches: Sequence[Batch]) -> None:
    """The rows as JSON, a line each, with where they came from."""
    encode, values_of = json.JSONEncoder(ensure_ascii=False, default=str).encode, attrgetter(*COLUMNS)
    with path.open("w", encoding="utf-8", errors="replace") as stream:  # a file's name may be no UTF-8
        for rows, imported in batches:
            for row in rows:
                row.source, row.source_sha256 = row.source or imported.source, row.source_sha256 or imported.sha256
                row.imported, row.import_number, row.kind = imported.imported, imported.number, imported.kind
                stream.write(f"{encode(dict(zip(COLUMNS, values_of(row), strict=True)))}\n")
