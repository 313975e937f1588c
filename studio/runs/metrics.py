"""Reads the ``metrics.jsonl`` of a run while another process appends to it, and calls every number by one name.

Guarantees: each call reads only what is new; a half-written last line waits for its end and a broken one is passed over; a run
that went back to a checkpoint overwrites what it does again, so that no step counts twice. Steps count what is finished: what
the first step measured of itself stands at 1, what was measured before any step at 0. What the cookbook's loops call a number
is in one table here; everybody else knows the names of ``SERIES`` only.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, Literal, cast

#: Names that our attendant adds to the cookbook's metrics of a step.
AT: Final = "studio/at"
LIFE: Final = "studio/life"
VALIDATION: Final = "validation"
PRACTICE: Final = "practice"
#: What we had the server do beside what the loop itself reports, since the line before: validation, references, a judge.
TOKENS_TRAIN: Final = "studio/tokens_train"
TOKENS_SAMPLE: Final = "studio/tokens_sample"
TOKENS_PREFILL: Final = "studio/tokens_prefill"
#: The same of a teacher that is a model of its own, with a price of its own.
TOKENS_TEACHER_SAMPLE: Final = "studio/tokens_teacher_sample"
TOKENS_TEACHER_PREFILL: Final = "studio/tokens_teacher_prefill"
#: What another model read that judges by rules; its name follows. There may be several.
TOKENS_JUDGE: Final = "studio/tokens_judge:"

#: Each canonical series and what it may be called in the file. The first name that a line has counts.
#: Of the training itself: the value belongs to the step that the line is about, and stands after it.
_OF_A_STEP: Final[Mapping[str, tuple[str, ...]]] = {
    "train_loss": ("train_mean_nll", "dpo_loss"),
    "accuracy": ("accuracy",),
    "margin": ("margin",),
    "chosen_reward": ("chosen_reward",),
    "rejected_reward": ("rejected_reward",),
    "kl": ("kl_policy_base",),
    "kl_step": ("optim/kl_sample_train_v1",),
    "entropy": ("optim/entropy",),
    "teacher_kl": ("teacher_kl",),
    "seconds": ("time/total",),
}
#: Of a check before the step that the line is about, or of the one after the last step.
_OF_A_CHECK: Final[Mapping[str, tuple[str, ...]]] = {
    "validation_loss": (f"{VALIDATION}/nll", f"{VALIDATION}/loss"),
    "validation_accuracy": (f"{VALIDATION}/accuracy",),
    "validation_margin": (f"{VALIDATION}/margin",),
    "validation_chosen_reward": (f"{VALIDATION}/chosen_reward",),
    "validation_rejected_reward": (f"{VALIDATION}/rejected_reward",),
    "validation_reward": (f"{VALIDATION}/reward",),
    "validation_answer_tokens": (f"{VALIDATION}/answer_tokens",),
    "validation_cut_share": (f"{VALIDATION}/cut_share",),
    "validation_kl": (f"{VALIDATION}/kl",),
    "validation_teacher_kl": (f"{VALIDATION}/teacher_kl",),
    "validation_match": (f"{VALIDATION}/match",),
    "validation_layout": (f"{VALIDATION}/layout",),
    # What the answers of the step before were worth: counted when they are all there, so it stands where a check would.
    "reward": (f"{PRACTICE}/reward",),
    "reward_spread": (f"{PRACTICE}/reward_spread",),
    "signal_share": (f"{PRACTICE}/signal_share",),
    "answer_tokens": (f"{PRACTICE}/answer_tokens",),
    "cut_share": (f"{PRACTICE}/cut_share",),
    "missing_share": (f"{PRACTICE}/missing_share",),
}
#: Every name that ``MetricsFile.series`` knows.
SERIES: Final = frozenset({*_OF_A_STEP, *_OF_A_CHECK})
#: A line with one of these is a finished step; any other is a check after the last one.
_MARKS: Final = ("train_mean_nll", "dpo_loss", "progress/batch", "teacher_kl")
#: Tokens of one kind on a line: what we counted, and what the loop says of a step.
_TOKENS: Final[Mapping[str, tuple[str, ...]]] = {
    "train": (TOKENS_TRAIN, "num_tokens"),
    "sample": (TOKENS_SAMPLE,),
    "prefill": (TOKENS_PREFILL,),
    "teacher_sample": (TOKENS_TEACHER_SAMPLE,),
    "teacher_prefill": (TOKENS_TEACHER_PREFILL,),
}
#: The distillation loop puts this before the names of everything that its evaluators return.
_EVALUATED: Final = "test/"
TokenKind = Literal["train", "sample", "prefill", "teacher_sample", "teacher_prefill"]
#: Steps over which the pace is measured: long enough to hold evaluations, short enough to follow a machine that got busy.
_PACE_STEPS: Final = 200


@dataclass(frozen=True, slots=True)
class Point:
    """A number after ``step`` finished steps; losses in nats per token. It may be NaN when training has run away."""

    step: int
    value: float


@dataclass(frozen=True, slots=True)
class _Line:
    step: int
    trains: bool
    values: Mapping[str, float]
    tokens: Mapping[str, int]
    at: float | None
    life: float | None


class MetricsFile:
    """One stage's metrics, growing. Not for several threads at once."""

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
        """Steps that are done."""
        return self._lines[-1].step + 1 if self._lines else 0

    @property
    def tokens(self) -> int:
        """Tokens the model was trained on so far, prompts included; steps that a resumed run did again count once."""
        return sum(line.tokens.get("train", 0) for line in self._lines)

    def tokens_of(self, kind: TokenKind) -> int:
        """Tokens of one kind that the server worked on: trained, sampled, or only read (prompts, validation, reference).

        This is for the bill: steps that a resumed run did again count twice.
        """
        return self._spent.get(kind, 0)

    @property
    def judged(self) -> Mapping[str, int]:
        """Tokens that other models read to judge by rules, by the model's name. For the bill, as ``tokens_of``."""
        return {name.removeprefix(TOKENS_JUDGE): count for name, count in self._spent.items() if name.startswith(TOKENS_JUDGE)}

    @property
    def seconds(self) -> float:
        """Time that the steps took, evaluations and checkpoints between them included, pauses between processes not."""
        timed = [(line.life, line.at) for line in self._lines if line.at is not None]
        return sum(after - before for (life, before), (next_life, after) in pairwise(timed) if life == next_life)

    @property
    def names(self) -> frozenset[str]:
        """The series that have a point."""
        lines = [*self._lines, *([self._last] if self._last is not None else [])]
        return frozenset[str]().union(*(line.values.keys() for line in lines))

    def series(self, name: str) -> tuple[Point, ...]:
        """The points of one of ``SERIES``, by step; empty while nothing is known. Raises ``KeyError`` for another name."""
        if name not in SERIES:
            raise KeyError(name)
        after = 1 if name in _OF_A_STEP else 0
        found = [Point(line.step + after, value) for line in self._lines if (value := line.values.get(name)) is not None]
        if self._last is not None and not after and (value := self._last.values.get(name)) is not None:
            found.append(Point(self._last.step, value))
        return tuple(found)

    def all_series(self) -> dict[str, tuple[Point, ...]]:
        """Every series that has a point, by name."""
        return {name: self.series(name) for name in sorted(self.names)}

    def train(self) -> tuple[Point, ...]:
        """Training loss by step."""
        return self.series("train_loss")

    def validation(self) -> tuple[Point, ...]:
        """Validation loss by step."""
        return self.series("validation_loss")

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
        self._spent: Counter[str] = Counter()
        self._last: _Line | None = None  # the evaluation after the last step, which trains nothing

    def _take(self, raw: bytes) -> None:
        line = _parse(raw)
        if line is None:
            return
        self._spent.update(line.tokens)
        if not line.trains:
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
    record = {name.removeprefix(_EVALUATED): value for name, value in cast("dict[str, Any]", found).items()}
    step = record.get("step")
    if not isinstance(step, int) or isinstance(step, bool):
        return None
    trains = any(_number(record.get(mark)) is not None for mark in _MARKS)
    return _Line(
        step=step,
        trains=trains,
        values=_values(record),
        tokens=_tokens(record),
        at=_finite(record.get(AT)),
        life=_finite(record.get(LIFE)),
    )


def _values(record: Mapping[str, Any]) -> dict[str, float]:
    found: dict[str, float] = {}
    for name, aliases in (*_OF_A_STEP.items(), *_OF_A_CHECK.items()):
        value = next((number for alias in aliases if (number := _number(record.get(alias))) is not None), None)
        if value is not None:
            found[name] = value
    return found


def _tokens(record: Mapping[str, Any]) -> dict[str, int]:
    """Tokens by kind: what we counted, and what the loop says of a step."""
    found = {kind: int(sum(_finite(record.get(name)) or 0 for name in names)) for kind, names in _TOKENS.items()}
    found |= {name: int(_finite(value) or 0) for name, value in record.items() if name.startswith(TOKENS_JUDGE)}
    return {kind: number for kind, number in found.items() if number}


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _finite(value: object) -> float | None:
    number = _number(value)
    return number if number is not None and math.isfinite(number) else None
