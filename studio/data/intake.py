"""From a person's file to an ``Inspection``: survey, table, shape, stage, findings."""

from __future__ import annotations

import json
import shutil
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb

from studio.data import shape as shapes
from studio.data.db import connect, disk_errors
from studio.data.findings import near
from studio.data.findings.check import check
from studio.data.findings.leaving import leave_out
from studio.data.reading import plain
from studio.data.reading.keys import new_keys
from studio.data.reading.laid_out import RECORDS
from studio.data.reading.parquet_table import parquet_errors
from studio.data.reading.read import again, opened, refuse_rowless, tables
from studio.data.reading.table import Sample, Table, preview
from studio.data.reading.texts import extra_columns, prepare
from studio.data.sources.packing import Columnar, Packing, packing_of
from studio.data.sources.source import WORKING_FILES, Source, survey
from studio.data.staging import fixes as repairs
from studio.data.staging.stage import LAYOUT, STAGE, write_stage
from studio.data.staging.tally import first_line, tally
from studio.data.types import Inspection, Reading, Shape, Watch
from studio.errors import NotFoundError, StoreError

_RECORD = "inspection.json"
# What checking may hold in memory, in bytes: keys of rows, and the texts of a few.
_CHECKING = 300_000_000
# What is written beside a text of so many bytes, at the most that was measured (short and long rows, chats, text that does
# not shrink): the stage; and the working file of records, in which a line end inside a cell takes two bytes more.
_STAGE_PER_BYTE, _RECORDS_PER_BYTE, _RECORDS_PER_LINE = 1.1, 1.0, 2
# A Parquet file is packed already, as the stage is; that holds keys of every row besides.
_STAGE_PER_PACKED_BYTE = 1.5


def inspect(
    source: Path,
    name: str,
    folder: Path,
    reading: Reading | None = None,
    *,
    watch: Watch | None = None,
    mapping: Mapping[str, str] | None = None,
) -> Inspection:
    """Read the file ``source`` once, judge every row, and stage the rows in ``folder`` (made if missing).

    ``name`` is what the person calls the file; it is only shown. ``reading`` says what a person chose or confirmed; ``mapping``
    is short for a reading with nothing but that mapping.

    Raises ``RefusedFile`` (a ``DataError``) when there is no table in the file at all, ``DataError`` when it cannot be read or
    the reading does not fit, ``StoreError`` when the disk is full, ``Cancelled`` when the watch says so.
    """
    chosen = repairs.opened(reading or Reading(mapping=mapping))
    with disk_errors(name):
        folder.mkdir(parents=True, exist_ok=True)
    place = folder.resolve()
    try:
        surveyed = survey(source, name, place, encoding=chosen.encoding, watch=watch)
        inspection = _inspected(surveyed, place, chosen, watch)
    finally:
        for working in (RECORDS, f"{STAGE}.part", f"{LAYOUT}.part", *WORKING_FILES):
            (folder / working).unlink(missing_ok=True)
    with disk_errors(name):
        write_json(folder / _RECORD, inspection.to_dict())
    return inspection


def reopen(folder: Path) -> Inspection:
    """The inspection that was made in this folder. Raises ``NotFoundError`` when there is none."""
    try:
        value = json.loads((folder / _RECORD).read_text("utf-8"))
    except FileNotFoundError as error:
        raise NotFoundError("No inspected file is kept here.", where=str(folder), next_step="Choose the file again.") from error
    return replace(Inspection.from_dict(value), folder=folder)


def write_json(path: Path, value: Mapping[str, object]) -> None:
    """Write the whole file or nothing."""
    partial = path.with_name(path.name + ".part")
    partial.write_text(json.dumps(value, ensure_ascii=False, indent=1), "utf-8")
    partial.replace(path)


def _inspected(source: Source, folder: Path, reading: Reading, watch: Watch | None) -> Inspection:
    packing = packing_of(source, reading.key, reading.header)
    _need_room(source, packing, folder)
    for table in tables(source, packing, folder):
        with connect(folder, source.name, row_bytes=table.row_bytes, files=(source.path,)) as connection:
            prepare(connection)
            staged = _staged(source, table, folder, reading, connection, watch)
        if staged:
            # Another connection, so that nothing is held any more that staging took.
            with connect(folder, source.name, row_bytes=table.row_bytes, memory=_CHECKING) as connection:
                return _judged(source, staged, reading, connection, watch)
    raise AssertionError("the last way to read a file is never in doubt")


