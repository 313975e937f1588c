"""Learning rates: by the published formula where one was fitted, by our own measurement if there is one, else a careful start.

Guarantees: a rate is called calibrated only where a published formula was fitted to that model, and measured only where our own
measurement is on file; each says how it was worked out.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final

from studio.models import Model
from studio.recipe.advice import (
    DEFAULT,
    DPO_DEFAULT,
    GUIDE,
    ON_POLICY,
    PIPELINE,
    RL_DEFAULT,
    RL_GUIDE,
    RULE,
    Advice,
    Badge,
    Case,
    measured_source,
    ran,
)

#: Exponent P of the learning-rate formula for each family that it was fitted to.
EXPONENTS: Final = {"qwen": 0.0775, "llama": 0.781}
#: What the cookbook's training loop uses when nobody says otherwise; low enough not to break a model we know nothing about.
CAUTIOUS_LEARNING_RATE: Final = 1e-4
#: The batch at which the formula's authors advise to train; other batches scale by the square root.
_FORMULA_BATCH: Final = 128
#: The highest rate with which the cookbook's own RL recipes train (``recipes/math_rl/README.md``).
_HIGHEST_RL: Final = 1e-4
#: What the cookbook's RL recipe uses when nobody says otherwise.
_CAUTIOUS_RL: Final = 1e-5
#: DPO is tuned between these: the cookbook's default, and a tenth of it.
DPO_RATES: Final = (1e-6, 1e-5)
#: Rates of the three stages of the cookbook's RLHF pipeline.
_PIPELINE_JUDGE: Final = 3e-4
_PIPELINE_RL: Final = 1e-5
_ON_POLICY: Final = 1e-4
#: KL between the policy that sampled and the one that trained, per token: below the first a step was small enough, above the
#: second it was much too large (Tinker guide: RL hyperparameters).
KL_GOOD: Final = 0.01
KL_TOO_MUCH: Final = 0.1
#: The rate of a method as a part of the supervised one, for a model of which only the supervised rate was measured. As in the
#: cookbook's recipes for one and the same model: RL 1e-4, DPO and RLHF 1e-5, the judge 3e-4, each against about 5e-4.
_SHARES: Final = {"rl": 0.2, "dpo": 0.02, "rlhf": 0.02, "judge": 0.6, "warm_start": 1.0, "prompt": 1.0, "on_policy": 0.2}

#: What the gentle end of the dial makes of a rate: half, and a third in DPO, whose range spans a factor of ten.
_GENTLE: Final = (1 / 2, 1 / 3)
_KL_WORDS: Final = f"If the KL of a step passes {KL_TOO_MUCH:g}, halve it; below {KL_GOOD:g} all is well"


def formula_learning_rate(hidden_size: int, exponent: float) -> float:
    """The published LoRA learning rate LR = 5e-5 · 10 · (2000 / H)^P for hidden size H and family exponent P.

    5e-5 is the base rate and 10 the factor from full tuning to LoRA. Source: Tinker's guide to supervised learning
    hyperparameters and ``tinker_cookbook.hyperparam_utils.get_lr``; P = 0.0775 for Qwen and 0.781 for Llama. The authors
    report less than 0.5 % regret against full sweeps, over data sets, batch sizes and ranks.
    """
    return 5e-5 * 10 * (2000 / hidden_size) ** exponent


def for_batch(rate: float, batch: int, known_batch: int) -> float:
    """A rate that is known for one batch size, for another: LR ∝ √batch (Tinker guide: RL hyperparameters)."""
    return rate * math.sqrt(batch / known_batch)


def rate(case: Case, batch: int) -> Advice:
    """The peak learning rate of the main stage for this many examples (questions, pairs) per step, the dial applied."""
    usual = _usual(case, batch)
    if case.dial != "gentle" or not isinstance(usual.value, float):
        return usual
    found = max(DPO_RATES[0], _rounded(usual.value * _GENTLE[case.method == "dpo"]))
    part = "A third" if case.method == "dpo" else "Half"
    return replace(
        usual, value=found, reason=f"{part} of the usual {usual.value:.2g}, to stay close to the model. {usual.reason}"
    )


def _usual(case: Case, batch: int) -> Advice:
    measured = case.measured
    if measured is not None and isinstance(known := measured.get("learning_rate"), float):
        return _measured(case, known, batch)
    if case.model.measured is not None and case.method != "sl":
        return _from_supervised(case, "learning_rate", case.kind)
    match case.kind:
        case "rl":
            return _practice(case, batch)
        case "dpo":
            reason = (
                "DPO is tuned from 1e-6 to 1e-5; this is the upper end, which small adapters need. Much more unlearns writing."
            )
            return Advice("learning_rate", DPO_RATES[1], reason, DPO_DEFAULT, "borrowed")
        case "rlhf":
            reason = f"What the cookbook's RLHF pipeline practises with. {_KL_WORDS}."
            return Advice("learning_rate", _PIPELINE_RL, reason, PIPELINE, "borrowed")
        case "on_policy":
            reason = "What the cookbook's on-policy recipes use: the teacher's word on every token is a strong signal."
            return Advice("learning_rate", _ON_POLICY, reason, ON_POLICY, "borrowed")
        case _:
            return _supervised(case.model, "learning_rate")


def judge_rate(case: Case) -> Advice:
    """The learning rate of the reward model."""
    name = "judge_learning_rate"
    if (found := case.from_measurement(name)) is not None:
        return found
    if case.model.measured is not None:
        return _from_supervised(case, name, "judge")
    return Advice(name, _PIPELINE_JUDGE, "What the cookbook's RLHF pipeline trains its judge with.", PIPELINE, "borrowed")


def warm_start_rate(case: Case) -> Advice:
    """The learning rate of the supervised warm start."""
    name = "warm_start_learning_rate"
    if (found := case.from_measurement(name)) is not None:
        return found
    if case.model.measured is not None:
        return _from_supervised(case, name, "warm_start")
    return _supervised(case.model, name)


def _supervised(model: Model, name: str) -> Advice:
    """By the formula where the family has one, else the careful start."""
    exponent = EXPONENTS.get(model.family)
    if exponent is None:
        reason = (
            f"Nobody has published a formula that fits {model.label}, so this is a careful start. "
            "If the loss hardly falls, try three times as much."
        )
        return Advice(name, CAUTIOUS_LEARNING_RATE, reason, DEFAULT, "not calibrated")
    found = _rounded(formula_learning_rate(model.hidden_size, exponent))
    working = f"5e-5 times 10 times (2000 / {model.hidden_size}) to the power of {exponent:g} is {found:.2g}"
    source = f"{GUIDE}; get_lr in tinker-cookbook"
    if model.calibrated:
        return Advice(name, found, f"{working}: the published formula, fitted to this model's family.", source, "calibrated")
    reason = f"{working}: the published formula for its family, though nobody checked it on {model.label}."
    return Advice(name, found, reason, source, "borrowed")


def _practice(case: Case, batch: int) -> Advice:
    """RL: the supervised formula as its guide says, for this batch, and never above what the cookbook's recipes use."""
    exponent = EXPONENTS.get(case.model.family)
    if exponent is None:
        reason = f"Nobody has published a rate for practice with {case.model.label}, so this is a careful start. {_KL_WORDS}."
        return Advice("learning_rate", _CAUTIOUS_RL, reason, RL_DEFAULT, "not calibrated")
    whole = formula_learning_rate(case.model.hidden_size, exponent)
    scaled = _rounded(for_batch(whole, batch, _FORMULA_BATCH))
    working = f"The formula for supervised training ({whole:.2g}) times √({batch} / {_FORMULA_BATCH}) is {scaled:.2g}"
    if scaled > _HIGHEST_RL:
        working += f"; held at {_HIGHEST_RL:g}, the highest that the cookbook's RL recipes use"
    return Advice("learning_rate", min(_HIGHEST_RL, scaled), f"{working}. {_KL_WORDS}.", RL_GUIDE, "borrowed")


