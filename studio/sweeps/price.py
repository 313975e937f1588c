"""What a sweep may cost, before it starts and before each trial.

Guarantees: the same estimate as for a single run (``studio.recipe.cost``), added up; a limit in dollars is refused where a
price is not known. Tokens only: what the trials' checkpoints cost to keep is not in it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from studio import models
from studio.errors import SettingError
from studio.recipe import DataFacts, Value, minutes
from studio.recipe.cost import Cost, estimate
from studio.sweeps.plan import Plan


@dataclass(frozen=True, slots=True)
class SweepCost:
    """US dollars for all trials, ``None`` where not known. ``trials`` is how many at most.

    ``minutes`` is what their steps take one after another, where that was measured; ``None`` where it was not.
    """

    low_usd: float | None
    high_usd: float | None
    trials: int
    sentence: str
    minutes: float | None = None


def of_trial(plan: Plan, values: Mapping[str, Value], facts: DataFacts, home: Path | None) -> Cost | None:
    """What the trial with these settings may cost; ``None`` when nothing is known about the lengths."""
    return estimate(plan.recipe_of(values, facts.train_rows), facts, models.get(plan.recipe.model), home)


def of_sweep(plan: Plan, facts: DataFacts, home: Path | None) -> SweepCost:
    """What the whole sweep may cost if no trial is pruned. For TPE every trial is between the ends of its ranges."""
    costs = [of_trial(plan, values, facts, home) for values in _corners(plan)]
    lows = [cost.low_usd for cost in costs if cost is not None and cost.low_usd is not None]
    highs = [cost.high_usd for cost in costs if cost is not None and cost.high_usd is not None]
    trials = plan.most
    whole = _minutes(plan, facts)
    if len(highs) < len(costs) or len(lows) < len(costs):
        return SweepCost(None, None, trials, f"{trials} trials at most. What they cost is not known here.", whole)
    low, high = (min(lows) * trials, max(highs) * trials) if plan.kind == "tpe" else (sum(lows), sum(highs))
    if high == 0:
        free = f"{trials} trials at most. Free: they run on this computer, one after another."
        return SweepCost(0.0, 0.0, trials, free, whole)
    limit = "" if plan.max_cost is None else f" It ends before it passes {plan.max_cost:,.2f} USD."
    words = f"about {high:,.2f}" if f"{low:.2f}" == f"{high:.2f}" else f"between {low:,.2f} and {high:,.2f}"
    return SweepCost(low, high, trials, f"{trials} trials at most, {words} USD together.{limit}", whole)


def _corners(plan: Plan) -> Iterator[Mapping[str, Value]]:
    """Every combination of a grid; for TPE those of the ends of each setting, because all of them may be millions."""
    if plan.kind != "tpe":
        yield from plan.combinations()
        return
    ends = [sorted({min(axis.numbers), max(axis.numbers)}) if axis.numbers else axis.ends for axis in plan.axes]
    for values in itertools.product(*ends):
        yield {axis.name: value for axis, value in zip(plan.axes, values, strict=True)}


def _minutes(plan: Plan, facts: DataFacts) -> float | None:
    """The sum over the grid; for TPE the longest trial as often as there are trials."""
    each = [minutes(plan.recipe_of(values, facts.train_rows), facts) for values in _corners(plan)]
    known = [one for one in each if one is not None]
    if len(known) < len(each):
        return None
    return max(known) * plan.most if plan.kind == "tpe" else sum(known)


def check(plan: Plan, facts: DataFacts, home: Path | None) -> None:
    """Raise ``SettingError`` where the limit on cost cannot be held, or leaves no room for two trials."""
    if plan.max_cost is None:
        return
    found = of_sweep(plan, facts, home)
    if found.low_usd is None:
        raise SettingError(
            f"The price of {plan.recipe.model} is not known, so a limit on cost cannot be held.",
            where="--max-cost",
            next_step="Enter its prices, or leave the limit out and limit the trials.",
        )
    if found.low_usd / found.trials * 2 > plan.max_cost:
        raise SettingError(
            f"Two trials would already cost about {found.low_usd / found.trials * 2:,.2f} USD.",
            where="--max-cost",
            next_step="Raise the limit, or make the runs shorter.",
        )
