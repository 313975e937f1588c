"""How the rows of a file are packed, and one way to get them all: the exact one.

Guarantees: the content decides, the name never does; whatever the packing is, the records come in file order, each with the
line an editor shows, and memory stays bounded.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from studio.data.sources import csv_records, json_forms, json_records
from studio.data.sources.csv_records import MOST_COLUMNS, Dialect, Record
from studio.data.sources.json_records import Container
from studio.data.sources.source import Source, lines
from studio.data.types import RefusedFile


@dataclass(frozen=True, slots=True)
class Columnar:
    """A Parquet file: the columns and their types stand in the file itself."""


Packing = Dialect | Container | Columnar


def packing_of(source: Source, key: str = "", header: bool | None = None) -> Packing:
    """Decide how the rows are packed.

    ``key`` is the way to the list of rows in a JSON text, and ``header`` says whether the first line of a table names its
    columns, when a person chose so.

    Raises ``RefusedFile`` for a table with far too many columns.
    """
    if source.is_parquet:
        return Columnar()
    found = json_records.sniff(source.sample, source.complete)
    if found is None:
        found = csv_records.sniff(source.sample, source.complete, header)
    if isinstance(found, Container) and found.packing != "lines":
        return json_forms.form_of(source, found, key)
    if isinstance(found, Dialect) and found.width > MOST_COLUMNS:
        raise RefusedFile(
            "too_many_columns",
            f"The first line has {found.width:,} cells.",
            where=source.name,
            next_step="Keep the columns with the prompt and the answer, and save the file again.",
        )
    return found


def records_of(source: Source, packing: Dialect | Container) -> Iterator[Record]:
    """Every record of a text, in file order."""
    if isinstance(packing, Dialect):
        return csv_records.records(lines(source.chunks(), source.name, returns=packing.returns), packing)
    if packing.packing == "lines":
        return json_records.by_line(lines(source.chunks(), source.name))
    if packing.packing in ("columns", "split", "index"):
        return json_forms.form_records(source, packing)
    values = json_records.by_value(json_records.unix_lines(source.chunks(packing.offset)), packing, source.name)
    return json_forms.unwrapped(values, packing.inner) if packing.inner else values
