"""What is known about data: how many rows of each split, how long they are, and how they can train.

Guarantees: a count is exact where a tokenizer counted it and ``None`` otherwise; then characters stand in for it, and whoever
asks is told so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from studio.data.types import Dataset, TrainingType
    from studio.models import Model

#: Forms in which one example may hold several answers.
_CONVERSATIONS: Final = ("messages", "sharegpt", "mixed")
#: Tokens of the marks around the messages, where nothing was counted.
_MARKS: Final = 10


@dataclass(frozen=True, slots=True)
class DataFacts:
    """What a recommendation needs to know about data: rows of each split after splitting, and lengths of whole examples.

    An example is a conversation, one side of a pair, or the prompt of a task. Token counts are exact where a tokenizer
    counted them and ``None`` otherwise; then characters stand in for them. ``prompt_chars`` and ``answer_chars`` are means of
    one prompt and of one answer; ``trained_tokens`` is the mean of what the loss counts in an example, and
    ``validation_mean_tokens`` of the whole examples that a check reads. ``multi_turn`` says that an example may hold more
    than one answer, ``training`` how this data trains. ``has_reference``: each task has a right answer or a test;
    ``has_reward_name``: each names its own reward; ``has_reward_column``: each carries a score that somebody gave to a
    written answer.
    """

    train_rows: int
    validation_rows: int = 0
    test_rows: int = 0
    mean_tokens: float | None = None
    p95_tokens: float | None = None
    max_tokens: int | None = None
    mean_chars: float | None = None
    p95_chars: float | None = None
    max_chars: int | None = None
    multi_turn: bool = False
    training: TrainingType = "SL"
    prompt_chars: float | None = None
    answer_chars: float | None = None
    trained_tokens: float | None = None
    validation_mean_tokens: float | None = None
    has_reference: bool = False
    has_reward_name: bool = False
    has_reward_column: bool = False

    def tokens(self, model: Model, which: Literal["mean", "p95", "max"]) -> float | None:
        """Tokens of a typical, a long or the longest example for this model: counted, else estimated from characters.

        The estimate adds a margin of 10 tokens for the marks around the messages. ``None`` when nothing is known.
        """
        counted = {"mean": self.mean_tokens, "p95": self.p95_tokens, "max": self.max_tokens}[which]
        letters = {"mean": self.mean_chars, "p95": self.p95_chars, "max": self.max_chars}[which]
        if counted is not None:
            return float(counted)
        return None if letters is None else letters / model.chars_per_token + _MARKS

    def prompt_tokens(self, model: Model) -> float | None:
        """Tokens of a typical prompt: what is counted and not trained, else estimated from characters."""
        if self.training == "RL":
            return self.tokens(model, "mean")
        if self.mean_tokens is not None and self.trained_tokens is not None and not self.multi_turn:
            return self.mean_tokens - self.trained_tokens
        return None if self.prompt_chars is None else self.prompt_chars / model.chars_per_token + _MARKS

    def answer_tokens(self, model: Model) -> float | None:
        """Tokens of a typical written answer: what the loss counts, else estimated from characters; ``None`` without any."""
        if self.trained_tokens is not None and self.training != "RL":
            return self.trained_tokens
        return self.answer_chars / model.chars_per_token if self.answer_chars else None


def facts_of(dataset: Dataset) -> DataFacts:
    """The facts of a split data set.

    Lengths are in characters, as the data room measured them: the mean is exact, the 95th percentile and the longest add
    up prompt and completion and so err on the long side. Counting tokens would need the model's own tokenizer.
    """
    found = dataset.inspection
    prompt, completion = found.lengths.prompt, found.lengths.completion
    known = found.rows_usable > 0
    shape = found.shape
    return DataFacts(
        train_rows=dataset.train.rows,
        validation_rows=dataset.validation.rows,
        test_rows=dataset.test.rows,
        mean_chars=(prompt.total + completion.total) / found.rows_usable if known else None,
        p95_chars=prompt.p95 + completion.p95 if known else None,
        max_chars=prompt.max + completion.max if known else None,
        multi_turn=shape is not None and shape.kind in _CONVERSATIONS,
        training=shape.training if shape else "SL",
        prompt_chars=prompt.total / found.rows_usable if known else None,
        answer_chars=completion.total / found.rows_usable if known else None,
        has_reference=shape is not None and bool(shape.column("answer") or shape.column("test")),
        has_reward_name=shape is not None and shape.column("reward_name") is not None,
        has_reward_column=shape is not None and shape.column("reward") is not None,
    )
