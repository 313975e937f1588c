"""What a page or the terminal shows of a run: numbers, curves, one sentence, and the end of the log.

Guarantees: reading costs what was appended since the last reading, so that a page may ask each second; nothing is written;
every line of the log has passed the redaction.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from studio.runs import files
from studio.runs.diagnosis import Diagnosis, diagnose, smooth, window_for
from studio.runs.metrics import MetricsFile, Point
from studio.store import Job

__all__ = ["Diagnosis", "Point", "Progress", "read"]

#: Points of a curve that a page draws; a longer one is thinned evenly and keeps its last point.
MOST_POINTS: Final = 1_500
_KEPT_FILES: Final = 64


@dataclass(frozen=True, slots=True)
class Progress:
    """A run as it stands. ``step`` of ``total`` steps are finished; ``tokens`` were shown to the model, prompts included.

    ``eta_seconds`` and ``steps_per_second`` come from the process that runs now and are ``None`` while they are not known or
    the run is at rest. Losses are in nats per token. ``smoothed`` is ``train`` with less noise.
    """

    step: int
    total: int
    phase: str
    tokens: int
    steps_per_second: float | None
    eta_seconds: float | None
    train: tuple[Point, ...]
    smoothed: tuple[Point, ...]
    validation: tuple[Point, ...]
    diagnosis: Diagnosis
    log_tail: tuple[str, ...]

    @property
    def fraction(self) -> float:
        """Share of the steps that are finished, from 0 to 1."""
        return min(1.0, self.step / self.total) if self.total else 0.0


def read(folder: Path, job: Job, *, log_lines: int = 40) -> Progress:
    """The progress of the run whose files lie in ``folder``. Works before the first file exists and long after the end."""
    with _LOCK:
        metrics = _metrics_of(folder / files.METRICS)
        metrics.read()
        step, tokens = metrics.finished, metrics.tokens
        train, validation, pace = metrics.train(), metrics.validation(), metrics.steps_per_second(job.pid_started)
    total = max(job.total, step)
    running = job.live and pace is not None
    return Progress(
        step=step,
        total=total,
        phase=job.phase,
        tokens=tokens,
        steps_per_second=pace if running else None,
        eta_seconds=(total - step) / pace if running and pace else None,
        train=_thin(train),
        smoothed=_thin(smooth(train, window_for(total))),
        validation=_thin(validation),
        diagnosis=diagnose(train, validation, total, ended=job.ended),
        log_tail=files.log_tail(folder, log_lines),
    )


_LOCK = threading.Lock()
_FILES: OrderedDict[Path, MetricsFile] = OrderedDict()


def _metrics_of(path: Path) -> MetricsFile:
    """The reader that remembers how far this file was read; the least used are forgotten."""
    reader = _FILES.pop(path, None) or MetricsFile(path)
    _FILES[path] = reader
    while len(_FILES) > _KEPT_FILES:
        _FILES.popitem(last=False)
    return reader


def _thin(points: Sequence[Point]) -> tuple[Point, ...]:
    if len(points) <= MOST_POINTS:
        return tuple(points)
    stride = -(-len(points) // MOST_POINTS)
    # Counted from the end, so that the newest point is always there.
    return tuple(points[(len(points) - 1) % stride :: stride])
