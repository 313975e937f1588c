"""Says in one plain sentence how training goes and what to do about it, from its two loss curves.

Guarantees: pure functions; the same curves give the same sentence; every threshold is a named number below. The first rule that
fits wins, in this order: run away, too early to say, memorising, not learning, settled, going well.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from studio.runs.metrics import Point

Level = Literal["wait", "good", "warn", "bad"]

#: Smoothed training loss this many times its start, and rising, is running away.
RUN_AWAY_FACTOR: Final = 1.5
#: Nothing is said about a run before this many steps, or this share of all steps where that is more.
EARLY_STEPS: Final = 5
EARLY_SHARE: Final = 0.05
#: Validation loss this much above its best, after at least two more checks, is memorising; twice as much needs no second check.
MEMORISING_RISE: Final = 0.03
#: After this many steps (or a fifth of all) a fall of less than this share is not learning.
IDLE_STEPS: Final = 20
IDLE_FALL: Final = 0.02
#: A fall of less than this share over the last third of at least ``SETTLED_STEPS`` steps is settled.
SETTLED_FALL: Final = 0.01
SETTLED_STEPS: Final = 30


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One sentence and one action. ``wait`` has no colour, ``good`` is fine, ``warn`` deserves a look, ``bad`` needs a hand."""

    level: Level
    sentence: str
    action: str


def smooth(points: Sequence[Point], window: int) -> tuple[Point, ...]:
    """Exponential moving average that remembers about ``window`` points, corrected for its start (as Adam corrects its means).

    A value that is not a number is passed through and forgotten.
    """
    keep = 1 - 2 / (max(window, 1) + 1)
    mean, weight = 0.0, 0.0
    shown: list[Point] = []
    for point in points:
        if not math.isfinite(point.value):
            shown.append(point)
            continue
        mean = keep * mean + (1 - keep) * point.value
        weight = keep * weight + (1 - keep)
        shown.append(Point(point.step, mean / weight))
    return tuple(shown)


