"""What a run is trained on and what it must never be asked, as keys of prompts: small enough to be kept with every run.

Guarantees: keys are made from the texts themselves, not from ids that lie beside them; they are the same for texts that count
as equal prompts; a conversation is known by its turns as well, and so is each of its beginnings that has an answer, because
that answer was learned too. No text can be read back from a key.

The file: ``key UBIGINT, part VARCHAR``, where the part is ``trained`` (train and validation), ``inherited`` (trained on by the
runs that this one goes on from) or ``held_out``.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final, Literal

import duckdb
import orjson

from studio.data.db import connect, literal, parquet, readable, writable
from studio.data.judges import prompt_of
from studio.data.judges.rules import MESSAGES_TYPE
from studio.data.splitting.links import beginnings
from studio.data.splitting.stored import reading, table_of
from studio.data.staging.keying import prompt_key
from studio.data.types import Dataset, Message, TrainingType

KeyPart = Literal["trained", "inherited", "held_out"]

_TURN: Final = '[{"role": "VARCHAR", "content": "VARCHAR", "more": "VARCHAR"}]'


def write_keys(dataset: Dataset, destination: Path, inherited: Sequence[Path] = ()) -> None:
    """Write the keys of a data set, and those that the files ``inherited`` call trained on, to ``destination``.

    Raises ``NotFoundError`` when a part is gone, ``StoreError`` when the disk refuses.
    """
    with tempfile.TemporaryDirectory(prefix="keys-", dir=dataset.folder) as folder, reading(dataset.train.path) as connection:
        written = Path(folder).resolve() / "keys.parquet"
        each = [
            *_of_part(dataset.train.path, "trained", connection),
            *_of_part(dataset.validation.path, "trained", connection),
            *_of_part(dataset.test.path, "held_out", connection),
        ]
        for place, file in enumerate(inherited):
            copy = shutil.copyfile(file, written.with_name(f"inherited-{place}.parquet"))
            each.append(f"SELECT key, 'inherited' AS part FROM read_parquet({readable(copy)}) WHERE part <> 'held_out'")
        connection.execute(
            f"COPY (SELECT DISTINCT key, part FROM ({' UNION ALL '.join(each)}) ORDER BY part, key) "
            f"TO {writable(written)} ({parquet()})"
        )
        shutil.move(written, destination)


def contents_of(dataset: Dataset) -> str:
    """One line that changes when a prompt of the train or validation part does, in whatever order they stand."""
    with reading(dataset.train.path) as connection:
        tables = [f"SELECT prompt_id FROM read_parquet({readable(part.path)})" for part in (dataset.train, dataset.validation)]
        prompt = "left(prompt_id, 16)"
        query = (
            f"SELECT count(*), bit_xor(md5_number_lower({prompt})), sum(md5_number_upper({prompt}) % 4294967291) FROM ({{}})"
        )
        found = [connection.execute(query.format(table)).fetchone() for table in tables]
    return hashlib.sha256(repr(found).encode()).hexdigest()


def keys_of(conversations: Sequence[Sequence[Message]]) -> tuple[frozenset[int], ...]:
    """The keys by which each conversation (all turns before an answer) would be known if it had been trained on."""
    told = [[{"role": turn.role, "content": turn.content, "more": turn.more or None} for turn in one] for one in conversations]
    with tempfile.TemporaryDirectory(prefix="keys-") as folder, connect(Path(folder)) as connection:
        connection.execute(
            f"CREATE TEMP TABLE asked (prompt_key UBIGINT, messages {MESSAGES_TYPE}, prompt VARCHAR)",
        )
        connection.execute(
            f"""INSERT INTO asked SELECT place - 1, messages, {prompt_of("messages")} FROM (
                  SELECT unnest(range(1, len(given) + 1)) AS place, unnest(given) AS messages
                  FROM (SELECT json_transform(?, {literal(f"[{_TURN}]")}) AS given))""",
            [orjson.dumps(told).decode()],
        )
        found = connection.execute(f"SELECT prompt_key AS place, key FROM ({_keys('asked', 'RL', whole=True)})").fetchall()
    keys: list[set[int]] = [set() for _ in conversations]
    for place, key in found:
        keys[place].add(key)
    return tuple(frozenset(one) for one in keys)


def trained(file: Path, keys: Collection[int]) -> frozenset[int]:
    """Those of ``keys`` that the file says were trained on. Raises ``NotFoundError`` when the file is gone."""
    with reading(file) as connection:
        found = connection.execute(
            f"SELECT DISTINCT key FROM read_parquet({readable(file)}) WHERE part <> 'held_out' "
            "AND key IN (SELECT unnest(?::UBIGINT[]))",
            [list(keys)],
        ).fetchall()
    return frozenset(key for (key,) in found)


def count_keys(file: Path) -> dict[KeyPart, int]:
    """How many keys a file has of each part."""
    with reading(file) as connection:
        return dict(connection.execute(f"SELECT part, count(*) FROM read_parquet({readable(file)}) GROUP BY part").fetchall())


def _of_part(path: Path, part: KeyPart, connection: duckdb.DuckDBPyConnection) -> list[str]:
    """SQL for the keys of a part, for each way of training that its rows have."""
    table = table_of(path, connection)
    kinds = connection.execute(f"SELECT DISTINCT training FROM {table}").fetchall()
    rows = f"(SELECT 0::UBIGINT AS prompt_key, prompt, messages, training FROM {table})"
    keys = [_keys(f"(FROM {rows} WHERE training = {literal(kind)})", kind, whole=False) for (kind,) in kinds]
    return [f"SELECT key, {literal(part)} AS part FROM ({found})" for found in keys]


def _keys(rows: str, training: TrainingType, *, whole: bool) -> str:
    """SQL with ``prompt_key, key`` for rows with prompt and messages; with ``whole`` only for all their turns together."""
    chats = f"(FROM {rows} WHERE len(messages) > 1)"
    some = "WHERE whole" if whole else ""
    return f"""
        SELECT prompt_key, {prompt_key("prompt")} AS key FROM {rows}
        UNION ALL SELECT prompt_key, value AS key FROM ({beginnings(chats, training)}) {some}"""
