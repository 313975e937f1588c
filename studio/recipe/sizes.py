"""Batch, passes, rank, lengths, checks and saves: what follows from how much data there is.

Guarantees: a batch is never larger than the data; at least ``ENOUGH_STEPS`` steps wherever the data allows; every reason holds
the numbers that it rests on.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from studio.models import Model
from studio.recipe.advice import GUIDE, PRIMER, RL_GUIDE, RULE, Advice, Case, Why, count, measured_source

#: Fewer optimiser steps than this rarely settle (Tinker's guide to supervised hyperparameters).
ENOUGH_STEPS: Final = 100


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
_COPYING: Final = (
    _Size(100, batch=8, usual_epochs=3, most_epochs=10, rank=8),
    _Size(500, batch=16, usual_epochs=3, most_epochs=6, rank=16),
    _Size(2_000, batch=32, usual_epochs=3, most_epochs=4, rank=32),
    _Size(10_000, batch=64, usual_epochs=2, most_epochs=3, rank=32),
    _Size(100_000, batch=128, usual_epochs=2, most_epochs=2, rank=64),
    _Size(math.inf, batch=128, usual_epochs=1, most_epochs=1, rank=64),
)
# Pairs are learned by heart sooner than examples, so there are fewer passes.
_PAIRS: Final = (
    _Size(100, batch=8, usual_epochs=1, most_epochs=6, rank=16),
    _Size(500, batch=16, usual_epochs=1, most_epochs=4, rank=16),
    _Size(2_000, batch=32, usual_epochs=1, most_epochs=3, rank=32),
    _Size(10_000, batch=64, usual_epochs=1, most_epochs=2, rank=32),
    _Size(math.inf, batch=128, usual_epochs=1, most_epochs=1, rank=32),
)
# A question can be practised many times, because the answers are new each time. Each step costs a whole group for each.
_PRACTICE: Final = (
    _Size(100, batch=8, usual_epochs=2, most_epochs=20, rank=32),
    _Size(500, batch=16, usual_epochs=2, most_epochs=12, rank=32),
    _Size(2_000, batch=32, usual_epochs=1, most_epochs=6, rank=32),
    _Size(10_000, batch=32, usual_epochs=1, most_epochs=2, rank=32),
    _Size(math.inf, batch=64, usual_epochs=1, most_epochs=1, rank=32),
)
_TABLES: Final = {
    "sl": _COPYING, "prompt": _COPYING, "dpo": _PAIRS, "rl": _PRACTICE, "rlhf": _PRACTICE, "on_policy": _PRACTICE
}  # fmt: skip
_ROWS: Final = {"dpo": "pairs", "rl": "questions", "rlhf": "questions", "on_policy": "questions", "prompt": "questions"}
_LARGEST_RANK: Final = 128
#: A run is checked after each of at most so many equal parts: enough to see the turn, and little time beside the training.
_CHECKS: Final = 7


@dataclass(frozen=True, slots=True)
class Pace:
    """Batch and passes, and the steps that they make."""

    batch: Advice
    epochs: Advice
    steps: int


def pace(case: Case) -> Pace:
    """The largest batch that still gives enough steps within the passes we allow, the passes it takes, and both reasons."""
    rows, size, measured = case.facts.train_rows, _size(case), case.measured
    top, usual, most, wanted = size.batch, size.usual_epochs, size.most_epochs, ENOUGH_STEPS
    guide = RL_GUIDE if case.samples else GUIDE
    batch_source, epochs_source = guide, f"{guide}; passes by data size: {RULE}"
    known = measured.get("batch_size") if measured is not None else None
    if measured is not None and isinstance(known, int):
        top, usual, most, wanted = known, 1, measured.max_epochs, measured.min_steps
        batch_source = epochs_source = measured_source(measured)
    batch = next((option for option in _batches(top, rows) if rows // option * most >= wanted), 1)
    each = rows // batch
    epochs = _turned(case, min(most, max(usual, math.ceil(wanted / each))))
    fits = "We measured with this size" if measured is not None and batch == known else _why_small(case)
    left = rows - each * batch
    rest = f" In each pass {left} of them wait for the next shuffle." if left else ""
    noun = _ROWS.get(case.kind, "rows")
    batch_reason = f"{fits}, and your {rows:,} training {noun} give {count(each, 'step')} in each pass.{rest}"
    badge = "measured by us" if measured is not None else "rule"
    return Pace(
        Advice("batch_size", batch, batch_reason, batch_source, badge),
        Advice("epochs", epochs, _passes_reason(case, each, epochs, wanted), epochs_source, badge),
        each * epochs,
    )


def _turned(case: Case, epochs: int) -> int:
    """The passes after the dial: half as many, as they are, or twice as many."""
    match case.dial:
        case "gentle":
            return max(1, epochs // 2)
        case "thorough":
            return epochs * 2
        case _:
            return epochs


def _why_small(case: Case) -> str:
    if case.samples:
        return "Every question in a step is answered several times, which is what costs"
    return "Small batches suit LoRA"


def _passes_reason(case: Case, each: int, epochs: int, wanted: int) -> str:
    steps, rows = each * epochs, case.facts.train_rows
    if case.dial == "thorough":
        return f"Twice the usual passes make {count(steps, 'step')}. Watch the checks: past the turn more passes only memorise."
    if case.dial == "gentle":
        return f"Half the usual passes (at least one) make {count(steps, 'step')}: quick, and close to what the model was."
    passes = f"{count(epochs, 'pass', 'passes')} of {count(each, 'step')} {'makes' if epochs == 1 else 'make'}"
    if steps < wanted:
        more = "more would mostly practise the same" if case.samples else f"more would mostly memorise your {rows:,} rows"
        return f"{passes} only {steps:,}, fewer than the {wanted:,} we would like: {more}."
    again = "; the answers are new in each pass" if case.samples and epochs > 1 else ""
    return f"{passes} {count(steps, 'step')}; below about {wanted:,} a model rarely settles{again}."


def _size(case: Case) -> _Size:
    return next(size for size in _TABLES[case.kind] if case.facts.train_rows < size.rows)


def _batches(top: int, rows: int) -> Iterator[int]:
    """``top`` and the powers of two below it, largest first, none larger than the data."""
    below = (2**power for power in range((top - 1).bit_length() - 1, -1, -1)) if top > 1 else ()
    return (size for size in (top, *below) if size <= rows)


def judge_pace(case: Case) -> tuple[Advice, Advice]:
    """Pairs per step and passes for the reward model: as for any supervised run, with few passes."""
    rows = case.facts.train_rows
    size, passes_known = case.from_measurement("judge_batch_size"), case.from_measurement("judge_epochs")
    # What was measured with more pairs than there are here cannot take a single step.
    known = (size, passes_known) if size is not None and int(size.value or 0) <= rows else (None, None)
    most = 3
    batch = next((option for option in _batches(32, rows) if rows // option * most >= ENOUGH_STEPS), 1)
    each = rows // batch
    epochs = min(most, max(1, math.ceil(ENOUGH_STEPS / each)))
    passes = f"{count(epochs, 'pass', 'passes')} of {count(each, 'step')}"
    return (
        known[0] or Advice("judge_batch_size", batch, f"Your {rows:,} pairs give {count(each, 'step')} in each pass.", RULE),
        known[1]
        or Advice("judge_epochs", epochs, f"{passes}: a judge that knows your pairs by heart judges new answers badly.", RULE),
    )


def rank(case: Case) -> Advice:
    """The rank for this much data, raised until the adapter has a parameter for each token there is to learn.

    Tinker's LoRA primer: results stay good as long as the adapter has at least as many parameters as there are completion
    tokens. Counting whole examples instead errs on the side of room. Practice learns a few bits from each answer instead of
    every token of it, so a small rank serves. The learning rate does not depend on the rank.
    """
    facts, model = case.facts, case.model
    if (found := case.from_measurement("lora_rank")) is not None:
        value = int(found.value or 0)
        return Advice(
            "lora_rank", value, f"The rank we measured {model.label} with: {_trains(model, value)}.", found.source, found.badge
        )
    chosen, mean = _size(case).rank, facts.tokens(model, "mean")
    if case.samples or case.kind == "dpo":
        learned = "A score says little about each answer" if case.samples else "A choice between two answers says little"
        reason = f"{learned}, so this is plenty: {_trains(model, chosen)}."
        return Advice("lora_rank", chosen, reason, PRIMER)
    tokens = None if mean is None else mean * facts.train_rows
    while tokens is not None and model.trainable_parameters(chosen) < tokens and chosen < _LARGEST_RANK:
        chosen *= 2
    if tokens is None:
        reason = f"The usual rank for {facts.train_rows:,} training rows: {_trains(model, chosen)}."
    elif model.trainable_parameters(chosen) >= tokens:
        reason = f"{_trains(model, chosen).capitalize()}, at least one for each of your about {tokens:,.0f} tokens."
    else:
        trains = _trains(model, chosen).capitalize()
        reason = f"{trains}, fewer than your about {tokens:,.0f} tokens, but the most we would start with."
    return Advice("lora_rank", chosen, reason, f"{PRIMER}; rank by data size: {RULE}")


def _trains(model: Model, chosen: int) -> str:
    return f"it trains {model.trainable_parameters(chosen):,} numbers"


def evaluation(case: Case, steps: int) -> Advice:
    """How often to check on the validation rows."""
    if not case.facts.validation_rows:
        return Advice("eval_every", 0, "There are no validation rows to check on.", RULE)
    every = max(1, math.ceil(steps / _CHECKS))
    # One before the first step, one at each multiple that is not the end, and one of the saved result.
    checks = math.ceil(steps / every) + 1
    turn = "when the score stops rising" if case.samples else "when it starts to memorise"
    reason = (
        f"{checks} checks on your validation rows, from before the first to after the last of {count(steps, 'step')}, "
        f"show {turn}; more would slow training down."
    )
    return Advice("eval_every", every, reason, RULE)


def saving(case: Case, steps: int) -> Advice:
    """How often to save on the way."""
    local = case.model.local
    every = max(1, math.ceil(steps / (10 if local else 5)))
    cost = "saving takes a moment here" if local else "saved checkpoints take up paid storage"
    return Advice("save_every", every, f"If the run breaks off, at most {every:,} of {steps:,} steps are lost; {cost}.", RULE)


def length(case: Case) -> Advice:
    """A power of two above the longest example, at most what the model can read.

    A counted length gets a quarter of room. An estimated one gets a token for each character, because scripts that a
    tokenizer seldom met cost that much, and a limit that is too high costs nothing while one too low cuts answers.
    """
    value, (reason, source) = _length(case)
    return Advice("max_length", value, reason, source)


def _length(case: Case) -> tuple[int, Why]:
    facts, model = case.facts, case.model
    longest = facts.tokens(model, "max")
    if longest is None or case.method == "distill":
        why = (
            "the answers are still to be written" if case.method == "distill" else "the lengths of your examples are not known"
        )
        return model.context, (f"As much as {model.label} can read, because {why}.", RULE)
    counted = facts.max_tokens is not None
    room = longest * 1.25 if counted else max(longest * 1.25, facts.max_chars or 0)
    found = min(model.context, max(256, 1 << math.ceil(math.log2(max(1.0, room)))))
    has = f"Your longest example has {'' if counted else 'about '}{longest:,.0f} tokens"
    if longest <= found:
        return found, (f"{has}, so nothing is cut off.", RULE)
    return found, (f"{has}; {model.label} reads {found:,}, so the end of it is cut off.", RULE)