def window_for(total: int) -> int:
    """Points to smooth over: a twentieth of the run, at least 3 and at most 50."""
    return min(50, max(3, total // 20))


def diagnose(train: Sequence[Point], validation: Sequence[Point], total: int, *, ended: bool = False) -> Diagnosis:
    """How it goes. ``total`` is the number of steps planned; ``ended`` is set once no further step will come."""
    if any(not math.isfinite(point.value) for point in (*train[-3:], *validation[-1:])):
        return Diagnosis(
            "bad",
            "The loss is no longer a number: training has run away.",
            "Start a new run with a learning rate ten times smaller.",
        )
    smoothed = smooth(train, window_for(total))
    early = max(EARLY_STEPS, math.ceil(EARLY_SHARE * total))
    if len(smoothed) < min(early, total) or not smoothed:
        if ended:
            return Diagnosis("wait", "It ended before there was anything to judge.", "Resume it, or start a new run.")
        until = min(early, total) if total else early
        return Diagnosis("wait", "It has just begun. The first steps say little.", f"Wait for step {until}.")
    start = _mean(train[:3])
    now = smoothed[-1].value
    if now > RUN_AWAY_FACTOR * start and now > RUN_AWAY_FACTOR * min(point.value for point in smoothed):
        return Diagnosis(
            "bad",
            f"The training loss has risen from {told(start)} to {told(now)}: training runs away.",
            "Stop, and start a new run with a learning rate three to ten times smaller.",
        )
    return (
        _memorising(smoothed, validation, ended=ended)
        or _idle(smoothed, validation, start, total)
        or _settled(smoothed, validation, ended=ended)
        or _well(start, now, validation, ended=ended)
    )


def _memorising(smoothed: Sequence[Point], validation: Sequence[Point], *, ended: bool) -> Diagnosis | None:
    if len(validation) < 3:
        return None
    best = min(validation, key=lambda point: point.value)
    last = validation[-1]
    checks_since = sum(point.step > best.step for point in validation)
    rise = last.value / best.value - 1 if best.value > 0 else 0.0
    rising = (checks_since >= 2 and rise > MEMORISING_RISE) or (checks_since >= 1 and rise > 2 * MEMORISING_RISE)
    then = next((point.value for point in reversed(smoothed) if point.step <= max(best.step, 1)), smoothed[0].value)
    if not rising or smoothed[-1].value >= then:
        return None
    if best.step == 0:
        sentence = (
            f"On rows it has not seen the model is now worse than before training ({told(best.value)}, now {told(last.value)})."
        )
    else:
        sentence = (
            f"Since step {best.step:,} the validation loss rises ({told(best.value)} to {told(last.value)}) "
            "while the training loss still falls: the model begins to learn your examples by heart."
        )
    advice = "Next time use fewer passes or more examples." if ended else "Stop it now, and next time use fewer passes."
    return Diagnosis("warn", sentence, advice)


def _idle(smoothed: Sequence[Point], validation: Sequence[Point], start: float, total: int) -> Diagnosis | None:
    if len(smoothed) < min(IDLE_STEPS, max(EARLY_STEPS, total // 5)):
        return None
    moved = smoothed[-1].value < (1 - IDLE_FALL) * start
    moved_on_validation = len(validation) > 1 and validation[-1].value < (1 - IDLE_FALL) * validation[0].value
    if moved or moved_on_validation:
        return None
    return Diagnosis(
        "warn",
        f"The loss hardly moves ({told(start)} at the start, {told(smoothed[-1].value)} now).",
        "Try a learning rate three times larger, and check that each answer belongs to its prompt.",
    )


def _settled(smoothed: Sequence[Point], validation: Sequence[Point], *, ended: bool) -> Diagnosis | None:
    if ended or len(smoothed) < SETTLED_STEPS:
        return None
    before = smoothed[-(len(smoothed) // 3) - 1].value
    if smoothed[-1].value < (1 - SETTLED_FALL) * before:
        return None
    if len(validation) > 1 and validation[-1].value < (1 - SETTLED_FALL) * validation[-2].value:
        return None
    return Diagnosis(
        "good",
        f"The loss has settled at {told(smoothed[-1].value)}.",
        "You can let it finish or stop it: little more will change.",
    )


def _well(start: float, now: float, validation: Sequence[Point], *, ended: bool) -> Diagnosis:
    action = "Next: compare it with the base model." if ended else "Nothing to do. Let it run."
    if len(validation) > 1:
        first, last = validation[0].value, validation[-1].value
        if last < first:
            tense = "fell" if ended else "falls"
            return Diagnosis(
                "good", f"The validation loss {tense} from {told(first)} to {told(last)} ({_share(first, last)}).", action
            )
        if ended:
            return Diagnosis(
                "warn",
                f"The training loss fell, but on rows it has not seen the model is no better ({told(first)}, "
                f"now {told(last)}).",
                "Compare it with the base model before you use it. More examples help most.",
            )
        return Diagnosis("wait", f"The training loss falls ({told(start)} to {told(now)}); validation does not yet.", "Wait.")
    unseen = "" if len(validation) == 1 else " There are no validation rows, so memorising cannot be seen."
    tense = "fell" if ended else "falls"
    return Diagnosis(
        "good", f"The training loss {tense} from {told(start)} to {told(now)} ({_share(start, now)}).{unseen}", action
    )


def _mean(points: Sequence[Point]) -> float:
    return sum(point.value for point in points) / len(points)


def told(loss: float) -> str:
    """A loss as a sentence says it: never as nothing while it is more than nothing."""
    if not math.isfinite(loss) or abs(loss) >= 0.1 or loss == 0:
        return f"{loss:.2f}"
    return f"{loss:.3f}" if abs(loss) >= 0.001 else "below 0.001"


def _share(first: float, last: float) -> str:
    change = (last - first) / first if first else 0.0
    whole = f"{change:+.0%}"
    return (whole if whole != "-100%" or not last else "-99.9%").replace("-", "−")  # noqa: RUF001 - a true minus sign, for people
