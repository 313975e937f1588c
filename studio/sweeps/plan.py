"""What a sweep varies, in which ranges, and how far it may go.

Guarantees: a plan that was checked can be carried out; only settings are varied under which the number that the trials are
judged by keeps its meaning; a plan survives JSON unchanged.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Literal, cast

from studio.errors import SettingError
from studio.recipe import DataFacts, FieldSpec, Recipe, Value, parse_field, spec_of, validate, with_field, with_max_steps

Kind = Literal["grid", "tpe", "probe"]

#: No sweep makes more trials than this.
MOST_TRIALS: Final = 64
MOST_AXES: Final = 6
DEFAULT_TRIALS: Final = 12
PROBE_STEPS: Final = 40
#: The rates of a probe, as parts of the recommended one.
_PROBED: Final = (1 / 3, 1.0, 3.0)
#: Checks on the validation rows in each trial, at least: what is pruned and what is drawn hangs on them.
_CHECKS: Final = 5
#: A range this wide is searched by factors, not by differences.
_BY_FACTORS: Final = 10.0

#: Why a setting cannot be varied. Trials are compared by a number on the validation rows, and these change what it measures.
_OTHER_NUMBER: Final = "It changes what the number measures by which the trials are compared."
_NOT_VARIED: Final[Mapping[str, str]] = {
    **dict.fromkeys(("method", "distillation", "model", "renderer", "start_from"), "Start a sweep for each instead."),
    **dict.fromkeys(("teacher", "teacher_prompt", "reward", "judge", "train_on", "max_length"), _OTHER_NUMBER),
    **dict.fromkeys(("max_tokens", "temperature"), _OTHER_NUMBER),
    **dict.fromkeys(("judge_epochs", "judge_learning_rate", "judge_batch_size"), _OTHER_NUMBER),
    **dict.fromkeys(("kl_coef", "kl_limit"), "Reward alone would always choose the loosest."),
    **dict.fromkeys(("budget_usd", "eval_every", "save_every"), "It does not change what is learned."),
    "max_steps": "Vary the passes (epochs) instead.",
}


@dataclass(frozen=True, slots=True)
class Axis:
    """One setting that is varied: over ``choices``, or (where these are empty) from ``low`` to ``high``, both included."""

    name: str
    choices: tuple[Value, ...] = ()
    low: float = 0.0
    high: float = 0.0

    @property
    def whole(self) -> bool:
        """Whether the setting takes whole numbers only."""
        return spec_of(self.name).kind == "whole"

    @property
    def by_factors(self) -> bool:
        """Whether a range is searched evenly in its logarithm."""
        return self.low > 0 and (self.high / self.low >= _BY_FACTORS or self.name.endswith("learning_rate"))

    @property
    def numbers(self) -> tuple[float, ...]:
        """The ends as numbers; empty for a setting that is no number."""
        return tuple(value for value in self.ends if isinstance(value, (int, float)))

    @property
    def ends(self) -> tuple[Value, ...]:
        """Every choice, or the two ends of the range."""
        if self.choices:
            return self.choices
        return (int(self.low), int(self.high)) if self.whole else (self.low, self.high)


@dataclass(frozen=True, slots=True)
class Aim:
    """The number that trials are judged by: its series, what it is in words, whether more is better, how it is written."""

    series: str
    words: str
    up: bool
    form: str

    def better(self, one: float, other: float) -> bool:
        """Whether ``one`` is the better value."""
        return one > other if self.up else one < other

    def show(self, value: float | None) -> str:
        """The value as a person reads it; a dash where there is none."""
        return "-" if value is None else f"{value:{self.form}}"


@dataclass(frozen=True, slots=True)
class Plan:
    """A sweep as it was asked for. ``trials`` and ``max_cost`` (US dollars) are hard limits; ``seed`` sets what TPE proposes.

    ``recipe`` is what every trial shares, as it would be trained in full; ``steps`` cuts each trial short, 0 leaves them whole.
    ``prune``: trials that are clearly behind are stopped.
    """

    kind: Kind
    recipe: Recipe
    axes: tuple[Axis, ...]
    trials: int = DEFAULT_TRIALS
    max_cost: float | None = None
    prune: bool = True
    seed: int = 0
    steps: int = 0

    def to_json(self) -> str:
        """JSON that ``from_json`` takes back."""
        return json.dumps({**asdict(self), "recipe": self.recipe.to_dict()}, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """The plan that ``to_json`` wrote."""
        found = cast("dict[str, Any]", json.loads(text))
        rows: list[dict[str, Any]] = found.pop("axes")
        axes = tuple(Axis(row["name"], tuple(row["choices"]), row["low"], row["high"]) for row in rows)
        return cls(recipe=Recipe.from_dict(found.pop("recipe")), axes=axes, **found)

    @property
    def aim(self) -> Aim:
        """What the trials are judged by."""
        return aim_of(self.recipe)

    @property
    def most(self) -> int:
        """Trials that it can make, at most."""
        return self.trials if self.kind == "tpe" else math.prod(len(axis.choices) for axis in self.axes)

    def recipe_of(self, values: Mapping[str, Value], train_rows: int) -> Recipe:
        """The recipe of the trial with these settings. Raises ``SettingError`` for a value that its field cannot hold.

        It is checked at least ``_CHECKS`` times on its way, and keeps no checkpoints on the way that nobody would resume.
        """
        found = self.recipe
        for name, value in values.items():
            found = with_field(found, name, spec_of(name).show(value))
        if self.steps:
            found = replace(with_max_steps(found, min(self.steps, found.max_steps or self.steps)), save_every=0)
        most = max(1, found.steps(train_rows) // _CHECKS)
        return replace(found, eval_every=min(found.eval_every or most, most))

    def combinations(self) -> Iterator[dict[str, Value]]:
        """Every combination of the axes' choices (or ends), the last axis changing fastest."""
        for values in itertools.product(*(axis.ends for axis in self.axes)):
            yield {axis.name: value for axis, value in zip(self.axes, values, strict=True)}


