"""On which line of a file something stands: keys of a detail log or of JSON, a text. Only asked for to be shown."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING

from orchestrator.host.untrusted import FilesBelow, UnreadableFile
from orchestrator.submissions.detail_log import BLOCK
from orchestrator.submissions.reading import LARGEST_LOG

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from orchestrator.submissions.findings import Finding

_LINE = re.compile(r"\bline ([0-9]{1,9})\b")
_QUOTED = re.compile(r"`([A-Za-z_][A-Za-z0-9_.]*)`")
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


class Lines:
    """Finds lines in the files below the root of a tree. What cannot be read, or does not hold it, has the line 0."""

    def __init__(self, root: Path) -> None:
        self._files = FilesBelow(root)

    def close(self) -> None:
        """Let go of the folders that are held open."""
        self._files.close()

    def of_keys(self, path: str, keys: Collection[str]) -> dict[str, int]:
        """The first line (from 1) of each key: of LoadGen's entries in a detail log, else of a JSON object."""
        form = rb'"key": "(%b)"' if path.endswith("_detail.txt") else rb'"(%b)"\s*:'
        return self._of(path, keys, form)

    def of_texts(self, path: str, texts: Collection[str]) -> dict[str, int]:
        """The first line (from 1) on which each text stands."""
        return self._of(path, texts, rb"(%b)")

    def _of(self, path: str, wanted: Collection[str], form: bytes) -> dict[str, int]:
        found = dict.fromkeys(wanted, 0)
        missing = {text.encode(errors="surrogateescape"): text for text in wanted if text}
        if not missing:
            return found
        longest_first = sorted(missing, key=len, reverse=True)
        pattern = re.compile(form % b"|".join(re.escape(text) for text in longest_first))
        try:
            with self._files.opened(path, LARGEST_LOG) as stream:
                line, rest = 1, b""
                while missing and (block := stream.read(BLOCK)):
                    data = rest + block
                    end = data.rfind(b"\n") + 1 or len(data)
                    for match in pattern.finditer(data, 0, end):
                        text = missing.pop(match[1], None)
                        if text is not None:
                            found[text] = line + data.count(b"\n", 0, match.start())
                    line += data.count(b"\n", 0, end)
                    rest = data[end:]
                for match in pattern.finditer(rest):
                    if (text := missing.pop(match[1], None)) is not None:
                        found[text] = line
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


def _line(found: Finding, keys: dict[str, int], figures: dict[str, int]) -> int:
    told = _LINE.search(found.message)
    if told is not None:
        return int(told[1])
    for key in _keys(found):
        if keys.get(key):
            return keys[key]
    for figure in _figure(found):
        return figures.get(figure, 0)
    return 0
