"""What each known form asks of a row: a good row in one canonical form, or a reason why it cannot be used.

Guarantees: one row in, one row out, judged by itself alone and in place; a row has a ``reason`` or a prompt; the same row under
the same shape is always judged the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from studio.data.judges.chats import judged_chats
from studio.data.judges.pairs import judged_pairs
from studio.data.types import Kind, Shape
from studio.errors import DataError

Judge = Callable[[str, Shape, str], str]

_JUDGES: Mapping[Kind, Judge] = {
    "prompt_completion": judged_pairs,
    "alpaca": judged_pairs,
    "messages": judged_chats,
}


def judged(texts: str, shape: Shape, carried: str) -> str:
    """SQL with the canonical columns of every row that ``texts`` has.

    They are ``carried`` (handed on untouched), ``reason, detail, system, prompt, completion, rejected, messages, reference,
    reward, reward_name, converted, odd_turns``. Raises ``DataError`` for a form without a judge.
    """
    judge = _JUDGES.get(shape.kind)
    if judge is None:
        raise DataError(f"This version cannot use rows of the form {shape.kind}.", next_step="Choose other columns.")
    return judge(texts, shape, carried)
