"""A sample of `make kill`: five of its eleven verbs killed once at a random moment, and the next command right."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1]))

from kill_matrix import matrix
from kill_world import world
from own_engine import needs_host, second_engine

pytestmark = [pytest.mark.engine, needs_host]
SAMPLE = ("build", "push", "load", "prepare", "run")
"""The engine, a registry, a file and mlorch's own folders, each written by one; `make kill` has them all."""


@pytest.fixture
def engine(mlorch):
    """Of its own: what is killed there is nobody else's, and other tests go on beside it."""
    with second_engine(mlorch) as own, pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_HOST", own.env["DOCKER_HOST"])
        yield own


@pytest.mark.usefixtures("engine")
def test_after_kill_9_at_any_moment_the_next_command_is_right():
    with world() as made:
        killed = matrix(made, SAMPLE, len(SAMPLE), seed=7, lasts_s=1.5)
    assert sum(killed.values()) >= len(SAMPLE) // 2, "most were still at work"
