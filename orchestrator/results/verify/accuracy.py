"""Whether the accuracy that was recorded is what the logs give: LoadGen's own, or that of somebody else's script."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.errors import StepFailed
from orchestrator.facts.neutral import one_line
from orchestrator.facts.strict_json import strict_json
from orchestrator.host.untrusted import UnreadableFile, opened, require_dense
from orchestrator.results import loadgen
from orchestrator.results.accuracy_log import LARGEST, accuracy_log_failure
from orchestrator.results.figures import read_figures_again
from orchestrator.results.verify.fault import Fault, lookup, samples_expected

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from typing import BinaryIO

    from orchestrator.results.figures import SaidFigure


_NO_LIST = "not a list of LoadGen's entries"
_LARGEST_WHOLE = 2**23
_LONGEST_ANSWER = 2**24
_MOST_ANSWERS = 2_000_000
_LONGEST_CLASS = 64
"""Hex digits of an answer that is kept: a class has 16, and longer ones are not held to labels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedAccuracy:
    """What was checked of an accuracy test's log, in words, and every fault found."""

    checked: str
    faults: tuple[Fault, ...]


class _NoAccuracyLogError(Exception):
    """The log cannot be read, or is no list of answers, and why."""


class _TooLargeError(Exception):
    """The log is so large that no answer of it is looked into, and why; nothing says that it is wrong."""


def check_accuracy(
    folder: Path, labels: Path | None, harness: Mapping[str, object], *, external: bool
) -> CheckedAccuracy:
    """Whether the accuracy log holds every sample of the dataset once, and gives the accuracy that was recorded.

    ``external`` is whether the record says that somebody else's program ran. Of a log that is too large to be parsed
    only the number of its samples is checked, and what was checked says so.
    """
    faults: list[Fault] = []
    expected = samples_expected(folder)
    if external:
        figures, said = _read_again(folder, harness)
        faults += said
        expected = figures[0].samples if figures else None
    checked = "accuracy" if labels else "number and uniqueness of the accuracy log's samples"
    try:
        entries = _entries(folder)
        if not external:
            faults += _own_accuracy(entries, expected, harness, labels)
        elif expected is not None:
            faults += _samples(entries, expected)
    except _TooLargeError as error:
        checked = f"of the accuracy log only how many samples it has ({error}, too large to check)"
        failure = accuracy_log_failure(folder, expected)
        faults += [] if failure is None else [Fault(file=loadgen.ACCURACY, message=failure.message)]
    except _NoAccuracyLogError as error:
        faults.append(Fault(file=loadgen.ACCURACY, message=str(error)))
    return CheckedAccuracy(checked=checked, faults=tuple(faults))


def _own_accuracy(
    entries: list[dict[str, object]], expected: object, harness: Mapping[str, object], labels: Path | None
) -> Iterator[Fault]:
    yield from _samples(entries, expected)
    claimed = harness.get("accuracy")
    figures = harness.get("accuracies")
    if claimed is None and isinstance(figures, list):
        yield from _counted_accuracy(entries, figures)
        return
    claimed = claimed if isinstance(claimed, dict) else {}
    if claimed.get("samples") != len(entries):
        message = f"claims {claimed.get('samples')} samples, LoadGen logged {len(entries)}"
        yield Fault(file="harness.json", message=message)
    if labels is not None:
        yield from _top1(entries, claimed, labels)


def _entries(folder: Path) -> list[dict[str, object]]:
    """The answers of the accuracy log. Raises `_NoAccuracyLogError` and `_TooLargeError`.

    A large one is read line by line, as LoadGen writes it, and only what a class needs is kept of each answer: what a
    gigabyte of JSON becomes at once no machine bears.
    """
    try:
        with opened(folder, loadgen.ACCURACY, LARGEST) as stream:
            require_dense(stream, folder, loadgen.ACCURACY)
            if os.fstat(stream.fileno()).st_size > _LARGEST_WHOLE:
                return _by_line(stream)
            found = strict_json(stream.read(_LARGEST_WHOLE + 1).decode())
    except UnreadableFile as error:
        raise _NoAccuracyLogError(error.reason) from None
    except ValueError:
        raise _NoAccuracyLogError(_NO_LIST) from None
    if not isinstance(found, list) or not all(map(_is_entry, found)):
        raise _NoAccuracyLogError(_NO_LIST)
    return found


def _by_line(stream: BinaryIO) -> list[dict[str, object]]:
    """Raises ValueError for a line that is none, `_TooLargeError` for one that is too long and for too many."""
    found: list[dict[str, object]] = []
    for line in iter(lambda: stream.readline(_LONGEST_ANSWER), b""):
        if len(line) == _LONGEST_ANSWER and not line.endswith(b"\n"):
            raise _TooLargeError(f"an answer of more than {_LONGEST_ANSWER:,} bytes")
        text = line.strip().removesuffix(b",")
        if text in {b"[", b"]", b""}:
            continue
        entry = strict_json(text.decode())
        if not _is_entry(entry):
            raise ValueError(_NO_LIST)
        if len(found) >= _MOST_ANSWERS:
            raise _TooLargeError(f"more than {_MOST_ANSWERS:,} answers")
        found.append({"qsl_idx": entry["qsl_idx"], "data": _kept(entry.get("data"))})
    return found


