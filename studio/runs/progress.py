"""What a page or the terminal shows of a run: numbers, curves, one sentence, and the end of the log.

Guarantees: reading costs what was appended since the last reading, so that a page may ask each second; nothing is written;
every line of the log has passed the redaction.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from studio import models
from studio.errors import NotFoundError, SettingError
from studio.runs import files, stages
from studio.runs.diagnosis import Diagnosis, smooth, window_for
from studio.runs.diagnosis_methods import diagnose_run
from studio.runs.meter import cost_of, counts_of
from studio.runs.metrics import MetricsFile, Point
from studio.runs.stages import Outline, Planned, Stage, StageKey, StageStatus
from studio.store import Job

__all__ = ["Diagnosis", "Point", "Progress", "StageState", "read"]

#: Points of a curve that a page draws; a longer one is thinned evenly and keeps its last point.
MOST_POINTS: Final = 1_500
_KEPT_FILES: Final = 64


@dataclass(frozen=True, slots=True)
class StageState:
    """One stage as it stands: ``step`` of ``total`` steps are finished."""

    key: StageKey
    title: str
    state: StageStatus
    step: int
    total: int


@dataclass(frozen=True, slots=True)
class Progress:
    """A run as it stands. ``step`` of ``total`` steps are finished in all stages; ``tokens`` were trained on, prompts included.

    ``eta_seconds`` and ``steps_per_second`` come from the process that runs now and are ``None`` while they are not known or
    the run is at rest. Losses are in nats per token. ``smoothed`` is ``train`` with less noise. ``series`` holds every number
    of the last stage by the names of ``metrics.SERIES``, and those of an earlier one behind its key (``judge/train_loss``).
    ``cost`` is in US dollars, ``None`` where the price is not known.
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
    method: str = "sl"
    series: Mapping[str, tuple[Point, ...]] = field(default_factory=dict[str, tuple[Point, ...]])
    stages: tuple[StageState, ...] = ()
    cost: float | None = None

    @property
    def fraction(self) -> float:
        """Share of the steps that are finished, from 0 to 1."""
        return min(1.0, self.step / self.total) if self.total else 0.0


def read(folder: Path, job: Job, *, log_lines: int = 40) -> Progress:
    """The progress of the run whose files lie in ``folder``. Works before the first file exists and long after the end."""
    outline = stages.read_outline(folder) or _single(job)
    with _LOCK:
        readers = [_metrics_of(one.stage.folder(folder) / files.METRICS) for one in outline.stages]
        for reader in readers:
            reader.read()
        states = _states(folder, job, outline.stages, readers)
        series = _series(outline.stages, readers)
        step, tokens = sum(state.step for state in states), sum(reader.tokens for reader in readers)
        now = next((place for place, state in enumerate(states) if state.state != "done"), len(states) - 1)
        pace = readers[now].steps_per_second(job.pid_started)
        train, validation = readers[-1].train(), readers[-1].validation()
        cost = _cost(folder, outline, readers)
    total = max(sum(state.total for state in states), step)
    running = job.live and pace is not None
    # How long a step of a later stage takes is not known before it begins.
    known_to_end = running and pace and now == len(states) - 1
    return Progress(
        step=step,
        total=total,
        phase=job.phase,
        tokens=tokens,
        steps_per_second=pace if running else None,
        eta_seconds=(states[-1].total - states[-1].step) / pace if known_to_end and pace else None,
        train=_thin(train),
        smoothed=_thin(smooth(train, window_for(states[-1].total))),
        validation=_thin(validation),
        diagnosis=diagnose_run(outline.method, series, states[-1].total, ended=job.ended, kl_limit=outline.kl_limit),
        log_tail=files.log_tail(folder, log_lines),
        method=outline.method,
        series={name: _thin(points) for name, points in series.items()},
        stages=states,
        cost=cost,
    )


def _cost(folder: Path, outline: Outline, readers: Sequence[MetricsFile]) -> float | None:
    """US dollars so far, ``None`` where the model or its price is not known."""
    try:
        model = models.get(outline.model)
        teacher = models.get(outline.teacher) if outline.teacher else None
        return cost_of(counts_of(readers), model, teacher, files.home_of(folder))
    except (NotFoundError, SettingError):
        return None  # a price table that cannot be read is told where prices are shown


def _single(job: Job) -> Outline:
    """The one stage of a run that was recorded before there were stages."""
    return Outline("sl", "", (Planned(Stage("train", "Learn from examples", ""), job.total),))


def _states(folder: Path, job: Job, planned: Sequence[Planned], readers: Sequence[MetricsFile]) -> tuple[StageState, ...]:
    found: list[StageState] = []
    reached = True
    for one, reader in zip(planned, readers, strict=True):
        done = reached and stages.is_done(one.stage.folder(folder))
        state: StageStatus = "done" if done else "now" if reached and job.live else "waiting"
        step = reader.finished
        found.append(StageState(one.stage.key, one.stage.title, state, step, max(one.total, step)))
        reached = done
    return tuple(found)


def _series(planned: Sequence[Planned], readers: Sequence[MetricsFile]) -> dict[str, tuple[Point, ...]]:
    found: dict[str, tuple[Point, ...]] = {}
    for one, reader in zip(planned, readers, strict=True):
        prefix = "" if one.stage.main else f"{one.stage.key}/"
        found |= {f"{prefix}{name}": points for name, points in reader.all_series().items()}
    return found


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
