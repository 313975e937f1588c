"""Rewards: what makes an answer good, said without code, and scored by a program.

Guarantees: a reward is a frozen value that reads and writes as YAML and JSON; a score is a number only when every part of it
could be worked out; nothing that a person or a model wrote runs outside a sandbox or for longer than its limit. Knows no
Tinker, no Gradio and no store.

    parse(text or mapping)     ->  Reward        RewardError names the field
    to_json(reward)            ->  text          one text for equal rewards; to_mapping and to_yaml likewise
    describe(reward)           ->  sentence      what it rewards, in plain words; cautions(reward) says how it can be gamed
    needs(reward), bounds(reward)                what must be there, and which scores are possible
    score(reward, answer, row) ->  Score         pure kinds, at once
    batch_scorer(reward, judge=…)                all kinds; await scorer([(answer, row), …]) -> scores
    suggest(rows)              ->  Suggestion    a sane reward for this data, with its reason
"""

from __future__ import annotations

from studio.rewards.judging import REPLY_TOKENS, Ask, Judge, question, verdict
from studio.rewards.kinds import (
    Choice,
    Column,
    Contains,
    Exact,
    Format,
    JsonSchema,
    Leaf,
    Length,
    Named,
    Needs,
    Number,
    Part,
    Python,
    Regex,
    Reward,
    RewardError,
    Rules,
    Score,
    Sum,
    TaskRow,
    Weighted,
)
from studio.rewards.reading import parse, to_json, to_mapping, to_yaml
from studio.rewards.rows import task_row
from studio.rewards.saying import cautions, describe
from studio.rewards.scoring import BatchScorer, Item, Limits, batch_scorer, score
from studio.rewards.suggesting import Suggestion, suggest
from studio.rewards.tree import bounds, needs

__all__ = [
    "REPLY_TOKENS",
    "Ask",
    "BatchScorer",
    "Choice",
    "Column",
    "Contains",
    "Exact",
    "Format",
    "Item",
    "JsonSchema",
    "Judge",
    "Leaf",
    "Length",
    "Limits",
    "Named",
    "Needs",
    "Number",
    "Part",
    "Python",
    "Regex",
    "Reward",
    "RewardError",
    "Rules",
    "Score",
    "Suggestion",
    "Sum",
    "TaskRow",
    "Weighted",
    "batch_scorer",
    "bounds",
    "cautions",
    "describe",
    "needs",
    "parse",
    "question",
    "score",
    "suggest",
    "task_row",
    "to_json",
    "to_mapping",
    "to_yaml",
    "verdict",
]
