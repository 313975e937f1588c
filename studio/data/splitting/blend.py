"""The rows of a mixture: one stage of all sources, the parts that they had already, and how often each row comes.

Guarantees: sources are only read; every row carries the name of its source; what is written depends on the texts, the weights
and the order of the sources, never on the machine. ``studio.data.splitting.mix`` says what it is all for.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import duckdb

from studio.data.db import disk_errors, literal, parquet, watched, writable
from studio.data.findings.check import Report
from studio.data.judges.rules import MESSAGES_TYPE
from studio.data.reading.texts import MOST_EXTRAS
from studio.data.splitting.assign import PARTS, PartName
from studio.data.splitting.stored import stored, table_of, write
from studio.data.staging.marks import CALM, marked
from studio.data.staging.stage import LEFT_OUT, STAGE, put_in_place, rows_of
from studio.data.types import (
    Dataset,
    Inspection,
    Shape,
    SplitPlan,
    TrainingType,
    Watch,
)

#: The extra column that names the source of a row: always the first.
SOURCE: Final = "source"

_PREVIEWED: Final = ("source", "prompt", "completion")
_PREVIEW_ROWS: Final = 20
_PREVIEW_CHARACTERS: Final = 300
_MILLION: Final = 1_000_000
# Digits of a key that no part depends on.
_ROW_CHANCE: Final = f"(row_key // 65536 % {_MILLION}) / {_MILLION}.0"
_PROMPT_CHANCE: Final = f"(prompt_key // 10000 % {_MILLION}) / {_MILLION}.0"
_PROMPT_KEY: Final = "('0x' || left(prompt_id, 16))::UBIGINT AS prompt_key"
_ROW_KEY: Final = "('0x' || right(prompt_id, 16))::UBIGINT AS row_key"


@dataclass(frozen=True, slots=True)
class Source:
    """One source as it was found. ``dataset`` is None when it was checked but never split."""

    place: int
    name: str
    weight: float
    replay: bool
    inspection: Inspection
    shape: Shape
    dataset: Dataset | None

    @property
    def parts(self) -> tuple[PartName, ...]:
        """The parts whose rows come into the mixture."""
        return ("train",) if self.replay else PARTS

    def part(self, name: PartName) -> Path:
        """Where a part of a data set lies."""
        return self.inspection.folder / f"{name}.parquet"


def files_of(source: Source) -> tuple[Path, ...]:
    """The files that are read."""
    if source.dataset is not None:
        return tuple(source.part(name) for name in PARTS)
    return (source.inspection.folder / STAGE, source.inspection.folder / LEFT_OUT)


def row_bytes(source: Source) -> int:
    """The mean size of a row."""
    lengths = source.inspection.lengths
    return (lengths.prompt.total + lengths.completion.total) // max(1, source.inspection.rows_usable)


def extras_of(sources: Sequence[Source]) -> tuple[str, ...]:
    """The extra columns of the mixture: the source, then those of all sources by name."""
    named = dict.fromkeys(name for source in sources for name in source.inspection.extras if name != SOURCE)
    return (SOURCE, *named)[:MOST_EXTRAS]


def write_stage(
    sources: Sequence[Source],
    extras: Sequence[str],
    folder: Path,
    connection: duckdb.DuckDBPyConnection,
    watch: Watch | None,
) -> None:
    """Write the usable rows of all sources as the stage of the mixture, source by source."""
    total = sum(source.inspection.rows_usable for source in sources)
    each = " UNION ALL ".join(_rows(source, extras, connection) for source in sources)
    nothing = ", ".join(f"NULL::VARCHAR AS {name}" for name in ("raw", "reason", "detail", "breaks", "keys"))
    never = ", ".join(f"false AS {name}" for name in ("converted", "odd_turns", "repaired"))
    sizes = "length(prompt)::INTEGER AS lp, length(completion)::INTEGER AS lc"
    rows = marked(f"SELECT *, {sizes}, {nothing}, {never} FROM ({each})")
    query = f"SELECT * EXCLUDE ({CALM}), NULL::BIGINT AS flags FROM ({rows})"
    largest = max(row_bytes(source) for source in sources)
    partial = folder / f"{STAGE}.part"
    try:
        copy = f"COPY ({query}) TO {writable(partial)} ({parquet(largest)})"
        watched(connection, copy, watch, "mixing", total, "rows")
        with disk_errors(str(folder)):
            put_in_place(partial, {"lines": "stored", "first": 0, "flags": []})
    finally:
        partial.unlink(missing_ok=True)


def _rows(source: Source, extras: Sequence[str], connection: duckdb.DuckDBPyConnection) -> str:
    """SQL for the rows of one source in the columns of the stage."""
    own = source.inspection.extras
    named = [
        f"{literal(source.name)} AS x0",
        *(f"{f'x{own.index(name)}' if name in own else 'NULL::VARCHAR'} AS x{n}" for n, name in enumerate(extras) if n),
    ]
    columns = f"line, system, prompt, completion, rejected, {_turns(source)} AS messages, reference, reward, reward_name"
    if source.dataset is None:
        rows = f"(FROM {rows_of(source.inspection.folder / STAGE)} WHERE reason IS NULL)"
        return f"SELECT {columns}, row_key, prompt_key, {', '.join(named)} FROM {rows}"
    each = [
        f"SELECT {columns}, {_ROW_KEY}, {_PROMPT_KEY}, {', '.join(named)} FROM {table_of(source.part(name), connection)}"
        for name in source.parts
    ]
    return " UNION ALL ".join(each)


def _turns(source: Source) -> str:
    """SQL for the turns of a row, NULL where the form has none: a part gives turns for every row."""
    chats = source.shape.kind in ("messages", "sharegpt", "mixed", "preference_hh", "preference_messages")
    return "messages" if chats or source.dataset is None else f"NULL::{MESSAGES_TYPE}"


def make_pins(sources: Sequence[Source], connection: duckdb.DuckDBPyConnection) -> None:
    """Make ``pins``: the parts that prompts have in the sources that were split."""
    connection.execute("CREATE TEMP TABLE pins (prompt_key UBIGINT, part VARCHAR, replayed BOOLEAN)")
    for source in sources:
        for name in PARTS if source.dataset is not None else ():
            connection.execute(f"""
                INSERT INTO pins SELECT DISTINCT {_PROMPT_KEY}, {literal(name)}, {source.replay}
                FROM {table_of(source.part(name), connection)}""")


def make_strata(rows: str, value: str, connection: duckdb.DuckDBPyConnection) -> None:
    """Make ``strata``: the value by which every row is stratified."""
    connection.execute(
        f"CREATE TEMP TABLE strata AS SELECT row_id, nullif(trim({value}), '') AS stratum FROM {rows} WHERE reason IS NULL"
    )


def make_doses(sources: Sequence[Source], rows: str, connection: duckdb.DuckDBPyConnection) -> None:
    """Make ``doses``: the part of every row and how many times it comes. A source keeps at least one row of a part it has."""
    connection.execute("CREATE TEMP TABLE weights (source VARCHAR, place INTEGER, weight DOUBLE)")
    connection.executemany("INSERT INTO weights VALUES (?, ?, ?)", [(one.name, one.place, one.weight) for one in sources])
    connection.execute(f"""
        CREATE TEMP TABLE doses AS SELECT row_id, line, part, source, place, row_key,
          CASE WHEN part = 'train' THEN floor(weight) + (chance < weight - floor(weight))::INTEGER
            ELSE (chance < weight)::INTEGER END::INTEGER AS wanted,
          greatest(wanted, (row_number() OVER (PARTITION BY source, part ORDER BY chance, row_id) = 1)::INTEGER) AS times
        FROM (
          SELECT row_id, line, part, source, place, weight, row_key,
            CASE WHEN part = 'train' THEN {_ROW_CHANCE} ELSE {_PROMPT_CHANCE} END AS chance
          FROM kept JOIN prompts USING (prompt_key) JOIN (SELECT row_id, line, x0 AS source, row_key FROM {rows}) USING (row_id)
          JOIN weights USING (source) WHERE part IS NOT NULL)""")


def expected(connection: duckdb.DuckDBPyConnection) -> int:
    """How many rows the three parts have together."""
    found = connection.execute("SELECT sum(times)::BIGINT FROM doses").fetchone()
    return int(found[0] or 0) if found else 0


def write_parts(
    rows: str,
    inspection: Inspection,
    plan: SplitPlan,
    order: str,
    row_bytes: int,
    connection: duckdb.DuckDBPyConnection,
    watch: Watch | None,
) -> dict[str, str]:
    """Write the parts: held-out rows shuffled by their hash, training rows in the order of the plan. Returns the SQL of each.

    ``order`` is SQL for a column of the stage, or empty.
    """
    training: TrainingType = inspection.shape.training if inspection.shape else "SL"
    written: dict[str, str] = {}
    for part in PARTS:
        first = "" if part != "train" else "value NULLS LAST, " if order else "place, " if plan.order == SOURCE else ""
        value = order if order and part == "train" else "NULL"
        connection.execute(f"""
            CREATE OR REPLACE TEMP TABLE turns AS SELECT row_id, line, row_number() OVER (
                ORDER BY {first}md5_number_lower(concat_ws('-', row_key, copy)), row_id, copy) AS turn
            FROM (SELECT row_id, line, place, row_key, unnest(range(times)) AS copy FROM doses WHERE part = {literal(part)})
            JOIN (SELECT row_id, {value} AS value FROM {rows}) USING (row_id)""")
        chosen = f"(SELECT s.* REPLACE (t.line AS line), t.turn FROM {rows} s JOIN turns t USING (row_id))"
        query = f"{stored(chosen, training, len(inspection.extras), 'x0')} ORDER BY turn"
        found = connection.execute("SELECT count(*) FROM turns").fetchone()
        path = inspection.folder / f"{part}.parquet"
        write(query, path, connection, row_bytes, watch=watch, rows=found[0] if found else 0)
        written[part] = " ".join(query.replace(f"{inspection.folder}/", "").split())
    return written


def told(sources: Sequence[Source], connection: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """What became of each source, for ``dataset.json`` and the card."""
    counts: dict[tuple[str, str], tuple[int, int]] = {
        (source, part): (rows, times)
        for source, part, rows, times in connection.execute(
            "SELECT source, part, count(*), sum(times)::BIGINT FROM doses GROUP BY source, part"
        ).fetchall()
    }
    return [
        {
            "name": source.name,
            "file_name": source.inspection.file_name,
            "fingerprint": source.inspection.fingerprint,
            "kind": source.shape.kind,
            "weight": source.weight,
            "replay": source.replay,
            "split_before": asdict(source.dataset.plan) if source.dataset else None,
            "test_seal": source.dataset.details["test_seal"] if source.dataset else None,
            "rows": {part: counts.get((source.name, part), (0, 0))[0] for part in PARTS},
            "written": {part: counts.get((source.name, part), (0, 0))[1] for part in PARTS},
        }
        for source in sources
    ]


def inspection_of(
    name: str,
    sources: Sequence[Source],
    shape: Shape,
    extras: tuple[str, ...],
    folder: Path,
    report: Report,
    connection: duckdb.DuckDBPyConnection,
) -> Inspection:
    """The mixture as if it had been read from one file."""
    rows = rows_of(folder / STAGE)
    cut = ", ".join(f"left({column}, {_PREVIEW_CHARACTERS})" for column in ("x0", "prompt", "coalesce(completion, '')"))
    preview = connection.execute(f"SELECT {cut} FROM {rows} ORDER BY row_id LIMIT {_PREVIEW_ROWS}").fetchall()
    built = [
        (s.name, s.inspection.fingerprint, s.weight, s.replay, s.dataset and s.dataset.details["test_seal"]) for s in sources
    ]
    return Inspection(
        file_name=name,
        format="parquet",
        encoding="utf-8",
        delimiter=None,
        columns=(*(column for _, column in shape.columns), *extras),
        shape=shape,
        rows_total=report.total,
        rows_usable=report.usable,
        rows_rejected=report.total - report.usable,
        duplicate_rows=report.duplicates,
        near_duplicate_rows=report.near_duplicates,
        findings=report.findings,
        preview_columns=_PREVIEWED,
        preview=tuple(tuple(row) for row in preview),
        example=report.example,
        lengths=report.lengths,
        fingerprint=hashlib.sha256(json.dumps(built, ensure_ascii=False).encode()).hexdigest(),
        bytes=sum(source.inspection.bytes for source in sources),
        folder=folder,
        rules=(f"mixed from {len(sources)} data sets; weights take and repeat rows by the hash of their texts",),
        container="parquet",
        extras=extras,
    )
