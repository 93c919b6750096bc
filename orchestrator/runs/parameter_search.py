"""Which parameters `mlorch tune` tries next: Optuna's TPE sampler and median pruner, fed with the trials that are kept.

Optuna's own storages are databases or a log of their own; here a trial is what `trials` keeps, and a study is made anew
from it each time, so what was tried is readable, and a killed search goes on.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchestrator.plan.run.tunables import SearchedParameter
    from orchestrator.runs.trials import Trial

SAMPLED_FIRST = 5
"""Trials before the sampler learns from them and hopeless ones are pruned."""
SHORT = 0
"""The step at which the short test of a trial reports."""


@dataclass(slots=True)
class ParameterSearch:
    """A study over ``parameters``; ``kept`` are earlier trials of the same image, devices and processors."""

    parameters: Sequence[SearchedParameter]
    kept: Sequence[Trial]
    seed: int
    higher_is_better: bool
    _study: Any = None
    _asked: Any = None
    _space: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._space = {one.name: _distribution(one) for one in self.parameters}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what Optuna calls experimental
            self._study = optuna.create_study(
                direction="maximize" if self.higher_is_better else "minimize",
                # Trials that are kept count for the seed: the next ones are others than those before the kill.
                sampler=optuna.samplers.TPESampler(seed=self.seed + len(self.kept), n_startup_trials=SAMPLED_FIRST),
                pruner=optuna.pruners.MedianPruner(n_startup_trials=SAMPLED_FIRST),
            )
        for trial in self.kept:
            self.learn(trial)

    def ask(self) -> dict[str, int | str]:
        """The parameters of the next trial."""
        self._asked = self._study.ask(self._space)
        return dict(self._asked.params)

    def hopeless(self, short: float) -> bool:
        """Whether the trial that was asked for last need not go on, by what its short test measured."""
        self._asked.report(short, SHORT)
        return bool(self._asked.should_prune())

    def learn(self, trial: Trial) -> None:
        """Take a trial into account, with the parameters that it really had; one outside of the space says nothing."""
        import optuna

        self.drop()  # what was asked for is told by what it became
        if trial.state == "failed" or not self._inside(trial.parameters):
            return
        state = optuna.trial.TrialState.COMPLETE if trial.state == "done" else optuna.trial.TrialState.PRUNED
        steps = {} if trial.first is None else {SHORT: trial.first}
        self._study.add_trial(
            optuna.trial.create_trial(
                params=dict(trial.parameters),
                distributions=self._space,
                value=trial.value if trial.state == "done" else trial.first,
                intermediate_values=steps,
                state=state,
            )
        )

    def drop(self) -> None:
        """What was asked for is not tried."""
        import optuna

        if self._asked is not None:
            self._study.tell(self._asked, state=optuna.trial.TrialState.FAIL)
            self._asked = None

    def _inside(self, parameters: Mapping[str, int | str]) -> bool:
        if set(parameters) != set(self._space):
            return False
        return all(_contains(one, parameters[one.name]) for one in self.parameters)


def _contains(one: SearchedParameter, value: int | str) -> bool:
    if one.choices:
        return value in one.choices
    return isinstance(value, int) and one.low <= value <= one.high


def _distribution(one: SearchedParameter) -> Any:
    from optuna.distributions import CategoricalDistribution, IntDistribution

    if one.choices:
        return CategoricalDistribution(one.choices)
    return IntDistribution(one.low, one.high, log=one.log)


def best_of(trials: Sequence[Trial]) -> list[Trial]:
    """The trials that ended, the best first; of equal ones the earliest."""
    done = [one for one in trials if one.state == "done" and one.value is not None]
    return sorted(done, key=lambda one: -(one.value or 0.0) if one.higher_is_better else (one.value or 0.0))
