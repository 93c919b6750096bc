"""The README of each result: what was run, of which images and files, and the command that runs it again. Pure."""

from __future__ import annotations

import shlex
from types import MappingProxyType
from typing import TYPE_CHECKING

from orchestrator.facts.neutral import one_line
from orchestrator.results.summary import accuracy_text, metric_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from orchestrator.facts.record import RunRecord
    from orchestrator.submissions.build.choose import Pair
    from orchestrator.submissions.build.evidence import Evidence

MARK = "<!-- made by `mlorch submission build` -->"
"""The first line of every README that may be replaced by a later build."""
_KEPT_VALUES = frozenset(
    {"--arch", "--duration", "--target-qps", "--devices", "--cpus", "--set", "--roles", "--engine"}
)
_KEPT_FLAGS = frozenset({"--official", "--locked"})
"""Options that repeat a test; others are of the machine (paths), or of the whole session (scenarios, modes)."""


def replay_words(record: RunRecord) -> tuple[str, ...]:
    """The command that runs one test again, without a path of the machine where it ran."""
    words = ["mlorch", "run", record.benchmark, "--target", record.target]
    words += ["--scenario", record.scenario, "--mode", record.mode]
    words += ["--round", record.round] if record.round else []
    rate = record.settings.get("loadgen.target_qps")
    if record.mode == "performance" and rate is not None and isinstance(rate.value, int | float):
        return (*words, *option_words(record, {"--target-qps": f"{rate.value:g}"}))
    return (*words, *option_words(record))


def option_words(record: RunRecord, more: Mapping[str, str] = MappingProxyType({})) -> tuple[str, ...]:
    """The options that make a test as this one was, its length among them, with those of ``more`` in their place."""
    kept = {**dict(_kept(record.command_line)), **more}
    changes = [("--set", change) for option, change in _kept(record.command_line) if option == "--set"]
    kept.pop("--set", None)
    duration = record.settings.get("loadgen.min_duration_ms")
    is_timed = record.loadgen_mode == "performance" and "--official" not in kept
    if is_timed and duration is not None and isinstance(duration.value, int):
        kept.setdefault("--duration", f"{duration.value / 1000:g}s")
    return tuple(word for pair in (*kept.items(), *changes) for word in pair if word)


def _kept(argv: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The options of a recorded command line that change what is measured, with their values."""
    for word, following in zip(argv, (*argv[1:], ""), strict=True):
        if word in _KEPT_FLAGS:
            yield word, ""
        elif word in _KEPT_VALUES and following and not following.startswith("/"):
            yield word, following


def result_readme(pair: Pair, remarks: Sequence[str]) -> str:
    """The README of one result."""
    performance, accuracy, record = pair.performance, pair.accuracy, pair.record
    result = performance.loadgen.result if performance.loadgen is not None else None
    lines = [
        MARK,
        f"# {_text(record.benchmark_title or record.benchmark)}: {record.scenario}",
        "",
        f"{_text(record.note)}. It {'is' if pair.official else 'stands for'} MLPerf's `{_code(record.stands_for)}`.",
        "",
        *_table(
            ("benchmark", record.benchmark),
            ("result", "–" if result is None else metric_text(result)),
            *((one.name, f"{accuracy_text(one)} of {one.samples:,} samples") for one in accuracy.summary.accuracies),
            *_assets(record),
        ),
        "",
        "## Run again",
        "",
        "```",
        *dict.fromkeys(shlex.join(replay_words(one.record)) for one in pair.runs),
        "```",
        "",
        "## What ran",
        "",
        *_table(*_origin(pair)),
    ]
    if remarks:
        lines += ["", "## To know", "", *(f"- {_text(one)}" for one in remarks)]
    return "\n".join((*lines, ""))


def _assets(record: RunRecord) -> Iterator[tuple[str, str]]:
    for asset in filter(None, (record.model, record.dataset)):
        trained = f"; trained by {asset.trained_by}" if asset.trained_by else ""
        yield asset.kind, f"{asset.title or asset.name}{trained}"


def _origin(pair: Pair) -> Iterator[tuple[str, str]]:
    record, result = pair.record, pair.performance.loadgen
    for one in pair.runs:
        yield f"{one.record.test_name} run", one.record.run_id
    yield "image", record.image.digest or record.image.image_id
    yield from (
        (name, digest)
        for name, digest in (("SBOM", record.image.sbom_digest), ("provenance", record.image.provenance_digest))
        if digest
    )
    yield "recipe", f"{record.recipe.name}, sha256 {record.recipe.sha256}"
    yield "LoadGen", "" if result is None else result.loadgen_version
    yield "mlorch", record.mlorch_version
    for asset in filter(None, (record.model, record.dataset)):
        for name, sha256 in sorted(asset.files.items()):
            yield f"{asset.kind} {name}", f"sha256 {sha256}"
    for name, setting in record.settings.items():
        if setting.value is not None:
            yield name, f"{setting.value} ({setting.source})"


def code_readme(model: str, found: Evidence) -> str:
    """What runs a model, for its folder of code: an image by its digest, whose layers and recipe have their hashes."""
    record = found.record
    layers = [(layer.name, f"{layer.level}, content id {layer.content_id}") for layer in record.image.layers]
    steps = ", ".join(step.name for step in record.steps if step.artifact)
    render = f"`mlorch render --benchmark {_code(record.benchmark)} --target {_code(record.target)}`"
    lines = [
        MARK,
        f"# {_text(record.benchmark_title or record.benchmark)} (`{_code(model)}`)",
        "",
        f"mlorch {_text(record.mlorch_version)} ran it in a container; {render} writes the Dockerfiles of its layers.",
        "The harness is `orchestrator/harness` of mlorch, or the program that the recipe names.",
        "",
        *_table(
            ("image", record.image.digest or record.image.image_id),
            ("recipe", f"{record.recipe.name}, sha256 {record.recipe.sha256}"),
            *layers,
        ),
        "",
        "## Calibration",
        "",
        f"Steps that made something of the weights: {_text(steps)}."
        if steps
        else "Nothing was calibrated: the files of the model run as they are, and their hashes are with each result.",
    ]
    return "\n".join((*lines, ""))


CALIBRATION = f"""{MARK}
# Calibration

What was done to the weights of each model stands in its folder of code, under "Calibration".
"""


def _table(*rows: tuple[str, str]) -> Iterator[str]:
    yield "| what | value |"
    yield "|---|---|"
    for name, value in rows:
        yield f"| {_text(name)} | {_text(value)} |"


def _text(text: str) -> str:
    """Text of a record as plain words of Markdown: a record may be anybody's."""
    return one_line(text).replace("|", "\\|").replace("<", "&lt;").replace("`", "'")


def _code(text: str) -> str:
    return one_line(text).replace("`", "'")
