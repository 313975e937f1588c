"""What to try next, and which trial is hopeless: Optuna's samplers and pruner through its ask-and-tell interface.

Guarantees: nothing is kept here. The study is built anew from the trials that are on disk each time, so a sweep that goes on
after a stop proposes exactly what it would have proposed without it. Sources: TPE, Bergstra et al. 2011 (Algorithms for
hyper-parameter optimization); median rule, Golovin et al. 2017 (Google Vizier, section 3.2.2).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from studio.recipe import Value
from studio.runs.metrics import Point
from studio.store import TrialState as State
from studio.sweeps.plan import Axis, Plan, same

#: A trial is compared at tenths of its way: trials may differ in steps, and their rates fall over the whole way.
PARTS: Final = 10
#: No trial is given up before this many others are finished, nor before this many tenths of its own way.
_FINISHED: Final = 3
_WARM_UP: Final = 3
#: Trials that TPE draws at random before it models anything (the recommended settings come first and count).
_RANDOM: Final = 5
#: Proposals that repeat an earlier trial before the search is taken to be exhausted.
_REPEATS: Final = 32

_STATES: Final[Mapping[State, TrialState]] = {
    "completed": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
    "stopped": TrialState.FAIL,
}


@dataclass(frozen=True, slots=True)
class Tried:
    """A trial at rest: its settings, how it ended, its number, and its number at each tenth of its way."""

    settings: Mapping[str, Value]
    state: State
    value: float | None
    path: Mapping[int, float]


def path_of(points: Sequence[Point], total: int) -> dict[int, float]:
    """The newest value at each tenth of ``total`` steps that was reached."""
    return {point.step * PARTS // total: point.value for point in points} if total > 0 else {}


def propose(plan: Plan, tried: Sequence[Tried]) -> dict[str, Value] | None:
    """The settings of the next trial, ``None`` when there is nothing left to try."""
    if len(tried) >= plan.trials:
        return None
    known = [one.settings for one in tried]
    if plan.kind != "tpe":
        return next((values for values in plan.combinations() if not same(values, known)), None)
    study = _study(plan, tried)
    if not tried and _inside(plan):
        study.enqueue_trial({axis.name: getattr(plan.recipe, axis.name) for axis in plan.axes})
    for _ in range(_REPEATS):
        trial = study.ask(_space(plan))
        values: dict[str, Value] = {axis.name: _tidy(axis, trial.params[axis.name]) for axis in plan.axes}
        if not same(values, known):
            return values
        study.tell(trial, state=TrialState.FAIL)
    return None


def hopeless(plan: Plan, tried: Sequence[Tried], settings: Mapping[str, Value], path: Mapping[int, float]) -> bool:
    """Whether the trial on this path is worse than the median of the finished ones at the same part of their way.

    A number that is no number any more is hopeless at once.
    """
    if any(not math.isfinite(value) for value in path.values()):
        return True
    study = _study(plan, tried)
    study.enqueue_trial(dict(settings))
    trial = study.ask(_space(plan))
    for part, value in sorted(path.items()):
        trial.report(value, part)
    return bool(path) and trial.should_prune()


def _study(plan: Plan, tried: Sequence[Tried]) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        direction="maximize" if plan.aim.up else "minimize",
        sampler=TPESampler(seed=plan.seed + len(tried), n_startup_trials=_RANDOM),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=_FINISHED, n_warmup_steps=_WARM_UP),
    )
    study.add_trials([_frozen(plan, one) for one in tried])
    return study


def _frozen(plan: Plan, one: Tried) -> FrozenTrial:
    return create_trial(
        state=_STATES[one.state],
        value=one.value if one.state == "completed" else None,
        params=dict(one.settings),
        distributions=_space(plan),
        intermediate_values={part: value for part, value in one.path.items() if math.isfinite(value)},
    )


def _space(plan: Plan) -> dict[str, BaseDistribution]:
    return {axis.name: _distribution(axis) for axis in plan.axes}


def _distribution(axis: Axis) -> BaseDistribution:
    if axis.choices:
        return CategoricalDistribution(axis.choices)
    if axis.whole:
        return IntDistribution(int(axis.low), int(axis.high), log=axis.by_factors)
    return FloatDistribution(axis.low, axis.high, log=axis.by_factors)


def _tidy(axis: Axis, value: Value) -> Value:
    """A proposed number with three digits, as a person would write it, but never outside of the range."""
    if axis.choices or not isinstance(value, float):
        return value
    return min(max(float(f"{value:.3g}"), axis.low), axis.high)


def _inside(plan: Plan) -> bool:
    """Whether the recommended settings are among what may be tried."""
    return all(
        value in axis.choices if axis.choices else axis.low <= value <= axis.high
        for axis in plan.axes
        if (value := getattr(plan.recipe, axis.name)) is not None
    )
