"""What is counted on a fresh stage before anybody looks for findings: was the table what it was trusted to be, and all of it.

Guarantees: a table that the database read by itself is believed only when its records and the line ends inside them are
exactly the lines of the file, and none of them was doubtful; no key of any JSON row is overlooked.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import duckdb

from studio.data.db import literal, readable
from studio.data.reading.keys import Keys
from studio.data.reading.plain import DOUBT
from studio.data.reading.table import Table
from studio.data.staging.stage import REPAIRED, rows_of, torn
from studio.data.types import SHOWN_LINES, Finding

# Reasons of JSON records that are no object.
_UNREAD = ("broken_json", "not_an_object", "bad_encoding", "file_cut_off", "too_big_row", DOUBT)


@dataclass(frozen=True, slots=True)
class Tally:
    """``bare`` rows are JSON, but no objects. ``keys`` are those of all objects, in the order of their first appearance.

    ``doubtful`` says that the table was not what it was trusted to be.
    """

    rows: int
    bare: int
    doubtful: bool
    keys: tuple[Keys, ...]
    findings: tuple[Finding, ...]


def tally(table: Table, stage: Path, connection: duckdb.DuckDBPyConnection) -> Tally:
    """Count what was staged."""
    scan = f"read_parquet({readable(stage)}, file_row_number=true)"
    query = f"""
        SELECT count(*), coalesce(sum(breaks), 0), count(*) FILTER (reason = {literal(DOUBT)}),
          count(*) FILTER (reason = 'not_an_object'), count(*) FILTER (flags & {REPAIRED} <> 0),
          count(*) FILTER (reason = 'file_cut_off') FROM {scan}"""
    rows, breaks, doubts, bare, repaired, ends = connection.execute(query).fetchone() or (0, 0, 0, 0, 0, 0)
    missing = table.lines != "stored" and rows + breaks + table.first_line - 1 != table.physical_lines
    # A file has one end; other lines that look the same are only broken.
    doubtful = table.direct and (doubts > 0 or ends > 1 or missing or torn(stage))
    findings = _repaired(stage, repaired, connection) if repaired and not doubtful else ()
    keys = _keys(table, scan, connection) if table.format in ("json", "jsonl") else ()
    return Tally(rows, bare, doubtful, keys, findings)


def first_line(stage: Path, connection: duckdb.DuckDBPyConnection) -> int | None:
    """The editor line of the first record."""
    row = connection.execute(f"SELECT min(line) FROM {rows_of(stage)}").fetchone()
    return row[0] if row else None


def _keys(table: Table, scan: str, connection: duckdb.DuckDBPyConnection) -> tuple[Keys, ...]:
    unread = ", ".join(literal(reason) for reason in _UNREAD)
    query = f"""
        SELECT keys, count(*), min(file_row_number) AS first FROM {scan}
        WHERE coalesce(reason, '') NOT IN ({unread}) GROUP BY keys ORDER BY first"""
    found = connection.execute(query).fetchall()
    named = ((table.regular if text is None else tuple(json.loads(text)), count) for text, count, _ in found)
    return tuple((keys, count) for keys, count in named if keys)


def _repaired(stage: Path, count: int, connection: duckdb.DuckDBPyConnection) -> tuple[Finding, ...]:
    row = connection.execute(f"SELECT min(line, {SHOWN_LINES}) FROM {rows_of(stage)} WHERE repaired").fetchone()
    rows = "1 row was" if count == 1 else f"{count:,} rows were"
    message = f"{rows} not quite JSON (a comma, a comment or quotation marks out of place) and read as meant."
    return (Finding("repaired_json", "warning", count, tuple(row[0]) if row else (), message, "Check one of them."),)
