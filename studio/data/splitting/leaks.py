"""What was written is read again: as many rows as were computed, in their order, and nothing in two parts at once.

Guarantees: prompts are compared by the keys of all rows and by the texts on disk (all held-out rows, and every training row up
to 200,000 of them, beyond that 16 stretches with a 16th of them all); conversations by their turns; groups by the values on
disk; clusters of near-duplicates by the rows on disk. Anything in two parts is a ``StoreError``, and the data set is not kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import duckdb

from studio.data.db import literal, readable
from studio.data.splitting.assign import PARTS, PartName
from studio.data.splitting.links import beginnings, group_key
from studio.data.splitting.stored import table_of
from studio.data.staging.keying import normalised
from studio.data.types import TrainingType
from studio.errors import StoreError

# Training rows whose texts are all compared. Beyond it the keys of all rows and a share of the texts have to do: some
# stretches of the file, because single rows would cost as much as all of them.
_ALL_READ: Final = 200_000
_ONE_OF: Final = 16
_STRETCHES: Final = 16
# As many keys are compared at once; they take some 80 MB.
_AT_ONCE: Final = 2_000_000


def verified(
    folder: Path,
    expected: int,
    connection: duckdb.DuckDBPyConnection,
    *,
    training: TrainingType,
    near: Path | None = None,
    group: str = "",
) -> dict[str, int]:
    """The number of rows of each part, counted on disk. ``group`` is SQL for the group column over the columns of a part.

    Raises ``StoreError`` when a part is empty, a row is missing, or anything is in two parts.
    """
    tables: dict[PartName, str] = {part: table_of(folder / f"{part}.parquet", connection) for part in PARTS}
    counts = {part: _one(f"SELECT count(*) FROM {table}", connection) for part, table in tables.items()}
    shared = _shared(tables, "left(prompt_id, 16)", connection, sum(counts.values()))
    read: dict[PartName, str] = dict(tables)
    if counts["train"] > _ALL_READ:
        read["train"] = f"(FROM {tables['train']} WHERE {_in_stretches(tables['train'], connection)})"
    texts = counts["test"] + counts["validation"] + min(counts["train"], _ALL_READ + counts["train"] // _ONE_OF)
    shared += _shared(read, f"md5_number({normalised('prompt')})", connection, texts)
    # A row without turns of its own is one question and one answer, which begins no other conversation.
    turns = (f"SELECT count(messages) FROM read_parquet({readable(folder / f'{part}.parquet')})" for part in PARTS)
    if any(_one(query, connection) for query in turns):
        shared += _shared_beginnings(tables, training, connection)
    if group:
        shared += _shared(tables, group_key(group), connection)
    if near is not None:
        clusters = f"read_parquet({readable(near)})"
        near_rows: dict[PartName, str] = {part: f"({table} JOIN {clusters} USING (row_id))" for part, table in tables.items()}
        shared += _shared(near_rows, "cluster", connection)
    if shared or sum(counts.values()) != expected or min(counts.values()) == 0:
        raise StoreError(
            "The parts on disk are not what was computed, so they were not kept.",
            where=str(folder),
            next_step="Check the disk, and prepare the data set again.",
        )
    return counts


def _in_stretches(table: str, connection: duckdb.DuckDBPyConnection) -> str:
    """SQL for whether a row of ``table`` stands in one of the stretches that are read."""
    rows = _one(f"SELECT max(row_id) + 1 FROM {table}", connection)
    size = rows // (_ONE_OF * _STRETCHES)
    starts = (rows * place // _STRETCHES for place in range(_STRETCHES))
    return " OR ".join(f"row_id BETWEEN {start} AND {start + size}" for start in starts)


def _shared(tables: Mapping[PartName, str], value: str, connection: duckdb.DuckDBPyConnection, rows: int = 0) -> int:
    """How many values are in more than one part. ``rows`` is how many there are to compare, when there may be many."""
    each = " UNION ALL ".join(
        f"SELECT {place}::UTINYINT AS part, {value} AS value FROM {table}" for place, table in enumerate(tables.values())
    )
    passes = rows // _AT_ONCE + 1
    found = 0
    for one in range(passes):
        some = f"WHERE hash(value) % {passes} = {one}" if passes > 1 else ""
        # Missing values are counted, not filtered: a filter would work every value out a second time.
        query = f"SELECT value FROM ({each}) {some} GROUP BY value HAVING count(value) > 0 AND min(part) <> max(part)"
        found += _one(f"SELECT count(*) FROM ({query})", connection)
    return found


def _shared_beginnings(tables: Mapping[PartName, str], training: TrainingType, connection: duckdb.DuckDBPyConnection) -> int:
    """How many conversations of one part begin one of another part."""
    several = f"len(messages) > {3 if training == 'SL' else 2}"
    chats = {
        part: f"(SELECT messages, 0::UBIGINT AS prompt_key FROM {table} WHERE {several})" for part, table in tables.items()
    }
    if not any(_one(f"SELECT count(*) FROM {rows}", connection) for rows in chats.values()):
        return 0
    begun = " UNION ALL ".join(
        f"SELECT DISTINCT {literal(part)} AS part, value, whole FROM ({beginnings(rows, training)})"
        for part, rows in chats.items()
    )
    connection.execute(f"CREATE TEMP TABLE begun_on_disk AS {begun}")
    found = _one(
        """SELECT count(*) FROM begun_on_disk one JOIN begun_on_disk other USING (value)
           WHERE one.whole AND NOT other.whole AND one.part <> other.part""",
        connection,
    )
    connection.execute("DROP TABLE begun_on_disk")
    return found


def _one(query: str, connection: duckdb.DuckDBPyConnection) -> int:
    found = connection.execute(query).fetchone()
    return int(found[0]) if found else 0
