"""The records of a file as a table that SQL can read, whatever the file was.

Guarantees: a record has one place, and records keep their order; no name or value of the file is SQL here, only a literal.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import duckdb
import orjson

from studio.data.types import Container, Finding, Format

PREVIEW_ROWS = 20
PREVIEW_COLUMNS = 20
#: A cell of the preview is cut after this many characters.
PREVIEW_CHARACTERS = 2000
#: How many rows decide about the shape.
SAMPLED_ROWS = 300
# A sampled value is looked at for its kind and its first words.
_SAMPLED_CHARACTERS = 20_000

Lines = Literal["stored", "one", "chunks"]


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
    ``chunks``, where ``line`` counts from the start of a chunk of rows (see ``numbering``).
    ``direct`` tables read the person's file itself on trust: when it has
    not exactly ``physical_lines`` lines in the end, the trust was wrong. ``regular`` are the keys of most JSON rows, in their
    order, and ``lists`` the columns that hold lists there.
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
    container: Container = "jsonl"
    row_bytes: int = 0
    bytes: int = 0
    direct: bool = False
    physical_lines: int = 0
    regular: tuple[str, ...] = ()
    lists: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Sample:
    """Some rows as Python values: the first ones, and a few from further on. ``keys`` are those of JSON rows, in order."""

    rows: tuple[Mapping[str, object], ...] = ()
    keys: tuple[tuple[str, ...], ...] = field(default=())


def preview(table: Table, rows: Sequence[Mapping[str, object]]) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """The first rows as they stand in the file: column names and texts. A missing value is an empty text."""
    names = tuple(table.columns)[:PREVIEW_COLUMNS]
    return names, tuple(tuple(_shown(row.get(name)) for name in names) for row in rows[:PREVIEW_ROWS])


def values(texts: Sequence[str]) -> Iterator[dict[str, object]]:
    """The objects among some JSON texts."""
    for text in texts:
        try:
            # Half a surrogate pair, which Python's reader lets through, is no text for the database.
            value = orjson.loads(text) if "\\u" in text else json.loads(text)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            yield value


def cells(table: Table, connection: duckdb.DuckDBPyConnection) -> tuple[Mapping[str, object], ...]:
    """The first rows of a table with cells, by column."""
    names = tuple(table.columns)
    wanted = ", ".join(f"left({table.columns[name][0]}, {_SAMPLED_CHARACTERS})" for name in names)
    query = f"SELECT {wanted} FROM {table.records} WHERE problem IS NULL LIMIT {SAMPLED_ROWS}"
    return tuple(dict(zip(names, row, strict=True)) for row in connection.execute(query).fetchall())


def by_column(value: Mapping[str, object], columns: Mapping[str, Sequence[str]]) -> dict[str, object]:
    """What an object holds in each column, under whichever spelling of its key holds something."""
    row: dict[str, object] = {}
    for name, pointers in columns.items():
        held = [value[key] for key in map(key_of, pointers) if key in value]
        if held:
            row[name] = next((one for one in held if one is not None), None)
    return row


def pointer(key: str) -> str:
    """The JSON pointer to this key of an object."""
    return "/" + key.replace("~", "~0").replace("/", "~1")


def key_of(place: str) -> str:
    """The key that a JSON pointer names."""
    return place[1:].replace("~1", "/").replace("~0", "~")


def _shown(value: object) -> str:
    text = "" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    # A half surrogate pair is legal in a JSON escape, but no text.
    return text[:PREVIEW_CHARACTERS].encode("utf-8", "replace").decode()
