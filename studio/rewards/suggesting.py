"""A sane reward for a data set, guessed from its rows, with the reason.

Guarantees: what is suggested can score every row that it was guessed from, and gives its reference the full score; with nothing
to go by it says so and suggests what only looks at the form.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from studio.rewards import answers
from studio.rewards.checks import check
from studio.rewards.kinds import (
    Choice,
    Column,
    Contains,
    Exact,
    JsonSchema,
    Leaf,
    Length,
    Number,
    Reward,
    RewardError,
    Sum,
    TaskRow,
    Weighted,
)
from studio.rewards.tree import BY_NAME

#: More different answers than this, or longer ones, are no set of labels.
_MOST_LABELS: Final = 12
_LONGEST_LABEL: Final = 40
#: How often each label has to come back on average before it is taken for one.
_REPEATS: Final = 3
#: Short answers can be asked for word by word; of longer ones a model never writes the same.
_SHORT_WORDS: Final = 30
_ENOUGH: Final = 1_000


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A reward and the sentence that says why; ``sure`` is false when the data says too little."""

    reward: Reward
    reason: str
    sure: bool


def suggest(rows: Sequence[TaskRow]) -> Suggestion:
    """Guess from the references and the names of rewards; the first thousand rows are enough. Needs at least one row."""
    some = rows[:_ENOUGH]
    if not some:
        raise RewardError("There are no rows to go by.", where="reward", next_step="Add your data first.")
    names = {row.reward_name.strip() for row in some} - {""}
    if names and all(name.lower() in BY_NAME for name in names):
        otherwise = None if all(row.reward_name.strip() for row in some) else _by_reference(some).reward
        return Suggestion(Column(otherwise=otherwise), "Each row of your data names its own reward.", sure=True)
    if names:
        shown = ", ".join(sorted(names)[:6])
        found = _by_reference([row for row in some if row.reference.strip()])
        return Suggestion(
            found.reward,
            f"Your rows name rewards that have to be built first ({shown}). Until then: {found.reason}",
            sure=False,
        )
    return _by_reference(some)


def _by_reference(rows: Sequence[TaskRow]) -> Suggestion:
    known = [row for row in rows if row.reference.strip()]
    if not known or len(known) < len(rows):
        few = "only some of your rows have" if known else "your data has no"
        missing = "a reference" if known else "references"
        return Suggestion(
            Length(most=60),
            f"Because {few} {missing} to compare with, this looks at the length only. Say what is good.",
            sure=False,
        )
    for reward, reason in _guesses(known):
        if all(_full(reward, row) for row in known):
            return Suggestion(reward, reason, sure=True)
    if max(answers.length(row.reference, "words") for row in known) <= _SHORT_WORDS:
        return Suggestion(
            Exact(ignore_case=True, ignore_punctuation=True),
            "The references are short texts, so the answer has to be that text.",
            sure=True,
        )
    longest = max(answers.length(row.reference, "words") for row in known)
    return Suggestion(
        Sum(
            parts=(Weighted(weight=0.8, reward=Contains()), Weighted(weight=0.2, reward=Length(most=min(100_000, 2 * longest))))
        ),
        "The references are long texts, which no model writes word by word. Say what an answer must contain, or which rules it "
        "must follow.",
        sure=False,
    )


def _guesses(rows: Sequence[TaskRow]) -> Iterator[tuple[Leaf, str]]:
    """What might fit, the most telling first."""
    texts = [row.reference.strip() for row in rows]
    if all(not answers.form_fault(text, "number") or answers.boxed(text) for text in texts):
        yield Number(), "The references are numbers, so the last number of an answer has to be that number."
    values = [answers.parsed_json(text)[0] for text in texts]
    if all(isinstance(value, dict | list) for value in values):
        yield JsonSchema(compare=True), "The references are JSON, so an answer is worth the share of fields that are right."
    labels = sorted({answers.normal(text) for text in texts})
    if len(labels) > 1 and all(len(label) == 1 and label.isalpha() and label.isupper() for label in labels):
        yield Choice(), "The references are single letters, so the answer has to settle on that letter."
    short = 2 <= len(labels) <= _MOST_LABELS and max(len(label) for label in labels) <= _LONGEST_LABEL
    if short and len(texts) >= _REPEATS * len(labels) and len({label.casefold() for label in labels}) == len(labels):
        yield (
            Choice(options=tuple(labels)),
            f"There are only {len(labels)} different references, so the answer has to settle on one of them.",
        )


def _full(leaf: Leaf, row: TaskRow) -> bool:
    try:
        return check(leaf, row.reference, row).value == 1
    except RewardError:
        return False