def aim_of(recipe: Recipe) -> Aim:
    """The number that runs with this recipe are judged by, on rows that none of them learns from."""
    match recipe.method:
        case "sl":
            return Aim("validation_loss", "loss on validation rows", up=False, form=".4f")
        case "dpo":
            return Aim("validation_accuracy", "share of validation pairs judged rightly", up=True, form=".1%")
        case "rl" | "rlhf":
            return Aim("validation_reward", "reward on validation questions", up=True, form=".3f")
        case _:
            if recipe.distillation == "prompt":
                return Aim("validation_match", "share of validation answers that match the teacher", up=True, form=".1%")
            return Aim("validation_teacher_kl", "distance to the teacher on validation questions", up=False, form=".4f")


def parse_axis(text: str) -> Axis:
    """``learning_rate=1e-3,4e-3`` or ``learning_rate=1e-4..1e-2`` as an axis. Raises ``SettingError``."""
    name, equals, values = (part.strip() for part in text.partition("="))
    if not equals or not values:
        raise SettingError(f"{text!r} does not say what to vary.", where="--over", next_step=_HOW)
    spec = spec_of(name)
    low, dots, high = values.partition("..")
    if not dots:
        return Axis(name, tuple(dict.fromkeys(parse_field(name, value.strip()) for value in values.split(","))))
    if spec.kind not in ("whole", "number"):
        raise SettingError(f"The {spec.term} has no range.", where=name, next_step="List its values, with commas between.")
    first, last = parse_field(name, low), parse_field(name, high)
    if not isinstance(first, (int, float)) or not isinstance(last, (int, float)) or not first < last:
        raise SettingError(f"{values} is not a range.", where=name, next_step="Write the smaller number first.")
    return Axis(name, low=float(first), high=float(last))


_HOW: Final = "Write it as learning_rate=0.001,0.004 or learning_rate=0.0001..0.01."


