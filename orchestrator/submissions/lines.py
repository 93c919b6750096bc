"""On which line of a file something stands: keys of a detail log or of JSON, a text. Only asked for to be shown."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from orchestrator.host.untrusted import FilesBelow, UnreadableFile
from orchestrator.submissions.detail_log import BLOCK
from orchestrator.submissions.reading import LARGEST_LOG

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from orchestrator.submissions.findings import Finding

_LINE = re.compile(r"\bline ([0-9]{1,9})\b")
_QUOTED = re.compile(r"`([A-Za-z_][A-Za-z0-9_.-]*)`")
_FIGURE = re.compile(r" is `?([0-9.]+)[`;]")
_KEY_OF_RULE = {
    "validity": "result_validity",
    "scenario-run": "effective_scenario",
    "token-latencies": "requested_use_token_latencies",
    "equal-issue": "effective_sample_concatenate_permutation",
    "loadgen-errors": "num_errors",
    "accuracy-errors": "num_errors",
    "accuracy-samples": "qsl_reported_total_count",
    "early-stopping": "early_stopping_met",
    "latency": "effective_target_latency_ns",
    "latency-99": "result_99.00_percentile_latency_ns",
    "network-sut": "sut_name",
    "loadgen-version": "loadgen_version",
}
"""What the rules of a detail log look at, where their message does not name it between backticks."""
_SCALAR = rb'("(?:[^"\\\n]|\\.)*"|[^,\n}{[]*)'
"""A value of JSON on one line, as it is written; nothing of an object or a list."""


class Place(NamedTuple):
    """A line (from 1; 0 where there is none), and what is written there as the value of a key."""

    line: int
    raw: str = ""


_NOWHERE = Place(0)


class Lines:
    """Finds lines in the files below the root of a tree. What cannot be read, or does not hold it, has the line 0."""

    def __init__(self, root: Path) -> None:
        self._files = FilesBelow(root)

    def close(self) -> None:
        """Let go of the folders that are held open."""
        self._files.close()

    def of_keys(self, path: str, keys: Collection[str]) -> dict[str, Place]:
        """Where each key stands first: of LoadGen's entries in a detail log, else of a JSON object; its value too."""
        form = rb'"key": "(%b)", "value": ' if path.endswith("_detail.txt") else rb'"(%b)"\s*:\s*'
        return self._of(path, keys, form + _SCALAR)

    def of_texts(self, path: str, texts: Collection[str]) -> dict[str, Place]:
        """Where each text stands first."""
        return self._of(path, texts, rb"(%b)()")

    def _of(self, path: str, wanted: Collection[str], form: bytes) -> dict[str, Place]:
        found = dict.fromkeys(wanted, _NOWHERE)
        missing = {text.encode(errors="surrogateescape"): text for text in wanted if text}
        if not missing:
            return found
        longest_first = sorted(missing, key=len, reverse=True)
        pattern = re.compile(form % b"|".join(re.escape(text) for text in longest_first))
        try:
            with self._files.opened(path, LARGEST_LOG) as stream:
                for line, data in _pieces(stream):
                    for match in pattern.finditer(data):
                        text = missing.pop(match[1], None)
                        if text is not None:
                            at = line + data.count(b"\n", 0, match.start())
                            found[text] = Place(at, match[2].decode(errors="replace").strip())
                    if not missing:
                        break
        except UnreadableFile:
            pass
        return found

    def of_findings(self, findings: Sequence[Finding]) -> list[int]:
        """The line of each finding, 0 where it has none: a file that is missing, a folder, what is not in a file."""
        keys: dict[str, set[str]] = defaultdict(set)
        texts: dict[str, set[str]] = defaultdict(set)
        for each in findings:
            keys[each.path].update(_keys(each))
            texts[each.path].update(_figure(each))
        lines = {path: self.of_keys(path, wanted) for path, wanted in keys.items() if wanted}
        figures = {path: self.of_texts(path, wanted) for path, wanted in texts.items() if wanted}
        return [_line(each, lines.get(each.path, {}), figures.get(each.path, {})) for each in findings]


def _pieces(stream: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """A file in pieces of whole lines, each with the number of its first line; a line without an end is cut."""
    line, rest = 1, b""
    while block := stream.read(BLOCK):
        data = rest + block
        end = data.rfind(b"\n") + 1 or len(data)
        yield line, data[:end]
        line += data.count(b"\n", 0, end)
        rest = data[end:]
    yield line, rest


def _keys(found: Finding) -> list[str]:
    """The keys that a finding is about, the likeliest first; none where it is about no part of such a file."""
    if not found.path.endswith((".json", "_detail.txt")) or _LINE.search(found.message):
        return []
    named = _QUOTED.search(found.message)
    if named is None:
        return [_KEY_OF_RULE[found.rule]] if found.rule in _KEY_OF_RULE else []
    return [named[1], f"effective_{named[1]}"]  # seeds are named as user.conf does


def _figure(found: Finding) -> list[str]:
    """The figure of `accuracy.txt` that a finding is about."""
    figure = _FIGURE.search(found.message) if found.path.endswith("accuracy.txt") else None
    return [figure[1]] if figure is not None else []


def _line(found: Finding, keys: dict[str, Place], figures: dict[str, Place]) -> int:
    told = _LINE.search(found.message)
    if told is not None:
        return int(told[1])
    for key in _keys(found):
        if keys.get(key, _NOWHERE).line:
            return keys[key].line
    for figure in _figure(found):
        return figures.get(figure, _NOWHERE).line
    return 0
