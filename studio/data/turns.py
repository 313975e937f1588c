"""Repairs of conversations that come before judging: what is judged, counted and trained on is the repaired conversation.

Guarantees: texts are never changed, only which turns there are and who speaks; the order of the turns stays; a conversation
without anything to repair stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from studio.data.db import literal
from studio.data.types import Fix

#: The fixes that work on turns.
TURN_FIXES: Final = ("drop_last_user", "fix_roles", "join_turns")

_ROLES: Final = {
    "user": ("human", "customer", "client", "prompter", "question"),
    "assistant": ("gpt", "bot", "chatbot", "ai", "model", "chatgpt", "agent", "answer"),
    "system": ("developer", "instruction", "instructions"),
}


def repaired_turns(turns: str, fixes: Sequence[Fix]) -> str:
    """SQL for a list of turns (role, content, more) after the fixes that work on turns, in their order.

    ``turns`` must be the name of a column: it is written several times.
    """
    for fix in fixes:
        if fix.id == "drop_last_user":
            # Up to the last answer; a conversation without one stays whole, and is set aside by its judge.
            places = f"list_filter(range(1, len({turns}) + 1), lambda n: lower(trim({turns}[n].role)) IN ('assistant', 'gpt'))"
            turns = f"coalesce({turns}[:list_max({places})], {turns})"
        elif fix.id == "fix_roles":
            turns = f"list_transform({turns}, lambda m: {{'role': {_role('m.role')}, 'content': m.content, 'more': m.more}})"
        elif fix.id == "join_turns":
            turns = _joined(turns)
    return turns


def _role(role: str) -> str:
    cases = " ".join(
        f"WHEN list_contains([{', '.join(literal(name) for name in names)}], lower(trim({role}))) THEN {literal(usual)}"
        for usual, names in _ROLES.items()
    )
    return f"CASE {cases} ELSE lower(trim({role})) END"


def _joined(turns: str) -> str:
    """SQL for the turns with those in a row by one speaker as one, a blank line between them.

    Turns that carry more than a text (calls of tools) are left alone.
    """
    same = "done[-1].role = one[1].role AND done[-1].more IS NULL AND one[1].more IS NULL"
    both = (
        "{'role': done[-1].role, 'content': concat(done[-1].content, chr(10), chr(10), one[1].content), 'more': NULL::VARCHAR}"
    )
    step = f"CASE WHEN {same} THEN list_append(done[:-2], {both}) ELSE list_concat(done, one) END"
    return f"list_reduce(list_transform({turns}, lambda m: [m]), lambda done, one: {step})"
