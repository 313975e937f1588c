"""Pairs of a better and a worse answer to one prompt, in any of their forms."""

from __future__ import annotations

from studio.data.db import literal
from studio.data.judges.labels import disliked
from studio.data.judges.pairs import with_input
from studio.data.judges.rules import MESSAGES_TYPE, NESTED, Ruling, blank, first_of, same, scalar
from studio.data.judges.turns import (
    LAST_NOT_ASSISTANT,
    Mended,
    Place,
    answer_of,
    asking,
    odd_order,
    prompt_of,
    reading,
    turn,
    who,
    with_system,
    with_tools,
)
from studio.data.shapes.names import last_word, normal
from studio.data.types import Shape


def preferences(shape: Shape, mended: Mended) -> Ruling:
    """How pairs are judged: two different answers that follow the same conversation."""
    _ = mended
    prompt, system = shape.column("prompt"), "system_text" if shape.column("system") else "NULL::VARCHAR"
    # OpenAI's form always holds lists of messages; in a table they stand as text.
    cells = shape.kind == "preference_messages" or normal(shape.column("chosen") or "") == "preferred output"
    scripts = shape.kind == "preference_hh"
    steps = [
        *asking(shape),
        _ordered(shape),
        *reading(Place("g_", "good_text", "good_type", cells=cells, scripts=scripts, mixed=True)),
        *reading(Place("b_", "bad_text", "bad_type", cells=cells, scripts=scripts, mixed=True)),
    ]
    if prompt:
        steps += reading(Place("q_", "ask_text", "ask_type", cells=cells, mixed=True))
    else:
        steps += [f"NULL::{MESSAGES_TYPE} AS q_turns, NULL::VARCHAR AS q_wrong"]
    steps += _split_answers(shape) + _before(shape, system)
    lone = "len(before) = 1 AND before[1].role = 'user' AND before[1].more IS NULL"
    led = "len(before) = 2 AND before[1].role = 'system' AND before[2].role = 'user' AND before[1].more IS NULL"
    said = f"CASE WHEN NOT {blank(system)} THEN {system} END"
    return Ruling(
        f"coalesce({first_of(_needed(shape))}, g_wrong, b_wrong, q_wrong, {first_of(_rules(shape))})",
        {
            "system": f"CASE WHEN before IS NULL THEN {said} WHEN {led} THEN before[1].content END",
            "prompt": f"CASE WHEN before IS NULL THEN asked ELSE {prompt_of('before')} END",
            "completion": "good",
            "rejected": "bad",
            "messages": f"CASE WHEN before IS NOT NULL AND NOT ({lone}) AND NOT ({led}) THEN before END",
            "converted": f"{scalar('good_type')} OR {scalar('bad_type')}",
            "odd_turns": f"CASE WHEN before IS NULL THEN false ELSE {odd_order(who(_with_answer()))} END",
        },
        tuple(steps),
    )


def _with_answer() -> str:
    return f"list_append(before, {turn('assistant', literal('x'))})"


def _ordered(shape: Shape) -> str:
    """The step that says which of the two answers is the better one."""
    if not shape.column("label"):
        sides = (("good", "chosen"), ("bad", "rejected"))
        return ", ".join(f"{part}_text AS {side}_text, {part}_type AS {side}_type" for side, part in sides) + ", false AS tied"
    one, two = last_word(shape.column("chosen") or ""), last_word(shape.column("rejected") or "")
    word = "regexp_extract(lower(trim(label_text)), '([a-z0-9]+)$', 1)"
    swap, known = f"{word} = {literal(two)}", f"{word} IN ({literal(one)}, {literal(two)})"
    chosen = ", ".join(
        f"CASE WHEN {swap} THEN {first}_{what} ELSE {second}_{what} END AS {name}_{what}"
        for name, first, second in (("good", "rejected", "chosen"), ("bad", "chosen", "rejected"))
        for what in ("text", "type")
    )
    return f"{chosen}, coalesce(NOT {known}, true) AS tied"


def _split_answers(shape: Shape) -> list[str]:
    """Steps for ``good`` and ``bad``, the two answers, and ``asked``, a prompt that is plain text."""
    if shape.column("prompt"):
        return [f"{_answer('good', 'good_text')}, {_answer('bad', 'bad_text')}, {with_input('ask', shape)} AS asked"]
    # Without a prompt, what both texts have in common at their start is the prompt: whole words, and the space after them.
    plain = "g_turns IS NULL AND b_turns IS NULL"
    words = [f"CASE WHEN {plain} THEN regexp_extract_all({side}_text, '\\S+\\s*|^\\s+') END" for side in ("good", "bad")]
    unequal = "list_transform(list_zip(good_words, bad_words), lambda z: z[1] IS NOT DISTINCT FROM z[2])"
    rest = [_answer(side, f"array_to_string({side}_words[differ:], '')") for side in ("good", "bad")]
    asked = "regexp_replace(array_to_string(good_words[:differ - 1], ''), '\\s+$', '') AS asked"
    return [
        f"{words[0]} AS good_words, {words[1]} AS bad_words",
        f"coalesce(list_position({unequal}, false), 1) AS differ",
        f"{rest[0]}, {rest[1]}, {asked}",
    ]


