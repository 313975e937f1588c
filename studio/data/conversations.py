"""The usable rows of a stage as conversations, in batches: what a model will read and what it will be asked for.

Guarantees: reads the stage and never the file; memory holds one batch; a share of the rows is chosen by their text alone, so it
is the same on every run, whatever order the rows come in.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import duckdb
import numpy as np
import numpy.typing as npt

from studio.data.db import connect
from studio.data.staging.stage import STAGE, rows_of
from studio.data.types import Inspection, Message, messages_from
from studio.errors import NotFoundError

_BATCH: Final = 1_000
_PARTS_PER_MILLION: Final = 1_000_000
_TEXTS: Final = "row_id, line, messages, system, prompt, completion, rejected"
# Where all turns are there, the prompt is a text of ours that names the speakers.
_TURNS: Final = "list_sum(list_transform(messages, lambda m: coalesce(length(m.content), 0)))::BIGINT"
_CHARACTERS: Final = f"CASE WHEN messages IS NULL THEN coalesce(lp, 0) + coalesce(length(system), 0) ELSE {_TURNS} END"


@dataclass(frozen=True, slots=True)
class Conversation:
    """One row as a model meets it.

    For supervised data ``messages`` is the whole conversation. For pairs and for tasks that a reward judges it ends before the
    answer; ``completion`` and ``rejected`` are then the answers of a pair, and empty for a task.
    """

    row_id: int
    line: int
    messages: tuple[Message, ...]
    completion: str = ""
    rejected: str = ""


@dataclass(frozen=True, slots=True)
class Letters:
    """How many characters a row has before its answer and in its answers."""

    row_id: int
    line: int
    prompt: int
    answers: tuple[int, ...]


def conversations(inspection: Inspection, share: float = 1.0) -> Iterator[list[Conversation]]:
    """The usable rows in batches, in no promised order. ``share`` below 1 draws that part of them.

    Raises ``NotFoundError`` when the stage is gone.
    """
    with _open(inspection) as (connection, rows):
        query = f"SELECT {_TEXTS} FROM {rows} WHERE {_usable(share)}"
        found = connection.execute(query)
        while batch := found.fetchmany(_BATCH):
            yield [_conversation(inspection, *row) for row in batch]


def conversation(inspection: Inspection, row_id: int) -> Conversation:
    """One usable row. Raises ``NotFoundError``."""
    with _open(inspection) as (connection, rows):
        query = f"SELECT {_TEXTS} FROM {rows} WHERE reason IS NULL AND row_id = {int(row_id)}"
        found = connection.execute(query).fetchone()
    if found is None:
        raise NotFoundError("There is no such row.", where=inspection.file_name, next_step="Choose another row.")
    return _conversation(inspection, *found)


def usable_ids(inspection: Inspection, share: float = 1.0) -> npt.NDArray[np.int64]:
    """The ids of the rows that ``conversations`` gives."""
    with _open(inspection) as (connection, rows):
        found = connection.execute(f"SELECT row_id FROM {rows} WHERE {_usable(share)}").fetchnumpy()
    return np.asarray(found["row_id"], dtype=np.int64)


def letters(inspection: Inspection) -> Iterator[list[Letters]]:
    """The lengths in characters of the usable rows, in batches: fast, because no text is read."""
    with _open(inspection) as (connection, rows):
        query = f"SELECT row_id, line, messages IS NULL, {_CHARACTERS}, lc, length(rejected) FROM {rows} WHERE reason IS NULL"
        found = connection.execute(query)
        while batch := found.fetchmany(_BATCH):
            yield [_letters(inspection, *row) for row in batch]


@contextmanager
def _open(inspection: Inspection) -> Generator[tuple[duckdb.DuckDBPyConnection, str]]:
    rows = rows_of(inspection.folder / STAGE)
    with connect(inspection.folder, inspection.file_name) as connection:
        yield connection, rows


def _usable(share: float) -> str:
    part = round(share * _PARTS_PER_MILLION)
    return "reason IS NULL" if share >= 1 else f"reason IS NULL AND row_key % {_PARTS_PER_MILLION} < {part}"


def _conversation(
    inspection: Inspection,
    row_id: int,
    line: int,
    messages: Sequence[Mapping[str, Any]] | None,
    system: str | None,
    prompt: str | None,
    completion: str | None,
    rejected: str | None,
) -> Conversation:
    supervised = _training(inspection) == "SL"
    turns = messages_from(messages) if messages else _turns(system, prompt, completion if supervised else None)
    if supervised:
        return Conversation(row_id, line, turns)
    return Conversation(row_id, line, turns, *((completion or "", rejected or "") if rejected is not None else ()))


def _turns(system: str | None, prompt: str | None, completion: str | None) -> tuple[Message, ...]:
    given = (("system", system), ("user", prompt), ("assistant", completion))
    return tuple(Message(role, text) for role, text in given if text is not None)


def _letters(
    inspection: Inspection, row_id: int, line: int, single: bool, before: int, answer: int | None, rejected: int | None
) -> Letters:
    training = _training(inspection)
    answers = {"SL": (answer or 0,), "DPO": (answer or 0, rejected or 0), "RL": ()}[training]
    # The turns of a supervised conversation hold its answer too.
    answered = training == "SL" and not single
    return Letters(row_id, line, max(0, before - (answer or 0)) if answered else before, answers)


def _training(inspection: Inspection) -> str:
    return inspection.shape.training if inspection.shape else "SL"
