"""A part of a data set on disk: which columns it has, and how its rows are read back.

Guarantees: every text is stored once (a conversation as ``messages``, one question with one answer as ``prompt`` and
``completion``), and every reader gets both forms; rows come in the order in which they are trained on; parts that the first
version wrote are read like new ones; what is exported is in the form in which the Tinker cookbook loads it.

Columns: ``prompt_id VARCHAR`` (hexadecimal prompt key and row key), ``row_id BIGINT`` (in the stage), ``line BIGINT, training
VARCHAR`` (SL, RL or DPO), ``system, prompt, completion VARCHAR, messages STRUCT(role, content, more VARCHAR)[], rejected,
reference VARCHAR, reward DOUBLE, reward_name, source VARCHAR, x0, x1, ... VARCHAR``. For SL ``messages`` is the whole
conversation, and then ``prompt`` and ``completion`` are NULL; otherwise it is the turns before the answer. The person's own
names for ``x0, x1, ...`` stand in ``dataset.json`` beside the part.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from itertools import count, takewhile
from pathlib import Path
from typing import Any, Final, NamedTuple

import duckdb
import orjson

from studio.data.db import LONG_ROWS, connect, disk_errors, literal, parquet, readable, watched, writable
from studio.data.judges import answer_of, prompt_of
from studio.data.judges.rules import MESSAGES_TYPE
from studio.data.judges.turns import turn
from studio.data.types import Message, Row, TrainingType, Watch, messages_from
from studio.errors import NotFoundError, StoreError

#: The columns that ``turns_of`` needs, for readers that take columns by name. Parts of the first version lack the first two.
CONVERSATION_COLUMNS: Final = ("training", "system", "prompt", "completion", "messages")

#: Lies beside the parts and makes their folder a data set.
RECORD: Final = "dataset.json"

_TYPES: Final[Mapping[str, str]] = {
    "prompt_id": "VARCHAR",
    "row_id": "BIGINT",
    "line": "BIGINT",
    "training": "VARCHAR",
    "system": "VARCHAR",
    "prompt": "VARCHAR",
    "completion": "VARCHAR",
    "messages": MESSAGES_TYPE,
    "rejected": "VARCHAR",
    "reference": "VARCHAR",
    "reward": "DOUBLE",
    "reward_name": "VARCHAR",
    "source": "VARCHAR",
}
_OF_A_ROW: Final = "prompt_id, line, prompt, completion, messages, rejected, reference, reward, reward_name, source"
_PROMPT_ID: Final = "lower(lpad(to_hex(prompt_key), 16, '0') || '-' || lpad(to_hex(row_key), 16, '0'))"
_BATCH: Final = 1_000


def stored(rows: str, training: TrainingType, extras: int, source: str = "NULL::VARCHAR") -> str:
    """SQL that brings staged rows into the columns of a part. ``rows`` is a table expression with the columns of the stage."""
    told = "CASE WHEN messages IS NULL THEN {0} END AS {0}" if training == "SL" else "{0}"
    columns = [
        f"{_PROMPT_ID} AS prompt_id, row_id, line, {literal(training)} AS training, system",
        f"{told.format('prompt')}, {told.format('completion')}, messages",
        f"rejected, reference, reward, reward_name, {source} AS source",
        *(f"x{place}" for place in range(extras)),
    ]
    return f"SELECT {', '.join(columns)} FROM {rows}"


def write(
    query: str,
    path: Path,
    connection: duckdb.DuckDBPyConnection,
    row_bytes: int,
    *,
    watch: Watch | None = None,
    rows: int = 0,
) -> None:
    """Write what ``query`` gives as the part ``path``: under a temporary name first, then renamed.

    ``watch`` is told how far it is, in ``rows``.
    """
    partial = path.with_name(f"{path.name}.part")
    try:
        copy = f"COPY ({query}) TO {writable(partial)} ({parquet(row_bytes)})"
        watched(connection, copy, watch, f"writing {path.stem}", rows, "rows")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def columns_of(path: Path, connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """The columns of a part and their types."""
    found = connection.execute(f"DESCRIBE SELECT * FROM read_parquet({readable(path)})").fetchall()
    return {str(name): str(kind) for name, kind, *_ in found}


def table_of(path: Path, connection: duckdb.DuckDBPyConnection) -> str:
    """A SQL table expression with all columns of a part, filled in, and ``place`` (0, 1, ... in the order of the file)."""
    found = columns_of(path, connection)
    columns = [name if name in found else f"NULL::{kind} AS {name}" for name, kind in _TYPES.items()]
    if "training" not in found:
        # The first version knew supervised data only, and turns without more.
        columns[list(_TYPES).index("training")] = "'SL' AS training"
        bare = "{'role': m.role, 'content': m.content, 'more': NULL::VARCHAR}"
        columns[list(_TYPES).index("messages")] = f"list_transform(messages, lambda m: {bare}) AS messages"
    columns += [name for name in found if name not in _TYPES]
    user = turn("user", "prompt")
    question = f"CASE WHEN system IS NULL THEN [{user}] ELSE [{turn('system', 'system')}, {user}] END"
    answered = f"CASE WHEN training = 'SL' THEN list_append({question}, {turn('assistant', 'completion')}) ELSE {question} END"
    filled = (
        f"coalesce(prompt, {prompt_of('messages[:-2]')}) AS prompt",
        f"coalesce(completion, CASE WHEN training = 'SL' THEN {answer_of('messages')} END) AS completion",
        f"coalesce(messages, {answered}) AS messages",
    )
    scan = f"read_parquet({readable(path)}, file_row_number=true)"
    return f"(SELECT * REPLACE ({', '.join(filled)}) FROM (SELECT {', '.join(columns)}, file_row_number AS place FROM {scan}))"


@contextmanager
def reading(path: Path) -> Generator[duckdb.DuckDBPyConnection]:
    """A connection to the folder of a part. Raises ``NotFoundError`` when the part is missing."""
    if not path.exists():
        raise NotFoundError(
            f"The file {path.name} is missing.", where=str(path.parent), next_step="Prepare the data set again."
        )
    with connect(path.parent, row_bytes=LONG_ROWS) as connection:
        yield connection


def rows(path: Path, limit: int | None = None, offset: int = 0) -> list[Row]:
    """Rows of a part in its order; all of them unless ``limit`` says otherwise."""
    some = "" if limit is None else f"WHERE place >= {int(offset)} AND place < {int(offset) + int(limit)}"
    with reading(path) as connection:
        named = extras(path, connection)
        wanted = ", ".join((_OF_A_ROW, *named))
        found = connection.execute(f"SELECT {wanted} FROM {table_of(path, connection)} {some} ORDER BY place").fetchall()
    own = len(_Stored._fields)
    return [_row(_Stored(*values[:own]), extra_of(dict(zip(named, values[own:], strict=True)), named)) for values in found]


def extras(path: Path, connection: duckdb.DuckDBPyConnection | None = None) -> dict[str, str]:
    """The columns of a part that are beside the form, each with the name that it has in the person's file.

    A data set from before names were kept has them by place (``x0``). Raises ``NotFoundError`` without the part, ``StoreError``
    for a record that cannot be read.
    """
    if connection is None:
        with reading(path) as opened:
            return extras(path, opened)
    there = columns_of(path, connection)
    try:
        names = record_of(path.parent)["inspection"].get("extras", ())
    except NotFoundError:
        names = ()
    places = list(takewhile(lambda column: column in there, (f"x{place}" for place in count())))
    return {column: names[place] if place < len(names) else column for place, column in enumerate(places)}


def extra_of(row: Mapping[str, Any], named: Mapping[str, str]) -> dict[str, str]:
    """What one stored row has beside the form, by the person's names; ``named`` is what ``extras`` gave."""
    return {name: str(row[column]) for column, name in named.items() if row.get(column) is not None}


