"""Figures of accuracy that somebody else's program said: read from its output, or from a JSON file that it wrote."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.errors import StepFailed
from orchestrator.facts.codec import CodecError, from_plain
from orchestrator.facts.external import FigureReading
from orchestrator.facts.neutral import neutral
from orchestrator.host.line_search import LineSearch
from orchestrator.host.untrusted import UnreadableFile, read_document, read_text

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping, Sequence
    from pathlib import Path

_LARGEST_LOG = 64 * 2**20
_LONGEST_READING_S = 60.0
"""Processor seconds for all patterns of a harness.json, which a container may have written, over its whole log."""
_WHOLE = 100
"""Percent."""
_COUNT = re.compile("[0-9]{1,18}")
_NUMBER = re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")


@dataclass(frozen=True, slots=True)
class SaidFigure:
    """A figure as a program said it: ``value`` in its ``unit``, which is ``%`` or empty."""

    name: str
    value: float
    unit: str
    samples: int

    def document(self) -> dict[str, object]:
        """The figure in harness.json."""
        return {"metric": self.name, "value": self.value, "unit": self.unit, "samples": self.samples}


def note_numbers(
    figures: Sequence[FigureReading], line: str, numbers: MutableMapping[str, str], search: LineSearch
) -> None:
    """What a line of output says of the figures: the last match of a pattern counts; raises `PatternError`."""
    for figure in figures:
        for pattern in filter(None, (figure.pattern, figure.samples)):
            found = search.group(pattern, line)
            if found is not None:
                numbers[pattern] = found


def read_figures(
    folder: Path, figures: Sequence[FigureReading], numbers: Mapping[str, str], data_samples: int
) -> tuple[SaidFigure, ...]:
    """The figures; ``numbers`` has what each pattern found (`note_numbers`).

    Raises `StepFailed` [no-accuracy]: a figure that is not there, is no finite number, or a share beyond 0 to 100 %.
    """
    return tuple(_accuracy(folder, figure, numbers, data_samples) for figure in figures)


def read_figures_again(folder: Path, readings: object) -> tuple[SaidFigure, ...]:
    """The figures by the ``readings`` of harness.json, from the logs as they lie there; raises `StepFailed`."""
    document = readings if isinstance(readings, dict) else {}
    try:
        log, samples = str(document["log"]), int(document["samples"])
        figures = tuple(from_plain(FigureReading, each) for each in document["figures"])
        numbers: dict[str, str] = {}
        search = LineSearch(limit_s=_LONGEST_READING_S)
        for line in read_text(folder, log, _LARGEST_LOG, errors="replace").splitlines():
            note_numbers(figures, line, numbers, search)
    except (CodecError, KeyError, TypeError, ValueError) as error:
        raise StepFailed(f"harness.json does not say how the accuracy was read: {error}", slug="no-accuracy") from None
    return read_figures(folder, figures, numbers, samples)


def _accuracy(folder: Path, figure: FigureReading, numbers: Mapping[str, str], data_samples: int) -> SaidFigure:
    text = numbers.get(figure.pattern) if figure.pattern else _from_json(folder, figure)
    if text is None:
        where = f"line like `{figure.pattern}`" if figure.pattern else f"`{'.'.join(figure.key)}` in {figure.file}"
        raise StepFailed(
            f"nothing says the accuracy `{figure.name}`: there is no {where}",
            hint="see the log of the accuracy step; `accuracy` of the harness says where the figure is read",
            slug="no-accuracy",
        )
    if _NUMBER.fullmatch(text.strip()) is None:
        raise StepFailed(
            f"the accuracy `{figure.name}` is said to be `{neutral(text[:40])}`, no number", slug="no-accuracy"
        )
    value = float(text)
    if not math.isfinite(value) or (figure.unit == "%" and not 0 <= value <= _WHOLE):
        wanted = "a share in percent is from 0 to 100" if figure.unit == "%" else "it is beyond any number"
        raise StepFailed(
            f"the accuracy `{figure.name}` is said to be `{neutral(text[:40])}`, and {wanted}", slug="no-accuracy"
        )
    samples = numbers.get(figure.samples, "") if figure.samples else ""
    counted = _COUNT.fullmatch(samples) is not None
    return SaidFigure(
        name=figure.name, value=value, unit=figure.unit, samples=int(samples) if counted else data_samples
    )


def _from_json(folder: Path, figure: FigureReading) -> str | None:
    try:
        at = read_document(folder, figure.file)
    except UnreadableFile as error:
        raise StepFailed(f"{figure.file} {error.reason}, so there is no accuracy", slug="no-accuracy") from None
    for key in figure.key:
        if isinstance(at, dict):
            at = at.get(key)
        elif isinstance(at, list) and key.isdigit() and int(key) < len(at):
            at = at[int(key)]
        else:
            return None
    if isinstance(at, bool) or not isinstance(at, int | float | str):
        return None
    return str(at)
