"""A first look at a file of any size: its columns, its first rows and what it seems to be, from its first part alone.

Guarantees: at most the first quarter of a megabyte is read (of a Parquet file its first rows); nothing is kept; what is shown
is a guess, which the full reading may correct.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from studio.data.db import connect
from studio.data.intake import inspect
from studio.data.reading.parquet_table import parquet_errors
from studio.data.reading.read import opened, tables
from studio.data.reading.table import preview
from studio.data.shape import recognise
from studio.data.sources.packing import Columnar
from studio.data.sources.source import Source, glance
from studio.data.staging.fixes import opened as opened_as
from studio.data.types import Container, Reading, Shape


@dataclass(frozen=True, slots=True)
class Preview:
    """What the start of a file shows. ``complete`` says that the file is no longer than what was looked at."""

    file_name: str
    bytes: int
    container: Container
    encoding: str
    delimiter: str | None
    columns: tuple[str, ...]
    preview_columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    shape: Shape | None
    complete: bool

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        """The preview that ``asdict`` wrote."""
        fields: dict[str, Any] = {
            **value,
            "columns": tuple(value["columns"]),
            "preview_columns": tuple(value["preview_columns"]),
            "rows": tuple(tuple(row) for row in value["rows"]),
            "shape": Shape.from_dict(value["shape"]) if value["shape"] else None,
        }
        return cls(**fields)


def peek(path: Path, name: str, reading: Reading | None = None) -> Preview:
    """Look at the start of a file. Raises ``RefusedFile`` when there is no table in it, ``DataError`` when it is unreadable."""
    chosen = opened_as(reading or Reading())
    source = glance(path, name, encoding=chosen.encoding)
    with tempfile.TemporaryDirectory(prefix="tuning-fork-peek-") as place:
        if source.is_parquet:
            return _of_parquet(source, Path(place))
        head = Path(place) / "head.dat"
        head.write_bytes(_whole_lines(source).encode("utf-8", "replace"))
        found = inspect(head, name, Path(place) / "rows", replace(chosen, encoding="", fixes=()))
        return Preview(
            name,
            source.file_bytes,
            found.container,
            source.encoding,
            found.delimiter,
            found.columns,
            found.preview_columns,
            found.preview,
            found.shape,
            source.complete,
        )


def _whole_lines(source: Source) -> str:
    """The sample without its last line, which may go on behind it, unless it is all one line."""
    if source.complete:
        return source.sample
    return source.sample[: source.sample.rfind("\n") + 1] or source.sample


def _of_parquet(source: Source, place: Path) -> Preview:
    table = next(iter(tables(source, Columnar(), place)))
    with connect(place, source.name, files=(source.path,)) as connection, parquet_errors(source):
        table, sample = opened(table, source, connection)
    columns, rows = preview(table, sample.rows)
    shape = recognise(tuple(table.columns), sample.rows)
    names = tuple(table.columns)
    return Preview(source.name, source.file_bytes, "parquet", source.encoding, None, names, columns, rows, shape, False)
