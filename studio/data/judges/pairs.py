"""Prompt and completion, and Alpaca's instruction, input and output; either side may be a list of messages."""

from __future__ import annotations

from studio.data.judges.labels import disliked
from studio.data.judges.rules import MESSAGES_TYPE, NESTED, Ruling, blank, first_of, scalar
from studio.data.judges.turns import Mended, Place, answer_of, learnable, odd_order, prompt_of, reading, turn, who, with_system
from studio.data.types import Shape


def pairs(shape: Shape, mended: Mended) -> Ruling:
    """How rows with one question and one answer are judged."""
    return with_lists("prompt", "completion", shape, mended) if shape.kind == "prompt_completion" else instructions(shape)


def with_lists(ask: str, answer: str, shape: Shape, mended: Mended) -> Ruling:
    """Two texts. Where one of them is a list of messages, both make one conversation, and nothing is said twice."""
    system = "system_text" if shape.column("system") else "NULL::VARCHAR"
    asked = f"CASE WHEN q_turns IS NULL THEN [{turn('user', ask + '_text')}] ELSE q_turns END"
    told = f"CASE WHEN a_turns IS NULL THEN [{turn('assistant', answer + '_text')}] ELSE a_turns END"
    doubled = "list_contains(list_transform(a_turns, lambda m: m.role), 'user')"
    whole = f"CASE WHEN {doubled} THEN a_turns ELSE list_concat({asked}, {told}) END"
    steps = [
        *reading(Place("q_", f"{ask}_text", f"{ask}_type", mixed=True)),
        *reading(Place("a_", f"{answer}_text", f"{answer}_type", mixed=True)),
        f"CASE WHEN q_turns IS NOT NULL OR a_turns IS NOT NULL THEN {mended(with_system(f'({whole})', system))} END AS w_turns",
        "coalesce(q_wrong, a_wrong) AS w_wrong",
    ]
    parts = (ask, answer)
    rules = [
        *((f"{part}_type IS NULL", f"missing_field:{shape.column(part)}") for part in parts),
        (f"{ask}_type IN {NESTED} AND q_turns IS NULL", f"wrong_type:{shape.column(ask)}"),
        (f"{answer}_type IN {NESTED} AND a_turns IS NULL", f"wrong_type:{shape.column(answer)}"),
        *_plain(shape, ("system",)),
        *((f"{blank(part + '_text')} OR {part}_text = '[]'", f"empty_value:{shape.column(part)}") for part in parts),
    ]
    late = [(f"w_turns IS NOT NULL AND ({condition})", told) for condition, told in learnable(who("w_turns"))]
    return Ruling(
        f"coalesce({first_of(rules)}, w_wrong, {first_of([*late, *disliked(shape)])})",
        {
            "system": f"CASE WHEN w_turns IS NULL AND NOT {blank(system)} THEN {system} END",
            "prompt": f"CASE WHEN w_turns IS NULL THEN {ask}_text ELSE {prompt_of('w_turns[:-2]')} END",
            "completion": f"CASE WHEN w_turns IS NULL THEN {answer}_text ELSE {answer_of('w_turns')} END",
            "messages": "w_turns",
            "converted": f"{scalar(ask + '_type')} OR {scalar(answer + '_type')}",
            "odd_turns": f"CASE WHEN w_turns IS NULL THEN false ELSE {odd_order(who('w_turns'))} END",
        },
        tuple(steps),
    )


def instructions(shape: Shape) -> Ruling:
    """Alpaca: the instruction, the input below it when there is one, and earlier turns in front when there are any."""
    system = "system_text" if shape.column("system") else "NULL::VARCHAR"
    prompt = with_input("instruction", shape)
    needed = ("instruction", "output")
    rules = [
        *((f"{part}_type IS NULL", f"missing_field:{shape.column(part)}") for part in needed),
        *_plain(shape, ("instruction", "output", "input", "system")),
        *((blank(f"{part}_text"), f"empty_value:{shape.column(part)}") for part in needed),
    ]
    earlier = _earlier(prompt) if shape.column("history") else f"NULL::{MESSAGES_TYPE}"
    steps = [f"{earlier} AS h_turns"]
    whole = with_system("h_turns", system)
    numbers = " OR ".join(f"{scalar(part + '_type')}" for part in needed)
    return Ruling(
        first_of([*rules, *disliked(shape)]),
        {
            "system": f"CASE WHEN h_turns IS NULL AND NOT {blank(system)} THEN {system} END",
            "prompt": f"CASE WHEN h_turns IS NULL THEN {prompt} ELSE {prompt_of('h_turns[:-2]')} END",
            "completion": "output_text",
            "messages": f"CASE WHEN h_turns IS NOT NULL THEN {whole} END",
            "converted": numbers,
        },
        tuple(steps),
    )


def with_input(ask: str, shape: Shape) -> str:
    """SQL for a prompt: what is asked, and the input below it when there is one."""
    if shape.column("input") is None:
        return f"{ask}_text"
    both = f"concat({ask}_text, chr(10), chr(10), input_text)"
    return f"CASE WHEN {blank('input_text')} THEN {ask}_text ELSE {both} END"


def _plain(shape: Shape, parts: tuple[str, ...]) -> list[tuple[str, str]]:
    """Rules for parts that must be plain text."""
    named = [(part, shape.column(part)) for part in parts if shape.column(part)]
    return [(f"{part}_type IN {NESTED}", f"wrong_type:{column}") for part, column in named]


def _earlier(prompt: str) -> str:
    """SQL for the whole conversation of a row with earlier questions and answers: ``[["question", "answer"], ...]``."""
    pairs_of = """list_filter(from_json(history_text, '[["VARCHAR"]]'), lambda h: len(h) = 2)"""
    each = f"list_transform({pairs_of}, lambda h: [{turn('user', 'h[1]')}, {turn('assistant', 'h[2]')}])"
    last = f"[{turn('user', prompt)}, {turn('assistant', 'output_text')}]"
    return f"CASE WHEN history_type = 'ARRAY' AND history_text <> '[]' THEN list_concat(flatten({each}), {last}) END"
