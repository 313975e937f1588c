"""From a person's file to an ``Inspection``: survey, table, shape, stage, findings."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import duckdb

from studio.data import shape as shapes
from studio.data.check import check
from studio.data.db import connect, disk_errors
from studio.data.read import RECORDS, Layout, Table, lay_out, open_table, preview
from studio.data.source import WORKING_FILES, Source, survey
from studio.data.stage import STAGE, write_stage
from studio.data.texts import extra_columns
from studio.data.types import Inspection, Reading, Shape, Watch
from studio.errors import NotFoundError, StoreError

_RECORD = "inspection.json"
# Working copy of the records plus the stage, with some room for spilling.
_ROOM_PER_BYTE = 2.5


class _Unwatched:
    """Nobody watches."""

    def at(self, phase: str, done: int, total: int, unit: str) -> None:
        """Nothing to tell."""


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
    chosen = reading or Reading(mapping=mapping)
    say = watch or _Unwatched()
    with disk_errors(name):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        surveyed = survey(source, name, folder.resolve(), encoding=chosen.encoding, watch=watch)
        _need_room(surveyed, folder)
        layout = lay_out(surveyed, folder.resolve())
        with connect(folder, name, row_bytes=layout.row_bytes) as connection:
            inspection = _inspected(surveyed, layout, folder.resolve(), chosen, connection, say)
    finally:
        for working in (RECORDS, f"{STAGE}.part", *WORKING_FILES):
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


def _inspected(
    source: Source,
    layout: Layout,
    folder: Path,
    reading: Reading,
    connection: duckdb.DuckDBPyConnection,
    watch: Watch,
) -> Inspection:
    table = open_table(source, layout, connection)
    shape = shapes.chosen(reading.mapping, tuple(table.columns)) if reading.mapping else _recognised(table)
    preview_columns, first_rows = preview(table, connection)
    watch.at("staging", 0, 0, "rows")
    stage = write_stage(table, shape, folder, connection, layout.row_bytes, reading.fixes)
    watch.at("checking", 0, 0, "rows")
    report = check(source, table, shape, stage, connection)
    return Inspection(
        file_name=source.name,
        format=table.format,
        encoding=source.encoding,
        delimiter=table.delimiter,
        columns=tuple(table.columns),
        shape=shape,
        rows_total=report.total,
        rows_usable=report.usable,
        rows_rejected=report.total - report.usable,
        duplicate_rows=report.duplicates,
        findings=report.findings,
        preview_columns=preview_columns,
        preview=first_rows,
        example=report.example,
        lengths=report.lengths,
        fingerprint=source.fingerprint,
        bytes=source.bytes,
        folder=folder,
        rules=(f"text: {source.encoding}", table.rule),
        fixes=reading.fixes,
        extras=extra_columns(table, shape),
    )


def _recognised(table: Table) -> Shape | None:
    """The shape by the column names; none when the file has no names, or two columns share the one that counts."""
    shape = shapes.recognise(table.columns) if table.named else None
    return None if shape and table.twice & {column for _, column in shape.columns} else shape


def _need_room(source: Source, folder: Path) -> None:
    with disk_errors(source.name):
        free = shutil.disk_usage(folder).free
    needed = int(source.bytes * _ROOM_PER_BYTE)
    if free < needed:
        raise StoreError(
            f"The disk has {free / 1e6:,.0f} MB free, and preparing this file takes about {needed / 1e6:,.0f} MB.",
            where=source.name,
            next_step="Free some space and try again. Your file was not changed.",
        )
