"""Everything else that a method needs to be told: what is learned, from whom, how answers are sampled and held in place.

Guarantees: each method gets an advice for every field that it has and that no other module decides; a value that only the
person can give is left empty, with a reason that says what is wanted.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from studio import models
from studio.models import Model
from studio.models.rendering import rewrites_history
from studio.recipe.advice import (
    DEFAULT,
    DPO_DEFAULT,
    ON_POLICY,
    PIPELINE,
    RL_DEFAULT,
    RL_GUIDE,
    RULE,
    Advice,
    Case,
)
from studio.recipe.rates import KL_GOOD, KL_TOO_MUCH
from studio.recipe.values import TrainOn

#: What an answer may have where nothing says how long answers are.
_USUAL_ANSWER: Final = 512
_SMALL_ANSWER: Final = 64
_METHOD_WHY: Final = {
    "sl": "You have example answers, and supervised learning imitates them.",
    "rl": "Your answers can be scored, and reinforcement learning practises for the score.",
    "dpo": "You have pairs of better and worse answers, and DPO leans to the better ones.",
    "rlhf": "You have pairs and want a judge; RLHF trains it and then practises for its judgement.",
    "distill": "Something already does the job, and distillation passes it on to the model.",
}


def basics(case: Case) -> Iterator[Advice]:
    """Fields that every method has."""
    model = case.model
    hybrid = " It answers without thinking aloud, as your examples do." if model.kind == "hybrid" else ""
    yield Advice("method", case.method, _METHOD_WHY[case.method], "Your answers to the questions")
    yield Advice("model", model.name, model.notes, model.source)
    yield Advice("start_from", "", "It starts from the model as it was made. A run of yours can be named instead.", RULE)
    yield Advice(
        "renderer",
        model.renderer,
        f"The format {model.label} was made with; another one would confuse it.{hybrid}",
        "tinker-cookbook: model_info",
    )
    why = "No limit: the passes decide when to stop." if case.budget is None else "Your limit: the run saves and stops there."
    yield Advice("budget_usd", case.budget, why, RULE)
    yield Advice("max_steps", None, "No limit: the passes decide when to stop.", DEFAULT)
    yield Advice("seed", 0, "Any number will do; the same one shuffles the examples the same way again.", RULE)


def optimiser(case: Case) -> Iterator[Advice]:
    """Schedule and Adam, where the loop of this method has them."""
    default = DPO_DEFAULT if case.method == "dpo" else DEFAULT
    adam = "The cookbook's value, the same for every run; there is rarely a reason to touch it."
    yield Advice(
        "lr_schedule",
        "linear",
        "Ends gently at zero. No warm-up is needed: the tuned part starts at zero, so the first steps are small anyway.",
        default,
    )
    for name, value in (("adam_beta1", 0.9), ("adam_beta2", 0.95), ("adam_eps", 1e-8)):
        yield Advice(name, value, adam, default)


def target(case: Case) -> Advice:
    """What of each example is learned."""
    model = case.model
    value: TrainOn = "last_assistant_message"
    reason = "Each example holds one answer; the questions are read but not learned."
    if case.facts.multi_turn:
        value = "all_assistant_messages"
        reason = "A conversation can hold several answers, and each is worth learning."
        if rewrites_history(model.renderer):
            reason += f" {model.label} writes earlier answers a little differently from the last one, which is the form in use."
    return Advice("train_on", value, reason, RULE)


def preference(case: Case) -> Iterator[Advice]:
    """The fields of DPO."""
    yield case.from_measurement("dpo_beta") or Advice(
        "dpo_beta",
        0.1,
        "The usual value. Higher holds the model closer to what it was, lower lets it move further.",
        DPO_DEFAULT,
        "borrowed",
    )
    yield warm_start(case)


def warm_start(case: Case) -> Advice:
    """Passes of supervised training on the better answers before anything else."""
    name = "warm_start_epochs"
    if (found := case.from_measurement(name)) is not None:
        return found
    if case.model.kind == "base":
        reason = f"{case.model.label} never learned to answer, so it reads your better answers once before it compares."
        return Advice(name, 1, reason, PIPELINE)
    return Advice(name, 0, "None: the model already answers questions, and the pairs show it the difference.", RULE)


def sampling(case: Case) -> Iterator[Advice]:
    """How answers are sampled while the model practises."""
    for advice in (_group(case), _longest_answer(case)):
        yield case.from_measurement(advice.name) or advice
    yield case.from_measurement("temperature") or Advice(
        "temperature",
        1.0,
        "At 1 the model's own spread of answers is what it learns from. Other values bend the correction for that.",
        RL_DEFAULT,
    )
    yield case.from_measurement("loss") or Advice(
        "loss",
        "importance_sampling",
        "The plain policy gradient, corrected for answers sampled a moment earlier. The others limit large steps.",
        ON_POLICY if case.method == "distill" else RL_DEFAULT,
    )
    yield case.from_measurement("substeps") or Advice(
        "substeps", 1, "One step on each batch of answers: every answer is then the model's own as it is now.", RL_GUIDE
    )


def _group(case: Case) -> Advice:
    found = _usual_group(case)
    if case.dial != "thorough" or not isinstance(found.value, int):
        return found
    return replace(
        found, value=2 * found.value, reason=f"Twice the usual {found.value}, so that fewer groups are without signal."
    )


def _usual_group(case: Case) -> Advice:
    name, rows = "group_size", case.facts.train_rows
    if case.method == "rlhf":
        return Advice(name, 4, "Each answer is compared with the three others, which is already a dozen judgements.", PIPELINE)
    if case.kind == "on_policy":
        return Advice(name, 4, "The teacher judges every word, so a few answers to each question are enough.", ON_POLICY)
    if rows < 200:
        reason = f"You have only {rows:,} questions, so each is answered more often: more chances that answers differ."
        return Advice(name, 16, reason, RL_GUIDE)
    return Advice(name, 8, "Enough answers to see that some are better, and half the price of sixteen.", RL_GUIDE)


def _longest_answer(case: Case) -> Advice:
    """Room for twice a typical written answer, else the usual."""
    name, model = "max_tokens", case.model
    usual = min(_SMALL_ANSWER if model.local else _USUAL_ANSWER, model.context // 2)
    written = case.facts.answer_tokens(model)
    if written is None or case.facts.training == "RL":
        reason = "Nothing in your data says how long answers are. What is longer is cut off and scores as it stands."
        return Advice(name, usual, reason, RULE)
    room = min(model.context // 2, max(32, 1 << math.ceil(math.log2(max(1.0, 2 * written)))))
    return Advice(name, room, f"Your written answers have about {written:,.0f} tokens; this leaves room for twice that.", RULE)


def held(case: Case) -> Iterator[Advice]:
    """What keeps practice from running away: the penalty, the limit, and groups without signal."""
    yield case.from_measurement("kl_coef") or _penalty(case)
    if case.kind == "on_policy":
        return
    yield case.from_measurement("kl_limit") or _limit(case)
    yield case.from_measurement("drop_flat_groups") or Advice(
        "drop_flat_groups",
        "yes",
        "When all answers to a question score the same there is nothing to learn from it, so it is not trained on.",
        RULE,
    )


def _penalty(case: Case) -> Advice:
    name = "kl_coef"
    if case.kind == "on_policy":
        reason = "Here the distance to the teacher is the whole lesson, so it counts fully."
        return Advice(name, 1.0, reason, ON_POLICY)
    steps = f"The KL of a step should stay below {KL_GOOD:g}; {KL_TOO_MUCH:g} is too much"
    if case.method == "rlhf":
        reason = f"A learned judge can be fooled, so the model is held a little to where it began. {steps}."
        return Advice(name, 0.05, reason, RULE, "not calibrated")
    return Advice(
        name, 0.0, f"A program that scores cannot be pleased by tricks of style, so nothing holds it back. {steps}.", RL_DEFAULT
    )


def _limit(case: Case) -> Advice:
    if case.method == "rlhf":
        reason = "Further away than this, a judge that learned from other answers can no longer be trusted."
        return Advice("kl_limit", 1.0, reason, RULE, "not calibrated")
    return Advice("kl_limit", None, "No limit: the score comes from a program and stays true however far it moves.", RULE)


def reward(case: Case) -> Advice:
    """How answers are scored: what was suggested for these rows, else what the person has to say."""
    if case.reward:
        return Advice(
            "reward", case.reward, "What fits the right answers in your data. Try it on a few before you start.", RULE
        )
    has = "scores for answers that somebody wrote" if case.facts.has_reward_column else "nothing to compare an answer with"
    return Advice("reward", "", f"Your data holds {has}, so you say what makes an answer good.", RULE)


def judging() -> Advice:
    """Whose judgement RLHF practises for."""
    return Advice("judge", "", "A judge is trained from your pairs. One of an earlier run can be used again instead.", RULE)


def teaching(case: Case) -> Iterator[Advice]:
    """Who teaches what."""
    yield Advice("distillation", case.distillation, _METHOD_WHY["distill"], "Your answers to the questions")
    if case.distillation == "prompt":
        reason = "The same model with the long prompt teaches the one without it: it can write everything that is asked for."
        yield Advice("teacher", case.model.name, reason, "tinker-cookbook: recipes.prompt_distillation")
        yield Advice("teacher_prompt", "", "The instructions that work for you today, as you write them.", RULE)
        return
    yield _bigger(case.model)


def _bigger(model: Model) -> Advice:
    """The best teacher in the catalogue that cuts text into the same tokens, which on-policy distillation needs."""
    fits = [one for one in models.everything() if one.teaches(model)]
    if not fits:
        reason = f"No bigger model here cuts text as {model.label} does. Name a run of yours that is good at it."
        return Advice("teacher", "", reason, ON_POLICY)
    best = max(fits, key=lambda one: one.parameters)
    reason = f"The largest model here that cuts text into the same tokens as {model.label}. A smaller one costs less."
    return Advice("teacher", best.name, reason, ON_POLICY)
