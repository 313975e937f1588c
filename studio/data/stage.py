"""The one pass over the records: every row judged and brought into one form, in ``stage.parquet``.

Guarantees: each record of the file is in the stage exactly once, with its editor line; a row either has a ``reason`` why it was
set aside, with its raw text, or a prompt, a completion and its keys; texts are exactly those of the file; everything after
this reads the stage and never the file.

Columns: ``row_id BIGINT, line BIGINT, reason VARCHAR, detail VARCHAR, raw VARCHAR, system VARCHAR, prompt VARCHAR,
completion VARCHAR, messages STRUCT(role VARCHAR, content VARCHAR)[], row_key UBIGINT, prompt_key UBIGINT, converted BOOLEAN,
odd_turns BOOLEAN, controls BOOLEAN, markers BOOLEAN``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import duckdb

from studio.data.db import literal, parquet, writable
from studio.data.read import Table
from studio.data.shape import PARTS
from studio.data.types import Shape

#: The reason of every row as long as nobody knows which column is what.
NOT_JUDGED = "not_judged"
#: SQL for the conversation of a staged row: its own, or the one that prompt and completion make.
MESSAGES = f"""coalesce(messages, list_filter([{{'role': 'system', 'content': system}}, {{'role': 'user', 'content': prompt}},
    {{'role': 'assistant', 'content': completion}}], lambda m: m.role <> {literal("system")} OR m.content IS NOT NULL))"""
#: Changes when the keys below change; it is part of them, so that old and new splits are never mixed up.
KEY_VERSION = "tuning-fork/1"

_VISIBLE = r"[^\s\p{Z}\p{C}]"
_CONTROLS = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]"
_MARKERS = r"<\|[A-Za-z0-9_]+\|>|\[/?INST\]|<</?SYS>>|</?s>|<(?:start|end)_of_turn>"
_TURNS = r"(?:system )?(?:user assistant )+"
_SCALARS = "('UBIGINT', 'BIGINT', 'HUGEINT', 'UHUGEINT', 'DOUBLE', 'BOOLEAN')"

_NOTHING = """NULL::VARCHAR AS detail, NULL::VARCHAR AS system, NULL::VARCHAR AS prompt, NULL::VARCHAR AS completion,
    NULL::STRUCT("role" VARCHAR, content VARCHAR)[] AS messages, false AS odd_turns, false AS converted"""
_ROLES = "['system', 'user', 'assistant']"
_CHAT = """'[{"role": "VARCHAR", "content": "VARCHAR", "tool_calls": "JSON"}]'"""
_IS_LIST = "coalesce(CASE WHEN json_valid(messages_text) THEN json_type(messages_text) END = 'ARRAY', false)"
_PROBLEM = "CASE WHEN NOT json_valid(value) THEN 'broken_json' WHEN json_type(value) <> 'OBJECT' THEN 'not_an_object' END"
_REASON_AND_DETAIL = (
    "split_part(verdict, ':', 1) AS reason, CASE WHEN contains(verdict, ':') "
    "THEN nullif(substr(verdict, strpos(verdict, ':') + 1), '') END AS detail"
)
# A single question is shown as it is; a longer conversation is written out, all but its last answer.
_BEFORE = "list_filter(turns[:-2], lambda m: m.role <> 'system')"
_PROMPT_OF_CHAT = f"""CASE WHEN len({_BEFORE}) = 1 THEN {_BEFORE}[1].content ELSE array_to_string(list_transform({_BEFORE},
    lambda m: concat(upper(m.role[1]), m.role[2:], ': ', m.content)), chr(10) || chr(10)) END"""


def write_stage(table: Table, shape: Shape | None, folder: Path, connection: duckdb.DuckDBPyConnection, row_bytes: int) -> Path:
    """Judge every record under this shape and write ``folder/stage.parquet``.

    While the shape is unknown no row can be used: all of them are set aside as ``NOT_JUDGED``.
    """
    path = folder / "stage.parquet"
    partial = folder / "stage.parquet.part"
    if shape is None:
        good = f"SELECT row_id, line, {literal(NOT_JUDGED)} AS reason FROM {table.good}"
        judged = f"SELECT *, NULL::VARCHAR AS raw, {_NOTHING} FROM ({good})"
    else:
        judged = _judged_chats(table, shape) if shape.kind == "messages" else _judged_pairs(table, shape)
    prompt_key = f"md5_number_lower({literal(KEY_VERSION)} || chr(31) || {normalised('prompt')})"
    connection.execute(f"""
        COPY (
          SELECT row_id, line, reason, detail, CASE WHEN reason IS NOT NULL THEN raw END AS raw,
            system, prompt, completion, messages,
            CASE WHEN reason IS NULL THEN md5_number_lower({_row_text(shape)}) END AS row_key,
            CASE WHEN reason IS NULL THEN {prompt_key} END AS prompt_key,
            converted, odd_turns,
            CASE WHEN reason IS NULL THEN {_either(_CONTROLS)} ELSE false END AS controls,
            CASE WHEN reason IS NULL THEN {_either(_MARKERS)} ELSE false END AS markers
          FROM ({judged})
          UNION ALL BY NAME
          SELECT row_id, line, reason, raw, false AS converted, false AS odd_turns, false AS controls, false AS markers
          FROM {table.aside}
        ) TO {writable(partial)} ({parquet(row_bytes)})""")
    partial.replace(path)
    return path


def normalised(text: str) -> str:
    """SQL for the text by which prompts count as equal: NFC, lower case, white space and invisible characters as one space."""
    return rf"trim(lower(nfc_normalize(regexp_replace({text}, '[\s\p{{Z}}\p{{C}}]+', ' ', 'g'))))"


def _blank(text: str) -> str:
    return f"({text} IS NULL OR NOT regexp_matches({text}, {literal(_VISIBLE)}))"


def _either(pattern: str) -> str:
    """SQL for whether the prompt or the completion matches."""
    return f"(regexp_matches(prompt, {literal(pattern)}) OR regexp_matches(completion, {literal(pattern)}))"


def _row_text(shape: Shape | None) -> str:
    """SQL for the text that makes two rows exact copies of each other."""
    if shape and shape.kind == "messages":
        return "array_to_string(list_transform(messages, lambda m: concat(m.role, chr(31), m.content)), chr(30))"
    return "concat_ws(chr(31), coalesce(system, ''), prompt, completion)"


def _judged_pairs(table: Table, shape: Shape) -> str:
    """SQL for prompt/completion and Alpaca rows."""
    alpaca = shape.kind == "alpaca"
    needed, _ = PARTS[shape.kind]
    ask, answer = needed
    prompt = _with_input(shape) if alpaca else f"{ask}_text"
    system = "system_text" if shape.column("system") else "NULL::VARCHAR"
    rules = [
        *((f"{part}_type IS NULL", f"missing_field:{shape.column(part)}") for part in needed),
        *((f"{part}_type IN ('OBJECT', 'ARRAY')", f"wrong_type:{column}") for part, column in shape.columns),
        *((_blank(f"{part}_text"), f"empty_value:{shape.column(part)}") for part in needed),
    ]
    return f"""
        SELECT row_id, line, raw, {_REASON_AND_DETAIL},
          CASE WHEN verdict IS NULL AND NOT {_blank(system)} THEN {system} END AS system,
          CASE WHEN verdict IS NULL THEN {prompt} END AS prompt,
          CASE WHEN verdict IS NULL THEN {answer}_text END AS completion,
          NULL::STRUCT("role" VARCHAR, content VARCHAR)[] AS messages, false AS odd_turns,
          verdict IS NULL AND ({ask}_type IN {_SCALARS} OR {answer}_type IN {_SCALARS}) AS converted
        FROM (SELECT *, {_verdict(rules)} AS verdict FROM ({_texts(table, shape)}))"""


def _with_input(shape: Shape) -> str:
    """SQL for an Alpaca prompt: the instruction, and the input below it when there is one."""
    if shape.column("input") is None:
        return "instruction_text"
    both = "concat(instruction_text, chr(10), chr(10), input_text)"
    return f"CASE WHEN {_blank('input_text')} THEN instruction_text ELSE {both} END"


def _judged_chats(table: Table, shape: Shape) -> str:
    """SQL for conversations."""
    column = shape.column("messages")
    rules = [
        ("messages_type IS NULL", f"missing_field:{column}"),
        (f"messages_type = 'NULL' OR {_blank('messages_text')}", f"empty_value:{column}"),
        ("NOT is_list", "bad_conversation:the messages are not a list"),
        ("len(turns) = 0", "bad_conversation:the list of messages is empty"),
        (
            "list_contains(roles, NULL) OR len(list_filter(roles, lambda r: r IS NULL)) > 0",
            "bad_conversation:a message has no role",
        ),
        (
            "list_has_any(roles, ['tool', 'function']) OR len(list_filter(given, lambda m: m.tool_calls IS NOT NULL)) > 0",
            "unsupported_tools:",
        ),
        (f"NOT list_has_all({_ROLES}, roles)", "bad_conversation:a message has an unknown role"),
        ("list_has_any(kinds, ['ARRAY', 'OBJECT'])", "wrong_type:the content of a message is not plain text"),
        (f"len(list_filter(turns, lambda m: {_blank('m.content')})) > 0", "bad_conversation:a message is empty"),
        ("NOT list_contains(roles, 'assistant')", "bad_conversation:there is no answer by the assistant"),
        ("roles[-1] <> 'assistant'", "bad_conversation:the last message is not by the assistant, so there is nothing to learn"),
        ("NOT list_contains(roles, 'user')", "bad_conversation:there is no message by the user"),
    ]
    role = "CASE lower(trim(m.role)) WHEN 'developer' THEN 'system' ELSE lower(trim(m.role)) END"
    return f"""
        SELECT row_id, line, raw, {_REASON_AND_DETAIL}, NULL::VARCHAR AS system,
          CASE WHEN verdict IS NULL THEN {_PROMPT_OF_CHAT} END AS prompt,
          CASE WHEN verdict IS NULL THEN turns[-1].content END AS completion,
          CASE WHEN verdict IS NULL THEN turns END AS messages,
          verdict IS NULL AND NOT regexp_full_match(array_to_string(roles, ' ') || ' ', {literal(_TURNS)}) AS odd_turns,
          false AS converted
        FROM (SELECT *, {_verdict(rules)} AS verdict FROM (
          SELECT *, list_transform(turns, lambda m: m.role) AS roles FROM (
            SELECT *, list_transform(given, lambda m: {{'role': {role}, 'content': m.content}}) AS turns FROM (
              SELECT *, CASE WHEN is_list THEN json_transform(messages_text, {_CHAT}) END AS given,
                CASE WHEN is_list THEN json_type(messages_text, '$[*].content') END AS kinds
              FROM (SELECT *, {_IS_LIST} AS is_list FROM ({_texts(table, shape)}))))))"""


def _verdict(rules: Sequence[tuple[str, str]]) -> str:
    """SQL for ``reason:detail`` by the first rule that holds, NULL for a good row."""
    clauses = (f"WHEN {condition} THEN {literal(verdict)}" for condition, verdict in rules)
    return f"CASE WHEN problem IS NOT NULL THEN problem {' '.join(clauses)} END"


def _texts(table: Table, shape: Shape) -> str:
    """SQL with ``row_id, line, raw, problem`` and, per part of the shape, its text and its JSON type (NULL when absent)."""
    if table.format == "csv":
        parts = [f"{table.columns[column][0]} AS {part}_text, 'VARCHAR' AS {part}_type" for part, column in shape.columns]
        cells = ", ".join(name for names in table.columns.values() for name in names)
        return f"SELECT row_id, line, to_json([{cells}])::VARCHAR AS raw, NULL AS problem, {', '.join(parts)} FROM {table.good}"
    keys = [(part, key) for part, column in shape.columns for key in table.columns[column]]
    paths = "[" + ", ".join(literal("/" + key.replace("~", "~0").replace("/", "~1")) for _, key in keys) + "]"
    parts = []
    for part, _ in shape.columns:
        places = [place for place, (owner, _) in enumerate(keys, start=1) if owner == part]
        texts = [f"texts[{place}]" for place in places]
        # The same key in two spellings: the one that holds something wins over an explicit null.
        types = [*(f"nullif(types[{place}], 'NULL')" for place in places), *(f"types[{place}]" for place in places)]
        parts.append(f"coalesce({', '.join(texts)}) AS {part}_text, coalesce({', '.join(types)}) AS {part}_type")
    return f"""
        SELECT row_id, line, raw, problem, {", ".join(parts)} FROM (
          SELECT *, CASE WHEN problem IS NULL THEN json_extract_string(raw, {paths}) END AS texts,
            CASE WHEN problem IS NULL THEN json_type(raw, {paths}) END AS types
          FROM (SELECT row_id, line, value AS raw, {_PROBLEM} AS problem FROM {table.good}))"""
