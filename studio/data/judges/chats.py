"""Whole conversations: lists of messages, ShareGPT, and transcripts in one text."""

from __future__ import annotations

from studio.data.judges.labels import disliked
from studio.data.judges.rules import Ruling, blank, first_of
from studio.data.judges.turns import (
    Mended,
    Place,
    answer_of,
    heard,
    learnable,
    odd_order,
    reading,
    who,
    with_system,
    with_tools,
    written,
)
from studio.data.types import Shape


def chats(shape: Shape, mended: Mended) -> Ruling:
    """How conversations are judged."""
    return conversation("c_", "messages", shape, mended)


def conversation(p: str, part: str, shape: Shape, mended: Mended) -> Ruling:
    """How the conversations in this part of a shape are judged; the working columns begin with ``p``."""
    column, text, kind = shape.column(part), f"{part}_text", f"{part}_type"
    steps = reading(Place(p, text, kind, cells=True, scripts=True), mended)
    turns = f"{p}turns"
    if shape.column("system"):
        turns = with_system(turns, "system_text")
    if shape.column("tools"):
        steps.append(f"CASE WHEN {p}turns IS NOT NULL THEN {turns} END AS {p}told")
        turns = with_tools(f"{p}told", "tools_text")
    whole = f"{p}whole"
    steps.append(f"CASE WHEN {p}turns IS NOT NULL THEN {turns} END AS {whole}")
    steps.append(f"{who(whole)} AS {p}who, {heard(f'{whole}[:-2]')} AS {p}heard")
    rules = [
        (f"{kind} IS NULL", f"missing_field:{column}"),
        (f"{kind} = 'NULL' OR {blank(text)}", f"empty_value:{column}"),
        (f"{whole} IS NULL", "bad_conversation:the messages are not a list"),
    ]
    late = [*learnable(f"{p}who"), *disliked(shape)]
    return Ruling(
        f"coalesce({first_of(rules)}, {p}wrong, {first_of(late)})",
        {
            "prompt": written(f"{p}heard"),
            "completion": answer_of(whole),
            "messages": whole,
            "converted": f"coalesce({p}numbers, false)",
            "odd_turns": f"coalesce({p}odd, false) OR {odd_order(f'{p}who')}",
        },
        tuple(steps),
    )
