"""From a row of a data set to what a reward sees.

Guarantees: the answer that a row may hold is never part of its prompt; where a row has no reference of its own, that answer is
the reference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from studio.rewards.kinds import TaskRow

if TYPE_CHECKING:
    from studio.data import Message, Row


def task_row(row: Row, extra: Mapping[str, str] | None = None) -> TaskRow:
    """The row as a reward sees it. A longer conversation becomes one text, speaker by speaker."""
    answered = bool(row.messages) and row.messages[-1].role == "assistant"
    answer = row.messages[-1].content if answered else row.completion
    return TaskRow(spoken(asked(row)) or row.prompt, row.reference or answer, row.reward_name, dict(extra or {}))


def asked(row: Row) -> tuple[Message, ...]:
    """The turns up to where an answer begins."""
    return row.messages[:-1] if row.messages and row.messages[-1].role == "assistant" else row.messages


def spoken(messages: Sequence[Message]) -> str:
    """A conversation as plain text; a single question is only itself."""
    if len(messages) == 1:
        return messages[0].content
    return "\n\n".join(f"{message.role}: {message.content}" for message in messages)
