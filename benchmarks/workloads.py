"""The harness against the raw runtime's best loop, Offline, for the workloads beside images; each in its own container.

As `harness.py` for images, with `harness_efficiency.py`. Sentences vary in length and answers of a language model are
long: there both sides answer the samples that LoadGen drew, cut into batches of like length.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from common import mlorch_json
from docker_side import container, own_home, weight
from harness import against_loop

if TYPE_CHECKING:
    from common import Bar

WORKLOADS = {
    "language-embed": (2.0, 5, ("all-minilm-l6-v2", "vader-reviews")),
    "recommend": (1.0, 5, ("dlrm-movielens", "movielens-small")),
    "detect": (1.0, 5, ("ssd-fashion", "fashion-scenes")),
    "speech-command": (4.0, 5, ("pocketsphinx-en-us", "asterisk-words")),
    "llm-chat": (6.0, 3, ("smollm2-135m-instruct", "gsm8k-100")),
}
"""Seconds of a run, how many runs of each side, and what is fetched: about two minutes a workload at most."""


def measure(names: tuple[str, ...] = tuple(WORKLOADS)) -> list[Bar]:
    """One row for each."""
    for name in names:
        mlorch_json("build", "--target", "cpu", "--benchmark", name)
        mlorch_json("assets", "get", *WORKLOADS[name][2])
    bars = []
    with own_home() as env, weight() as favoured:
        for name in names:
            seconds, rounds, _ = WORKLOADS[name]
            with tempfile.TemporaryDirectory() as folder:
                shape = container(name, "Offline", env)
                bars.append(against_loop(shape, Path(folder), favoured, seconds, rounds))
    return bars
