"""What each known form asks of a row: a good row in one canonical form, or a reason why it cannot be used.

Guarantees: one row in, one row out, judged by itself alone and in its place; a row has a ``reason`` or a prompt; the same row
under the same shape is always judged the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from studio.data.judges.chats import chats
from studio.data.judges.mixtures import mixtures
from studio.data.judges.pairs import pairs
from studio.data.judges.preferences import preferences
from studio.data.judges.rewards import DECIMAL_COMMA, rewards
from studio.data.judges.rules import Ruling, query
from studio.data.judges.turns import LAST_NOT_ASSISTANT, Mended, answer_of, prompt_of
from studio.data.types import Kind, Shape

__all__ = ["DECIMAL_COMMA", "LAST_NOT_ASSISTANT", "NOT_JUDGED", "answer_of", "judged", "prompt_of"]

#: The reason of every row that nobody can judge: its columns are unknown, or its form cannot be trained on.
NOT_JUDGED = "not_judged"


def judged(texts: str, shape: Shape, carried: str, mended: Mended = lambda turns: turns) -> str:
    """SQL with the canonical columns of every row that ``texts`` has, in its order.

    They are ``carried`` (handed on untouched), ``reason, detail, system, prompt, completion, rejected, messages, reference,
    reward, reward_name, converted, odd_turns``. ``mended`` changes a conversation (SQL in, SQL out) before it is judged.
    """
    return query(_JUDGES[shape.kind](shape, mended), texts, carried)


def _unusable(shape: Shape, mended: Mended) -> Ruling:
    _ = shape, mended
    return Ruling(f"coalesce(problem, '{NOT_JUDGED}')", {})


_JUDGES: Mapping[Kind, Callable[[Shape, Mended], Ruling]] = {
    "prompt_completion": pairs,
    "alpaca": pairs,
    "messages": chats,
    "sharegpt": chats,
    "mixed": mixtures,
    "text": _unusable,
    "preference": preferences,
    "preference_hh": preferences,
    "preference_messages": preferences,
    "rl_answer": rewards,
    "rl_reward": rewards,
    "prompts": rewards,
}
