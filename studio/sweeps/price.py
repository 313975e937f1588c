"""What a sweep may cost, before it starts and before each trial.

Guarantees: the same estimate as for a single run (``studio.recipe.cost``), added up; a limit in dollars is refused where a
price is not known. Tokens only: what the trials' checkpoints cost to keep is not in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from studio import models
from studio.errors import SettingError
from studio.recipe import DataFacts, Value
from studio.recipe.cost import Cost, estimate
from studio.sweeps.plan import Plan


@dataclass(frozen=True, slots=True)
class SweepCost:
    """US dollars for all trials, ``None`` where not known. ``trials`` is how many at most."""

    low_usd: float | None
    high_usd: float | None
    trials: int
    sentence: str


def of_trial(plan: Plan, values: Mapping[str, Value], facts: DataFacts, home: Path | None) -> Cost | None:
    """What the trial with these settings may cost; ``None`` when nothing is known about the lengths."""
    return estimate(plan.recipe_of(values, facts.train_rows), facts, models.get(plan.recipe.model), home)


def of_sweep(plan: Plan, facts: DataFacts, home: Path | None) -> SweepCost:
    """What the whole sweep may cost if no trial is pruned. For TPE every trial is between the ends of its ranges."""
    costs = [of_trial(plan, values, facts, home) for values in plan.combinations()]
    lows = [cost.low_usd for cost in costs if cost is not None and cost.low_usd is not None]
    highs = [cost.high_usd for cost in costs if cost is not None and cost.high_usd is not None]
    trials = plan.most
    if len(highs) < len(costs) or len(lows) < len(costs):
        return SweepCost(None, None, trials, f"{trials} trials at most. What they cost is not known here.")
    low, high = (min(lows) * trials, max(highs) * trials) if plan.kind == "tpe" else (sum(lows), sum(highs))
    if high == 0:
        return SweepCost(0.0, 0.0, trials, f"{trials} trials at most. Free: they run on this computer, one after another.")
    limit = "" if plan.max_cost is None else f" It ends before it passes {plan.max_cost:,.2f} USD."
    words = f"about {high:,.2f}" if f"{low:.2f}" == f"{high:.2f}" else f"between {low:,.2f} and {high:,.2f}"
    return SweepCost(low, high, trials, f"{trials} trials at most, {words} USD together.{limit}")


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