def record_of(folder: Path) -> dict[str, Any]:
    """What ``dataset.json`` in this folder says. Raises ``NotFoundError`` without one, ``StoreError`` for a broken one."""
    try:
        return json.loads((folder / RECORD).read_text("utf-8"))
    except FileNotFoundError as error:
        raise NotFoundError(
            "There is no data set in this folder.", where=str(folder), next_step="Prepare the file again."
        ) from error
    except (OSError, ValueError) as error:
        raise StoreError(
            "The record of this data set cannot be read.", where=str(folder), next_step="Prepare the file again."
        ) from error


def prompt_ids(path: Path) -> tuple[str, ...]:
    """The ids of a part's rows in its order. Equal prompts share the first 16 characters."""
    with reading(path) as connection:
        return ids(path, connection)


def ids(path: Path, connection: duckdb.DuckDBPyConnection) -> tuple[str, ...]:
    """``prompt_ids`` over an open connection."""
    query = f"SELECT prompt_id FROM read_parquet({readable(path)}, file_row_number=true) ORDER BY file_row_number"
    return tuple(ident for (ident,) in connection.execute(query).fetchall())


def turns_of(row: Mapping[str, Any]) -> tuple[Message, ...]:
    """The conversation of one stored row, as a reader of Parquet gives it, with ``CONVERSATION_COLUMNS`` (those that it has).

    For SL the whole conversation, otherwise the turns before the answer.
    """
    turns = row.get("messages")
    if turns is not None:
        return messages_from(turns)
    answer = row["completion"] if row.get("training", "SL") == "SL" else None
    given = (("system", row.get("system")), ("user", row["prompt"]), ("assistant", answer))
    return tuple(Message(role, text) for role, text in given if text is not None)


