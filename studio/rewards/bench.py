"""The reward bench: a reward tried on a few rows with several answers each, before any training.

Guarantees: every number is counted from answers that were really given; an answer that could not be scored is shown and counted
as missing; a group of answers that all score the same is named, because training learns nothing from it.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, Protocol

from studio.rewards.judging import Judge
from studio.rewards.kinds import Part, Reward, RewardError, Score, TaskRow
from studio.rewards.reading import parse, to_mapping
from studio.rewards.saying import cautions, describe
from studio.rewards.scoring import Limits, batch_scorer
from studio.rewards.tree import bounds

#: What is tried unless somebody asks for more.
ROWS: Final = 5
ANSWERS: Final = 4
BINS: Final = 10

#: Scores that differ by less than this are the same.
_SAME: Final = 1e-9
#: A mean this near to the top, as a share of what is possible, leaves little to learn.
_NEARLY_FULL: Final = 0.95

Level = Literal["bad", "warn", "good"]


@dataclass(frozen=True, slots=True)
class Trial:
    """One sampled answer and what it is worth."""

    answer: str
    score: Score


@dataclass(frozen=True, slots=True)
class Group:
    """One row and the answers that were sampled for it."""

    row: TaskRow
    trials: tuple[Trial, ...]

    @property
    def scores(self) -> tuple[float, ...]:
        """Of the answers that could be scored."""
        return tuple(trial.score.value for trial in self.trials if trial.score.value is not None)

    @property
    def flat(self) -> bool:
        """All scores are the same, so no answer is better than another: training learns nothing from this group."""
        scores = self.scores
        return len(scores) > 1 and max(scores) - min(scores) < _SAME


@dataclass(frozen=True, slots=True)
class Bin:
    """How many scores lie from ``low`` up to ``high`` (the last one with its end)."""

    low: float
    high: float
    count: int


@dataclass(frozen=True, slots=True)
class Note:
    """What the bench has to say, and what to do about it."""

    level: Level
    sentence: str
    next_step: str = ""


@dataclass(frozen=True, slots=True)
class Bench:
    """A reward that was tried. Means and spreads are over the answers that could be scored; ``None`` when there is none."""

    reward: Reward
    groups: tuple[Group, ...]

    @property
    def scores(self) -> tuple[float, ...]:
        """All scores, group by group."""
        return tuple(score for group in self.groups for score in group.scores)

    @property
    def answers(self) -> int:
        """How many answers were given."""
        return sum(len(group.trials) for group in self.groups)

    @property
    def failed(self) -> int:
        """How many of them could not be scored."""
        return self.answers - len(self.scores)

    @property
    def flat(self) -> int:
        """How many groups have the same score throughout."""
        return sum(group.flat for group in self.groups)

    @property
    def mean(self) -> float | None:
        """The mean score."""
        scores = self.scores
        return math.fsum(scores) / len(scores) if scores else None

    @property
    def spread(self) -> float | None:
        """The standard deviation of the scores inside their group, over all groups: what training can learn from."""
        squares: list[float] = []
        for group in self.groups:
            if len(group.scores) > 1:
                middle = math.fsum(group.scores) / len(group.scores)
                squares += [(score - middle) ** 2 for score in group.scores]
        return math.sqrt(math.fsum(squares) / len(squares)) if squares else None

    @property
    def histogram(self) -> tuple[Bin, ...]:
        """All scores over the range that the reward can give, in ten bins."""
        low, high = bounds(self.reward)
        return histogram(self.scores, low, high)

    @property
    def notes(self) -> tuple[Note, ...]:
        """What to know before training, the worst first."""
        return _notes(self)

    def to_dict(self) -> dict[str, Any]:
        """Plain values; ``of_dict`` takes them back."""
        return {
            "reward": to_mapping(self.reward),
            "description": describe(self.reward),
            "groups": [
                {
                    "row": {**asdict(group.row), "extra": dict(group.row.extra)},
                    "flat": group.flat,
                    "trials": [asdict(trial) for trial in group.trials],
                }
                for group in self.groups
            ],
            "scores": list(self.scores),
            "mean": self.mean,
            "spread": self.spread,
            "answers": self.answers,
            "failed": self.failed,
            "flat_groups": self.flat,
            "histogram": [asdict(each) for each in self.histogram],
            "notes": [asdict(note) for note in self.notes],
            "cautions": list(cautions(self.reward)),
        }

    @classmethod
    def of_dict(cls, found: Mapping[str, Any]) -> Bench:
        """What ``to_dict`` gave, read back. Raises ``RewardError`` when the reward in it cannot be read any more."""
        return cls(parse(found["reward"]), tuple(_group(each) for each in found["groups"]))


class Sampler(Protocol):
    """Lets a model answer rows (by their place among those that are tried), several answers each, in order."""

    def __call__(self, rows: Sequence[TaskRow], answers: int, /) -> Awaitable[Sequence[Sequence[str]]]:
        """The answers. Raises ``BackendError`` when the place that answers failed."""
        ...


async def try_reward(
    reward: Reward,
    rows: Sequence[TaskRow],
    sample: Sampler,
    *,
    answers: int = ANSWERS,
    judge: Judge | None = None,
    limits: Limits | None = None,
) -> Bench:
    """Let a model answer these rows and score what it says.

    Raises ``RewardError`` when there is nothing to try or the reward cannot be used here, ``BackendError`` when the model
    failed.
    """
    _require(rows, answers)
    # The reward is refused before anybody waits for answers.
    with batch_scorer(reward, judge=judge, limits=limits) as scorer:
        given = await sample(rows, answers)
        items = [(answer, row) for row, texts in zip(rows, given, strict=True) for answer in texts]
        scores = iter(await scorer(items))
    return Bench(
        reward,
        tuple(
            Group(row, tuple(Trial(answer, next(scores)) for answer in texts)) for row, texts in zip(rows, given, strict=True)
        ),
    )


async def score_answers(
    reward: Reward, row: TaskRow, answers: Sequence[str], *, judge: Judge | None = None, limits: Limits | None = None
) -> Bench:
    """The bench with answers that a person typed, to one row."""

    async def typed(rows: Sequence[TaskRow], count: int) -> Sequence[Sequence[str]]:
        del rows, count
        return [answers]

    return await try_reward(reward, [row], typed, answers=len(answers), judge=judge, limits=limits)


def histogram(scores: Sequence[float], low: float, high: float, bins: int = BINS) -> tuple[Bin, ...]:
    """Count scores in ``bins`` equal steps from ``low`` to ``high``; what lies outside by rounding goes to the ends."""
    width = (high - low) / bins
    counts = [0] * bins
    for score in scores:
        # A score on a border must not fall below it by rounding.
        place = int((score - low) / width + _SAME) if width > 0 else 0
        counts[min(bins - 1, max(0, place))] += 1
    return tuple(Bin(low + width * place, low + width * (place + 1), count) for place, count in enumerate(counts))


def spaced(total: int, wanted: int) -> tuple[int, ...]:
    """Which of ``total`` rows are tried: ``wanted`` of them, evenly spaced, so that they stand for the whole file."""
    some = min(total, wanted)
    return tuple(place * total // some for place in range(some)) if some else ()


def _require(rows: Sequence[TaskRow], answers: int) -> None:
    if not rows:
        raise RewardError("There is no row to try it on.", where="rows", next_step="Add your data first.")
    if not 1 <= answers <= 64:
        raise RewardError("From 1 to 64 answers can be tried for each row.", where="answers")


def _notes(bench: Bench) -> tuple[Note, ...]:
    notes: list[Note] = []
    if bench.failed:
        reasons = [trial.score.error for group in bench.groups for trial in group.trials if trial.score.error]
        notes.append(
            Note(
                "bad",
                f"{bench.failed:,} of {bench.answers:,} answers could not be scored. {reasons[0]}",
                "Correct the reward or the rows; an answer without a score counts as missing in training.",
            )
        )
    several = [group for group in bench.groups if len(group.scores) > 1]
    if several and all(group.flat for group in several):
        notes.append(_no_signal(bench))
    elif bench.flat:
        notes.append(
            Note(
                "warn",
                f"{bench.flat} of {len(several)} questions got the same score for every answer: nothing is learned from them.",
                "That is usual for a part of the questions. More answers per question find more differences.",
            )
        )
    low, high = bounds(bench.reward)
    if bench.mean is not None and not notes and bench.mean >= low + _NEARLY_FULL * (high - low):
        notes.append(
            Note(
                "warn",
                "The model gets nearly the full score already, so there is little left to learn.",
                "Try harder questions, or a stricter reward.",
            )
        )
    if not notes and several:
        notes.append(Note("good", "Answers to the same question get different scores, so there is something to learn from."))
    return tuple(notes)


def _no_signal(bench: Bench) -> Note:
    """All groups are flat: the one thing that makes training pointless."""
    low, high = bounds(bench.reward)
    mean = bench.mean or 0.0
    what = "Every question got the same score for all of its answers, so there is nothing to learn from (no signal)."
    if mean <= low + _SAME:
        return Note(
            "bad",
            f"{what} All of them got the lowest score.",
            "Give partial credit (a sum with a part for the form), ask easier questions, or train on examples first.",
        )
    if mean >= high - _SAME:
        return Note("bad", f"{what} All of them got the full score.", "Ask harder questions, or make the reward stricter.")
    return Note("bad", what, "Add a part that tells better answers from worse ones, or sample at a higher temperature.")


def _group(found: Mapping[str, Any]) -> Group:
    return Group(TaskRow(**found["row"]), tuple(_trial(each) for each in found["trials"]))


def _trial(found: Mapping[str, Any]) -> Trial:
    score = found["score"]
    return Trial(found["answer"], Score(score["value"], tuple(Part(**part) for part in score["parts"]), score["error"]))