def _kept(data: object) -> str:
    """An answer as far as labels need it; ``-``, which is no hex, for one that is no class."""
    return data if isinstance(data, str) and len(data) <= _LONGEST_CLASS else "-"


def _counted_accuracy(entries: list[dict[str, object]], figures: list[object]) -> Iterator[Fault]:
    """What a container of its own counted is of every sample that LoadGen logged."""
    samples = len({str(entry["qsl_idx"]) for entry in entries})
    for figure in figures:
        if lookup(figure, "samples") != samples:
            message = f"claims {lookup(figure, 'samples')} samples, LoadGen logged {samples}"
            yield Fault(file="accuracy.json", message=message)


def _read_again(folder: Path, harness: Mapping[str, object]) -> tuple[tuple[SaidFigure, ...], list[Fault]]:
    """What somebody else's script said of the accuracy, read again in its log, and what was claimed otherwise."""
    try:
        figures = read_figures_again(folder, harness.get("readings"))
    except StepFailed as error:
        return (), [Fault(file="harness.json", message=f"accuracy cannot be read again: {error}")]
    claimed = harness.get("accuracies")
    said = {str(lookup(one, "metric")): one for one in claimed} if isinstance(claimed, list) else {}
    faults = []
    for figure in figures:
        claim = said.pop(figure.name, None)
        if claim != figure.document():
            value = lookup(claim, "value")
            message = f"claims {value} as the accuracy `{figure.name}`, the log says {figure.value}"
            faults.append(Fault(file="harness.json", message=message))
    for name in said:
        faults.append(Fault(file="harness.json", message=f"claims an accuracy `{one_line(name)}` that nothing says"))
    return figures, faults


def _samples(entries: list[dict[str, object]], expected: object) -> Iterator[Fault]:
    seen = Counter(int(str(entry["qsl_idx"])) for entry in entries)
    twice = sum(count - 1 for count in seen.values())
    if twice:
        yield Fault(file=loadgen.ACCURACY, message=f"{twice} samples are there more than once")
    if len(seen) != expected or (seen and max(seen) >= len(seen)):
        yield Fault(file=loadgen.ACCURACY, message=f"{len(seen)} different samples, the dataset has {expected}")


def _is_entry(item: object) -> bool:
    return isinstance(item, dict) and type(item.get("qsl_idx")) is int and item["qsl_idx"] >= 0


def _top1(entries: list[dict[str, object]], claimed: Mapping[str, object], labels: Path) -> Iterator[Fault]:
    try:
        truth = read_labels(labels)
        right = sum(_prediction(entry["data"]) == truth[int(str(entry["qsl_idx"]))] for entry in entries)
    except (StepFailed, IndexError, KeyError, ValueError, OverflowError) as exc:
        yield Fault(file=loadgen.ACCURACY, message=f"accuracy cannot be computed again: {exc}")
        return
    if right != claimed.get("correct"):
        message = f"claims {claimed.get('correct')} right answers, LoadGen's log gives {right}"
        yield Fault(file="harness.json", message=message)


def _prediction(data: object) -> int:
    """A class as the harness answers it: a little-endian integer of 4 or 8 bytes, in hex."""
    return int.from_bytes(bytes.fromhex(str(data)), "little", signed=True)


_NPY_SIZES = {"|u1": 1, "|i1": 1, "<i2": 2, "<u2": 2, "<i4": 4, "<u4": 4, "<i8": 8, "<u8": 8}


def read_labels(path: Path) -> list[int]:
    """The integers of a one-dimensional ``.npy`` file (NumPy format 1.0), without NumPy on the host.

    Raises `StepFailed` [labels] for anything else.
    """
    import ast

    raw = path.read_bytes()
    try:
        if raw[:8] != b"\x93NUMPY\x01\x00":
            raise ValueError("not NumPy format 1.0")  # noqa: TRY301 (one place that explains)
        end = 10 + int.from_bytes(raw[8:10], "little")
        header = ast.literal_eval(raw[10:end].decode("latin-1"))
        size, (length,) = _NPY_SIZES[header["descr"]], header["shape"]
    except (ValueError, KeyError, TypeError, SyntaxError) as exc:
        raise StepFailed(f"{path}: not labels: {exc}", slug="labels") from None
    signed = header["descr"][1] == "i"
    body = raw[end : end + size * length]
    if len(body) != size * length:
        raise StepFailed(f"{path}: cut off", slug="labels")
    return [int.from_bytes(body[i : i + size], "little", signed=signed) for i in range(0, len(body), size)]
