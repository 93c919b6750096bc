"""A sample of `make kill`: each verb killed once at a random moment, and the next command right."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1]))

from kill_matrix import matrix
from kill_verbs import CLASSES
from kill_world import world

pytestmark = pytest.mark.engine


@pytest.mark.usefixtures("_engine_for_all")
def test_after_kill_9_at_any_moment_the_next_command_is_right():
    with world() as made:
        killed = matrix(made, tuple(CLASSES), len(CLASSES), seed=7, lasts_s=1.5)
    assert sum(killed.values()) >= len(CLASSES) // 2, "most were still at work"