def _measured(case: Case, known: float, batch: int) -> Advice:
    measured = case.measured
    if measured is None:
        raise AssertionError("only called with a measurement")
    reason, known_batch = ran(measured, case.model), measured.get("batch_size")
    if not isinstance(known_batch, int) or batch == known_batch:
        return Advice("learning_rate", known, reason, measured_source(measured), "measured by us")
    scaled = _rounded(for_batch(known, batch, known_batch))
    reason = f"{reason} That was {known:g} with {known_batch} per step; times √({batch} / {known_batch}) it is {scaled:.2g}."
    return Advice("learning_rate", scaled, reason, measured_source(measured), "measured by us")


def _from_supervised(case: Case, name: str, kind: str) -> Advice:
    """A part of the measured supervised rate, where this method was not measured with this model."""
    measured, share = case.model.measured, _SHARES[kind]
    if measured is None:
        raise AssertionError("only called with a measurement")
    part = "The" if share == 1 else f"{share:g} of the"
    reason = f"{part} supervised rate that we measured for {case.model.label}. With this method we have not measured it yet."
    badge: Badge = "borrowed" if share == 1 else "not calibrated"
    return Advice(name, _rounded(measured.learning_rate * share), reason, f"Tuning Fork: {measured.command}; {RULE}", badge)


def _rounded(found: float) -> float:
    """Seven digits can still be read, and differ from the formula by less than one in a million."""
    return float(f"{found:.7g}")
