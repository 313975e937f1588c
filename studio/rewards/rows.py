"""From a row of a data set to what a reward sees.

Guarantees: every place that scores makes the row here (a try, practice, a check on held-out questions, a comparison), so that a
reward sees the same everywhere: the other columns by the person's own names. The answer that a row may hold is never part of
its prompt; where a row has no reference of its own, that answer is the reference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from studio.rewards.kinds import TaskRow

if TYPE_CHECKING:
    from studio.data import Message, Row


def task_row(row: Row) -> TaskRow:
    """The row as a reward sees it. A longer conversation becomes one text, speaker by speaker."""
    return task_of(row.messages, row.completion, row.reference, row.reward_name, row.extra)


def task_of(
    messages: Sequence[Message], completion: str, reference: str, reward_name: str, extra: Mapping[str, str]
) -> TaskRow:
    """``task_row`` for a reader of its own: what the fields of that name in ``studio.data.Row`` hold."""
    turns, answer = parted(messages, completion)
    return TaskRow(spoken(turns), reference or answer, reward_name, dict(extra))


def parted(messages: Sequence[Message], completion: str) -> tuple[tuple[Message, ...], str]:
    """The turns up to where an answer begins, and the answer that the row holds; it may be empty."""
    if messages and messages[-1].role == "assistant":
        return tuple(messages[:-1]), messages[-1].content
    return tuple(messages), completion


def asked(row: Row) -> tuple[Message, ...]:
    """The turns up to where an answer begins."""
    return parted(row.messages, row.completion)[0]


def spoken(messages: Sequence[Message]) -> str:
    """A conversation as plain text; a single question is only itself."""
    if len(messages) == 1:
        return messages[0].content
    return "\n\n".join(f"{message.role}: {message.content}" for message in messages)
