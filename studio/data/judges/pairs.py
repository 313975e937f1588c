"""Prompt and completion, and Alpaca's instruction, input and output."""

from __future__ import annotations

from studio.data.judges.rules import MESSAGES_TYPE, REASON_AND_DETAIL, SCALARS, blank, verdict
from studio.data.shape import PARTS
from studio.data.types import Shape


def judged_pairs(texts: str, shape: Shape, carried: str) -> str:
    """SQL for rows with one question and one answer."""
    needed, _ = PARTS[shape.kind]
    ask, answer = needed
    prompt = _with_input(shape) if shape.kind == "alpaca" else f"{ask}_text"
    system = "system_text" if shape.column("system") else "NULL::VARCHAR"
    rules = [
        *((f"{part}_type IS NULL", f"missing_field:{shape.column(part)}") for part in needed),
        *((f"{part}_type IN ('OBJECT', 'ARRAY')", f"wrong_type:{column}") for part, column in shape.columns),
        *((blank(f"{part}_text"), f"empty_value:{shape.column(part)}") for part in needed),
    ]
    return f"""
        SELECT {carried}, {REASON_AND_DETAIL},
          CASE WHEN verdict IS NULL AND NOT {blank(system)} THEN {system} END AS system,
          CASE WHEN verdict IS NULL THEN {prompt} END AS prompt,
          CASE WHEN verdict IS NULL THEN {answer}_text END AS completion,
          NULL::VARCHAR AS rejected, NULL::{MESSAGES_TYPE} AS messages, NULL::VARCHAR AS reference,
          NULL::DOUBLE AS reward, NULL::VARCHAR AS reward_name,
          verdict IS NULL AND ({ask}_type IN {SCALARS} OR {answer}_type IN {SCALARS}) AS converted, false AS odd_turns
        FROM (SELECT *, {verdict(rules)} AS verdict FROM ({texts}))"""


def _with_input(shape: Shape) -> str:
    """SQL for an Alpaca prompt: the instruction, and the input below it when there is one."""
    if shape.column("input") is None:
        return "instruction_text"
    both = "concat(instruction_text, chr(10), chr(10), input_text)"
    return f"CASE WHEN {blank('input_text')} THEN instruction_text ELSE {both} END"
