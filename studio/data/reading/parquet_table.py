"""A Parquet file as a table of JSON rows.

Guarantees: text comes out as it is stored, nested values as JSON, numbers as numbers, and what is missing as null; bytes that
are no text are left out and told; a damaged file, and one that would grow beyond all reason, is refused in words.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

import duckdb

from studio.data.db import literal, readable
from studio.data.reading.table import Table
from studio.data.sources.csv_records import MOST_COLUMNS
from studio.data.sources.source import Source
from studio.data.sources.unpack import HARMLESS, LARGEST, MOST_GROWTH
from studio.data.types import Finding, RefusedFile

#: More rows than this are not a set of examples.
MOST_ROWS = 500_000_000
_NUMBERS_WITH_GAPS = ("FLOAT", "DOUBLE")


def open_parquet(source: Source, connection: duckdb.DuckDBPyConnection) -> Table:
    """The rows of a Parquet file. Raises ``RefusedFile`` when it cannot be read, holds no rows, or far too much."""
    path = readable(source.path)
    with parquet_errors(source):
        _refuse_excess(path, source, connection)
        schema = connection.execute(f"DESCRIBE SELECT * FROM read_parquet({path})").fetchall()
    kinds: dict[str, str] = {name: kind for name, kind, *_ in schema}
    binary = tuple(name for name, kind in kinds.items() if "BLOB" in kind and kind != "BLOB")
    kept = {name: kind for name, kind in kinds.items() if name not in binary}
    if not kept:
        raise RefusedFile(
            "no_rows", "This Parquet file holds no text or numbers.", where=source.name, next_step="Choose another file."
        )
    pairs = ", ".join(f"{literal(name)}, {_value(name, kind)}" for name, kind in kept.items())
    records = (
        f"(SELECT file_row_number + 1 AS line, 0 AS breaks, NULL::VARCHAR AS problem, json_object({pairs})::VARCHAR AS value "
        f"FROM read_parquet({path}, file_row_number=true))"
    )
    rule = "Parquet, nested values as JSON"
    columns, findings = _columns(kept), tuple(_findings(source, binary))
    return Table("parquet", None, records, columns, findings, rule, "raw", container="parquet", regular=tuple(kept))


@contextmanager
def parquet_errors(source: Source) -> Generator[None]:
    """Turn what the database says about a damaged Parquet file into a refusal."""
    try:
        yield
    except (duckdb.OutOfMemoryException, duckdb.InterruptException, duckdb.PermissionException):
        raise
    except duckdb.Error as error:
        if not source.is_parquet or "No space left" in str(error):
            raise
        raise RefusedFile(
            "broken_parquet",
            "This Parquet file is damaged, cut off or written in a way that cannot be read.",
            where=source.name,
            next_step="Download or export it again; if that does not help, write the rows as JSONL.",
        ) from error


def _value(name: str, kind: str) -> str:
    column = '"' + name.replace('"', '""') + '"'
    if kind == "BLOB":
        # Some writers store text without saying that it is text.
        return f"TRY(decode({column}))"
    if kind in _NUMBERS_WITH_GAPS:
        # Through text, because a short number would come out with the digits that its longer form needs.
        return f"CASE WHEN isfinite({column}) THEN {column}::VARCHAR::DOUBLE END"
    return column


def _refuse_excess(path: str, source: Source, connection: duckdb.DuckDBPyConnection) -> None:
    query = f"SELECT num_rows FROM parquet_file_metadata({path})"
    rows = sum(int(count) for (count,) in connection.execute(query).fetchall())
    query = f"SELECT count(DISTINCT column_id), sum(total_uncompressed_size) FROM parquet_metadata({path})"
    columns, unpacked = connection.execute(query).fetchone() or (0, 0)
    if rows == 0:
        raise RefusedFile(
            "no_rows", "This Parquet file holds no rows.", where=source.name, next_step="Export it again with data."
        )
    if columns > MOST_COLUMNS:
        raise RefusedFile(
            "too_many_columns",
            f"This file has {columns:,} columns.",
            where=source.name,
            next_step="Keep the columns with the prompt and the answer, and save the file again.",
        )
    if rows > MOST_ROWS or (unpacked or 0) > min(LARGEST, max(HARMLESS, MOST_GROWTH * source.bytes)):
        raise RefusedFile(
            "compressed_bomb",
            f"This Parquet file grows to {rows:,} rows and {(unpacked or 0) / 1e6:,.0f} MB, far more than its size allows.",
            where=source.name,
            next_step="Write the rows that you need into a new file.",
        )


def _findings(source: Source, binary: tuple[str, ...]) -> Generator[Finding]:
    if binary:
        names = ", ".join(f'"{name}"' for name in binary[:12])
        message = f"Left out, because they hold pictures or other binary data: {names}."
        yield Finding("binary_columns", "warning", len(binary), (), message)
    extension = Path(source.name).suffix.lower()
    if extension in (".csv", ".tsv", ".json", ".jsonl", ".ndjson"):
        message = f"The name ends in {extension}, but the content is a Parquet file; read as such."
        yield Finding("wrong_extension", "info", 1, (), message)


def _columns(kinds: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    return {name: ("/" + name.replace("~", "~0").replace("/", "~1"),) for name in kinds}
