"""What a run costs: the same function estimates before it, meters during it, and compares after it.

Guarantees: tokens are exact where they were counted with the model's own renderer and the method reads what is given (SL and
DPO), and a range where the model writes while it trains; a price is the dated one of the table, and where there is none the
cost is ``None`` and the sentence says so, never a guess.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from studio import models
from studio.errors import NotFoundError
from studio.models import Model
from studio.models.prices import FREE, Price, price_of, storage_price
from studio.recipe.facts import DataFacts
from studio.recipe.values import Recipe

_MILLION: Final = 1e6
#: Held-out rows that one check reads at most (supervised, pairs), and those that it answers at most (practice).
MOST_READ: Final = 256
MOST_ANSWERED: Final = 128
#: With fewer held-out questions each is answered several times, so that their mean does not jump.
LEAST_ANSWERED: Final = 64
#: Bytes that a checkpoint keeps for each trained number: weights alone, and weights with both moments of Adam, at most.
_BYTES: Final = (2, 16)
#: Checkpoints that a run keeps at once, the end included.
_KEPT: Final = (1, 3)
#: The smallest part of groups whose answers differ, for the low end of an estimate.
_LEAST_SIGNAL: Final = 0.25
#: Tokens of the judge's verdict, and of what stands around the two answers that it compares.
_VERDICT: Final = 1
_COMPARISON_MARKS: Final = 40


@dataclass(frozen=True, slots=True)
class TokenCounts:
    """Tokens by what the server does with them: reads them (prefill), writes them (sample), learns from them (train)."""

    prefill: int = 0
    sample: int = 0
    train: int = 0

    def __add__(self, other: TokenCounts) -> TokenCounts:
        return TokenCounts(self.prefill + other.prefill, self.sample + other.sample, self.train + other.train)

    @property
    def total(self) -> int:
        """Tokens of all kinds."""
        return self.prefill + self.sample + self.train


@dataclass(frozen=True, slots=True)
class Cost:
    """What a run may cost. ``low_usd`` and ``high_usd`` are equal where nothing is left to chance, ``None`` without a price.

    ``low`` and ``high`` are the model's tokens, ``teacher_low`` and ``teacher_high`` those of a teacher that is another model,
    ``judges_low`` and ``judges_high`` those of other models that judge by rules.
    ``exact``: the tokens were counted, not estimated from letters, and nothing is sampled. ``storage_usd`` is for the
    checkpoints of this run and a month, ``None`` where its price is not known.
    """

    low_usd: float | None
    high_usd: float | None
    low: TokenCounts
    high: TokenCounts
    exact: bool
    price: Price | None
    storage_usd: tuple[float, float] | None
    sentence: str
    teacher_low: TokenCounts = TokenCounts()
    teacher_high: TokenCounts = TokenCounts()
    judges_low: TokenCounts = TokenCounts()
    judges_high: TokenCounts = TokenCounts()


def price(model: Model, home: Path | None = None) -> Price | None:
    """What this model's tokens cost where it runs; ``None`` where that is not known."""
    return FREE if model.local else price_of(model.wire_name, home)


def spent(tokens: TokenCounts, model: Model, home: Path | None = None) -> float | None:
    """US dollars for these tokens of this model; ``None`` where the price is not known. ``home`` may hold the owner's table."""
    found = price(model, home)
    if found is None:
        return None
    paid = tokens.prefill * found.prefill + tokens.sample * found.sample + tokens.train * found.train
    return paid / _MILLION


