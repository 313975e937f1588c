"""From stored answers to measures: each arm against the reference, on the prompts that all arms answered.

Guarantees: every arm is measured on the same prompts, by the same rules, on the texts that people would see; what could not be
worked out for one arm is left out of both sides of a pair; nothing here asks a model.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from studio import rewards
from studio.compare.giveaways import visible
from studio.compare.measures import Answered, Measure, measure_answers, measure_loss, measure_scores
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


def _of_pairs(pairs: Sequence[Pair], reward: Reward | None, known: Mapping[str, Question]) -> tuple[Measure, ...]:
    texts = [Answered(b.prompt_id, b.reference, visible(b.text), visible(t.text)) for b, t in pairs]
    scored = [(b, t) for b, t in pairs if b.nll is not None and t.nll is not None and b.nll_tokens == t.nll_tokens > 0]
    return (
        *_earned(reward, known, texts),
        *_checked(known, texts),
        *(measure_loss(*_token_losses(scored)) if scored else ()),
        *measure_answers(texts),
    )


def _earned(reward: Reward | None, known: Mapping[str, Question], texts: Sequence[Answered]) -> tuple[Measure, ...]:
    """The mean reward of both sides' answers."""
    if reward is None:
        return ()
    scores = [_scores(reward, known[text.prompt_id], text) for text in texts if text.prompt_id in known]
    return measure_scores("reward", "Reward", [one for one in scores if one is not None], unit="reward")


def _checked(known: Mapping[str, Question], texts: Sequence[Answered]) -> tuple[Measure, ...]:
    """The share of answers that pass the check that belongs to their prompt."""
    rows = [(known[text.prompt_id], text) for text in texts if text.prompt_id in known and known[text.prompt_id].check]
    scores = [_scores(rewards.parse(question.check), question, text) for question, text in rows]
    return measure_scores("checks", "Checks passed", [one for one in scores if one is not None], unit="share")


def _scores(reward: Reward, question: Question, text: Answered) -> tuple[str, float, float] | None:
    row = TaskRow(spoken(question.messages), question.reference, question.reward_name)
    base, tuned = (rewards.score(reward, answer, row).value for answer in (text.base, text.tuned))
    return None if base is None or tuned is None else (text.prompt_id, base, tuned)


def _token_losses(scored: Sequence[Pair]) -> tuple[list[list[float]], list[list[float]]]:
    """Per prompt as many equal log-probabilities as there are tokens: their sum and count are all that a mean loss needs."""
    base, tuned = ([[-(row.nll or 0.0)] * row.nll_tokens for row in arm] for arm in zip(*scored, strict=True))
    return base, tuned
