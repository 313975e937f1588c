"""Reads the ``metrics.jsonl`` of a run while another process appends to it.

Guarantees: each call reads only what is new; a half-written last line waits for its end and a broken one is passed over; a run
that went back to a checkpoint overwrites what it does again, so that no step counts twice. Steps count what is finished: the
training loss of the first step stands at 1, the validation loss before any step at 0.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_left
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, cast

#: Names that our attendant adds to the cookbook's metrics of a step.
AT: Final = "studio/at"
LIFE: Final = "studio/life"
VALIDATION: Final = "validation"

_TRAIN_LOSS: Final = "train_mean_nll"
_VALIDATION_LOSS: Final = f"{VALIDATION}/nll"
#: Steps over which the pace is measured: long enough to hold evaluations, short enough to follow a machine that got busy.
_PACE_STEPS: Final = 200


@dataclass(frozen=True, slots=True)
class Point:
    """A loss in nats per token after ``step`` finished steps. It may be NaN when training has run away."""

    step: int
    value: float


@dataclass(frozen=True, slots=True)
class _Line:
    step: int
    train: float | None
    validation: float | None
    tokens: int
    at: float | None
    life: float | None


class MetricsFile:
    """One run's metrics, growing. Not for several threads at once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._restart()

    def read(self) -> bool:
        """Take in what was appended since the last call; whether there was anything new."""
        try:
            stat = self._path.stat()
        except FileNotFoundError:
            stat = None
        size = stat.st_size if stat else 0
        inode = stat.st_ino if stat else None
        if size < self._offset or (self._inode is not None and inode != self._inode):
            self._restart()
        self._inode = inode
        if size <= self._offset:
            return False
        with self._path.open("rb") as file:
            file.seek(self._offset)
            # Not to the end of the file: a device has none, and what is appended meanwhile can wait.
            fresh = file.read(size - self._offset)
        whole = fresh.rfind(b"\n") + 1
        self._offset += whole
        for raw in fresh[:whole].splitlines():
            self._take(raw)
        return whole > 0

    @property
    def finished(self) -> int:
        """Steps whose training loss is known."""
        return self._lines[-1].step + 1 if self._lines else 0

    @property
    def tokens(self) -> int:
        """Tokens the model was shown so far, prompts included."""
        return sum(line.tokens for line in self._lines)

    @property
    def seconds(self) -> float:
        """Time that the steps took, evaluations and checkpoints between them included, pauses between processes not."""
        timed = [(line.life, line.at) for line in self._lines if line.at is not None]
        return sum(after - before for (life, before), (next_life, after) in pairwise(timed) if life == next_life)

    def train(self) -> tuple[Point, ...]:
        """Training loss by step."""
        return tuple(Point(line.step + 1, line.train) for line in self._lines if line.train is not None)

    def validation(self) -> tuple[Point, ...]:
        """Validation loss by step."""
        found = [Point(line.step, line.validation) for line in self._lines if line.validation is not None]
        if self._last is not None and self._last.validation is not None:
            found.append(Point(self._last.step, self._last.validation))
        return tuple(found)

    def steps_per_second(self, since: float | None = None) -> float | None:
        """Pace of the process that wrote last: an earlier one, and the pause between them, say nothing about now.

        ``since`` is when the process that runs now began, in seconds of the clock; until it has written, no pace is known.
        """
        recent = self._lines[-_PACE_STEPS:]
        life = recent[-1].life if recent else None
        if since is not None and life is not None and life < since:
            return None
        timed = [(line.step, line.at) for line in recent if line.life == life and line.at is not None]
        if len(timed) < 3:
            return None
        (first, began), (last, ended) = timed[0], timed[-1]
        return (last - first) / (ended - began) if ended > began else None

    def _restart(self) -> None:
        self._offset = 0
        self._inode: int | None = None
        self._lines: list[_Line] = []
        self._last: _Line | None = None  # the evaluation after the last step, which trains nothing

    def _take(self, raw: bytes) -> None:
        line = _parse(raw)
        if line is None:
            return
        if line.train is None:
            self._last = line
            return
        if self._lines and line.step <= self._lines[-1].step:
            del self._lines[bisect_left(self._lines, line.step, key=lambda known: known.step) :]
            self._last = None
        self._lines.append(line)


def _parse(raw: bytes) -> _Line | None:
    """One line of the file, or ``None`` when it is not a whole record: a process that was killed may leave half of one."""
    try:
        found = json.loads(raw)
    except ValueError:
        return None
    if not isinstance(found, dict):
        return None
    record = cast("dict[str, Any]", found)
    step = record.get("step")
    if not isinstance(step, int) or isinstance(step, bool):
        return None
    return _Line(
        step=step,
        train=_number(record.get(_TRAIN_LOSS)),
        validation=_number(record.get(_VALIDATION_LOSS)),
        tokens=int(_finite(record.get("num_tokens")) or 0),
        at=_finite(record.get(AT)),
        life=_finite(record.get(LIFE)),
    )


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _finite(value: object) -> float | None:
    number = _number(value)
    return number if number is not None and math.isfinite(number) else None
