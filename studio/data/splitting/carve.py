"""The parts of a data set, cut out of the stage in one pass.

Guarantees: every part has its rows in the order of the stage; a text is copied byte for byte; memory stays at a few row groups;
a part that was only half written never has its name.

The database could do the same, and says so in the record of the data set; but it reads all texts once per part and checks each
of them again, which takes three times as long.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from studio.data.arrow import Column, integers, missing, numbers, repeated, strings
from studio.data.db import disk_errors
from studio.data.staging.stage import LAYOUT
from studio.data.types import TrainingType, Watch

#: For each row of the stage the number of its part; 0 for rows that go nowhere.
Places = np.ndarray[tuple[int], np.dtype[np.uint8]]

# The library that reads and writes Parquet says nothing about its types.
_Rows = Any

_TEXTS: Final = ("system", "prompt", "completion", "messages", "rejected", "reference", "reward", "reward_name")
_KEYS: Final = ("prompt_key", "row_key")
# How many row groups may wait for being written.
_WAITING: Final = 2
_HEX: Final = np.frombuffer(b"".join(b"%02x" % byte for byte in range(256)), np.uint16)


def carve(
    stage: Path,
    places: Places,
    targets: Mapping[int, Path],
    training: TrainingType,
    extras: int,
    watch: Watch | None = None,
) -> None:
    """Write each part, the rows whose place is its number, with the columns that ``studio.data.splitting.stored`` describes.

    Raises ``StoreError`` when the disk is full, ``Cancelled`` when the watch says so; then no part is there.
    """
    partials = {number: path.with_name(f"{path.name}.part") for number, path in targets.items()}
    try:
        with disk_errors(stage.parent.name):
            _Carver(stage, places, partials, training, extras, watch).run()
            for number, path in targets.items():
                partials[number].replace(path)
    finally:
        for partial in partials.values():
            partial.unlink(missing_ok=True)
        # Otherwise the library keeps what it held for the next time.
        pa.default_memory_pool().release_unused()


class _Carver:
    """One pass over one stage: this thread reads and chooses, others pack and write."""

    def __init__(
        self,
        stage: Path,
        places: Places,
        targets: Mapping[int, Path],
        training: TrainingType,
        extras: int,
        watch: Watch | None,
    ) -> None:
        self._layout: dict[str, Any] = json.loads(stage.with_name(LAYOUT).read_text("utf-8"))
        self._file = pq.ParquetFile(stage)
        self._places, self._targets, self._training, self._watch = places, targets, training, watch
        self._names = (*_TEXTS, *(f"x{number}" for number in range(extras)))

    def run(self) -> None:
        held: dict[int, list[_Rows]] = {number: [] for number in self._targets}
        size = max(1, self._file.metadata.row_group(0).num_rows)
        pending: list[Future[None]] = []
        # The other threads, one for each part, end before the files are closed, whatever happens.
        with ExitStack() as stack, ExitStack() as threads:
            writers: dict[int, _Rows] = {}
            others = {number: threads.enter_context(ThreadPoolExecutor(1)) for number in self._targets}

            def put(number: int) -> None:
                rows = pa.concat_tables(held[number])
                held[number] = []
                pending.append(others[number].submit(writers[number].write_table, rows, size))
                while len(pending) > _WAITING:
                    pending.pop(0).result()

            for number, rows in self._chosen():
                if number not in writers:
                    writers[number] = stack.enter_context(_writer(self._targets[number], rows.schema))
                held[number].append(rows)
                if sum(table.num_rows for table in held[number]) >= size:
                    put(number)
            for number in self._targets:
                if held[number]:
                    put(number)
            for waiting in pending:
                waiting.result()

    def _chosen(self) -> Iterator[tuple[int, _Rows]]:
        """The rows of each part, with its number, row group by row group."""
        at, total = 0, self._file.metadata.num_rows
        columns = [*_KEYS, *self._names, "line"]
        for group in range(self._file.num_row_groups):
            found = self._file.read_row_group(group, columns=columns)
            own, lines = self._places[at : at + found.num_rows], self._lines(found, at)
            for number in self._targets:
                chosen = np.flatnonzero(own == number)
                if len(chosen):
                    # Rows without keys go nowhere; with them the numbers would not be whole ones any more.
                    rows = found.take(integers(chosen))
                    yield number, self._completed(rows, at + chosen, lines[chosen])
            at += len(own)
            if self._watch is not None:
                self._watch.at("writing the parts", at, total, "rows")

    def _lines(self, found: _Rows, at: int) -> np.ndarray[Any, np.dtype[np.int64]]:
        """The editor line of each row, as ``stage.rows_of`` has it."""
        if self._layout["lines"] == "one":
            return np.arange(at, at + found.num_rows, dtype=np.int64) + int(self._layout["first"])
        lines = numbers(found["line"])
        if self._layout["lines"] == "chunks":
            lines = np.array(self._layout["starts"], np.int64)[lines >> 32] + (lines & 0xFFFFFFFF)
        return lines

    def _completed(
        self,
        rows: _Rows,
        row_ids: np.ndarray[Any, np.dtype[np.int64]],
        lines: np.ndarray[Any, np.dtype[np.int64]],
    ) -> _Rows:
        count = rows.num_rows
        whole = rows["messages"]
        columns: dict[str, Any] = {
            "prompt_id": _ids(*(numbers(rows[name]) for name in _KEYS)),
            "row_id": integers(row_ids),
            "line": integers(lines),
            "training": repeated(self._training, count),
            **{name: rows[name] for name in _TEXTS},
            "source": pa.nulls(count, pa.string()),
            **{name: rows[name] for name in self._names if name not in _TEXTS},
        }
        if self._training == "SL" and whole.null_count < count:
            # A conversation is stored once.
            alone = whole.is_null()
            for name in ("prompt", "completion"):
                columns[name] = pc.call_function("if_else", [alone, rows[name], missing(pa.string())])
        return pa.table(columns)


def _writer(path: Path, schema: _Rows) -> _Rows:
    options: dict[str, Any] = {"use_dictionary": ["training"], "write_statistics": ["row_id"]}
    return pq.ParquetWriter(path, schema, compression="zstd", compression_level=1, **options)


def _ids(prompts: np.ndarray[Any, np.dtype[np.uint64]], rows: np.ndarray[Any, np.dtype[np.uint64]]) -> Column:
    """The two keys in hexadecimal with a hyphen between them, all letters at once."""
    letters = np.empty((len(prompts), 33), np.uint8)
    for start, keys in ((0, prompts), (17, rows)):
        pairs = _HEX[keys.astype(">u8").view(np.uint8).reshape(-1, 8)]
        letters[:, start : start + 16] = pairs.view(np.uint8).reshape(-1, 16)
    letters[:, 16] = ord("-")
    return strings(33, letters)
