"""The one pass over the records: every row judged and brought into one form, in ``stage.parquet``.

Guarantees: each record of the file is in the stage exactly once and in its place, with its editor line; a row either has a
``reason`` why it was set aside, with its raw text, or a prompt and its keys; texts are exactly those of the file; everything
after this reads the stage through ``rows_of`` and never the file.

Columns: ``row_id BIGINT`` (0, 1, ... in file order), ``line BIGINT, reason, detail, raw, system, prompt, completion, rejected
VARCHAR, messages STRUCT(role, content, more VARCHAR)[], reference VARCHAR, reward DOUBLE, reward_name VARCHAR, converted
BOOLEAN, odd_turns BOOLEAN, x0, x1, ... VARCHAR`` (columns beside the shape), ``row_key UBIGINT`` (equal for exact copies),
``prompt_key UBIGINT`` (equal for equal normalised prompts), ``lp, lc INTEGER`` (characters of prompt and completion) and one
``m_<code> BOOLEAN`` per mark.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb

from studio.data.db import disk_errors, literal, parquet, readable, watched, writable
from studio.data.judges import judged
from studio.data.judges.rules import MESSAGES_TYPE
from studio.data.reading.numbering import line_of, starts
from studio.data.reading.table import Table
from studio.data.reading.texts import carried, extra_columns, texts
from studio.data.staging import fixes as repairs
from studio.data.staging.keying import KEY_VERSION, normalised, prompt_key, row_key
from studio.data.staging.marks import CALM, MARKS, marked
from studio.data.staging.turns import repaired_turns
from studio.data.types import Fix, Shape, Watch
from studio.errors import NotFoundError

__all__ = [
    "KEY_VERSION",
    "LAYOUT",
    "LEFT_OUT",
    "MESSAGES",
    "NOT_JUDGED",
    "STAGE",
    "normalised",
    "put_in_place",
    "rows_of",
    "write_stage",
]

STAGE = "stage.parquet"
# All yes and no of a row are one number on disk, because what the writer holds in memory grows with the number of columns.
_FLAGS = ("converted", "odd_turns", "repaired")
_DISORDER = ("JOIN", "GROUP", "AGGREGATE", "UNION", "ORDER", "DISTINCT")
#: The bit of repaired rows in the column ``flags``.
REPAIRED = 1 << _FLAGS.index("repaired")
#: Rows that a recorded rule leaves out, by row_id; lies over the stage when it is there.
LEFT_OUT = "left_out.parquet"
#: How the stage is laid out on disk; ``rows_of`` needs it.
LAYOUT = "stage.json"
_LAID_OUT = frozenset({"lines", "first", "flags"})
#: The reason of every row as long as nobody knows which column is what.
NOT_JUDGED = "not_judged"
# Packing takes a quarter of the time of staging. Without it the stage is about as large as the file, as long as a row holds
# more text than keys, and its text only once: a conversation is also staged as one prompt.
_TEXT_ROW = 256
_TEXTS_ONCE = ("prompt_completion", "alpaca", "preference", "rl_answer", "rl_reward", "prompts", "text")
#: SQL for the conversation of a staged row: its own, or the one that prompt and completion make.
MESSAGES = f"""coalesce(messages, list_filter([{{'role': 'system', 'content': system, 'more': NULL}},
    {{'role': 'user', 'content': prompt, 'more': NULL}}, {{'role': 'assistant', 'content': completion, 'more': NULL}}],
    lambda m: m.role <> {literal("system")} OR m.content IS NOT NULL))"""


def rows_of(stage: Path) -> str:
    """A SQL table expression with every column of the stage, in file order. ``stage`` is the path of ``stage.parquet``.

    Columns that a query does not use cost nothing. Raises ``NotFoundError`` when the stage is gone, or was laid out by an
    earlier version in a way that is not known any more.
    """
    layout = _layout_of(stage)
    line = "line"
    if layout["lines"] != "stored":
        # Editor lines follow from the place of a row, or from that of its chunk.
        line = f"file_row_number + {int(layout['first'])}" if layout["lines"] == "one" else line_of(layout["starts"])
    flags = "".join(f", (flags & {1 << place}) <> 0 AS {name}" for place, name in enumerate(layout["flags"]))
    scan = f"read_parquet({readable(stage)}, file_row_number=true)"
    hidden = "file_row_number, line, breaks, keys, flags"
    rows = f"(SELECT file_row_number AS row_id, {line} AS line, * EXCLUDE ({hidden}){flags} FROM {scan})"
    left_out = stage.with_name(LEFT_OUT)
    if not left_out.exists():
        return rows
    reason = "coalesce(s.reason, l.reason) AS reason, coalesce(s.detail, l.detail) AS detail"
    return f"(SELECT s.* REPLACE ({reason}) FROM {rows} s LEFT JOIN read_parquet({readable(left_out)}) l USING (row_id))"


def write_stage(
    table: Table,
    shape: Shape | None,
    folder: Path,
    connection: duckdb.DuckDBPyConnection,
    fixes: Sequence[Fix] = (),
    watch: Watch | None = None,
) -> Path:
    """Judge every record under this shape and write ``folder/stage.parquet``.

    While the shape is unknown no row can be used: all of them are set aside as ``NOT_JUDGED``.
    """
    path, partial = folder / STAGE, folder / f"{STAGE}.part"
    extras = extra_columns(table, shape)
    rows = _judged(table, shape, extras, fixes)
    flags = (*_FLAGS, *(mark for mark in MARKS if mark.startswith("m_")))
    bits = " | ".join(f"(CASE WHEN {name} THEN {1 << place} ELSE 0 END)" for place, name in enumerate(flags))
    select = f"""
          SELECT * EXCLUDE ({CALM}, {", ".join(flags)}) REPLACE (CASE WHEN reason IS NOT NULL THEN {table.raw_text} END AS raw),
            CASE WHEN reason IS NULL THEN {row_key()} END AS row_key,
            CASE WHEN reason IS NULL THEN {prompt_key("prompt", CALM)} END AS prompt_key, ({bits})::BIGINT AS flags
          FROM ({marked(f"SELECT *, length(prompt)::INTEGER AS lp, length(completion)::INTEGER AS lc FROM ({rows})")})"""
    _require_order(select, connection)
    query = f"COPY ({select}) TO {writable(partial)} ({parquet(table.row_bytes, packed=_packed(table, shape))})"
    watched(connection, query, watch, "staging", table.bytes, "bytes")
    layout = _layout(table, flags, partial, connection)
    with disk_errors(str(folder)):
        put_in_place(partial, layout)
    return path


def put_in_place(partial: Path, layout: Mapping[str, object]) -> None:
    """Give a stage that was written as ``stage.parquet.part`` its name and its layout, and forget which rows were left out.

    Whoever reads meanwhile finds whole files, the old ones or the new ones.
    """
    written = partial.with_name(f"{LAYOUT}.part")
    written.write_text(json.dumps(layout), "utf-8")
    partial.with_name(LEFT_OUT).unlink(missing_ok=True)
    written.replace(partial.with_name(LAYOUT))
    partial.replace(partial.with_name(STAGE))


def _packed(table: Table, shape: Shape | None) -> bool:
    """Whether the stage is worth packing."""
    once = shape is not None and shape.kind in _TEXTS_ONCE and not table.lists
    return not once or table.format == "parquet" or table.row_bytes < _TEXT_ROW


def _require_order(select: str, connection: duckdb.DuckDBPyConnection) -> None:
    """Rows keep their order through everything but joins, groups and sorts, and their place is their number."""
    found = connection.execute(f"EXPLAIN (FORMAT json) {select}").fetchall()
    lost = [name for name in _operators(json.loads(found[0][1])) if any(word in name for word in _DISORDER)]
    if lost:
        raise AssertionError(f"the staging query does not keep rows in order: {lost}")


def _operators(nodes: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for node in nodes:
        yield str(node["name"]).upper()
        yield from _operators(node["children"])


def _layout_of(stage: Path) -> dict[str, Any]:
    try:
        layout = json.loads(stage.with_name(LAYOUT).read_text("utf-8"))
    except FileNotFoundError as error:
        raise NotFoundError(
            "The prepared rows are gone.", where=str(stage.parent), next_step="Choose the file again."
        ) from error
    if not layout.keys() >= _LAID_OUT:
        raise NotFoundError(
            "These rows were prepared by an earlier version.", where=str(stage.parent), next_step="Choose the file again."
        )
    return layout


def _layout(table: Table, flags: Sequence[str], stage: Path, connection: duckdb.DuckDBPyConnection) -> dict[str, object]:
    layout: dict[str, object] = {"lines": table.lines, "first": table.first_line, "flags": list(flags)}
    if table.lines == "chunks":
        scan = f"read_parquet({readable(stage)}, file_row_number=true)"
        layout["starts"] = starts(scan, table.first_line, connection)
    return layout


def torn(stage: Path) -> bool:
    """Whether the lines of this stage cannot be told, because records did not come in whole chunks."""
    layout = json.loads(stage.with_name(LAYOUT).read_text("utf-8"))
    return layout["lines"] == "chunks" and layout["starts"] is None


def _judged(table: Table, shape: Shape | None, extras: Sequence[str], fixes: Sequence[Fix]) -> str:
    if shape is None:
        # All raw texts would make the stage a second copy of the file; the preview shows the first rows.
        nothing = ("system", "prompt", "completion", "rejected", "reference", "reward_name", "detail")
        return f"""
            SELECT line, CASE WHEN problem IS NOT NULL THEN raw END AS raw, breaks, keys, repaired,
              coalesce(problem, {literal(NOT_JUDGED)}) AS reason, {", ".join(f"NULL::VARCHAR AS {name}" for name in nothing)},
              NULL::{MESSAGES_TYPE} AS messages, NULL::DOUBLE AS reward, false AS converted, false AS odd_turns
              {"".join(f", x{place}" for place in range(len(extras)))}
            FROM ({texts(table, None, extras)})"""
    wanted = repairs.on_texts(texts(table, shape, extras), shape, fixes)
    rows = judged(wanted, shape, carried(extras), lambda turns: repaired_turns(turns, fixes))
    return repairs.on_rows(rows, shape, fixes)
