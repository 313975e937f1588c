"""``recommend``: a value, a reason with the actual numbers in it, a source and a badge for every setting of a run.

Guarantees: what it recommends passes ``validate`` for the same facts, except for what only the person can say (``asks``); a
learning rate is called calibrated only where a published formula was fitted to that model, and measured only where our own
measurement is on file. Quick: nothing is counted, loaded or looked up on a network here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from studio import methods, models
from studio.errors import SettingError
from studio.models import Model
from studio.recipe import choices, rates, sizes
from studio.recipe.advice import Advice, Badge, Case, Dial
from studio.recipe.checks import cannot_train, minutes
from studio.recipe.facts import DataFacts
from studio.recipe.fields import fields_of
from studio.recipe.spec import Distillation, FieldSpec, Value
from studio.recipe.values import Recipe


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the settings table: what it is, the recommended value, why, who says so, and how far to trust it.

    ``text`` is the value as ``parse_field`` takes it; ``choices`` pairs the possible values with their words (empty for
    numbers and names); ``advanced`` rows are folded away at first; ``long`` texts have several lines.
    """

    name: str
    label: str
    term: str
    value: Value
    text: str
    reason: str
    source: str
    unit: str
    choices: tuple[tuple[str, str], ...]
    advanced: bool
    badge: Badge = "rule"
    long: bool = False


@dataclass(frozen=True, slots=True)
class Recommendation:
    """A recipe with its reasons. ``badge`` judges the learning rate; ``minutes_estimate`` is ``None`` where not measured.

    ``asks`` names the settings that only the person can give: they are empty, and nothing starts before they are filled.
    """

    recipe: Recipe
    settings: tuple[Setting, ...]
    badge: Badge
    badge_reason: str
    steps: int
    minutes_estimate: float | None
    asks: tuple[str, ...] = ()
    dial: Dial = "standard"

    def setting(self, name: str) -> Setting:
        """The row of one field. Raises ``SettingError`` for a name that this recipe does not have."""
        for setting in self.settings:
            if setting.name == name:
                return setting
        raise SettingError(f"This recipe has no setting called {name!r}.", where=name)


def recommend(
    facts: DataFacts,
    model: Model | str,
    method: str = "sl",
    *,
    dial: Dial = "standard",
    budget: float | None = None,
    distillation: Distillation = "prompt",
    reward: str = "",
) -> Recommendation:
    """Settings for tuning ``model`` on data like ``facts``.

    ``reward`` is the JSON text of a reward that fits the rows, where somebody looked (``studio.rewards.suggest``);
    ``distillation`` matters for that method only. Raises ``SettingError`` for data that cannot train this way and
    ``NotFoundError`` for an unknown method or model.
    """
    chosen = methods.method(method)
    unfit = cannot_train(facts.training, chosen.id)
    if unfit is not None:
        raise unfit
    if facts.train_rows < 1:
        raise SettingError("There are no training rows.", where="data", next_step="Add examples, then split again.")
    base = models.get(model) if isinstance(model, str) else model
    case = Case(facts, base, chosen.id, distillation, dial, budget, reward)
    specs = fields_of(chosen.id, distillation)
    advised = {advice.name: advice for advice in _advice(case)}
    recipe = Recipe(**{spec.name: advised[spec.name].value for spec in specs})  # type: ignore[arg-type]
    settings = tuple(_setting(spec, advised[spec.name]) for spec in specs)
    rate = advised["learning_rate"]
    return Recommendation(
        recipe=recipe,
        settings=settings,
        badge=rate.badge,
        badge_reason=rate.reason,
        steps=recipe.steps(facts.train_rows),
        minutes_estimate=minutes(recipe, facts) if base.measured else None,
        asks=tuple(spec.name for spec in specs if spec.problem(advised[spec.name].value) is not None),
        dial=dial,
    )


def _advice(case: Case) -> Iterator[Advice]:
    """An advice for every field that a recipe of this method has."""
    yield from choices.basics(case)
    pace = sizes.pace(case)
    yield pace.batch
    yield pace.epochs
    yield rates.rate(case, int(pace.batch.value or 1))
    yield sizes.rank(case)
    yield sizes.evaluation(case, pace.steps)
    yield sizes.saving(case, pace.steps)
    yield sizes.length(case)
    yield choices.target(case)
    yield from choices.optimiser(case)
    if case.method == "distill":
        yield from choices.teaching(case)
    if case.method == "rl":
        yield choices.reward(case)
    if case.method != "sl":
        yield from choices.sampling(case)
        yield from choices.held(case)
        yield from choices.preference(case)
        yield rates.warm_start_rate(case)
        yield choices.judging()
        yield rates.judge_rate(case)
        yield from sizes.judge_pace(case)


def _setting(spec: FieldSpec, advice: Advice) -> Setting:
    return Setting(
        name=spec.name,
        label=spec.label,
        term=spec.term,
        value=advice.value,
        text=spec.show(advice.value),
        reason=advice.reason,
        source=advice.source,
        unit=spec.unit,
        choices=spec.choices,
        advanced=spec.advanced,
        badge=advice.badge,
        long=spec.long,
    )
