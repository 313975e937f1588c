"""Prompts with a reward, with an answer to check against, with tests, or with the name of a reward."""

from __future__ import annotations

from studio.data.judges.rules import NESTED, Ruling, blank, first_of, scalar
from studio.data.judges.turns import Mended, Place, answer_of, asking, odd_order, prompt_of, reading, turn, who, with_system
from studio.data.types import Shape

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
# A comma before three digits may as well stand for thousands, unless a zero stands in front of it.
_COMMA = r"[-+]?(?:\d+,(?:\d{1,2}|\d{4,})|0,\d{3})"
#: What ``detail`` says about a usable row whose reward was written with a comma.
DECIMAL_COMMA = "decimal_comma"


def rewards(shape: Shape, mended: Mended) -> Ruling:
    """How prompts for reinforcement are judged."""
    _ = mended
    system = "system_text" if shape.column("system") else "NULL::VARCHAR"
    completion = shape.column("completion")
    steps = [
        *asking(shape),
        *reading(Place("q_", "ask_text", "ask_type", cells=True, mixed=True)),
        *_answered(shape),
        *_measured(shape),
    ]
    before = with_system("asked_turns", system)
    steps.append(f"CASE WHEN asked_turns IS NOT NULL THEN {before} END AS before")
    lone = "len(before) = 1 AND before[1].more IS NULL"
    led = "len(before) = 2 AND before[1].role = 'system' AND before[1].more IS NULL AND before[2].more IS NULL"
    scalars = [
        "ask_type",
        *(["completion_type"] if completion else []),
        *(["answer_type"] if shape.column("answer") else []),
    ]
    said = f"CASE WHEN NOT {blank(system)} THEN {system} END"
    named = f"CASE WHEN NOT {blank('reward_name_text')} THEN reward_name_text END" if shape.column("reward_name") else "NULL"
    return Ruling(
        f"coalesce({first_of(_asked(shape))}, q_wrong, {first_of([*_ends(), *_rules(shape)])})",
        {
            "system": f"CASE WHEN before IS NULL THEN {said} WHEN {led} THEN before[1].content END",
            "prompt": f"CASE WHEN before IS NULL THEN ask_text ELSE {prompt_of('before')} END",
            "completion": "answered",
            "messages": f"CASE WHEN before IS NOT NULL AND NOT ({lone}) AND NOT ({led}) THEN before END",
            "reference": "reference_text",
            "reward": "measured",
            "reward_name": named,
            "converted": f"({' OR '.join(scalar(kind) for kind in scalars)})",
            "odd_turns": f"CASE WHEN before IS NULL THEN false ELSE {odd_order(who(_whole()))} END",
        },
        tuple(steps),
        note=f"CASE WHEN comma THEN '{DECIMAL_COMMA}' END" if shape.column("reward") else "NULL::VARCHAR",
    )


def _whole() -> str:
    return f"list_append(before, {turn('assistant', 'answered')})"


def _answered(shape: Shape) -> list[str]:
    """Steps for ``answered``, the answer that the row itself gives, and ``asked_turns``, the conversation before it."""
    given = "CASE WHEN q_turns[-1].role = 'assistant' THEN " + answer_of("q_turns") + " END"
    if shape.column("completion"):
        written = f"completion_type NOT IN {NESTED} AND NOT {blank('completion_text')}"
        given = f"CASE WHEN {written} THEN completion_text ELSE {given} END"
    elif shape.column("answer"):
        given = f"CASE WHEN answer_type NOT IN {NESTED} THEN answer_text END"
    asked = "CASE WHEN q_turns[-1].role = 'assistant' THEN q_turns[:-2] ELSE q_turns END"
    return [f"{given} AS answered, {asked} AS asked_turns"]


