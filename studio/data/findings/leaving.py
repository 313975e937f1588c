"""Rows that a person chose to leave out and that only show once all rows are staged: copies, contradictions, outliers, a list.

Guarantees: the stage itself is not changed; what is left out lies beside it and is laid over it by ``stage.rows_of``; the rules
work in the order in which they were chosen, each on what the one before it has left.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import duckdb

from studio.data.db import disk_errors, literal, parquet, readable, writable
from studio.data.findings import near
from studio.data.findings.conditions import condition
from studio.data.staging.fixes import COMPARING, LEFT_OUT, row_ranges
from studio.data.staging.stage import LEFT_OUT as FILE
from studio.data.staging.stage import rows_of
from studio.data.types import Fix


def leave_out(stage: Path, fixes: Sequence[Fix], connection: duckdb.DuckDBPyConnection) -> None:
    """Write which rows of the stage these fixes leave out, in place of what an earlier reading left out."""
    path = stage.with_name(FILE)
    with disk_errors(str(stage.parent)):
        path.unlink(missing_ok=True)
    for fix in fixes:
        if fix.id == "leave_out" and fix.value in COMPARING:
            if fix.value == "near_duplicates":
                near.find(stage, connection)
            _add(stage, path, fix.value, condition(fix.value, stage), connection)
        elif fix.id == "leave_out_rows":
            ranges = " OR ".join(f"row_id BETWEEN {first} AND {last}" for first, last in row_ranges(fix))
            _add(stage, path, fix.value.rpartition(":")[0], f"reason IS NULL AND ({ranges})", connection)


def _add(stage: Path, path: Path, code: str, holds: str, connection: duckdb.DuckDBPyConnection) -> None:
    before = f"SELECT * FROM read_parquet({readable(path)}) UNION ALL" if path.exists() else ""
    rows = f"SELECT row_id, {literal(LEFT_OUT)} AS reason, {literal(code)} AS detail FROM {rows_of(stage)} WHERE {holds}"
    partial = path.with_name(path.name + ".part")
    connection.execute(f"COPY ({before} {rows}) TO {writable(partial)} ({parquet()})")
    with disk_errors(str(stage.parent)):
        partial.replace(path)
