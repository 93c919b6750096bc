"""Which images are meant: one frozen request of plan, render and build, for the command line and the API."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.operations.plan_cache import Selection
from orchestrator.operations.pull_policy import DEFAULT_PULL_POLICY, PullPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRequest:
    """Which images are meant, and how they may come to be there; without ``targets`` the detected one is meant.

    ``push`` is the registry prefix to publish them at, empty for none.
    """

    targets: tuple[str, ...] = ()
    benchmarks: tuple[str, ...] = ()
    platform: str | None = None
    arch: str | None = None
    base_source: str = ""
    round: str = ""
    locked: bool = False
    pull_policy: PullPolicy = DEFAULT_PULL_POLICY
    push: str = ""

    @property
    def selections(self) -> tuple[Selection, ...]:
        """A selection for each target."""
        return tuple(
            Selection(
                target=target,
                benchmarks=tuple(self.benchmarks),
                platform=self.platform,
                arch=self.arch,
                base_source=self.base_source,
                round=self.round,
                locked=self.locked,
            )
            for target in self.targets or (None,)
        )
