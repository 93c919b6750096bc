"""`results import`: tables of others, trees and runs of ours into the store. All that is named, or nothing."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.errors import NothingSelectedError, StepFailed, UsageError
from orchestrator.facts.neutral import one_line
from orchestrator.facts.redact import redacted_text
from orchestrator.host.clock import now
from orchestrator.host.untrusted import UnreadableFile, names_below, read_bytes
from orchestrator.results.tables.database import Batch, Database, Import, store_folder
from orchestrator.results.tables.merge import merged
from orchestrator.results.tables.reading import read_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.definitions.catalog import Catalog
    from orchestrator.operations.context import Context
    from orchestrator.results.tables.database import Added
    from orchestrator.results.tables.inference import InTokens
    from orchestrator.results.tables.merge import Merged
    from orchestrator.results.tables.row import Row

LARGEST_TABLE = 512 << 20
"""Bytes of a table; the largest published one has 5 MB."""
EXPERIMENTS = "cm-result.json"
_DIVISIONS = ("closed", "open", "network")
_MOST_NAMED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportRequest:
    """What is imported."""

    sources: tuple[str, ...]
    store: Path | None = None
    round: str = ""
    """By whose rules a tree is checked."""
    label: str = ""
    """What stands for the round of all rows."""
    skip: tuple[str, ...] = ()
    """Rules that are not looked at in a tree."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What one source came to."""

    imported: Import
    entries: int
    """Rows of the table, before power was joined to its performance."""
    joined: int
    doubled: int
    conflicts: tuple[str, ...]
    unknown: tuple[str, ...]
    """Columns that are kept as they are."""
    left_out: tuple[str, ...]
    """Runs whose record cannot be read."""

    def document(self) -> dict[str, Any]:
        """Its JSON."""
        one = self.imported
        return {
            "source": one.source,
            "kind": one.kind,
            "sha256": one.sha256,
            "rounds": list(one.rounds),
            "rows": self.entries,
            "results": one.rows,
            "power_joined": self.joined,
            "doubled": self.doubled,
            "conflicts": list(self.conflicts),
            "unknown_columns": list(self.unknown),
            "left_out": list(self.left_out),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What an import came to."""

    store: Path
    sources: tuple[Source, ...]
    added: Added

    def document(self) -> dict[str, Any]:
        """Its JSON."""
        return {
            "store": str(self.store),
            "imports": [one.document() for one in self.sources],
            "again": self.added.again,
            "differ": self.added.differ,
            "total": self.added.total,
        }


def import_results(context: Context, request: ImportRequest) -> Imported:
    """Import sources; the form of each is told by what is in it.

    Raises:
        UsageError: `unknown-source`, `missing-round`; StepFailed: `table-…`, `not-utf8`, `newer-store`; then nothing
            is imported.
    """
    for text in (*request.sources, request.label):
        _require_text(text)
    database = Database(store_folder(request.store))
    database.manifest()  # a store that cannot be written is said before anything is read
    found = [_read(context, request, source) for source in dict.fromkeys(request.sources)]
    return _add(database, found, only=False)


def _require_text(text: str) -> None:
    """The store is JSON, which has no word for a name that is no text: it could not be read again."""
    try:
        text.encode()
    except UnicodeEncodeError:
        hint = "give it another name; nothing was imported"
        raise UsageError(f"{one_line(text)} is no UTF-8", hint=hint, slug="unknown-source") from None


def rebuild(context: Context, store: Path | None) -> Imported:
    """Read all sources of the store anew.

    Raises:
        NothingSelectedError: `empty-store`; whatever `import_results` raises where a source is not there any more.
    """
    database = Database(store_folder(store))
    imports = database.manifest().imports
    if not imports:
        raise NothingSelectedError(
            f"there is nothing in the store {database.folder}", hint="import something first", slug="empty-store"
        )
    found = []
    for one in imports:
        request = ImportRequest(sources=(one.source,), round=one.round_rules, label=one.label, skip=one.skipped)
        found.append(_read(context, request, one.source))
    return _add(database, found, only=True)


def _add(database: Database, found: Sequence[_Read], *, only: bool) -> Imported:
    moment = now().utc
    sources, batches = [], []
    for one in found:
        stamped = replace(one.source.imported, imported=moment)
        sources.append(replace(one.source, imported=stamped))
        batches.append(Batch(one.rows, stamped))
    added = database.add(batches, only=only)
    return Imported(store=database.folder, sources=tuple(sources), added=added)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """A source with its rows."""

    source: Source
    rows: Sequence[Row]


def _read(context: Context, request: ImportRequest, source: str) -> _Read:
    in_tokens = token_rates(context.catalog)
    if source.startswith(("http://", "https://")):
        return _table(_downloaded(source), redacted_text(source), request, in_tokens)
    path = Path(source).absolute()
    if path.is_file():
        return _table(_bytes(path), str(path), request, in_tokens)
    if not path.is_dir():
        raise UsageError(
            f"there is no {source}",
            hint="name a CSV or JSON file, its URL, a submission tree, or a folder of results",
            slug="unknown-source",
        )
    if any((path / name).is_dir() for name in _DIVISIONS):
        return _tree(context, request, path, in_tokens)
    experiments = [name for name in names_below(path) if name.rpartition("/")[2] == EXPERIMENTS]
    if experiments:
        return _experiments(path, experiments, request, in_tokens)
    return _runs(path)


def token_rates(catalog: Catalog) -> InTokens:
    """Which rates are tokens, by the rules of the rounds that are known here; of others it is as the table says."""
    names = frozenset(catalog.names("round"))

    def in_tokens(round_name: str, benchmark: str, scenario: str) -> bool:
        if round_name not in names:
            return False
        model = catalog.round_rules(round_name).models.get(benchmark)
        return model is not None and model.submission.in_tokens(scenario)

    return in_tokens


# -- the kinds of sources ------------------------------------------------------------------


def _table(data: bytes, name: str, request: ImportRequest, in_tokens: InTokens) -> _Read:
    table = read_table(data, name, in_tokens)
    found = merged(_labelled(table.rows, request.label))
    digest = hashlib.sha256(data).hexdigest()
    imported = Import(source=name, kind=table.kind, sha256=digest, label=request.label)
    return _result(imported, found, table.entries, unknown=table.unknown)


def _experiments(path: Path, names: Sequence[str], request: ImportRequest, in_tokens: InTokens) -> _Read:
    """CM's folder of experiments: most results stand in several of its files."""
    rows: list[Row] = []
    digest = hashlib.sha256()
    for name in names:
        data = _bytes(path / name)
        digest.update(data)
        one = hashlib.sha256(data).hexdigest()
        for row in read_table(data, str(path / name), in_tokens).rows:
            row.source, row.source_sha256 = str(path / name), one
            rows.append(row)
    found = merged(_labelled(rows, request.label))
    imported = Import(source=str(path), kind="experiments", sha256=digest.hexdigest(), label=request.label)
    return _result(imported, found, len(rows))


def _tree(context: Context, request: ImportRequest, path: Path, in_tokens: InTokens) -> _Read:
    """A submission tree: the rows that its round's checker would take."""
    from orchestrator.operations.submissions import CheckRequest, check_submission
    from orchestrator.results.tables.inference import from_summary

    if not request.round:
        raise UsageError(
            f"{path} is a submission tree, and nobody says of which round",
            hint="add --round, such as --round v5.1: its rules say what a result of the tree is",
            slug="missing-round",
        )
    checked = check_submission(context, CheckRequest(tree=path, round=request.round, skip=request.skip)).checked
    rows = []
    for index, cells in enumerate(checked.rows, 1):
        row = from_summary(dict(zip(checked.columns, cells, strict=True)), in_tokens)
        row.source_row = index
        rows.append(row)
    found = merged(_labelled(rows, request.label))
    digest = hashlib.sha256("\n".join("\t".join(cells) for cells in checked.rows).encode()).hexdigest()
    imported = Import(
        source=str(path),
        kind="tree",
        sha256=digest,
        label=request.label,
        round_rules=request.round,
        skipped=request.skip,
    )
    return _result(imported, found, len(rows))


def _runs(path: Path) -> _Read:
    """Runs of ours."""
    from orchestrator.results.store import Store
    from orchestrator.results.tables.own import rows_of_runs

    entries = Store(path).entries()
    if not entries:
        raise UsageError(
            f"{path} has neither runs nor a submission's divisions nor {EXPERIMENTS} files",
            hint="name a CSV or JSON file, its URL, a submission tree, or a folder of results",
            slug="unknown-source",
        )
    rows, unreadable = rows_of_runs(entries)
    digest = hashlib.sha256(json.dumps([row.published for row in rows], default=str).encode()).hexdigest()
    found = merged(rows)
    imported = Import(source=str(path), kind="runs", sha256=digest)
    return _result(imported, found, len(entries), left_out=tuple(unreadable))


def _labelled(rows: list[Row], label: str) -> list[Row]:
    """The rows with another word for their round, in their keys too."""
    if label:
        for row in rows:
            row.key = row.key.replace(row.round, label, 1) if row.round else f"{label}{row.key}"
            row.round = label
    return rows


def _result(imported: Import, found: Merged, entries: int, **more: tuple[str, ...]) -> _Read:
    """A source as it was read; its time and id come when all are."""
    rounds = tuple(sorted({row.round for row in found.rows}))
    came_to = Source(
        imported=replace(imported, rows=len(found.rows), rounds=rounds),
        entries=entries,
        joined=found.joined,
        doubled=found.doubled,
        conflicts=tuple(found.conflicts),
        unknown=more.get("unknown", ()),
        left_out=more.get("left_out", ()),
    )
    return _Read(source=came_to, rows=found.rows)


# -- bytes -------------------------------------------------------------------------------


def _bytes(path: Path) -> bytes:
    """A file that a person named: a link to it is followed."""
    try:
        real = path.resolve(strict=True)
        return read_bytes(real.parent, real.name, LARGEST_TABLE)
    except UnreadableFile as error:
        hint = "nothing was imported"
        raise StepFailed(f"{path} {error.reason}", hint=hint, slug="unreadable-table") from None
    except OSError as error:
        raise StepFailed(f"{path} cannot be read: {error.strerror}", slug="unreadable-table") from None


def _downloaded(url: str) -> bytes:
    from orchestrator.http.client import Client, Request

    client = Client()

    def work() -> bytes:
        with client.send(Request(url=url)) as answer:
            if answer.status != 200:
                raise answer.failure()
            return answer.content

    return client.patiently(work)
