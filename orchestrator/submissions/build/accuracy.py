"""accuracy.txt: the figures of an accuracy test in the words in which MLCommons' scripts print them. Pure.

The checkers look for a line by pattern (`ACC_PATTERN` of mlcommons/inference, submission_checker.py at e20506b2 and
constants.py at b66003e1), and for `hash=` with the sha256 of the whole accuracy log (truncate_accuracy_log.py). A
figure has MLPerf's line only where it is MLPerf's metric: another one has its own name, which no pattern takes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from orchestrator.facts.neutral import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from orchestrator.facts.measured import Accuracy
    from orchestrator.facts.rounds import QualityTarget


class Form(NamedTuple):
    """How a metric of MLPerf is printed: ``{}`` is its number, ``{rest}`` what it lacks of 100.

    ``names`` are what harnesses call it. ``percent``: it is counted in percent, else a share as a share. With a
    ``key`` it is an entry of the one mapping that the scripts of language models print; ``plain`` is the line of a
    number that is no percentage.
    """

    names: tuple[str, ...]
    line: str = ""
    key: str = ""
    percent: bool = False
    plain: str = ""


FORMS: Mapping[str, Form] = {
    "acc": Form(("acc", "top1"), "accuracy={}%, total={total}", percent=True),
    "mAP": Form(("mAP",), "mAP={}%", percent=True, plain="mAP={}"),
    "AUC": Form(("AUC",), "AUC={}%", percent=True),
    "ACCURACY": Form(("ACCURACY", "word_accuracy"), "Word Error Rate: {rest}%, accuracy={}%", percent=True),
    "DICE": Form(("DICE",), "Accuracy: mean = {}"),
    "E2E_ACCURACY": Form(("E2E_ACCURACY",), "Accuracy: {}", percent=True),
    "F1_HIERARCHICAL": Form(("F1_HIERARCHICAL",), '{{"f1": {}}}'),
    "DLRM_NE": Form(("DLRM_NE",), "metric/lifetime_ne/rating: {}"),
    "DLRM_ACC": Form(("DLRM_ACC",), "metric/lifetime_accuracy/rating: {}"),
    "DLRM_AUC": Form(("DLRM_AUC",), "metric/lifetime_gauc/rating: {}"),
    "ROUGE1": Form(("ROUGE1", "rouge1"), key="rouge1"),
    "ROUGE2": Form(("ROUGE2", "rouge2"), key="rouge2"),
    "ROUGEL": Form(("ROUGEL", "rougeL"), key="rougeL"),
    "ROUGELSUM": Form(("ROUGELSUM", "rougeLsum"), key="rougeLsum"),
    "GEN_LEN": Form(("GEN_LEN", "gen_len"), key="gen_len"),
    "TOKENS_PER_SAMPLE": Form(("TOKENS_PER_SAMPLE", "tokens_per_sample"), key="tokens_per_sample"),
    "exact_match": Form(("exact_match",), key="exact_match", percent=True),
    "gsm8k_accuracy": Form(("gsm8k_accuracy",), key="gsm8k", percent=True),
    "mbxp_accuracy": Form(("mbxp_accuracy",), key="mbxp", percent=True),
    "CLIP_SCORE": Form(("CLIP_SCORE",), key="CLIP_SCORE"),
    "FID_SCORE": Form(("FID_SCORE",), key="FID_SCORE"),
    "vbench_score": Form(("vbench_score",), key="vbench_score", percent=True),
}
"""By MLPerf's name of the metric; F1 of BERT stands apart, as its line has the exact match too."""
_F1, _EXACT = ("F1", "f1"), ("exact_match", "EXACT_MATCH")


def missing_metrics(targets: Iterable[QualityTarget], figures: Sequence[Accuracy]) -> tuple[str, ...]:
    """The metrics that a model is judged by and that no figure is."""
    return tuple(target.metric for target in targets if not _lines_of(target.metric, figures))


def accuracy_text(targets: Sequence[QualityTarget], figures: Sequence[Accuracy], sha256: str) -> str:
    """The whole file: the metrics of MLPerf, every figure that is none, and the hash of the whole accuracy log."""
    lines: list[str] = []
    entries: list[str] = []
    used: set[str] = set()
    for target in targets:
        for name, text in _lines_of(target.metric, figures):
            used.add(name)
            form = FORMS.get(target.metric)
            (entries if form is not None and form.key else lines).append(text)
    if entries:
        lines.append(f"{{{', '.join(entries)}}}")
    lines += [_own_line(one) for one in figures if one.name not in used]
    return "\n".join((*lines, "", f"hash={sha256}", ""))


def _lines_of(metric: str, figures: Sequence[Accuracy]) -> list[tuple[str, str]]:
    """The figure that is a metric of MLPerf, and its text; none where no figure is it."""
    if metric == "F1":
        f1, exact = _named(_F1, figures), _named(_EXACT, figures)
        if f1 is None or exact is None:
            return []
        return [(f1.name, f'{{"exact_match": {_number(exact, percent=True)}, "f1": {_number(f1, percent=True)}}}')]
    form = FORMS.get(metric)
    found = None if form is None else _named(form.names, figures)
    if form is None or found is None:
        return []
    number = _number(found, percent=form.percent)
    if form.key:
        return [(found.name, f"'{form.key}': {number}")]
    is_share = found.unit == "fraction"
    line = form.line if is_share or not form.plain else form.plain
    rest = 100 - (found.value * 100 if is_share else found.value)
    return [(found.name, line.format(number, rest=_plain(rest), total=found.samples))]


def _named(names: tuple[str, ...], figures: Sequence[Accuracy]) -> Accuracy | None:
    return next((one for one in figures if one.name in names), None)


def _number(figure: Accuracy, *, percent: bool) -> str:
    return _plain(figure.value * 100 if percent and figure.unit == "fraction" else figure.value)


def _plain(value: float) -> str:
    """Without an exponent, which no pattern of the checkers takes; at most six decimals."""
    return f"{value:.6f}".rstrip("0").rstrip(".")


def _own_line(figure: Accuracy) -> str:
    """A figure that is no metric of MLPerf's for the model: its own name, share or number, and of how many."""
    return f"# {one_line(figure.name)}: {_plain(figure.value)} of {figure.samples:,} samples"
