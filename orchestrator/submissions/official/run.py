"""Runs a round's official checker on a tree, and reads what it left."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING

from orchestrator.engines.stopper import Stopper
from orchestrator.errors import StepFailed
from orchestrator.facts.runs import TimeLimit
from orchestrator.host.folders import cache_home
from orchestrator.host.left_behind import give, take_back
from orchestrator.host.process import owner_label, this_process
from orchestrator.host.scratch import scratch_folder
from orchestrator.host.untrusted import UnreadableFile, read_text
from orchestrator.submissions.official.container import SUMMARY, checker_container
from orchestrator.submissions.official.said import MOST_SUMMARY, Listener

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.engines import Engine
    from orchestrator.submissions.official.said import Said

LIMIT_S = 6 * 3600
"""The slowest of them needs minutes for the largest round."""


def run_official(engine: Engine, image: str, command: tuple[str, ...], user: str, tree: Path, *, depth: int) -> Said:
    """What the checker says of a tree; ``depth`` is how many folders a result lies deep.

    That it dies is an answer too (`Said.ended`). Raises `StepFailed` [timeout], and what the engine raises.
    """
    name = f"mlorch-checker-{secrets.token_hex(4)}"
    listener = Listener(depth)
    with scratch_folder(cache_home() / "scratch", "official-") as scratch:
        out = scratch / "out"
        out.mkdir()
        give(out, user)
        scratch.chmod(0o711)  # the container's user goes through it
        spec = checker_container(
            name, image, command, user, tree=str(tree.resolve()), out=str(out), owner=owner_label(this_process())
        )
        clock = Stopper(engine, name, TimeLimit(total_s=LIMIT_S))
        try:
            with clock.running():
                ended = engine.run(spec, listener.line)
        finally:
            take_back(out, f"{os.getuid()}:{os.getgid()}")
        if clock.timed_out:
            raise StepFailed(f"the official checker was stopped after {LIMIT_S:,} s", slug="timeout")
        try:
            summary, why = read_text(out, SUMMARY, MOST_SUMMARY), ""
        except UnreadableFile as error:
            summary, why = None, f"its summary {error.reason}"
    return listener.said(ended.exit_code, summary, why)