def estimate(recipe: Recipe, facts: DataFacts, model: Model, home: Path | None = None) -> Cost | None:
    """What this recipe will cost on data like ``facts``; ``None`` when nothing is known about how long the examples are.

    Exact to the rows that wait for the next shuffle in the last, incomplete batch of a pass. With early stopping, a resumed run
    or a budget the true cost is lower or higher; the run's own meter says.
    """
    low, high = _tokens(recipe, facts, model, 0), _tokens(recipe, facts, model, 1)
    if low is None or high is None:
        return None
    found, unpriced = price(model, home), model.label
    cheap, dear = spent(low, model, home), spent(high, model, home)
    if cheap is not None and found is not None and _samples(recipe):
        # The question that all answers of a group share is read once and then remembered.
        cheap -= low.prefill * found.prefill * (1 - found.cached_share) / _MILLION * (1 - 1 / recipe.group_size)
    teacher_low, teacher_high = TokenCounts(), TokenCounts()
    if recipe.method == "distill":
        teacher = _teacher_of(recipe, model)
        teacher_low, teacher_high = _taught(recipe, facts, model, 0), _taught(recipe, facts, model, 1)
        if price(teacher, home) is None:
            unpriced = teacher.label
        cheap, dear = _sum(cheap, spent(teacher_low, teacher, home)), _sum(dear, spent(teacher_high, teacher, home))
    judges_low, judges_high = TokenCounts(), TokenCounts()
    for judge, rules in _judging(recipe).items():
        least, most = (_judged(recipe, facts, model, end, rules) for end in (0, 1))
        who = models.get(judge) if judge else model
        cheap, dear = _sum(cheap, spent(least, who, home)), _sum(dear, spent(most, who, home))
        if who.name == model.name:
            low, high = low + least, high + most
            continue
        judges_low, judges_high = judges_low + least, judges_high + most
        if price(who, home) is None:
            unpriced = who.label
    # A warm start reads the better answers alone, and only the mean of both sides is known.
    reads = (
        recipe.method in ("sl", "dpo") and not recipe.warm_start_epochs and (facts.max_tokens or math.inf) <= recipe.max_length
    )
    counted = facts.mean_tokens is not None and reads
    return Cost(
        cheap, dear, low, high, counted, found, _storage(recipe, model, home),
        _sentence(
            cheap, dear, low + teacher_low + judges_low, high + teacher_high + judges_high, found, unpriced, counted=counted
        ),
        teacher_low, teacher_high, judges_low, judges_high,
    )  # fmt: skip


