"""What the stage says about the file, as findings: one code, one count, the first lines, one sentence, one next step.

Guarantees: every row was looked at, none is sampled; the counts are exact; the same stage gives the same findings in the same
order (errors first, then warnings, then what is only good to know).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb

from studio.data.db import literal
from studio.data.table import Table
from studio.data.source import Source
from studio.data.stage import MESSAGES, NOT_JUDGED, rows_of
from studio.data.types import SHOWN_LINES, Example, Finding, Lengths, LengthStats, Message, Shape

#: Below this many rows people should know that little can be learned.
FEW_ROWS = 10
#: Fewer different prompts cannot fill three parts.
FEWEST_PROMPTS = 3
# Excel keeps at most this many characters in a cell and drops the rest without a word.
_EXCEL_LIMIT = 32_767

# Per reason: what is wrong with "{rows}" (one verb for one row, one for several), and what to do.
_REASONS: dict[str, tuple[str, str, str, str]] = {
    "broken_json": ("is", "are", "not valid JSON", "Repair these lines, or go on without them."),
    "not_an_object": ("is a bare value", "are bare values", "instead of an object with names", "Write one object per row."),
    "missing_field": ("has", "have", "no {detail}", "Add what is missing, or go on without these rows."),
    "empty_value": ("has", "have", "nothing in {detail}", "Fill the empty cells, or go on without these rows."),
    "wrong_type": (
        "has",
        "have",
        "something else than plain text in {detail}",
        "Write the text itself, not a list or an object.",
    ),
    "wrong_column_count": (
        "has",
        "have",
        "more or fewer cells than there are columns",
        "Put quotation marks around cells that contain the separator.",
    ),
    "bad_quotes": ("has", "have", "a quotation mark in the wrong place", "Double the quotation marks inside quoted cells."),
    "bad_encoding": ("has", "have", "bytes that are no text", "Save the file again as UTF-8."),
    "repeated_header": (
        "repeats",
        "repeat",
        "the column names",
        "Nothing to do, unless files were pasted together by mistake.",
    ),
    "bad_conversation": ("is", "are", "no conversation to learn from ({detail})", "Repair these, or go on without them."),
    "unsupported_tools": ("holds", "hold", "tool calls, which this version cannot train on", "Go on without these rows."),
    "file_cut_off": ("is", "are", "cut off in the middle; the file may be incomplete", "Export or upload the file again."),
}
# What to tell about usable rows: code, the condition in the stage, what "{rows}" have, and what to do.
_DOUBTS: tuple[tuple[str, str, str, str], ...] = (
    ("non_text_value", "converted", "a number or a yes/no value, which was turned into text", ""),
    (
        "odd_turn_order",
        "odd_turns",
        "an unusual order of speakers, such as two user messages in a row",
        "See if that is meant.",
    ),
    (
        "control_characters",
        "m_control_characters",
        "invisible control characters, mostly left by a damaged export",
        "Remove them.",
    ),
    ("special_tokens", "m_special_tokens", "chat markers such as <|im_end|>, which can confuse a model", "Remove the markers."),
    ("completion_equals_prompt", "prompt = completion", "an answer that only repeats the prompt", "Check these rows."),
)
_EXCEL_CUT = (
    "truncated_cell",
    f"length(prompt) = {_EXCEL_LIMIT} OR length(completion) = {_EXCEL_LIMIT}",
    "a text of exactly 32,767 characters, Excel's limit, so it was probably cut",
    "Check these cells in the original.",
)


@dataclass(frozen=True, slots=True)
class Report:
    """The numbers and findings of one stage."""

    total: int
    usable: int
    duplicates: int
    lengths: LengthStats
    findings: tuple[Finding, ...]
    example: Example | None


def check(source: Source, table: Table, shape: Shape | None, stage: Path, connection: duckdb.DuckDBPyConnection) -> Report:
    """Read the stage once per question and put the answers into sentences."""
    rows = rows_of(stage)
    total, usable = _row(connection, f"SELECT count(*), count(*) FILTER (reason IS NULL) FROM {rows}")
    duplicates = _duplicates(rows, connection)
    findings = [
        *table.findings,
        *_about_encoding(source),
        *_about_columns(table, shape),
        *_set_aside(rows, connection),
        *duplicates,
        *_about_texts(rows, table, shape is not None and shape.kind == "messages", connection),
        *(_about_amount(rows, total, usable, connection) if shape else ()),
    ]
    order = {"error": 0, "warning": 1, "info": 2}
    findings.sort(key=lambda finding: order[finding.severity])
    copies = sum(finding.count for finding in duplicates)
    return Report(total, usable, copies, _lengths(rows, connection), tuple(findings), _example(rows, connection))


def _row(connection: duckdb.DuckDBPyConnection, query: str) -> tuple[int, ...]:
    row = connection.execute(query).fetchone()
    return tuple(int(value or 0) for value in row) if row else ()


def _counted(count: int, thing: str) -> str:
    return f"{count:,} {thing}" + ("" if count == 1 else "s")


def _rows(count: int, one: str, several: str) -> str:
    return f"{_counted(count, 'row')} {one if count == 1 else several}"


def _set_aside(rows: str, connection: duckdb.DuckDBPyConnection) -> Iterator[Finding]:
    """One finding per reason; where rows of one reason differ in detail, the sentence names the most frequent one."""
    query = f"""
        SELECT reason, count(*) AS times, min(line, {SHOWN_LINES}), mode(detail), left(arg_min(raw, row_id), 500)
        FROM {rows} WHERE reason <> {literal(NOT_JUDGED)} GROUP BY reason ORDER BY times DESC, reason"""
    for code, count, lines, detail, raw in connection.execute(query).fetchall():
        one, several, what, next_step = _REASONS[code]
        named = f'"{detail}"' if code in ("missing_field", "empty_value", "wrong_type") else str(detail)
        words = f"{_rows(count, one, several)} {what.format(detail=named)}, and {'was' if count == 1 else 'were'} set aside."
        yield Finding(code, "error", count, tuple(lines), words, next_step, raw or "")


def _duplicates(rows: str, connection: duckdb.DuckDBPyConnection) -> list[Finding]:
    query = f"""
        SELECT count(*), min(line, {SHOWN_LINES}), left(arg_min(prompt, row_id), 500) FROM (
          SELECT s.row_id, s.line, s.prompt FROM {rows} s JOIN (
            SELECT row_key, min(row_id) AS first FROM {rows} WHERE reason IS NULL GROUP BY row_key HAVING count(*) > 1) copies
          ON s.row_key = copies.row_key AND s.row_id <> copies.first)"""
    row = connection.execute(query).fetchone()
    if row is None or not row[0]:
        return []
    count, lines, example = row
    message = f"{_rows(count, 'is an exact copy', 'are exact copies')} of an earlier row."
    return [Finding("duplicates", "warning", count, tuple(lines), message, "One of each is kept for training.", example or "")]


def _about_encoding(source: Source) -> Iterator[Finding]:
    if source.re_encoded:
        words = next((line.strip() for line in source.sample.splitlines() if not line.isascii()), "")[:200]
        message = f"The file was not in UTF-8. It was read as {source.encoding_name}; check that the example looks right."
        yield Finding(
            "re_encoded", "warning", 1, (), message, "If it looks wrong, save the file as UTF-8 and choose it again.", words
        )


def _about_columns(table: Table, shape: Shape | None) -> Iterator[Finding]:
    for name in sorted(table.twice):
        message = f'Several columns are called "{name}".'
        yield Finding("duplicate_column", "info" if shape else "error", 1, (), message, "Choose which one is meant.")
    if shape is None and {"chosen", "rejected"} <= {name.lower() for name in table.columns}:
        message = "This file holds pairs of a better and a worse answer, which this version cannot train on."
        next_step = 'To learn from the better answers alone, choose "chosen" as the answer.'
        yield Finding("unsupported_format", "error", 1, (), message, next_step)
        return
    if shape is None:
        names = ", ".join(f'"{name}"' for name in tuple(table.columns)[:12])
        message = f"No columns were recognised as prompt and answer. The file has: {names}."
        next_step = "Choose which column is the prompt and which is the answer."
        yield Finding("columns_not_recognised", "error", 1, (), message, next_step)
        return
    if any(part != name for part, name in shape.columns):
        message = "Using " + ", ".join(f'"{name}" as {part}' for part, name in shape.columns) + "."
        yield Finding(
            "columns_mapped",
            "warning",
            1,
            (),
            message,
            "" if shape.exact else "Check this, and choose other columns if it is wrong.",
        )
    used = {name for _, name in shape.columns}
    unused = [name for name in table.columns if name not in used]
    if unused:
        shown = ", ".join(f'"{name}"' for name in unused[:12]) + (" and more" if len(unused) > 12 else "")
        yield Finding("extra_columns", "info", len(unused), (), f"Not used: {shown}.")
    # Only JSON rows can each have another form; a table has the same columns in every row.
    if table.format != "csv" and shape.kind != "messages" and any(name.lower() == "messages" for name in unused):
        message = "Some rows hold messages, others a prompt and an answer. Only one form is used."
        yield Finding("mixed_formats", "warning", 1, (), message, "Bring all rows into one form, or go on without the others.")


def _about_texts(rows: str, table: Table, chats: bool, connection: duckdb.DuckDBPyConnection) -> Iterator[Finding]:
    """What may be wrong with usable texts."""
    doubts = (*_DOUBTS, _EXCEL_CUT) if table.format == "csv" else _DOUBTS
    columns = ", ".join(f"count(*) FILTER ({holds}), min(line, {SHOWN_LINES}) FILTER ({holds})" for _, holds, _, _ in doubts)
    query = f"SELECT {columns}, count(*), min(completion) = max(completion) FROM {rows} WHERE reason IS NULL"
    *answers, usable, same = connection.execute(query).fetchone() or (0, False)
    for (code, _, what, next_step), count, lines in zip(doubts, answers[::2], answers[1::2], strict=True):
        if count:
            yield Finding(code, "warning", count, tuple(lines), f"{_rows(count, 'has', 'have')} {what}.", next_step)
    if same and usable > 1 and not chats:
        message = "All answers are the same, so the model would only learn to repeat one text."
        yield Finding("identical_completions", "warning", usable, (), message, "Check that the right column is the answer.")


def _about_amount(rows: str, total: int, usable: int, connection: duckdb.DuckDBPyConnection) -> Iterator[Finding]:
    if usable == 0:
        message = "No row can be used for training." if total else "The file has column names, but no rows."
        next_step = (
            "Repair what the other findings name, or choose other columns." if total else "Export it again with its rows."
        )
        yield Finding("no_usable_rows" if total else "no_rows", "error", total, (), message, next_step)
        return
    answers = f"SELECT count(DISTINCT row_key) AS answers FROM {rows} WHERE reason IS NULL GROUP BY prompt_key"
    prompts, repeated = _row(connection, f"SELECT count(*), count(*) FILTER (answers > 1) FROM ({answers})")
    if repeated:
        what = f"{_counted(repeated, 'prompt')} {'has' if repeated == 1 else 'have'} several different answers"
        yield Finding("same_prompt_many_answers", "info", repeated, (), f"{what}. They stay together when the rows are split.")
    next_step = "Add examples: 50 to 100 are a good start."
    if prompts < FEWEST_PROMPTS:
        message = (
            f"Only {_counted(prompts, 'different prompt')} can be used; to train and to check takes at least {FEWEST_PROMPTS}."
        )
        yield Finding("few_rows", "warning", usable, (), message, next_step)
    elif usable < FEW_ROWS:
        message = f"Only {_counted(usable, 'usable row')}. That is enough to try the way, but little can be learned from it."
        yield Finding("few_rows", "warning", usable, (), message, next_step)


def _lengths(rows: str, connection: duckdb.DuckDBPyConnection) -> LengthStats:
    values = _row(
        connection,
        "SELECT "
        + ", ".join(
            f"quantile_disc({length}, 0.5), quantile_disc({length}, 0.95), max({length}), sum({length})"
            for length in ("length(prompt)", "length(completion)")
        )
        + f" FROM {rows} WHERE reason IS NULL",
    )
    return LengthStats(Lengths(*values[:4]), Lengths(*values[4:]))


def _example(rows: str, connection: duckdb.DuckDBPyConnection) -> Example | None:
    query = f"SELECT line, {MESSAGES} FROM {rows} WHERE reason IS NULL ORDER BY row_id LIMIT 1"
    row = connection.execute(query).fetchone()
    return Example(row[0], tuple(Message(turn["role"], turn["content"]) for turn in row[1])) if row else None