@dataclass(frozen=True, slots=True)
class _Staged:
    """A stage with the table and the shape that it was made of."""

    table: Table
    shape: Shape | None
    sample: Sample
    path: Path


def _staged(
    source: Source,
    found: Table,
    folder: Path,
    reading: Reading,
    connection: duckdb.DuckDBPyConnection,
    watch: Watch | None,
) -> _Staged | None:
    """Write the stage; None when the table was not what it was trusted to be."""
    with parquet_errors(source), _doubts(found):
        table, sample = opened(found, source, connection)
        while True:
            shape = _shape(table, sample, reading)
            path = write_stage(table, shape, folder, connection, reading.fixes, watch)
            counted = tally(table, path, connection)
            if counted.doubtful or (table.direct and counted.bare):
                # Bare lists may be conversations, which only the other way tells.
                return None
            if not new_keys(table, counted.keys):
                break
            # Only later rows have some of the keys: now all are known.
            table = again(table, list(counted.keys), sample)
        source.check_unchanged()
        if table.format in ("json", "jsonl") and not table.columns:
            refuse_rowless(source, counted.rows, counted.bare, first_line(path, connection))
        return _Staged(replace(table, findings=(*table.findings, *counted.findings)), shape, sample, path)
    return None


@contextmanager
def _doubts(table: Table) -> Generator[None]:
    """What the database cannot read directly is read record by record instead."""
    try:
        yield
    except duckdb.InterruptException:
        raise
    except duckdb.Error as error:
        if not table.direct or "No space left" in str(error):
            raise


def _judged(
    source: Source, staged: _Staged, reading: Reading, connection: duckdb.DuckDBPyConnection, watch: Watch | None
) -> Inspection:
    table, shape = staged.table, staged.shape and repairs.trained(staged.shape, reading.fixes)
    if watch:
        watch.at("checking", 0, 0, "rows")
    preview_columns, first_rows = preview(table, staged.sample.rows)
    leave_out(staged.path, reading.fixes, connection)
    alike = near.find(staged.path, connection, watch=watch)
    report = check(source, table, shape, staged.path, connection, near=alike, reading=reading, sample=staged.sample.rows)
    return Inspection(
        file_name=source.name,
        format=table.format,
        container=table.container,
        encoding=source.encoding,
        delimiter=table.delimiter,
        columns=tuple(table.columns),
        shape=shape,
        rows_total=report.total,
        rows_usable=report.usable,
        rows_rejected=report.total - report.usable,
        duplicate_rows=report.duplicates,
        near_duplicate_rows=report.near_duplicates,
        findings=report.findings,
        preview_columns=preview_columns,
        preview=first_rows,
        example=report.example,
        lengths=report.lengths,
        fingerprint=source.fingerprint,
        bytes=source.file_bytes,
        folder=staged.path.parent,
        rules=(f"text: {source.encoding}", table.rule, *((alike.rule,) if shape else ())),
        fixes=reading.fixes,
        extras=extra_columns(table, shape),
        header=table.named if table.format == "csv" else None,
    )


def _shape(table: Table, sample: Sample, reading: Reading) -> Shape | None:
    """The shape that a person chose, or the one that names and contents show."""
    columns = tuple(table.columns)
    if reading.mapping:
        return shapes.chosen(reading.mapping, columns, sample.rows, reading.kind)
    # A file without column names has no shape, nor has one where two columns share the name that counts.
    shape = shapes.recognise(columns, sample.rows) if table.named else None
    return None if shape and table.twice & {column for _, column in shape.columns} else shape


def _room(source: Source, packing: Packing) -> int:
    """About how many bytes preparing this file writes."""
    if isinstance(packing, Columnar):
        return int(source.bytes * _STAGE_PER_PACKED_BYTE)
    stage = int(source.bytes * _STAGE_PER_BYTE)
    if plain.records(source, packing) is not None:
        return stage
    lines = source.facts.lines if source.facts else 0
    return stage + int(source.bytes * _RECORDS_PER_BYTE) + _RECORDS_PER_LINE * lines


def _need_room(source: Source, packing: Packing, folder: Path) -> None:
    with disk_errors(source.name):
        free = shutil.disk_usage(folder).free
    needed = _room(source, packing)
    if free < needed:
        raise StoreError(
            f"The disk has {free / 1e6:,.0f} MB free, and preparing this file takes about {needed / 1e6:,.0f} MB.",
            where=source.name,
            next_step="Free some space and try again. Your file was not changed.",
        )
