"""The small files by which a job's process and its supervisor understand each other, in the job's folder.

``stop`` asks the process to end; ``outcome.json`` holds the process's own last words about how it ended, for the case that it
could not write them into the store; ``worker.log`` is everything it printed. Guarantees: ``outcome.json`` is whole or absent.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal, cast

from studio.runs.redact import redact
from studio.settings import Settings
from studio.store import Job, JobKind, checked_id

LOG: Final = "worker.log"
METRICS: Final = "metrics.jsonl"
CHECKPOINTS: Final = "checkpoints.jsonl"
_STOP: Final = "stop"
_OUTCOME: Final = "outcome.json"
_ANSI: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_TAIL_BYTES: Final = 32_768

Ending = Literal["completed", "stopped", "failed"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a process says it ended. ``pid`` tells its words from those of an earlier process of the same job."""

    pid: int
    status: Ending
    reason: str
    next_step: str


def folder_of(settings: Settings, job: Job) -> Path:
    """Where a job keeps its files; not created here. Raises ``NotFoundError`` when the id is not an id."""
    roots: dict[JobKind, Path] = {
        "train": settings.runs,
        "answers": settings.comparisons,
        "sweep": settings.sweeps,
        "judge": settings.machine_judges,
    }
    root = roots[job.kind]
    return root / checked_id(job.id)


def home_of(folder: Path) -> Path:
    """The studio's home that a job's folder lies in (see ``folder_of``)."""
    return folder.parent.parent


def ask_to_stop(folder: Path, why: str = "") -> None:
    """Leave the wish to stop, and who wants it and why, as a sentence (empty: the person). The first wish is kept."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with (folder / _STOP).open("x", encoding="utf-8") as wish:
            wish.write(why)
    except FileExistsError:
        return


def why_stopped(folder: Path) -> str:
    """The sentence that came with the wish to stop; empty when it was the person's, or nobody's."""
    try:
        return (folder / _STOP).read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return ""


def stop_asked_at(folder: Path) -> float | None:
    """When somebody asked to stop (seconds since the epoch), or ``None``."""
    try:
        return (folder / _STOP).stat().st_mtime
    except FileNotFoundError:
        return None


def forget_the_past(folder: Path) -> None:
    """Remove the wish and the last words of an earlier process, before a new one starts."""
    (folder / _STOP).unlink(missing_ok=True)
    (folder / _OUTCOME).unlink(missing_ok=True)


def write_outcome(folder: Path, outcome: Outcome) -> None:
    """Keep the last words. Raises ``OSError`` when the disk refuses."""
    draft = folder / f"{_OUTCOME}.{outcome.pid}"
    draft.write_text(json.dumps(asdict(outcome)), encoding="utf-8")
    draft.replace(folder / _OUTCOME)


def read_outcome(folder: Path, pid: int | None) -> Outcome | None:
    """The last words of the process ``pid``, or ``None`` when it left none."""
    try:
        found = cast("dict[str, Any]", json.loads((folder / _OUTCOME).read_text(encoding="utf-8")))
        outcome = Outcome(int(found["pid"]), found["status"], str(found["reason"]), str(found["next_step"]))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    return outcome if outcome.pid == pid and outcome.status in ("completed", "stopped", "failed") else None


def log_tail(folder: Path, lines: int = 40) -> tuple[str, ...]:
    """The last lines of the log without colours and secrets. Reads at most 32 kB, whatever the log's size."""
    try:
        with (folder / LOG).open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(0, size - _TAIL_BYTES))
            text = log.read(_TAIL_BYTES).decode("utf-8", errors="replace")
    except FileNotFoundError:
        return ()
    shown = _ANSI.sub("", text).replace("\r", "\n").splitlines()
    if size > _TAIL_BYTES:
        shown = shown[1:]  # its beginning was cut off
    shown = [line.rstrip() for line in shown if line.strip()]
    return tuple(redact(line) for line in shown[-lines:]) if lines > 0 else ()


def has_checkpoint(folder: Path) -> bool:
    """Whether training state was saved that a resumed run can continue from."""
    try:
        return '"state_path"' in (folder / CHECKPOINTS).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return False
