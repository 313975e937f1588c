"""From stored answers to measures: each arm against the reference, on the prompts that all arms answered.

Guarantees: every arm is measured on the same prompts, by the same rules, on the texts that people would see; what could not be
worked out for one arm is left out of both sides of a pair; nothing here asks a model.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from studio import rewards
from studio.compare.giveaways import visible
from studio.compare.measures import Answered, Better, Column, Measure, answer_columns, measure_answers, measure_loss
from studio.compare.plan import Plan
from studio.compare.prompts import Question
from studio.recipe import Recipe
from studio.rewards import Reward, TaskRow
from studio.rewards.rows import spoken
from studio.store import AnswerRow, Store

#: Reference and challenger on one prompt.
Pair = tuple[AnswerRow, AnswerRow]


def reward_of(store: Store, plan: Plan, owner: str) -> Reward | None:
    """The reward that the plan's run practised for, where a program alone can score it; ``None`` otherwise."""
    if not plan.run_id:
        return None
    text = Recipe.from_json(store.runs.get(plan.run_id, owner).recipe_json).reward
    reward = rewards.parse(text) if text else None
    needed = rewards.needs(reward) if reward is not None else None
    return None if needed is None or needed.judge or needed.sandbox else reward


def measured(
    answers: Sequence[AnswerRow],
    *,
    reward: Reward | None = None,
    asked_of: Sequence[Question] = (),
    arms: Sequence[str] = ("base", "tuned"),
) -> tuple[Measure, ...]:
    """Loss and perplexity of the references, and what the answers score, for each arm against the first one of ``arms``.

    Only prompts that all arms answered count. Texts are measured as raters see them. A reference that one of the models could
    not be scored on (too long, or not a finite number) is left out of the loss of both. With ``reward`` and the questions its
    mean score comes first; an answer pair of which one could not be scored is left out.
    """
    of_prompt = complete(answers, arms)
    known = {one.prompt_id: one for one in asked_of}
    found: list[Measure] = []
    for arm in arms[1:]:
        pairs = [(told[arms[0]], told[arm]) for told in of_prompt.values()]
        found += (replace(one, reference=arms[0], arm=arm) for one in _of_pairs(pairs, reward, known))
    return tuple(found)


def complete(answers: Sequence[AnswerRow], arms: Sequence[str]) -> dict[str, dict[str, AnswerRow]]:
    """Prompt id → arm → answer, for the prompts that every one of ``arms`` answered, in their order."""
    found: dict[str, dict[str, AnswerRow]] = defaultdict(dict)
    for answer in answers:
        found[answer.prompt_id][answer.arm] = answer
    return {prompt_id: told for prompt_id, told in found.items() if set(arms) <= set(told)}


def changes(
    answers: Sequence[AnswerRow],
    *,
    arms: tuple[str, str] = ("base", "tuned"),
    reward: Reward | None = None,
    asked_of: Sequence[Question] = (),
) -> tuple[Column, ...]:
    """The measures of one arm against another that have a value for each prompt, that value by value.

    The reward comes first, then checks, the loss of the reference, whether a pair is ranked rightly, and what the texts say.
    """
    pairs = [(told[arms[0]], told[arms[1]]) for told in complete(answers, arms).values()]
    return _columns_of(pairs, reward, {one.prompt_id: one for one in asked_of})


def _of_pairs(pairs: Sequence[Pair], reward: Reward | None, known: Mapping[str, Question]) -> tuple[Measure, ...]:
    scored = _with_loss(pairs)
    judged = [one.measure for one in _judged(pairs, reward, known)]
    return (
        *judged,
        *(measure_loss(*_token_losses(scored)) if scored else ()),
        *(one.measure for one in _ranked(pairs)),
        *measure_answers(_texts(pairs)),
    )


def _columns_of(pairs: Sequence[Pair], reward: Reward | None, known: Mapping[str, Question]) -> tuple[Column, ...]:
    losses = tuple((b.prompt_id, b.nll or 0.0, t.nll or 0.0) for b, t in _with_loss(pairs))
    return (
        *_judged(pairs, reward, known),
        *_kept("loss", "Loss", losses, unit="nats per token", better="lower"),
        *_ranked(pairs),
        *answer_columns(_texts(pairs)),
    )


def _texts(pairs: Sequence[Pair]) -> list[Answered]:
    return [Answered(b.prompt_id, b.reference, visible(b.text), visible(t.text)) for b, t in pairs]


def _with_loss(pairs: Sequence[Pair]) -> list[Pair]:
    return [(b, t) for b, t in pairs if b.nll is not None and t.nll is not None and b.nll_tokens == t.nll_tokens > 0]


def _judged(pairs: Sequence[Pair], reward: Reward | None, known: Mapping[str, Question]) -> tuple[Column, ...]:
    """The reward of the run, and the checks that belong to single prompts."""
    texts = [text for text in _texts(pairs) if text.prompt_id in known]
    earned = [] if reward is None else [_scores(reward, known[text.prompt_id], text) for text in texts]
    with_check = [(known[text.prompt_id], text) for text in texts if known[text.prompt_id].check]
    checked = [_scores(rewards.parse(question.check), question, text) for question, text in with_check]
    return (
        *_kept("reward", "Reward", [one for one in earned if one is not None], unit="reward"),
        *_kept("checks", "Checks passed", [one for one in checked if one is not None], unit="share"),
    )


def _ranked(pairs: Sequence[Pair]) -> tuple[Column, ...]:
    """Whether a model gives the better answer of a pair the higher probability (ranking accuracy, Chen et al. 2024).

    It is the probability of the whole answer, as in the loss of DPO, so that short answers have it easier; 0.5 for equal ones.
    """
    found: list[tuple[str, float, float]] = []
    for base, tuned in pairs:
        sides = [_prefers_better(base), _prefers_better(tuned)]
        if sides[0] is not None and sides[1] is not None:
            found.append((base.prompt_id, sides[0], sides[1]))
    return _kept("ranking", "Pairs ranked rightly", found, unit="share")


def _prefers_better(answer: AnswerRow) -> float | None:
    details: dict[str, float] = json.loads(answer.details_json)
    if answer.nll is None or "worse_nll" not in details:
        return None
    better, worse = -answer.nll * answer.nll_tokens, -details["worse_nll"] * details["worse_tokens"]
    return 0.5 if better == worse else float(better > worse)


def _kept(
    name: str, label: str, scores: Sequence[tuple[str, float, float]], *, unit: str, better: Better = "higher"
) -> tuple[Column, ...]:
    return (Column(name, label, better, unit, tuple(scores)),) if scores else ()


def _scores(reward: Reward, question: Question, text: Answered) -> tuple[str, float, float] | None:
    row = question.task or TaskRow(spoken(question.messages), question.reference)
    base, tuned = (rewards.score(reward, answer, row).value for answer in (text.base, text.tuned))
    return None if base is None or tuned is None else (text.prompt_id, base, tuned)


def _token_losses(scored: Sequence[Pair]) -> tuple[list[list[float]], list[list[float]]]:
    """Per prompt as many equal log-probabilities as there are tokens: their sum and count are all that a mean loss needs."""
    base, tuned = ([[-(row.nll or 0.0)] * row.nll_tokens for row in arm] for arm in zip(*scored, strict=True))
    return base, tuned
