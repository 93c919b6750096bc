"""The workflow that `mlorch ci init` writes: pull by digest, run, compare with the last result, keep the record. Pure.

Every value was checked against a pattern before it comes here (`Workflow`), so none can end
a line, a quote or an expression of the CI system.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

ACTIONS: Mapping[str, tuple[str, str]] = {
    "actions/checkout": ("3d3c42e5aac5ba805825da76410c181273ba90b1", "v7.0.1"),
    "actions/setup-python": ("5fda3b95a4ea91299a34e894583c3862153e4b97", "v7.0.0"),
    "actions/cache": ("27d5ce7f107fe9357f9df03efb73ab90386fccae", "v5.0.5"),
    "actions/upload-artifact": ("bbbca2ddaa5d8feaa63e36b76fdaad77386f024f", "v7.0.0"),
}
"""Commit and tag, read from the tags of the actions' own repositories in November 2026."""
PATHS = {"github": ".github/workflows/mlorch.yml", "gitlab": ".gitlab-ci.yml"}
_SAFE = {
    "install": r"[A-Za-z0-9._@:/+=,\[\]~<>!-]+",
    "target": r"[a-z0-9._-]+",
    "benchmark": r"[a-z0-9._-]+",
    "registry": r"(?:[A-Za-z0-9.-]+(?::[0-9]+)?(?:/[a-z0-9._/-]+)?)?",
    "images": r"(?:[A-Za-z0-9._/+-]+)?",
    "runner": r"(?:[A-Za-z0-9._:-]+)?",
    "scenario": r"Offline|Server|SingleStream|MultiStream|all",
    "duration": r"[0-9]+(?:ms|s|m|h)",
    "tolerance": r"[0-9]+(?:\.[0-9]+)?%",
}
_WORDS = {"install": "what pip installs", "images": "a file of the repository", "runner": "a runner's label"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Workflow:
    """What a workflow is made of; raises `UsageError` (`bad-value`) for a value that cannot stand in one."""

    install: str
    target: str
    benchmark: str
    registry: str = ""
    images: str = ""
    runner: str = ""
    scenario: str = "Offline"
    duration: str = "10s"
    tolerance: str = "20%"

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not re.fullmatch(_SAFE[field.name], value) or value.startswith("-"):
                raise UsageError(
                    f"`{value[:80]}` cannot be {_WORDS.get(field.name, f'a {field.name}')} of a workflow",
                    hint=f"it has to look like {_SAFE[field.name]}",
                    slug="bad-value",
                )

    @property
    def selection(self) -> str:
        """The options that choose images."""
        images = f" --images {shlex.quote(self.images)}" if self.images else ""
        return f"--target {self.target} --benchmark {self.benchmark}{images}"

    @property
    def pulls(self) -> bool:
        """Whether images come from a registry, and none is built."""
        return bool(self.registry or self.images)

    @property
    def pull(self) -> str:
        return f"mlorch images pull {self.selection}"

    @property
    def run(self) -> str:
        images = f" --images {shlex.quote(self.images)}" if self.images else ""
        how = f" --no-build{images}" if self.pulls else ""
        what = f"{self.benchmark} --target {self.target} --scenario {self.scenario} --duration {self.duration}"
        return f"mlorch run {what} --locked{how} -o results"

    @property
    def compare(self) -> str:
        return f"mlorch results compare previous last --if-any --tolerance {self.tolerance} -o results"

    @property
    def registry_host(self) -> str:
        return self.registry.partition("/")[0]


def render(system: str, workflow: Workflow) -> str:
    """The text of the file for ``github`` or ``gitlab``; the same values give the same bytes."""
    return {"github": github, "gitlab": gitlab}[system](workflow)


def _head(system: str, workflow: Workflow) -> list[str]:
    options = f"--target {workflow.target} --benchmark {workflow.benchmark}"
    options += f" --registry {workflow.registry}" if workflow.registry else ""
    options += f" --images {workflow.images}" if workflow.images else ""
    return [
        f"# Written by `mlorch ci init {system} {options}`; it is yours now.",
        "# The result is compared with the last one that passed: that one comes from the cache.",
        "# Shared runners are noisy, so the tolerance is wide; on a machine of your own make it 5%.",
    ]


def _action(name: str) -> str:
    commit, tag = ACTIONS[name]
    return f"      - uses: {name}@{commit} # {tag}"


def github(workflow: Workflow) -> str:
    """A workflow of GitHub Actions."""
    lines = [
        *_head("github", workflow),
        "name: mlorch",
        "on:",
        "  push:",
        "    branches: [main]",
        "  pull_request:",
        "  workflow_dispatch:",
        "permissions:",
        "  contents: read",
        "concurrency:",
        "  group: mlorch-${{ github.ref }}",
        "  cancel-in-progress: true",
        "jobs:",
        "  smoke:",
        f"    runs-on: {workflow.runner or 'ubuntu-24.04'}",
        "    timeout-minutes: 60",
    ]
    if workflow.registry:
        lines += ["    env:", f'      MLORCH_REGISTRIES: "{workflow.registry}"']
    lines += [
        "    steps:",
        _action("actions/checkout"),
        "        with:",
        "          persist-credentials: false",
        _action("actions/setup-python"),
        "        with:",
        '          python-version: "3.12"',
        "      - name: Install mlorch",
        f"        run: python -m pip install {shlex.quote(workflow.install)}",
        *_github_images(workflow),
        "      - name: The last result that passed",
        *_action("actions/cache").replace("      - ", "        ", 1).splitlines(),
        "        with:",
        "          path: results",
        "          key: mlorch-${{ runner.os }}-${{ github.ref_name }}-${{ github.run_id }}-${{ github.run_attempt }}",
        "          restore-keys: |",
        "            mlorch-${{ runner.os }}-${{ github.ref_name }}-",
        "            mlorch-${{ runner.os }}-main-",
        "      - name: Run the benchmark",
        f"        run: {workflow.run}",
        "      - name: Compare with the last result",
        "        if: ${{ !cancelled() }}",
        f"        run: {workflow.compare}",
        "      - name: Keep the record",
        "        if: ${{ !cancelled() }}",
        *_action("actions/upload-artifact").replace("      - ", "        ", 1).splitlines(),
        "        with:",
        "          name: mlorch-results",
        "          path: results",
        "          if-no-files-found: error",
    ]
    return "\n".join(lines) + "\n"


def _github_images(workflow: Workflow) -> list[str]:
    """The steps that bring the images; none where they are built."""
    if not workflow.pulls:
        return []
    lines = []
    if workflow.registry:
        lines += [
            "      - name: Log in to the registry, where it wants that",
            "        env:",
            "          REGISTRY_USER: ${{ secrets.REGISTRY_USER }}",
            "          REGISTRY_PASSWORD: ${{ secrets.REGISTRY_PASSWORD }}",
            "        run: |",
            '          [ -n "$REGISTRY_USER" ] || exit 0',
            '          printf %s "$REGISTRY_PASSWORD" |',
            f'            docker login {workflow.registry_host} --username "$REGISTRY_USER" --password-stdin',
        ]
    return [*lines, "      - name: Pull the images by digest", f"        run: {workflow.pull}"]


def gitlab(workflow: Workflow) -> str:
    """A job of GitLab CI for a runner whose shell has Python and a container engine."""
    lines = [
        *_head("gitlab", workflow),
        "# The runner needs a shell with Python 3.11 or newer and a container engine.",
        "mlorch-smoke:",
        "  stage: test",
        "  timeout: 1h",
        "  rules:",
        "    - if: $CI_PIPELINE_SOURCE == 'merge_request_event'",
        "    - if: $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH",
    ]
    if workflow.runner:
        lines.append(f'  tags: ["{workflow.runner}"]')
    lines += ["  variables:", '    GIT_DEPTH: "1"']
    if workflow.registry:
        lines.append(f'    MLORCH_REGISTRIES: "{workflow.registry}"')
    lines += [
        "  before_script:",
        "    - python3 -m venv .mlorch-venv",
        f"    - .mlorch-venv/bin/python -m pip install {shlex.quote(workflow.install)}",
        '    - export PATH="$PWD/.mlorch-venv/bin:$PATH"',
    ]
    if workflow.registry:
        lines += [
            "    # Set REGISTRY_USER and REGISTRY_PASSWORD (masked) where the registry wants a login.",
            "    - |",
            '      if [ -n "$REGISTRY_USER" ]; then',
            '        printf %s "$REGISTRY_PASSWORD" |',
            f'          docker login {workflow.registry_host} --username "$REGISTRY_USER" --password-stdin',
            "      fi",
        ]
    lines.append("  script:")
    if workflow.pulls:
        lines.append(f"    - {workflow.pull}")
    lines += [
        "    - status=0",
        f"    - {workflow.run} || status=$?",
        f"    - {workflow.compare} || status=$?",
        "    - exit $status",
        "  cache:",
        '    key: "mlorch-$CI_COMMIT_REF_SLUG"',
        '    fallback_keys: ["mlorch-$CI_DEFAULT_BRANCH"]',
        "    paths: [results/]",
        "    when: on_success",
        "  artifacts:",
        '    name: "mlorch-results"',
        "    when: always",
        "    paths: [results/]",
        "    expire_in: 30 days",
    ]
    return "\n".join(lines) + "\n"