def _answer(side: str, text: str) -> str:
    """The last turn of a conversation, or the text."""
    turns = f"{side[0]}_turns"
    return f"CASE WHEN {turns} IS NULL THEN {text} ELSE {answer_of(turns)} END AS {side}"


def _before(shape: Shape, system: str) -> list[str]:
    """Steps for ``before``, the turns that both answers follow; NULL where the prompt is one plain text."""
    own = "CASE WHEN g_turns IS NULL THEN b_turns[:-2] ELSE g_turns[:-2] END"
    speaks = "list_contains(list_transform(own, lambda m: m.role), 'user')"
    chats = "(g_turns IS NOT NULL OR b_turns IS NOT NULL OR q_turns IS NOT NULL)"
    asked = f"CASE WHEN q_turns IS NOT NULL THEN q_turns WHEN NOT {blank('asked')} THEN [{turn('user', 'asked')}] ELSE [] END"
    # The prompt may stand in the answers' conversation already: then it is not said twice.
    repeated = f"{speaks} AND (q_turns IS NULL OR own[:len(q_turns)] = q_turns)"
    merged = f"CASE WHEN {repeated} THEN own ELSE list_concat({asked}, own) END"
    final = with_system("merged", system)
    steps = [f"{own} AS own", f"CASE WHEN {chats} THEN {merged} END AS merged"]
    tools = "tools_text" if shape.column("tools") else ""
    if not tools and shape.column("prompt"):
        # OpenAI's preference form keeps the tools beside the messages of the prompt.
        tools = "(CASE WHEN ask_type = 'OBJECT' THEN json_extract(ask_text, '$.tools')::VARCHAR END)"
    if tools:
        steps.append(f"CASE WHEN merged IS NOT NULL THEN {final} END AS untooled")
        final = with_tools("untooled", tools)
    return [*steps, f"CASE WHEN merged IS NOT NULL THEN {final} END AS before"]


def _needed(shape: Shape) -> list[tuple[str, str]]:
    """Rules about what must be there, and of which type."""
    needed, prompt = [("good", shape.column("chosen")), ("bad", shape.column("rejected"))], shape.column("prompt")
    rules: list[tuple[str, str]] = []
    if prompt and shape.kind == "preference":
        rules.append(("ask_type IS NULL", f"missing_field:{prompt}"))
    rules += [(f"{part}_type IS NULL", f"missing_field:{column}") for part, column in needed]
    if shape.column("label"):
        rules.append(("tied", "identical_pair:neither answer is marked as the better one"))
    for part, column in needed:
        nested = f"{part}_type IN {NESTED} AND {part[0]}_turns IS NULL AND {part}_text <> '[]'"
        rules.append((nested, f"wrong_type:{column}"))
        rules.append((f"{blank(part + '_text')} OR {part}_text = '[]'", f"empty_value:{column}"))
    if prompt:
        rules.append((f"ask_type IN {NESTED} AND q_turns IS NULL AND ask_text <> '[]'", f"wrong_type:{prompt}"))
        rules.append((f"before IS NULL AND {blank('asked')}", f"empty_value:{prompt}"))
    return rules


def _rules(shape: Shape) -> list[tuple[str, str]]:
    """Rules about the pair: both answer the same prompt, and they differ."""
    apart = "g_turns IS NOT NULL AND b_turns IS NOT NULL AND g_turns[:-2] <> b_turns[:-2]"
    unasked = "before IS NOT NULL AND len(list_filter(before, lambda m: m.role = 'user')) = 0"
    liked = [] if shape.column("label") else disliked(shape)
    return [
        ("g_turns[-1].role <> 'assistant' OR b_turns[-1].role <> 'assistant'", f"bad_conversation:{LAST_NOT_ASSISTANT}"),
        (apart, "bad_conversation:the two answers do not follow the same conversation"),
        (unasked, f"empty_value:{shape.column('prompt') or 'prompt'}"),
        (same("good", "bad"), "identical_pair:"),
        (f"before IS NULL AND {blank('asked')}", "missing_field:prompt"),
        (f"{blank('good')} OR {blank('bad')}", f"empty_value:{shape.column('chosen')}"),
        *liked,
    ]