def _sum(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one + other


def _samples(recipe: Recipe) -> bool:
    """Whether the model writes while it trains."""
    return any(spec.name == "group_size" for spec in recipe.specs)


def _tokens(recipe: Recipe, facts: DataFacts, model: Model, end: int) -> TokenCounts | None:
    """The model's own tokens at the low (0) or high (1) end; ``None`` when nothing is known about lengths."""
    mean = facts.tokens(model, "mean")
    if mean is None:
        return None
    whole = min(mean, recipe.max_length) if recipe.method in ("sl", "dpo") else mean
    steps = recipe.steps(facts.train_rows)
    checks = _checks(recipe, steps)
    match recipe.method:
        case "sl":
            return _supervised(steps * recipe.batch_size, whole, checks, facts)
        case "dpo":
            return _pairs(recipe, facts, whole, steps, checks)
        case "distill" if recipe.distillation == "prompt":
            question, answer = _lengths(recipe, facts, model, end)
            asked = checks * min(facts.validation_rows, MOST_ANSWERED)
            exam = TokenCounts(round(asked * (2 * question + answer - 1)), round(asked * answer))
            return _supervised(steps * recipe.batch_size, question + answer, 0, facts) + exam
        case _:
            return _practice(recipe, facts, model, end) + _before_practice(recipe, facts, mean, model)


def _checks(recipe: Recipe, steps: int) -> int:
    """Checks of a stage on held-out rows: before its first step, as often as the recipe says, and of its end result."""
    return math.ceil(steps / recipe.eval_every) + 1 if recipe.eval_every else 2


def _supervised(examples: int, whole: float, checks: int, facts: DataFacts) -> TokenCounts:
    """Each example is learned from once in a pass; a token is learned where the one before it is read, so one is not."""
    read = checks * min(facts.validation_rows, MOST_READ) * ((facts.validation_mean_tokens or whole) - 1)
    return TokenCounts(prefill=round(read), train=round(examples * (whole - 1)))


def _pairs(recipe: Recipe, facts: DataFacts, whole: float, steps: int, checks: int) -> TokenCounts:
    """Two answers to each question. The loss is worked out here, so the server reads each answer forward and once more back.

    The reference reads everything too, and the held-out pairs once. Source: ``TrainingClient.forward_backward_custom``; a
    forward pass of a training client is billed as training.
    """
    seen = steps * recipe.batch_size * 2
    held_out = min(facts.validation_rows, MOST_READ) * 2
    warm_steps = facts.train_rows // recipe.batch_size * recipe.warm_start_epochs
    warm_checks = _checks(recipe, warm_steps) if warm_steps else 0
    warm = _supervised(warm_steps * recipe.batch_size, whole, warm_checks, facts)
    checked = held_out * (checks + 1) * ((facts.validation_mean_tokens or whole) - 1) if checks else 0.0
    read = seen * whole + checked
    return warm + TokenCounts(prefill=round(read), train=round(2 * seen * (whole - 1)))


def _lengths(recipe: Recipe, facts: DataFacts, model: Model, end: int) -> tuple[float, float]:
    """Tokens of a question and of an answer yet to be written: from half to twice what people wrote, or to the limit."""
    question = facts.prompt_tokens(model) or facts.tokens(model, "mean") or 0.0
    written = facts.answer_tokens(model)
    if written is None:
        return question, (recipe.max_tokens / 8 if end == 0 else float(recipe.max_tokens))
    return question, min(float(recipe.max_tokens), written / 2 if end == 0 else written * 2)


def _held_out(recipe: Recipe, facts: DataFacts) -> int:
    """Answers to held-out questions in all checks of a stage that practises."""
    rows = min(facts.validation_rows, MOST_ANSWERED)
    each = max(1, math.ceil(LEAST_ANSWERED / rows)) if rows else 0
    return _checks(recipe, recipe.steps(facts.train_rows)) * rows * each


def _answers(recipe: Recipe, facts: DataFacts) -> int:
    """Answers that all steps of practice write."""
    return recipe.steps(facts.train_rows) * recipe.batch_size * recipe.group_size


def _practice(recipe: Recipe, facts: DataFacts, model: Model, end: int) -> TokenCounts:
    """Every answer is written, and learned from unless all answers of its group scored the same.

    The weights at the start read every held-out answer again, and with a penalty every one that is learned from: the distance
    is measured to them. In distillation a teacher does.
    """
    question, answer = _lengths(recipe, facts, model, end)
    answers, held_out = _answers(recipe, facts), _held_out(recipe, facts)
    own_reference = recipe.method in ("rl", "rlhf")
    drops = recipe.drop_flat_groups == "yes" and own_reference
    learned = answers * (_LEAST_SIGNAL if drops and end == 0 else 1.0)
    references = ((learned if recipe.kl_coef else 0.0) + held_out) if own_reference else 0.0
    prefill = (answers + held_out) * question + references * (question + answer)
    counts = TokenCounts(round(prefill), round((answers + held_out) * answer), round(learned * (question + answer)))
    if recipe.method != "rlhf":
        return counts
    # Every answer of a group is compared with every other one in both orders, a held-out one with the start's in both.
    started = min(facts.validation_rows, MOST_ANSWERED)
    compared = answers * (recipe.group_size - 1) + 2 * held_out
    judged = compared * (question + 2 * answer + _COMPARISON_MARKS) + started * question
    return counts + TokenCounts(prefill=round(judged), sample=compared * _VERDICT + round(started * answer))


def judges_of(recipe: Recipe) -> tuple[str, ...]:
    """The names of other models that the reward has judge by rules. Empty for a reward that cannot be read."""
    return tuple(name for name in _judging(recipe) if name and name != recipe.model)


def _judging(recipe: Recipe) -> Mapping[str, tuple[str, ...]]:
    """The rules of the reward by the model that judges by them; an empty name is the tuned one as it was before."""
    if recipe.method != "rl" or not recipe.reward:
        return {}
    # Imported here: what never touches a reward need not wait for what reads one.
    from studio import rewards
    from studio.rewards.tree import every

    try:
        reward = rewards.parse(recipe.reward)
    except rewards.RewardError:
        return {}  # said beside the reward
    found: dict[str, tuple[str, ...]] = {}
    for part in every(reward):
        if isinstance(part, rewards.Rules):
            found[part.judge] = found.get(part.judge, ()) + part.rules
    return found


def _judged(recipe: Recipe, facts: DataFacts, model: Model, end: int, rules: Sequence[str]) -> TokenCounts:
    """What is read to judge every answer by these rules: for each once with a yes behind it and once with a no."""
    from studio.rewards import Ask, question

    whole = sum(_lengths(recipe, facts, model, end))
    marks = sum(len(question(Ask("", "", rule))) for rule in rules) / model.chars_per_token
    answers = _answers(recipe, facts) + _held_out(recipe, facts)
    return TokenCounts(prefill=round(answers * 2 * (len(rules) * whole + marks)))


def _before_practice(recipe: Recipe, facts: DataFacts, mean: float, model: Model) -> TokenCounts:
    """The earlier stages of RLHF: the warm start on the better answers, and the judge on both, read together.

    The judge learns from each pair in both orders, and is examined in both; one of an earlier run is examined once.
    """
    if recipe.method != "rlhf":
        return TokenCounts()
    per_pass = facts.train_rows // recipe.judge_batch_size
    steps = 0 if recipe.judge else per_pass * recipe.judge_epochs
    exams = 1 if recipe.judge else _checks(recipe, steps)
    question = facts.prompt_tokens(model) or 0.0
    both = 2 * mean - min(question, mean) + _COMPARISON_MARKS
    asked = 2 * exams * min(facts.validation_rows, MOST_READ)
    warm_checks = _checks(recipe, per_pass * recipe.warm_start_epochs) if recipe.warm_start_epochs else 0
    warm = _supervised(per_pass * recipe.judge_batch_size * recipe.warm_start_epochs, mean, warm_checks, facts)
    learned = 2 * steps * recipe.judge_batch_size
    return warm + TokenCounts(round(asked * both), asked * _VERDICT, round(learned * both))


def _taught(recipe: Recipe, facts: DataFacts, model: Model, end: int) -> TokenCounts:
    """What the teacher reads and writes: every answer with its long prompt, or every word that the student wrote."""
    question, answer = _lengths(recipe, facts, model, end)
    if recipe.distillation == "prompt":
        long = len(recipe.teacher_prompt) / model.chars_per_token
        asked = facts.train_rows + min(facts.validation_rows, MOST_ANSWERED)
        return TokenCounts(prefill=round(asked * (long + question)), sample=round(asked * answer))
    return TokenCounts(prefill=round((_answers(recipe, facts) + _held_out(recipe, facts)) * (question + answer)))


def _teacher_of(recipe: Recipe, student: Model) -> Model:
    """The model that teaches; a run of one's own is taken for the student's base."""
    try:
        return models.get(recipe.teacher)
    except NotFoundError:
        return student


def _storage(recipe: Recipe, model: Model, home: Path | None) -> tuple[float, float] | None:
    """A month of this run's checkpoints, from the end result alone to all that a run keeps with its optimiser."""
    if model.local:
        return 0.0, 0.0
    found = storage_price(home)
    if found is None:
        return None
    each = model.trainable_parameters(recipe.lora_rank) / 1e9 * found.per_gb_month
    return each * _BYTES[0] * _KEPT[0], each * _BYTES[1] * _KEPT[1]


def _sentence(
    low: float | None, high: float | None, least: TokenCounts, most: TokenCounts, found: Price | None, label: str,
    *, counted: bool,
) -> str:  # fmt: skip
    """The cost in words, with where the price comes from."""
    amount = _amount(least.total) if least.total == most.total else f"{_amount(least.total)} to {_amount(most.total)}"
    how = "counted" if counted else "estimated"
    if found == FREE:
        return f"Free: it runs on this computer. {amount} tokens, {how}."
    if low is None or high is None or found is None:
        return f"{amount} tokens, {how}. The price of {label} is not known here."
    day = dt.date.fromisoformat(found.date)
    when = f"{found.source}, {day.day} {day:%B %Y}"
    old = " That is a while ago, so it may be more by now." if found.old() else ""
    money = f"About {_usd(high)}" if _usd(low) == _usd(high) else f"Between {_usd(low)} and {_usd(high)}"
    return f"{money} for {amount} tokens, {how}; prices from {when}.{old}"


def _usd(value: float) -> str:
    """US dollars with as many digits as matter: "0.03 USD", "less than 0.01 USD"."""
    return "less than 0.01 USD" if 0 < value < 0.01 else f"{value:,.2f} USD"


def _amount(tokens: int) -> str:
    """A number of tokens as people say it: "820", "41 thousand", "1.2 million"."""
    if tokens < 1_000:
        return f"{tokens}"
    if tokens < 999_500:
        return f"{tokens / 1e3:.0f} thousand"
    return f"{tokens / 1e6:,.1f} million"
