"""``recommend``: a value, a reason with the actual numbers in it, and a source for every setting of a run.

Guarantees: what it recommends always passes ``validate`` for the same facts; a learning rate is called calibrated only where
a published formula was fitted to that model, and measured only where our own measurement is on file.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from studio import methods, models
from studio.errors import SettingError
from studio.models import Measured, Model
from studio.models.rendering import rewrites_history
from studio.recipe.checks import cannot_train, minutes
from studio.recipe.facts import DataFacts
from studio.recipe.fields import FIELDS
from studio.recipe.spec import Value
from studio.recipe.values import Recipe, Schedule, TrainOn

Badge = Literal["calibrated", "borrowed", "measured by us", "not calibrated", "rule"]

#: Exponent P of the learning-rate formula for each family that it was fitted to.
EXPONENTS = {"qwen": 0.0775, "llama": 0.781}
#: What the cookbook's training loop uses when nobody says otherwise; low enough not to break a model we know nothing about.
CAUTIOUS_LEARNING_RATE = 1e-4
#: Fewer optimiser steps than this rarely settle (Tinker's guide to supervised hyperparameters).
ENOUGH_STEPS = 100

_GUIDE = "Tinker guide: supervised learning hyperparameters"
_PRIMER = "Tinker guide: LoRA primer"
_DEFAULT = "tinker-cookbook: default of supervised.train.Config"
_RULE = "Tuning Fork: rule of thumb"


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the settings table: what it is, the recommended value, why, and who says so.

    ``text`` is the value as ``parse_field`` takes it; ``choices`` pairs the possible values with their words (empty for
    numbers and names); ``advanced`` rows are folded away at first.
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


@dataclass(frozen=True, slots=True)
class Recommendation:
    """A recipe with its reasons. ``badge`` judges the learning rate; ``minutes_estimate`` is ``None`` where not measured."""

    recipe: Recipe
    settings: tuple[Setting, ...]
    badge: Badge
    badge_reason: str
    steps: int
    minutes_estimate: float | None

    def setting(self, name: str) -> Setting:
        """The row of one field. Raises ``SettingError`` for a name that no recipe has."""
        for setting in self.settings:
            if setting.name == name:
                return setting
        raise SettingError(f"A recipe has no setting called {name!r}.", where=name)


@dataclass(frozen=True, slots=True)
class _Size:
    """What we recommend below ``rows`` training rows: at most this batch, these usual and most passes, this rank."""

    rows: float
    batch: int
    usual_epochs: int
    most_epochs: int
    rank: int


# Small data: small batches and several passes, to reach enough steps before the model starts to memorise.
# Large data: one or two passes in batches no larger than 128, with a rank that leaves room for what there is to learn.
_SIZES = (
    _Size(100, batch=8, usual_epochs=3, most_epochs=10, rank=8),
    _Size(500, batch=16, usual_epochs=3, most_epochs=6, rank=16),
    _Size(2_000, batch=32, usual_epochs=3, most_epochs=4, rank=32),
    _Size(10_000, batch=64, usual_epochs=2, most_epochs=3, rank=32),
    _Size(100_000, batch=128, usual_epochs=2, most_epochs=2, rank=64),
    _Size(math.inf, batch=128, usual_epochs=1, most_epochs=1, rank=64),
)
_LARGEST_RANK = 128
#: A run is checked after each of at most so many equal parts: enough to see the turn, and little time beside the training.
_CHECKS = 7

#: A value of any type with its reason and its source.
_Why = tuple[str, str]


def formula_learning_rate(hidden_size: int, exponent: float) -> float:
    """The published LoRA learning rate LR = 5e-5 · 10 · (2000 / H)^P for hidden size H and family exponent P.

    5e-5 is the base rate and 10 the factor from full tuning to LoRA. Source: Tinker's guide to supervised learning
    hyperparameters and ``tinker_cookbook.hyperparam_utils.get_lr``; P = 0.0775 for Qwen and 0.781 for Llama. The authors
    report less than 0.5 % regret against full sweeps, over data sets, batch sizes and ranks.
    """
    return 5e-5 * 10 * (2000 / hidden_size) ** exponent


def recommend(facts: DataFacts, model: Model | str, method: str = "sl") -> Recommendation:
    """Settings for tuning ``model`` on data like ``facts``. Raises ``SettingError`` for a method or data that cannot train."""
    if not methods.method(method).available:
        raise SettingError(
            f"Tuning Fork cannot train with {methods.method(method).name} yet.",
            where="method",
            next_step="Choose supervised learning (sl).",
        )
    unfit = cannot_train(facts.training, method)
    if unfit is not None:
        raise unfit
    if facts.train_rows < 1:
        raise SettingError("There are no training rows.", where="data", next_step="Add examples, then split again.")
    base = models.get(model) if isinstance(model, str) else model
    rate, badge, badge_reason = _learning_rate(base)
    batch, epochs, batch_why, epochs_why = _batch_and_epochs(facts, base.measured)
    steps = facts.train_rows // batch * epochs
    rank, rank_why = _rank(facts, base)
    evaluate, evaluate_why = _evaluation(facts, steps)
    save, save_why = _saving(base, steps)
    length, length_why = _length(facts, base)
    train_on, train_on_why = _target(facts, base)
    schedule: Schedule = "linear"
    recipe = Recipe(
        method=methods.method(method).id,
        model=base.name,
        renderer=base.renderer,
        learning_rate=rate,
        lora_rank=rank,
        batch_size=batch,
        epochs=epochs,
        lr_schedule=schedule,
        eval_every=evaluate,
        save_every=save,
        max_length=length,
        train_on=train_on,
    )
    reasons: dict[str, _Why] = {
        "learning_rate": (badge_reason, _rate_source(base, badge)),
        "lora_rank": rank_why,
        "batch_size": batch_why,
        "epochs": epochs_why,
        "eval_every": evaluate_why,
        "save_every": save_why,
        "max_length": length_why,
        "train_on": train_on_why,
        **_constant_reasons(base),
    }
    return Recommendation(
        recipe=recipe,
        settings=tuple(_settings(recipe, reasons)),
        badge=badge,
        badge_reason=badge_reason,
        steps=steps,
        minutes_estimate=minutes(recipe, facts) if base.measured else None,
    )


def _settings(recipe: Recipe, reasons: dict[str, _Why]) -> Iterator[Setting]:
    for name, value in recipe.to_dict().items():
        spec = FIELDS[name]
        reason, source = reasons[name]
        yield Setting(
            name=name,
            label=spec.label,
            term=spec.term,
            value=value,
            text=spec.show(value),
            reason=reason,
            source=source,
            unit=spec.unit,
            choices=spec.choices,
            advanced=spec.advanced,
        )


def _learning_rate(model: Model) -> tuple[float, Badge, str]:
    """The peak learning rate, how far to trust it, and why, in that order."""
    if model.measured is not None:
        found = model.measured
        tries = "one run" if found.runs == 1 else f"{found.runs} runs"
        # Not "the best": other settings came close or a little higher on one data set, and the file says so.
        reason = f"Chosen from {tries} that we made with {model.label} on {found.measured_on}."
        return found.learning_rate, "measured by us", reason
    exponent = EXPONENTS.get(model.family)
    if exponent is None:
        reason = (
            f"Nobody has published a formula that fits {model.label}, so this is a careful start. "
            "If the loss hardly falls, try three times as much."
        )
        return CAUTIOUS_LEARNING_RATE, "not calibrated", reason
    # Seven digits can still be read, and differ from the formula by less than one in a million.
    rate = float(f"{formula_learning_rate(model.hidden_size, exponent):.7g}")
    working = f"5e-5 times 10 times (2000 / {model.hidden_size}) to the power of {exponent:g} is {rate:.2g}"
    if model.calibrated:
        return rate, "calibrated", f"{working}: the published formula, fitted to this model's family."
    return rate, "borrowed", f"{working}: the published formula for its family, though nobody checked it on {model.label}."


def _rate_source(model: Model, badge: Badge) -> str:
    if model.measured is not None:
        return f"Tuning Fork: {model.measured.command}"
    return _DEFAULT if badge == "not calibrated" else f"{_GUIDE}; get_lr in tinker-cookbook"


def _size(rows: int) -> _Size:
    return next(size for size in _SIZES if rows < size.rows)


def _batch_and_epochs(facts: DataFacts, measured: Measured | None) -> tuple[int, int, _Why, _Why]:
    """The largest batch that still gives enough steps within the passes we allow, the passes it takes, and both reasons."""
    rows, size = facts.train_rows, _size(facts.train_rows)
    if measured is None:
        top, usual, most, wanted = size.batch, size.usual_epochs, size.most_epochs, ENOUGH_STEPS
        batch_source, epochs_source = _GUIDE, f"{_GUIDE}; passes by data size: {_RULE}"
    else:
        top, usual, most, wanted = measured.batch_size, 1, measured.max_epochs, measured.min_steps
        batch_source = epochs_source = f"Tuning Fork: {measured.command}"
    batch = next((option for option in _batches(top, rows) if rows // option * most >= wanted), 1)
    each = rows // batch
    epochs = min(most, max(usual, math.ceil(wanted / each)))
    fits = "We measured with this size" if measured is not None and batch == top else "Small batches suit LoRA"
    left = rows - each * batch
    rest = f" In each pass {left} of them wait for the next shuffle." if left else ""
    batch_reason = f"{fits}, and your {rows:,} training rows give {_count(each, 'step')} in each pass.{rest}"
    return batch, epochs, (batch_reason, batch_source), (_passes_reason(rows, each, epochs, wanted), epochs_source)


def _passes_reason(rows: int, each: int, epochs: int, wanted: int) -> str:
    steps = each * epochs
    passes = f"{_count(epochs, 'pass', 'passes')} of {_count(each, 'step')} {'makes' if epochs == 1 else 'make'}"
    if steps < wanted:
        return (
            f"{passes} only {steps:,}, fewer than the {wanted:,} we would like: more would mostly memorise your {rows:,} rows."
        )
    return f"{passes} {_count(steps, 'step')}; below about {wanted:,} a model rarely settles."


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"1 {one}" if number == 1 else f"{number:,} {many or one + 's'}"


def _batches(top: int, rows: int) -> Iterator[int]:
    """``top`` and the powers of two below it, largest first, none larger than the data."""
    below = (2**power for power in range((top - 1).bit_length() - 1, -1, -1)) if top > 1 else ()
    return (size for size in (top, *below) if size <= rows)


def _rank(facts: DataFacts, model: Model) -> tuple[int, _Why]:
    """The rank for this much data, raised until the adapter has a parameter for each token there is to learn.

    Tinker's LoRA primer: results stay good as long as the adapter has at least as many parameters as there are completion
    tokens. Counting whole examples instead errs on the side of room. The learning rate does not depend on the rank.
    """
    if model.measured is not None:
        rank = model.measured.lora_rank
        return rank, (
            f"The rank we measured {model.label} with: {_trains(model, rank)}.",
            f"Tuning Fork: {model.measured.command}",
        )
    rank, mean = _size(facts.train_rows).rank, facts.tokens(model, "mean")
    tokens = None if mean is None else mean * facts.train_rows
    while tokens is not None and model.trainable_parameters(rank) < tokens and rank < _LARGEST_RANK:
        rank *= 2
    if tokens is None:
        reason = f"The usual rank for {facts.train_rows:,} training rows: {_trains(model, rank)}."
    elif model.trainable_parameters(rank) >= tokens:
        reason = f"{_trains(model, rank).capitalize()}, at least one for each of your about {tokens:,.0f} tokens."
    else:
        trains = _trains(model, rank).capitalize()
        reason = f"{trains}, fewer than your about {tokens:,.0f} tokens, but the most we would start with."
    return rank, (reason, f"{_PRIMER}; rank by data size: {_RULE}")


def _trains(model: Model, rank: int) -> str:
    return f"it trains {model.trainable_parameters(rank):,} numbers"


def _evaluation(facts: DataFacts, steps: int) -> tuple[int, _Why]:
    if not facts.validation_rows:
        return 0, ("There are no validation rows to check on.", _RULE)
    every = max(1, math.ceil(steps / _CHECKS))
    # One before the first step, one at each multiple that is not the end, and one of the saved result.
    checks = math.ceil(steps / every) + 1
    reason = (
        f"{checks} checks on your validation rows, from before the first to after the last of {_count(steps, 'step')}, "
        "show when it starts to memorise; more would slow training down."
    )
    return every, (reason, _RULE)


def _saving(model: Model, steps: int) -> tuple[int, _Why]:
    parts = 10 if model.local else 5
    every = max(1, math.ceil(steps / parts))
    cost = "saving takes a moment here" if model.local else "saved checkpoints take up paid storage"
    return every, (f"If the run breaks off, at most {every:,} of {steps:,} steps are lost; {cost}.", _RULE)


def _length(facts: DataFacts, model: Model) -> tuple[int, _Why]:
    """A power of two above the longest example, at most what the model can read.

    A counted length gets a quarter of room. An estimated one gets a token for each character, because scripts that a
    tokenizer seldom met cost that much, and a limit that is too high costs nothing while one too low cuts answers.
    """
    longest = facts.tokens(model, "max")
    if longest is None:
        return model.context, (f"As much as {model.label} can read, because the lengths of your examples are not known.", _RULE)
    counted = facts.max_tokens is not None
    room = longest * 1.25 if counted else max(longest * 1.25, facts.max_chars or 0)
    length = min(model.context, max(256, 1 << math.ceil(math.log2(max(1.0, room)))))
    has = f"Your longest example has {'' if counted else 'about '}{longest:,.0f} tokens"
    if longest <= length:
        return length, (f"{has}, so nothing is cut off.", _RULE)
    return length, (f"{has}; {model.label} reads {length:,}, so the end of it is cut off.", _RULE)


def _target(facts: DataFacts, model: Model) -> tuple[TrainOn, _Why]:
    if facts.multi_turn:
        reason = "A conversation can hold several answers, and each is worth learning."
        if rewrites_history(model.renderer):
            reason += f" {model.label} writes earlier answers a little differently from the last one, which is the form in use."
        return "all_assistant_messages", (reason, _RULE)
    return "last_assistant_message", ("Each example holds one answer; the questions are read but not learned.", _RULE)


def _constant_reasons(model: Model) -> dict[str, _Why]:
    """Reasons of the fields whose value does not depend on the data."""
    hybrid = " It answers without thinking aloud, as your examples do." if model.kind == "hybrid" else ""
    adam = "The cookbook's value, the same for every run; there is rarely a reason to touch it."
    return {
        "method": ("You have example answers, and supervised learning imitates them.", "Your answers to the questions"),
        "model": (model.notes, model.source),
        "renderer": (
            f"The format {model.label} was made with; another one would confuse it.{hybrid}",
            "tinker-cookbook: model_info",
        ),
        "lr_schedule": (
            "Ends gently at zero. No warm-up is needed: the tuned part starts at zero, so the first steps are small anyway.",
            _DEFAULT,
        ),
        "start_from": ("It starts from the model as it was made.", _RULE),
        "budget_usd": ("No limit: the passes decide when to stop.", _RULE),
        "max_steps": ("No limit: the passes decide when to stop.", _DEFAULT),
        "seed": ("Any number will do; the same one shuffles the examples the same way again.", _RULE),
        "adam_beta1": (adam, _DEFAULT),
        "adam_beta2": (adam, _DEFAULT),
        "adam_eps": (adam, _DEFAULT),
    }
