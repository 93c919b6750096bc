"""What CI systems read in a log, and the workflows that mlorch writes for them. Pure: text in, text out.

`orchestrator.console` prints what `markers` makes; nothing of it appears outside CI or with --json.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestrator.ci.markers import GitHub, GitLab


def detect(environ: Mapping[str, str], folder: str) -> GitHub | GitLab | None:
    """The CI system that this process runs in, ``folder`` being where; None elsewhere, and then nothing is imported."""
    if environ.get("GITHUB_ACTIONS") == "true":
        from orchestrator.ci.markers import GitHub

        workspace, summary = environ.get("GITHUB_WORKSPACE", ""), environ.get("GITHUB_STEP_SUMMARY", "")
        return GitHub(workspace=workspace, folder=folder, summary=summary)
    if environ.get("GITLAB_CI") == "true":
        from orchestrator.ci.markers import GitLab

        return GitLab()
    return None
