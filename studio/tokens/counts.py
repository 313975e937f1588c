"""Token counts of many rows, and the file that keeps them beside the stage.

Guarantees: a kept file is used only for the rows, the texts, the model and the choice that it was counted for; a file that
cannot be read counts as none; writing is all or nothing.
"""

from __future__ import annotations

import json
import time
from array import array
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from studio.data import Inspection
from studio.data.db import disk_errors
from studio.models import Model

_VERSION: Final = "tuning-fork/1"
_KEY: Final = b"tuning_fork"
#: Seconds after which a tokenizer that was not at hand is looked for again.
_TRY_AGAIN: Final = 3600

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Refused:
    """One row that the model's format cannot hold."""

    row_id: int
    line: int
    code: str
    what: str
    next_step: str


@dataclass(frozen=True, slots=True)
class Counts:
    """One entry per example: its row, its line, its tokens, and where in it the loss counts.

    ``spans`` holds pairs of positions, first trained token and first one after it; those of example ``i`` are
    ``spans[starts[i]:starts[i + 1]]``. ``share`` is the part of the rows that was drawn; ``estimated`` says that characters
    were counted and not tokens.
    """

    row_ids: Ints
    lines: Ints
    tokens: Ints
    starts: Ints
    spans: Ints
    refused: tuple[Refused, ...]
    share: float = 1.0
    estimated: bool = False

    def of_rows(self, keep: Ints) -> Counts | None:
        """The counts of these rows only (each once); ``None`` when some of them were not counted."""
        wanted = set(keep.tolist()) if self.refused else set[int]()
        refused = tuple(one for one in self.refused if one.row_id in wanted)
        known = np.union1d(self.row_ids, np.asarray([one.row_id for one in refused], dtype=np.int64))
        if not np.isin(keep, known, assume_unique=True).all():
            return None
        mask = np.isin(self.row_ids, keep)
        if mask.all():
            return replace(self, refused=refused)
        lengths = np.diff(self.starts)
        spans = self.spans[np.repeat(mask, lengths)]
        starts = np.concatenate([[0], np.cumsum(lengths[mask])]).astype(np.int64)
        row_ids, lines, tokens = self.row_ids[mask], self.lines[mask], self.tokens[mask]
        return replace(self, row_ids=row_ids, lines=lines, tokens=tokens, starts=starts, spans=spans, refused=refused)


class Tally:
    """Collects counts as they come."""

    def __init__(self) -> None:
        self._row_ids, self._lines, self._tokens = array("q"), array("q"), array("q")
        self._starts, self._spans = array("q", [0]), array("q")
        self._refused: list[Refused] = []

    def add(self, row_id: int, line: int, tokens: int, spans: Sequence[int]) -> None:
        """One example."""
        self._row_ids.append(row_id)
        self._lines.append(line)
        self._tokens.append(tokens)
        self._spans.extend(spans)
        self._starts.append(len(self._spans))

    def refuse(self, refused: Refused) -> None:
        """One row that could not be written."""
        self._refused.append(refused)

    def counts(self, share: float = 1.0, *, estimated: bool = False) -> Counts:
        """Everything collected so far."""
        return Counts(
            _ints(self._row_ids), _ints(self._lines), _ints(self._tokens), _ints(self._starts), _ints(self._spans),
            tuple(self._refused), share, estimated,
        )  # fmt: skip


def _ints(values: array[int]) -> Ints:
    return np.array(values, dtype=np.int64)


def kept_at(inspection: Inspection, model: Model, train_on: str) -> Path:
    """Where the counts of this model and choice are kept."""
    name = "".join(letter if letter.isalnum() or letter in "-." else "_" for letter in model.name)
    return inspection.folder / f"tokens-{name}-{train_on}.parquet"


def keep(path: Path, counts: Counts, identity: str) -> None:
    """Write the counts, so that the next look needs no tokenizer. Raises ``StoreError`` when the disk refuses."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    spans = pa.ListArray.from_arrays(pa.array(counts.starts.astype(np.int32)), pa.array(counts.spans.astype(np.int32)))
    columns = {"row_id": counts.row_ids, "line": counts.lines, "tokens": counts.tokens.astype(np.int32), "trained": spans}
    note = {
        "identity": identity,
        "share": counts.share,
        "estimated": counts.estimated,
        "at": time.time(),
        "refused": [asdict(one) for one in counts.refused],
    }
    table = pa.table(columns).replace_schema_metadata({_KEY: json.dumps(note)})
    partial = path.with_name(path.name + ".part")
    try:
        with disk_errors(path.name):
            pq.write_table(table, partial, compression="zstd")
            partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def kept(path: Path, identity: str) -> Counts | None:
    """The counts kept here, or ``None`` when there are none for exactly this. Estimates are forgotten after an hour."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        return None
    try:
        table = pq.read_table(path)
        note: dict[str, Any] = json.loads((table.schema.metadata or {}).get(_KEY, b"{}"))
        if note.get("identity") != identity or (note["estimated"] and time.time() - note["at"] > _TRY_AGAIN):
            return None
        trained = table.column("trained").combine_chunks()
        row_ids, lines, tokens = (table.column(name).to_numpy().astype(np.int64) for name in ("row_id", "line", "tokens"))
        starts = np.concatenate([[0], np.cumsum(np.asarray(trained.value_lengths(), dtype=np.int64))]).astype(np.int64)
        spans = trained.flatten().to_numpy().astype(np.int64)
        refused = tuple(Refused(**one) for one in note["refused"])
        return Counts(row_ids, lines, tokens, starts, spans, refused, float(note["share"]), bool(note["estimated"]))
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException):
        # A damaged file is no worse than none: the rows are there to be counted again.
        return None


def identity_of(inspection: Inspection, model: Model, renderer: str, train_on: str, share: float) -> str:
    """Changes when the texts of the stage, the model, its format or the choice change.

    Rows that a person left out do not count: the others keep their numbers.
    """
    fixes = [asdict(fix) for fix in inspection.fixes if not fix.id.startswith("leave_out")]
    shape = asdict(inspection.shape) if inspection.shape else None
    what = [_VERSION, inspection.fingerprint, inspection.encoding, inspection.delimiter, inspection.rows_total, shape, fixes]
    return json.dumps([*what, model.wire_name, renderer, train_on, round(share, 6)], sort_keys=True, default=str)
