"""Whether the accuracy that was recorded is what the logs give: LoadGen's own, or that of somebody else's script."""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING

from orchestrator.errors import StepFailed
from orchestrator.facts.neutral import one_line
from orchestrator.facts.strict_json import strict_json
from orchestrator.host.untrusted import UnreadableFile, opened, require_dense
from orchestrator.results import loadgen
from orchestrator.results.figures import read_figures_again
from orchestrator.results.verify.fault import Fault, lookup, samples_expected

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from typing import BinaryIO


_LARGEST_ACCURACY = 2**30
_LARGEST_WHOLE = 2**23
_LONGEST_ANSWER = 2**24
_MOST_ANSWERS = 2_000_000


def accuracy_faults(folder: Path, labels: Path | None, harness: Mapping[str, object]) -> Iterator[Fault]:
    """The accuracy log holds every sample of the dataset once, and gives the accuracy that was recorded."""
    entries = _entries(folder)
    if entries is None:
        yield Fault(file=loadgen.ACCURACY, message="not a list of LoadGen's entries")
        return
    if harness.get("external"):
        yield from _external_accuracy(entries, folder, harness)
        return
    yield from _samples(entries, samples_expected(folder))
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


def _entries(folder: Path) -> list[dict[str, object]] | None:
    """The answers of the accuracy log; None where it is no list of them.

    A large one is read line by line, as LoadGen writes it: what a gigabyte of JSON becomes at once no machine bears.
    """
    try:
        with opened(folder, loadgen.ACCURACY, _LARGEST_ACCURACY) as stream:
            require_dense(stream, folder, loadgen.ACCURACY)
            if os.fstat(stream.fileno()).st_size > _LARGEST_WHOLE:
                return _by_line(stream)
            found = strict_json(stream.read(_LARGEST_WHOLE + 1).decode())
    except (UnreadableFile, ValueError):
        return None
    return found if isinstance(found, list) and all(map(_is_entry, found)) else None


def _by_line(stream: BinaryIO) -> list[dict[str, object]] | None:
    """Raises ValueError for a line that is none."""
    found: list[dict[str, object]] = []
    for line in iter(lambda: stream.readline(_LONGEST_ANSWER), b""):
        text = line.strip().removesuffix(b",")
        if text in {b"[", b"]", b""}:
            continue
        entry = strict_json(text.decode())
        if not _is_entry(entry) or len(found) >= _MOST_ANSWERS:
            return None
        found.append(entry)
    return found


def _counted_accuracy(entries: list[dict[str, object]], figures: list[object]) -> Iterator[Fault]:
    """What a container of its own counted is of every sample that LoadGen logged."""
    samples = len({str(entry["qsl_idx"]) for entry in entries})
    for figure in figures:
        if lookup(figure, "samples") != samples:
            message = f"claims {lookup(figure, 'samples')} samples, LoadGen logged {samples}"
            yield Fault(file="accuracy.json", message=message)


def _external_accuracy(
    entries: list[dict[str, object]], folder: Path, harness: Mapping[str, object]
) -> Iterator[Fault]:
    """What somebody else's script said of the accuracy, read again in its log; its samples are what LoadGen logged."""
    try:
        figures = read_figures_again(folder, harness.get("readings"))
    except StepFailed as error:
        yield Fault(file="harness.json", message=f"accuracy cannot be read again: {error}")
        return
    for figure in figures[:1]:
        yield from _samples(entries, figure.samples)
    claimed = harness.get("accuracies")
    said = {str(lookup(one, "metric")): one for one in claimed} if isinstance(claimed, list) else {}
    for figure in figures:
        claim = said.pop(figure.name, None)
        if claim != figure.document():
            value = lookup(claim, "value")
            message = f"claims {value} as the accuracy `{figure.name}`, the log says {figure.value}"
            yield Fault(file="harness.json", message=message)
    for name in said:
        yield Fault(file="harness.json", message=f"claims an accuracy `{one_line(name)}` that nothing says")


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
