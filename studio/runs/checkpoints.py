"""The checkpoints that a run's folder knows of, and where a resumed run goes on.

Guarantees: a run goes on from a checkpoint only if every step before it is in the metrics, so that a curve has no hole; a line
that a killed process left half-written hurts neither the cookbook's reader nor ours. The cookbook's records say which batch
comes next: ``epoch`` and ``batch``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from studio.runs import files
from studio.runs.metrics import MetricsFile


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Training state after ``step`` finished steps. ``sampler_path`` is empty when only training can load it."""

    step: int
    state_path: str
    sampler_path: str
    final: bool


def known(folder: Path, steps_per_epoch: int) -> tuple[Checkpoint, ...]:
    """Every checkpoint with training state, oldest first."""
    return tuple(_checkpoint(record, steps_per_epoch) for record in _records(folder) if record.get("state_path"))


def prepare_to_resume(folder: Path, steps_per_epoch: int) -> tuple[Checkpoint, ...]:
    """Mend both files after whatever ended the process before, and return the checkpoints that can be gone on from.

    Checkpoints whose steps are not all in the metrics are forgotten: at most the last one, when its process was killed in the
    moment between saving and writing the metrics. Raises ``OSError``.
    """
    _end_last_line(folder / files.METRICS)
    metrics = MetricsFile(folder / files.METRICS)
    metrics.read()
    records = _records(folder)
    good = [
        record
        for record in records
        if record.get("state_path")
        and (_checkpoint(record, steps_per_epoch).step <= metrics.finished or record["name"] == "final")
    ]
    path = folder / files.CHECKPOINTS
    if path.is_file():
        draft = path.with_suffix(".draft")
        draft.write_text("".join(json.dumps(record) + "\n" for record in good), encoding="utf-8")
        draft.replace(path)
    return tuple(_checkpoint(record, steps_per_epoch) for record in good)


def _records(folder: Path) -> list[dict[str, Any]]:
    try:
        lines = (folder / files.CHECKPOINTS).read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []
    found: list[dict[str, Any]] = []
    for line in lines:
        try:
            record = json.loads(line)
        except ValueError:
            continue  # half a line: its checkpoint was never reported as saved
        if isinstance(record, dict) and "name" in record:
            found.append(cast("dict[str, Any]", record))
    return found


def _checkpoint(record: dict[str, Any], steps_per_epoch: int) -> Checkpoint:
    return Checkpoint(
        step=int(record.get("epoch") or 0) * steps_per_epoch + int(record.get("batch") or 0),
        state_path=str(record.get("state_path") or ""),
        sampler_path=str(record.get("sampler_path") or ""),
        # The cookbook's own last checkpoint carries this name; it is written when every step is done.
        final=record.get("name") == "final",
    )


def _end_last_line(path: Path) -> None:
    """End a half-written last line, so that the next record does not become part of it."""
    if not path.is_file() or path.stat().st_size == 0:
        return
    with path.open("r+b") as file:
        file.seek(-1, 2)
        if file.read(1) != b"\n":
            file.write(b"\n")
