"""The journal of a campaign: what began and what ended, a line each, which a crash cannot make say something else.

It is an index. What a test measured stands in its own record, and where the journal says less than the records do
(it was cut, or a process died between the two) the records count. A line is the first 16 hex digits of a sha256, a
space and a JSON object; the sum goes over the line before it as well, so a line that is lost from the middle is seen.
Lines are only ever appended, each with one write and brought to the disk before anything follows from it. Their order
is what happened first: clocks may step back.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from orchestrator.errors import StepFailed
from orchestrator.host.files import atomic_write_bytes, link_or_copy, make_folder, sync_folder, write_failure
from orchestrator.host.untrusted import UnreadableFile, read_bytes

if TYPE_CHECKING:
    from pathlib import Path

NAME = "journal"
LARGEST = 256 * 2**20
"""Bytes of a journal: that of 100,000 cells has 40 MB."""
_APPENDING = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
_SUM = 16
_LONGEST_S = 1e10
"""Seconds that a cell can have taken: three hundred years."""
_NUMBERS = frozenset((int, float))
_START = "mlorch campaign journal 1"
DONE, INVALID, FAILED = "done", "invalid", "failed"
"""How a cell ends: with a result that counts, with one that does not, with none."""


class JournalLine(NamedTuple):
    """A cell began, or ended: ``outcome`` is empty, or how it ended.

    ``place`` names its place in the matrix, ``folder`` its folder, which holds its key; ``runs`` are the ids of its
    tests, the one that counts last; ``seconds`` how long it took by a clock that never steps back.
    """

    place: str
    folder: str
    outcome: str = ""
    runs: tuple[str, ...] = ()
    seconds: float = 0.0
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Healed:
    """What was wrong with a journal when it was opened: bytes of an unfinished line, or lines that are damaged."""

    torn: int = 0
    damaged_at: int = 0
    """The number of the first line that cannot be believed; 0 where there is none."""
    aside: str = ""
    """Where the damaged file was put."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadJournal:
    """The lines that can be believed, how many bytes they have, and the sum that the next one goes over."""

    lines: tuple[JournalLine, ...] = ()
    size: int = 0
    last: str = _START
    rest: int = 0
    """Bytes after them."""
    whole_rest: bool = False
    """Whether those hold whole lines: then the file was damaged, and not only cut."""


def read_journal(folder: Path) -> ReadJournal:
    """The journal of a campaign, without mending it; an absent one is empty.

    Raises `StepFailed` [journal] for what cannot be read, a link or a pipe among it.
    """
    try:
        return parse_journal(read_bytes(folder, NAME, LARGEST))
    except FileNotFoundError:  # the folder
        return ReadJournal()
    except UnreadableFile as error:
        if error.missing:
            return ReadJournal()
        hint = "move it away: `mlorch campaign resume` makes a new one from the records of the tests"
        raise StepFailed(f"the journal is not read: {error.message}", hint=hint, slug="journal") from None
    except OSError as error:
        raise write_failure(folder / NAME, error) from error


def parse_journal(data: bytes) -> ReadJournal:
    """The lines of a journal's bytes, up to the first that cannot be believed."""
    last, at = _START, 0
    ends, bodies, sums = [0], [], [last]
    while (end := data.find(b"\n", at)) >= 0:
        head, body = data[at : at + _SUM], data[at + _SUM + 1 : end]
        if data[at + _SUM : at + _SUM + 1] != b" " or head != _sum(last, body).encode():
            break
        last, at = head.decode(), end + 1
        bodies.append(body)
        ends.append(at)
        sums.append(last)
    lines = _lines(bodies)
    size = ends[len(lines)]
    rest = data[size:]
    return ReadJournal(lines=lines, size=size, last=sums[len(lines)], rest=len(rest), whole_rest=b"\n" in rest)


def _lines(bodies: list[bytes]) -> tuple[JournalLine, ...]:
    """The lines of bodies whose sums are right, up to one that no mlorch wrote."""
    try:  # all at once: a journal of 12,000 cells is read whenever somebody asks how far they are
        documents = json.loads(b"[" + b",".join(bodies) + b"]")
    except (ValueError, RecursionError):
        documents = []
    if len(documents) != len(bodies):
        return ()
    found = []
    for document in documents:
        line = _line(document)
        if line is None:
            break
        found.append(line)
    return tuple(found)


def _line(document: Any) -> JournalLine | None:
    try:
        line = JournalLine(**document)
    except TypeError:  # another key, or no object
        return None
    texts = type(line.place) is type(line.folder) is type(line.outcome) is type(line.why) is str
    if not texts or not is_name(line.folder) or type(line.seconds) not in _NUMBERS:
        return None
    if not 0 <= line.seconds <= _LONGEST_S:  # nor what is no number (NaN)
        return None
    if not line.runs:
        return line
    runs: object = line.runs  # JSON knows no tuples
    if not isinstance(runs, list) or not all(type(run) is str and is_name(run) for run in runs):
        return None
    return line._replace(runs=tuple(runs))


def is_name(text: str) -> bool:
    """Whether it can be a folder below ours, and leads nowhere else."""
    return text != "" and "/" not in text and not text.startswith(".") and text.isprintable()


def _sum(last: str, body: bytes) -> str:
    return hashlib.sha256(last.encode() + b"\n" + body).hexdigest()[:_SUM]


class Journal:
    """A journal that is open for appending; one process at a time (the campaign's lock sees to that)."""

    def __init__(self, folder: Path) -> None:
        make_folder(folder)
        self._path = folder / NAME
        found = read_journal(folder)
        self.healed = self._heal(found)
        self.lines: list[JournalLine] = list(found.lines)
        self._size, self._last = found.size, found.last

    def _heal(self, found: ReadJournal) -> Healed:
        """Cut off what was not written to its end; put a damaged file aside, and keep what can be believed of it."""
        if not found.rest:
            return Healed()
        try:
            if not found.whole_rest:
                os.truncate(self._path, found.size)
                return Healed(torn=found.rest)
        except OSError as error:
            raise write_failure(self._path, error) from error
        aside = _free_name(self._path)
        link_or_copy(self._path, aside)
        atomic_write_bytes(self._path, aside.read_bytes()[: found.size], overwrite=True)
        return Healed(damaged_at=len(found.lines) + 1, aside=aside.name)

    def append(self, line: JournalLine) -> None:
        """Write a line and bring it to the disk.

        Raises `WriteFailed` where it cannot be; what was there before is unchanged then.
        """
        body = json.dumps(_short(line._asdict()), separators=(",", ":"), ensure_ascii=True).encode()
        head = _sum(self._last, body)
        data = head.encode() + b" " + body + b"\n"
        try:
            new = not self._path.exists()
            descriptor = os.open(self._path, _APPENDING, 0o644)
            try:
                if os.write(descriptor, data) != len(data):
                    raise OSError(errno.ENOSPC, "No space left on device", str(self._path))
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            if new:
                sync_folder(self._path.parent)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.truncate(self._path, self._size)
            raise write_failure(self._path, error) from error
        self.lines.append(line)
        self._size, self._last = self._size + len(data), head


def _short(document: dict[str, Any]) -> dict[str, Any]:
    """Without what is empty: most lines are of a cell that began."""
    return {name: value for name, value in document.items() if value or name in {"place", "folder"}}


def _free_name(path: Path) -> Path:
    number = 1
    while (found := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    return found
