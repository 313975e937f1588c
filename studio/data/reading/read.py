"""From a file to a table of records that the database can read without guessing.

Guarantees: the content decides what the file is, its name never does; the working files lie in the data set's own folder
under names of ours, so a person's file name never reaches SQL; files that are proved plain are read as they are, all others
are laid out record by record first, and both ways give the same table.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import duckdb

from studio.data.reading import laid_out, plain
from studio.data.reading.keys import Keys, keyed, unused
from studio.data.reading.parquet_table import open_parquet
from studio.data.reading.table import SAMPLED_ROWS, Sample, Table, by_column, cells, values
from studio.data.sources.csv_records import Dialect
from studio.data.sources.json_records import Container as Json
from studio.data.sources.packing import Columnar, Packing
from studio.data.sources.source import Source
from studio.data.staging.fixes import header_offer
from studio.data.types import Container, Finding, Format, RefusedFile

# From how many places further on rows are sampled, and how much is read there.
_PLACES, _PIECE = 48, 64 * 1024

_EXTENSIONS: Mapping[str, frozenset[Format]] = {
    ".csv": frozenset({"csv"}),
    ".tsv": frozenset({"csv"}),
    ".json": frozenset({"json"}),
    ".jsonl": frozenset({"jsonl"}),
    ".ndjson": frozenset({"jsonl"}),
}
_CONTAINERS: Mapping[str, Container] = {"lines": "jsonl", "array": "json_array", "rows": "json_array"}


def tables(source: Source, packing: Packing, folder: Path) -> Iterator[Table]:
    """The ways to read this file, the fast one first if there is one. The next is asked for when one was in doubt.

    Columns of JSON are not known yet (``sampled``). A Parquet file has no table before there is a connection.
    """
    if isinstance(packing, Columnar):
        yield Table("parquet", None, "", {}, (), "", "raw", container="parquet")
        return
    trusted = plain.records(source, packing)
    if trusted and source.facts:
        records, lines = trusted
        found = _csv_table(source, packing, records) if isinstance(packing, Dialect) else _json_table(source, packing, records)
        yield replace(
            found,
            lines=lines,
            first_line=plain.first_line(packing),
            direct=True,
            physical_lines=source.facts.lines,
            row_bytes=source.bytes // max(1, source.facts.lines),
            bytes=source.bytes,
        )
    yield _laid_out(source, packing, folder)


def opened(table: Table, source: Source, connection: duckdb.DuckDBPyConnection) -> tuple[Table, Sample]:
    """The table with its columns, and a sample of its rows. Raises ``RefusedFile`` for JSON without a single object."""
    if source.is_parquet:
        table = open_parquet(source, connection)
    if table.format == "csv":
        return table, Sample(cells(table, connection))
    query = f"SELECT value FROM {table.records} WHERE problem IS NULL LIMIT {SAMPLED_ROWS}"
    texts = [text for (text,) in connection.execute(query).fetchall()]
    if table.direct:
        texts += _further_on(source)
    rows = list(values(texts))
    if table.format != "parquet":
        found = Counter(tuple(row) for row in rows)
        table = keyed(table, list(found.items()))
        lists = (name for name, places in table.columns.items() if _only_lists(name, rows, {name: places}))
        table = replace(table, lists=frozenset(lists))
    return table, Sample(tuple(by_column(row, table.columns) for row in rows), tuple(tuple(row) for row in rows))


def refuse_rowless(source: Source, total: int, valid: int, line: int | None) -> None:
    """Say why a JSON file without a single object cannot be used."""
    if total == 0:
        raise RefusedFile("no_rows", "This JSON file holds no rows.", where=source.name, next_step="Export it again with data.")
    if valid == 0:
        raise RefusedFile(
            "broken_json",
            f"This file looks like JSON, but nothing in it is valid JSON, from line {line} on.",
            where=source.name,
            next_step='Write one object per line, such as {"prompt": "...", "completion": "..."}, with double quotes.',
        )
    raise RefusedFile(
        "rows_not_objects",
        "The rows of this JSON file are bare values without names, so prompt and answer cannot be told apart.",
        where=source.name,
        next_step='Make each row an object, such as {"prompt": "...", "completion": "..."}.',
    )


def again(table: Table, found: list[Keys], sample: Sample) -> Table:
    """The table with all the keys that its rows turned out to have."""
    fresh = keyed(table, found)
    rows = [dict(row) for row in sample.rows]
    lists = (name for name in fresh.columns if rows and all(isinstance(row.get(name), list) for row in rows if name in row))
    return replace(fresh, lists=frozenset(lists))


def _only_lists(name: str, rows: list[dict[str, object]], columns: Mapping[str, tuple[str, ...]]) -> bool:
    held = [value for row in rows for value in by_column(row, columns).values() if value is not None]
    return bool(held) and all(isinstance(value, list) for value in held) and bool(name)


def _further_on(source: Source) -> list[str]:
    """Some lines from all over the file, so that keys which only later rows have are known from the start."""
    if source.complete:
        return []
    found: list[str] = []
    with source.path.open("rb") as file:
        for place in range(1, _PLACES + 1):
            file.seek(source.bytes * place // (_PLACES + 1))
            whole = file.read(_PIECE).split(b"\n")[1:-1]
            found += [line.decode("utf-8", "replace") for line in whole[:8]]
    return found


def _csv_table(source: Source, dialect: Dialect, records: str) -> Table:
    # The empty columns that spreadsheets add have no name; they are read, because every cell must have its place.
    columns: dict[str, tuple[str, ...]] = {}
    for position, name in enumerate(dialect.names):
        columns[unused(name or f"Column {position + 1}", columns)] = (f"c{position}",)
    return Table(
        "csv",
        dialect.delimiter,
        records,
        columns,
        (*_csv_findings(dialect), *_extension(source, "csv")),
        f"CSV, cells separated by {dialect.delimiter!r}, quoted by {dialect.quote!r}",
        "coalesce(nullif(raw.aside, ''), to_json(raw.cells)::VARCHAR)",
        named=dialect.header,
        twice=frozenset(name for name in dialect.names if name and dialect.names.count(name) > 1),
        container="csv",
    )


def _json_table(source: Source, container: Json, records: str, count: int = 0) -> Table:
    several = container.packing == "values" and count > 1
    kind: Format = "jsonl" if several or container.packing == "lines" else "json"
    findings = list(_extension(source, kind))
    if container.packing == "wrapped":
        message = f'The rows are taken from the list "{container.key}".'
        findings.append(Finding("rows_in_list", "info", 1, (), message))
    if several:
        message = "The file does not have exactly one object per line; the objects were separated."
        findings.append(Finding("not_one_object_per_line", "warning", 1, (), message))
    packed = "jsonl" if several else _CONTAINERS.get(container.packing, "json_object")
    rule = f"JSON, packed as {container.packing}"
    return Table(kind, None, records, {}, tuple(findings), rule, "raw", container=packed)


def _laid_out(source: Source, packing: Dialect | Json, folder: Path) -> Table:
    written = laid_out.write(source, packing, folder)
    table = (
        _csv_table(source, packing, written.records)
        if isinstance(packing, Dialect)
        else _json_table(source, packing, written.records, written.good)
    )
    return replace(table, row_bytes=source.bytes // max(1, written.total), bytes=source.bytes)


def _csv_findings(dialect: Dialect) -> Iterator[Finding]:
    if not dialect.header and dialect.chosen:
        message = "The first line is counted as the first row, as you said; the columns have no names."
        yield Finding("no_header", "info", 1, (dialect.skip + 1,), message)
    elif not dialect.header:
        message = "The first line looks like data, so the columns have no names; it is counted as the first row."
        next_step = "Choose the columns, or say that the first line names them."
        yield Finding("no_header", "warning", 1, (dialect.skip + 1,), message, next_step, fixes=(header_offer(names=True),))
    above = [line for line in dialect.skipped if line.strip()]
    if above:
        message = f"{len(above)} lines above the column names were skipped."
        yield Finding("lines_above_header", "warning", len(above), (), message, example=above[0][:200])
    if dialect.backslash:
        message = "Quotation marks inside cells are written with a backslash; read as such."
        yield Finding("nonstandard_quotes", "warning", 1, (), message)
    if dialect.width > len(dialect.names):
        message = f"{dialect.width - len(dialect.names)} empty columns were ignored."
        yield Finding("empty_columns", "info", dialect.width - len(dialect.names), (), message)


def _extension(source: Source, found: Format) -> Iterator[Finding]:
    extension = Path(source.name).suffix.lower()
    expected = _EXTENSIONS.get(extension)
    if expected and found not in expected:
        words = {"csv": "a table with separated cells", "json": "one JSON list", "jsonl": "one JSON object per line"}
        message = f"The name ends in {extension}, but the content is {words[found]}; read as such."
        yield Finding("wrong_extension", "info", 1, (), message)
