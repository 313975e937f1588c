"""From a file to a table of records that DuckDB can read without guessing.

Guarantees: the content decides what the file is, its name never does; records get their editor line here, once; the
working files lie in the data set's own folder under names of ours, so a person's file name never reaches SQL.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import duckdb

from studio.data import csv_records, json_records
from studio.data.csv_records import CARRIAGE_RETURN, LINE_FEED, MOST_COLUMNS, Record
from studio.data.db import disk_errors, literal, readable
from studio.data.shape import normal
from studio.data.source import BAD_BYTES, LONGEST, Source, lines
from studio.data.types import Finding, Format, RefusedFile

PREVIEW_ROWS = 20
PREVIEW_COLUMNS = 20
#: A cell of the preview is cut after this many characters.
PREVIEW_CHARACTERS = 2000
_SEPARATOR = b"\x1f"
_RECORD = "line, 0 AS breaks, nullif(problem, '') AS problem"
#: The working file with the records of what cannot be read directly.
RECORDS = "records.txt"
# Line ends inside a record take three bytes each in the working file.
_LONGEST_RECORD = 4 * LONGEST
_REPLACEMENT = "\ufffd".encode()
# Which text DuckDB takes for a missing value: one that no file holds, so that NA, NULL and nothing stay what they are.
_NO_NULL = literal("\ufdd3")
Lines = Literal["stored", "one", "breaks"]

_EXTENSIONS: Mapping[str, frozenset[Format]] = {
    ".csv": frozenset({"csv"}),
    ".tsv": frozenset({"csv"}),
    ".json": frozenset({"json"}),
    ".jsonl": frozenset({"jsonl"}),
    ".ndjson": frozenset({"jsonl"}),
}


@dataclass(frozen=True, slots=True)
class Table:
    """The records of a file, readable as a table.

    ``records`` is a SQL table expression in file order with ``line`` (see ``lines``), ``breaks`` (line ends in the record),
    ``problem`` (the reason why a record cannot be read, or NULL) and, for CSV, ``aside`` (the text of such a record) and one
    VARCHAR ``c0, c1, ...`` per cell, for JSON one VARCHAR ``value``. ``columns`` maps each shown column to its places: cells
    for CSV, JSON pointers to all spellings of the key for JSON. ``raw_text`` is SQL for the text of a record from the column
    ``raw`` that ``texts`` makes. ``named`` is false when the file has no column names, and ``twice`` holds the names that more
    than one column has.

    ``lines`` says how editor lines are known: ``stored`` in ``line``; ``one`` line per record, the first on ``first_line``; or
    ``breaks``, where a record may hold ``breaks`` more.
    """

    format: Format
    delimiter: str | None
    records: str
    columns: Mapping[str, tuple[str, ...]]
    findings: tuple[Finding, ...]
    rule: str
    raw_text: str
    named: bool = True
    twice: frozenset[str] = frozenset()
    lines: Lines = "stored"
    first_line: int = 1


@dataclass(frozen=True, slots=True)
class Layout:
    """Numbered records on disk, before anything is known about their columns. ``row_bytes`` is their mean size."""

    packing: csv_records.Dialect | json_records.Container
    records: Path
    row_bytes: int


def lay_out(source: Source, folder: Path) -> Layout:
    """Decide what the file is, and write its records into ``folder``. Raises ``RefusedFile`` when there is no table in it."""
    complete = source.complete
    if source.is_parquet:
        raise RefusedFile("not_text_parquet", "This is a Parquet file.", where=source.name, next_step="Export it as JSONL or CSV.")
    packing = json_records.sniff(source.sample, complete) or csv_records.sniff(source.sample, complete)
    if isinstance(packing, csv_records.Dialect):
        if packing.width > MOST_COLUMNS:
            raise RefusedFile(
                "too_many_columns",
                f"The first line has {packing.width:,} cells.",
                where=source.name,
                next_step="Keep the columns with the prompt and the answer, and save the file again.",
            )
        records = csv_records.records(lines(source.chunks(), source.name, returns=packing.returns), packing)
        return _write(records, source, folder, packing, packing.delimiter.encode())
    if packing.packing == "lines":
        return _write(json_records.by_line(lines(source.chunks(), source.name)), source, folder, packing, None)
    values = json_records.by_value(json_records.unix_lines(source.chunks()), packing, source.name)
    return _write(values, source, folder, packing, None)


def open_table(source: Source, layout: Layout, connection: duckdb.DuckDBPyConnection) -> Table:
    """Make the records readable as a table. Raises ``RefusedFile`` for JSON without a single object."""
    if isinstance(layout.packing, csv_records.Dialect):
        return _csv_table(source, layout, layout.packing)
    return _json_table(source, layout, layout.packing, connection)


def preview(table: Table, connection: duckdb.DuckDBPyConnection) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """The first rows as they stand in the file: column names and texts. A missing value is an empty text."""
    names = tuple(table.columns)[:PREVIEW_COLUMNS]
    first = f"FROM {table.records} WHERE problem IS NULL LIMIT {PREVIEW_ROWS}"
    if table.format == "csv":
        cells = ", ".join(_cut(cell) for name in names for cell in table.columns[name])
        return names, tuple(
            tuple(text or "" for text in row) for row in connection.execute(f"SELECT {cells} {first}").fetchall()
        )
    rows: list[tuple[str, ...]] = []
    for (text,) in connection.execute(f"SELECT value {first}").fetchall():
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            rows.append(tuple(_shown(_held(value, table.columns[name])) for name in names))
    return names, tuple(rows)


def _held(value: Mapping[str, object], pointers: Sequence[str]) -> object:
    """What an object holds under one of the spellings of a key."""
    keys = [pointer[1:].replace("~1", "/").replace("~0", "~") for pointer in pointers]
    return next((value[key] for key in keys if key in value), None)


def _cut(cell: str) -> str:
    return f"left({cell}, {PREVIEW_CHARACTERS})"


def _shown(value: object) -> str:
    text = "" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    # A half surrogate pair is legal in a JSON escape, but no text.
    return text[:PREVIEW_CHARACTERS].encode("utf-8", "replace").decode()


def _csv_table(source: Source, layout: Layout, dialect: csv_records.Dialect) -> Table:
    # The empty columns that spreadsheets add have no name; they are read, because every cell must have its place.
    columns: dict[str, tuple[str, ...]] = {}
    for position, name in enumerate(dialect.names):
        columns[_unused(name or f"Column {position + 1}", columns)] = (f"c{position}",)
    types = ", ".join(f"'{name}': 'VARCHAR'" for name in (f"c{position}" for position in range(dialect.width)))
    expression = (
        f"read_csv({readable(layout.records)}, auto_detect=false, header=false, nullstr={_NO_NULL}, strict_mode=true, "
        f"max_line_size={_LONGEST_RECORD}, delim={literal(dialect.delimiter)}, quote={literal(dialect.quote)}, "
        f"escape={literal(dialect.quote)}, "
        f"columns={{'line': 'BIGINT', 'problem': 'VARCHAR', 'aside': 'VARCHAR', {types}}})"
    )
    cells = ", ".join(_restored(f"c{position}") for position in range(dialect.width))
    findings = (*_csv_findings(dialect), *_extension(source, "csv"))
    twice = frozenset(name for name in dialect.names if name and dialect.names.count(name) > 1)
    rule = f"CSV, cells separated by {dialect.delimiter!r}, quoted by {dialect.quote!r}"
    records = f"(SELECT {_RECORD}, {_restored('aside')}, {cells} FROM {expression})"
    raw_text = "coalesce(nullif(raw.aside, ''), to_json(raw.cells)::VARCHAR)"
    return Table("csv", dialect.delimiter, records, columns, findings, rule, raw_text, dialect.header, twice)


def _json_table(
    source: Source, layout: Layout, container: json_records.Container, connection: duckdb.DuckDBPyConnection
) -> Table:
    expression = (
        f"read_csv({readable(layout.records)}, auto_detect=false, header=false, nullstr={_NO_NULL}, delim=chr(31), quote='', "
        f"escape='', max_line_size={_LONGEST_RECORD}, "
        "columns={'line': 'BIGINT', 'problem': 'VARCHAR', 'value': 'VARCHAR'})"
    )
    records = f"(SELECT {_RECORD}, {_restored('value')} FROM {expression})"
    columns = _keys(records, connection)
    if not columns:
        _refuse_rowless(records, source, connection)
    several = container.packing == "values" and _count(f"{records} WHERE problem IS NULL", connection) > 1
    kind: Format = "jsonl" if several or container.packing == "lines" else "json"
    findings = list(_extension(source, kind))
    if container.packing == "wrapped":
        message = f'The rows are taken from the list "{container.key}".'
        findings.append(Finding("rows_in_list", "info", 1, (), message))
    if several:
        message = "The file does not have exactly one object per line; the objects were separated."
        findings.append(Finding("not_one_object_per_line", "warning", 1, (), message))
    return Table(kind, None, records, columns, tuple(findings), f"JSON, packed as {container.packing}", "raw")


def _write(
    records: Iterator[Record],
    source: Source,
    folder: Path,
    packing: csv_records.Dialect | json_records.Container,
    delimiter: bytes | None,
) -> Layout:
    """Lay the records out, one per line: ``line, problem, text``; CSV records ``line, problem, aside, cells...``.

    CSV records keep their ``delimiter``; JSON values have none.
    """
    values, separator = delimiter is None, delimiter or _SEPARATOR
    path, damaged, count = folder / RECORDS, not source.clean, 0
    quote, empty = b"", b""
    if isinstance(packing, csv_records.Dialect):
        quote, empty = packing.quote.encode(), separator * packing.width
    with disk_errors(source.name), path.open("wb") as file:
        for line, reason, text in records:
            count += 1
            why, raw = (
                ("bad_encoding", text.replace(BAD_BYTES, _REPLACEMENT)) if damaged and BAD_BYTES in text else (reason, text)
            )
            if values:
                # A raw control character is no JSON, and its stand-in is none either.
                raw = raw.replace(_SEPARATOR, b"\x02") if _SEPARATOR in raw else raw
                file.write(b"%d\x1f%b\x1f%b\n" % (line, (why or "").encode(), raw))
            elif why is None:
                file.write(b"%d%b%b%b%b\n" % (line, separator, separator, separator, raw))
            else:
                quoted = quote + raw.replace(quote, quote * 2) + quote
                file.write(b"%d%b%b%b%b%b\n" % (line, separator, why.encode(), separator, quoted, empty))
    return Layout(packing, path, source.bytes // max(1, count))


def _restored(cell: str) -> str:
    """SQL for a cell with its line ends back in place. An empty cell is an empty text, not a missing one."""
    feed, carriage = literal(LINE_FEED.decode()), literal(CARRIAGE_RETURN.decode())
    return f"replace(replace(coalesce({cell}, ''), {feed}, chr(10)), {carriage}, chr(13)) AS {cell}"


def _keys(records: str, connection: duckdb.DuckDBPyConnection) -> dict[str, tuple[str, ...]]:
    """All keys of all objects (the 2,000 most frequent), in the order of first appearance.

    Spellings that differ in case only are one column, named by the most frequent spelling.
    """
    query = f"""
        SELECT key, count(*) AS times, min(line) AS first_line, min(place) AS first_place FROM (
          SELECT line, unnest(keys) AS key, generate_subscripts(keys, 1) AS place FROM (
            SELECT line, CASE WHEN problem IS NOT NULL OR NOT json_valid(value) THEN NULL WHEN json_type(value) = 'OBJECT'
              THEN json_keys(value) END AS keys
            FROM {records}))
        GROUP BY key ORDER BY times DESC, first_line, first_place LIMIT {MOST_COLUMNS}"""
    found = connection.execute(query).fetchall()
    spellings: dict[str, list[str]] = {}
    for key, *_ in found:
        spellings.setdefault(normal(key) or key, []).append(key)
    place = {key: (row, position) for key, _, row, position in found}
    groups = sorted(spellings.values(), key=lambda keys: min(place[key] for key in keys))
    columns: dict[str, tuple[str, ...]] = {}
    for keys in groups:
        columns[_unused(keys[0], columns)] = tuple(_pointer(key) for key in keys)
    return columns


def _pointer(key: str) -> str:
    return "/" + key.replace("~", "~0").replace("/", "~1")


def _refuse_rowless(records: str, source: Source, connection: duckdb.DuckDBPyConnection) -> None:
    """Say why a JSON file without a single object cannot be used."""
    everything = f"SELECT line, problem IS NULL AND json_valid(value) AS valid FROM {records}"
    row = connection.execute(f"SELECT count(*), count(*) FILTER (valid), min(line) FROM ({everything})").fetchone()
    count, valid, line = row or (0, 0, None)
    if count == 0:
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


def _count(expression: str, connection: duckdb.DuckDBPyConnection) -> int:
    row = connection.execute(f"SELECT count(*) FROM {expression}").fetchone()
    return int(row[0]) if row else 0


def _unused(name: str, taken: Mapping[str, object]) -> str:
    """The name, with a number behind it when it is taken."""
    if name not in taken:
        return name
    return next(candidate for number in range(2, len(taken) + 3) if (candidate := f"{name} ({number})") not in taken)


def _csv_findings(dialect: csv_records.Dialect) -> Iterator[Finding]:
    if not dialect.header:
        message = "The first line looks like data, so the columns have no names; it is counted as the first row."
        yield Finding("no_header", "warning", 1, (dialect.skip + 1,), message, "Choose the columns.")
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