def check(plan: Plan, facts: DataFacts) -> None:
    """Raise ``SettingError`` for a plan that cannot be carried out on data like ``facts``, with what to change."""
    _check_limits(plan)
    names = [axis.name for axis in plan.axes]
    for axis in plan.axes:
        spec = spec_of(axis.name)
        if not spec.used(plan.recipe.method, plan.recipe.distillation):
            with_field(plan.recipe, axis.name, "")  # refuses, and says which settings there are
        if axis.name in _NOT_VARIED:
            raise SettingError(f"The {spec.term} cannot be varied.", where=axis.name, next_step=_NOT_VARIED[axis.name])
        if names.count(axis.name) > 1:
            raise SettingError(f"The {spec.term} is named twice.", where=axis.name, next_step="Name it once.")
        if not axis.choices and plan.kind != "tpe":
            raise SettingError(
                f"A grid needs single values of the {spec.term}, and this is a range.",
                where=axis.name,
                next_step="List the values, or search with TPE.",
            )
    if not facts.validation_rows:
        raise SettingError(
            "There are no validation rows, so nothing tells a better trial from a worse one.",
            where="data",
            next_step="Split the data with a validation part.",
        )
    if plan.recipe.method == "rlhf" and not plan.recipe.judge:
        raise SettingError(
            "Every trial would train a judge of its own, and their rewards could not be compared.",
            where="judge",
            next_step="Name the judge of an earlier run.",
        )
    if plan.kind != "tpe":
        _check_grid(plan, facts)


def _check_limits(plan: Plan) -> None:
    if not 1 <= len(plan.axes) <= MOST_AXES:
        raise SettingError(f"From 1 to {MOST_AXES} settings can be varied.", where="--over", next_step=_HOW)
    if not 2 <= plan.trials <= MOST_TRIALS:
        raise SettingError(f"From 2 to {MOST_TRIALS} trials can be made.", where="--trials", next_step="Choose such a number.")
    if plan.max_cost is not None and not (math.isfinite(plan.max_cost) and plan.max_cost > 0):
        raise SettingError("The most that it may cost must be above 0.", where="--max-cost", next_step="Enter US dollars.")


def _check_grid(plan: Plan, facts: DataFacts) -> None:
    count = plan.most
    if count < 2:
        raise SettingError("One combination is nothing to compare.", where="--over", next_step="List more values.")
    if count > plan.trials:
        raise SettingError(
            f"These values make {count:,} combinations, and the limit is {plan.trials}.",
            where="--trials",
            next_step="List fewer values, raise the limit, or search with TPE.",
        )
    for values in plan.combinations():
        problems = validate(plan.recipe_of(values, facts.train_rows), facts)
        if problems:
            raise SettingError(problems[0].message, where=problems[0].field, next_step="Leave this value out.")


def probe(recipe: Recipe, steps: int = PROBE_STEPS, *, max_cost: float | None = None) -> Plan:
    """A learning-rate probe: three short runs at a third of the recipe's rate, at the rate itself, and at three times it."""
    with_max_steps(recipe, steps)  # refuses what is no number of steps
    limits = spec_of("learning_rate")
    rates = (float(f"{recipe.learning_rate * part:.3g}") for part in _PROBED)
    choices = tuple(dict.fromkeys(min(rate, limits.high) for rate in rates))
    return Plan("probe", recipe, (Axis("learning_rate", choices),), len(_PROBED), max_cost, prune=False, steps=steps)


def variable(recipe: Recipe) -> tuple[FieldSpec, ...]:
    """The settings of this recipe that a sweep may vary, in the order in which people should meet them."""
    return tuple(spec for spec in recipe.specs if spec.name not in _NOT_VARIED and spec.kind in ("whole", "number", "choice"))


def same(one: Mapping[str, Value], others: Sequence[Mapping[str, Value]]) -> bool:
    """Whether these settings were tried already: the same seed would only give the same run again."""
    return any(dict(one) == dict(other) for other in others)