def _measured(shape: Shape) -> list[str]:
    """Steps for ``measured``, the reward as a number, and ``reference_text``, what an attempt is compared with."""
    steps: list[str] = []
    if shape.column("reward"):
        steps.append(f"reward_type = 'VARCHAR' AND regexp_full_match(trim(reward_text), '{_COMMA}') AS comma")
        number = f"CASE WHEN regexp_full_match(trim(reward_text), '{_NUMBER}') THEN try_cast(trim(reward_text) AS DOUBLE) END"
        steps.append(f"""CASE WHEN reward_type IN {NESTED} THEN NULL
            WHEN reward_type = 'BOOLEAN' THEN (reward_text = 'true')::DOUBLE
            WHEN comma THEN try_cast(replace(trim(reward_text), ',', '.') AS DOUBLE) ELSE {number} END AS measured""")
    else:
        steps.append("NULL::DOUBLE AS measured")
    tested = (
        "CASE WHEN test_type = 'ARRAY' THEN array_to_string(from_json(test_text, '[\"VARCHAR\"]'), chr(10)) ELSE test_text END"
    )
    reference = "NULL::VARCHAR"
    if shape.column("answer"):
        # A worked solution ends with the answer behind four number signs; a grader compares with that alone.
        marked = r"trim(regexp_extract(answer_text, '(?s).*####(.*)', 1), E' \t\n\r')"
        reference = f"""CASE WHEN answer_type = 'OBJECT' THEN json_extract_string(answer_text, '$.ground_truth')
            WHEN answer_type = 'VARCHAR' AND json_in_answer THEN json_extract_string(answer_text, '$.ground_truth')
            WHEN contains(answer_text, '####') AND {marked} <> '' THEN {marked} ELSE answer_text END"""
        steps.append(
            "coalesce(CASE WHEN answer_type = 'VARCHAR' AND contains(answer_text, 'ground_truth') AND json_valid(answer_text) "
            "THEN json_type(answer_text, '$.ground_truth') IS NOT NULL END, false) AS json_in_answer"
        )
    if shape.column("test"):
        reference = f"CASE WHEN {blank(f'({reference})')} THEN {tested} ELSE {reference} END"
    return [*steps, f"{reference} AS reference_text"]


def _asked(shape: Shape) -> list[tuple[str, str]]:
    column = shape.column("prompt")
    return [
        ("ask_type IS NULL", f"missing_field:{column}"),
        (f"{blank('ask_text')} OR ask_text = '[]'", f"empty_value:{column}"),
        (f"ask_type IN {NESTED} AND q_turns IS NULL", f"wrong_type:{column}"),
    ]


def _ends() -> list[tuple[str, str]]:
    return [
        (
            "asked_turns IS NOT NULL AND coalesce(asked_turns[-1].role, '') NOT IN ('user', 'tool')",
            "bad_conversation:the prompt does not end with a message by the user",
        )
    ]


def _rules(shape: Shape) -> list[tuple[str, str]]:
    rules: list[tuple[str, str]] = []
    reward, answer, test, name = (shape.column(part) for part in ("reward", "answer", "test", "reward_name"))
    if reward:
        rules.append(("reward_type IS NULL", f"missing_field:{reward}"))
        rules.append(("measured IS NULL OR NOT isfinite(measured)", f"bad_reward:{reward}"))
    if shape.column("completion"):
        rules.append((f"completion_type IN {NESTED}", f"wrong_type:{shape.column('completion')}"))
    sought = answer or test
    if sought:
        part = "answer" if answer else "test"
        rules.append((f"{part}_type IS NULL AND reference_text IS NULL", f"missing_field:{sought}"))
        if answer:
            rules.append(
                (f"answer_type IN {NESTED} AND reference_text IS NULL OR answer_type = 'ARRAY'", f"wrong_type:{answer}")
            )
        rules.append((blank("reference_text"), f"empty_value:{sought}"))
    elif name and not reward:
        rules.append(("reward_name_type IS NULL", f"missing_field:{name}"))
        rules.append((blank("reward_name_text"), f"empty_value:{name}"))
    return rules
