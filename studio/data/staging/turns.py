"""Repairs of conversations that come before judging: what is judged, counted and trained on is the repaired conversation.

Guarantees: texts are never changed, only which turns there are and who speaks; the order of the turns stays; a conversation
without anything to repair stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from studio.data.db import literal
from studio.data.types import Fix

_TYPE: Final = 'STRUCT("role" VARCHAR, content VARCHAR, more VARCHAR)[]'
_ROLES: Final = {
    "user": ("human", "customer", "client", "prompter", "question"),
    "assistant": ("gpt", "bot", "chatbot", "ai", "model", "chatgpt", "agent", "answer"),
    "system": ("developer", "instruction", "instructions"),
}


def repaired_turns(turns: str, fixes: Sequence[Fix]) -> str:
    """SQL for a list of turns (role, content, more) after the fixes that work on turns, in their order."""
    for fix in fixes:
        if fix.id in _REPAIRS:
            # The lambda gives the list a name, so that it is worked out once.
            turns = f"list_transform([{turns}], lambda given: {_REPAIRS[fix.id]})[1]"
    return turns


def _until_last_answer() -> str:
    """SQL for the turns up to the last answer; a conversation without one stays whole, and is set aside by its judge."""
    places = "list_filter(range(1, len(given) + 1), lambda place: lower(trim(given[place].role)) = 'assistant')"
    return f"coalesce(given[:list_max({places})], given)"


def _with_usual_roles() -> str:
    cases = " ".join(
        f"WHEN list_contains([{', '.join(literal(name) for name in names)}], lower(trim(m.role))) THEN {literal(usual)}"
        for usual, names in _ROLES.items()
    )
    role = f"CASE {cases} ELSE lower(trim(m.role)) END"
    return f"list_transform(given, lambda m: {{'role': {role}, 'content': m.content, 'more': m.more}})"


def _joined() -> str:
    """SQL for the turns with those in a row by one speaker as one, a blank line between them.

    Turns that carry more than a text (calls of tools) are left alone.
    """
    same = "done[-1].role = one[1].role AND done[-1].more IS NULL AND one[1].more IS NULL"
    both = (
        "{'role': done[-1].role, 'content': concat(done[-1].content, chr(10), chr(10), one[1].content), 'more': NULL::VARCHAR}"
    )
    step = f"CASE WHEN {same} THEN list_append(done[:-2], {both}) ELSE list_concat(done, one) END"
    return f"list_reduce(list_transform(given, lambda m: [m]), lambda done, one: {step}, []::{_TYPE})"


_REPAIRS: Final = {"drop_last_user": _until_last_answer(), "fix_roles": _with_usual_roles(), "join_turns": _joined()}
#: The fixes that work on turns.
TURN_FIXES: Final = tuple(_REPAIRS)