def export_jsonl(path: Path, destination: Path) -> int:
    """Write a part as JSONL in the form in which the Tinker cookbook loads it; returns the number of rows.

    SL ``{"messages"}``; pairs ``{"comparison": {"prompt_conversation", "completion_A", "completion_B"}, "label": "A"}``, of
    which A is the better one; RL ``{"messages"}`` with what there is of ``answer, reward, reward_name`` and ``completion``.
    """
    partial, written = destination.with_name(destination.name + ".part"), 0
    with reading(path) as connection, disk_errors(destination.name):
        result = connection.execute(f"SELECT training, {_OF_A_ROW} FROM {table_of(path, connection)} ORDER BY place")
        with partial.open("wb") as file:
            while batch := result.fetchmany(_BATCH):
                file.writelines(orjson.dumps(_exported(training, _Stored(*values))) + b"\n" for training, *values in batch)
                written += len(batch)
        partial.replace(destination)
    return written


def plain(message: Message) -> dict[str, Any]:
    """One turn as the object that chat files hold."""
    more: dict[str, Any] = orjson.loads(message.more) if message.more else {}
    return {"role": message.role, "content": message.content, **more}


class _Stored(NamedTuple):
    """The columns of ``_OF_A_ROW`` in their order."""

    prompt_id: str
    line: int
    prompt: str
    completion: str | None
    turns: list[Mapping[str, str | None]]
    rejected: str | None
    reference: str | None
    reward: float | None
    reward_name: str | None
    source: str | None


def _row(stored: _Stored, extra: Mapping[str, str]) -> Row:
    return Row(
        stored.prompt_id,
        stored.line,
        stored.prompt,
        stored.completion or "",
        messages_from(stored.turns),
        stored.rejected or "",
        stored.reference or "",
        stored.reward,
        stored.reward_name or "",
        stored.source or "",
        extra,
    )


def _exported(training: TrainingType, stored: _Stored) -> dict[str, Any]:
    messages = [plain(message) for message in messages_from(stored.turns)]
    if training == "SL":
        # The tools that a conversation may use belong to all of it, as in the files of OpenAI.
        tools = messages[0].pop("tools", None)
        return {"messages": messages} if tools is None else {"messages": messages, "tools": tools}
    if training == "DPO":
        better, worse = ([{"role": "assistant", "content": text or ""}] for text in (stored.completion, stored.rejected))
        pair = {"prompt_conversation": messages, "completion_A": better, "completion_B": worse}
        return {"comparison": pair, "label": "A"}
    judged = {
        "answer": stored.reference,
        "completion": stored.completion,
        "reward": stored.reward,
        "reward_name": stored.reward_name,
    }
    return {"messages": messages, **{name: value for name, value in judged.items() if value is not None}}
