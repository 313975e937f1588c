"""Questions that a model practises on, as the cookbook's loops take them: data sets of groups of answers.

Guarantees: which questions a step asks follows from the recipe's seed and the step alone, so that a resumed run asks what an
uninterrupted one would; every group is on disk as soon as its answers are scored (see ``rollouts``); an answer that could not
be scored pulls in no direction; one that never ended gets the lowest score that there is, whatever it says.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import chz
import datasets
import tinker
from pyarrow import parquet
from tinker_cookbook import renderers
from tinker_cookbook.rl.types import (
    ActionExtra,
    Env,
    EnvGroupBuilder,
    Metrics,
    RLDataset,
    RLDatasetBuilder,
    StepResult,
    Trajectory,
)

from studio import data
from studio.data.types import Message
from studio.errors import RunError
from studio.models.rendering import CannotRender, Template
from studio.rewards import BatchScorer, Score, TaskRow
from studio.rewards.rows import parted, task_of
from studio.runs import rollouts
from studio.runs.rollouts import Answer, Group, Part

if TYPE_CHECKING:
    from studio.data.types import Part as DataPart
    from studio.runs.work import Work

#: Held-out questions that are answered at each check. More would say the same with more decimals.
MOST_HELD_OUT: Final = 128
_GRADED: Final = ("reference", "reward_name", "rejected")


@dataclass(frozen=True, slots=True)
class Question:
    """One row without its answers: the turns that are shown, and the row as a reward sees it.

    ``better`` and ``worse`` are the answers that the row holds: both for a pair, empty where there is none.
    """

    turns: tuple[Message, ...]
    row: TaskRow
    better: str = ""
    worse: str = ""


class Questions:
    """The questions of one part of a data set, read row by row; texts stay on disk."""

    def __init__(self, path: Path, cache: Path) -> None:
        there = parquet.read_schema(path).names
        self._named = data.extras(path)
        columns = [name for name in (*data.CONVERSATION_COLUMNS, *_GRADED) if name in there]
        self._rows = datasets.Dataset.from_parquet(str(path), cache_dir=str(cache), columns=[*columns, *self._named])

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, place: int) -> Question:
        return _question(cast("dict[str, Any]", self._rows[place]), self._named)

    def __iter__(self) -> Iterator[Question]:
        return (self[place] for place in range(len(self)))


def questions(work: Work, part: DataPart, written: Template) -> Questions:
    """The questions of a part. Raises ``RunError`` when the model cannot be asked some of them, with room for an answer."""
    found = Questions(part.path, work.cache)
    _require_askable(found, work.recipe.max_tokens, written)
    return found


def held_out(work: Work, written: Template) -> tuple[Question, ...]:
    """The first held-out questions; their order is the split's. Raises as ``questions`` does, for these alone."""
    if not work.dataset.validation.rows:
        return ()
    rows = Questions(work.dataset.validation.path, work.cache)
    found = tuple(rows[place] for place in range(min(len(rows), MOST_HELD_OUT)))
    _require_askable(found, work.recipe.max_tokens, written)
    return found


def _require_askable(asked: Iterable[Question], answer: int, written: Template) -> None:
    """Raise ``RunError`` unless the format holds every question, and the context each with ``answer`` tokens after it.

    A server refuses the others when they are drawn: in the middle of a run, and at the same step each time it goes on.
    """
    model = written.model
    refused: list[CannotRender] = []
    too_long: list[int] = []
    for question in asked:
        try:
            tokens = written.prompt(question.turns).length
        except CannotRender as refusal:
            refused.append(refusal)
            continue
        if tokens + answer > model.context:
            too_long.append(tokens)
    if refused:
        raise RunError(
            f"{_count(refused)} of this data set cannot be written for {model.label}. {refused[0].what}",
            where="data",
            next_step=refused[0].next_step or "Leave these rows out where the file is checked, or choose another model.",
        )
    if too_long:
        room = model.context - max(too_long)
        shorter = f"Start a new run with answers of at most {room:,} tokens, or" if room > 0 else "Start a new run"
        raise RunError(
            f"{_count(too_long)} of this data set cannot be answered by {model.label}. The longest has {max(too_long):,} "
            f"tokens and an answer may have {answer:,}; together they must fit {model.context:,}.",
            where="data",
            next_step=f"{shorter} without these rows, or with a model that reads more.",
        )


def _count(found: Sequence[object]) -> str:
    return "1 question" if len(found) == 1 else f"{len(found):,} questions"


class Answering(Env):
    """One question, one answer: the group scores it, because rewards may be asked for together, or compare answers."""

    def __init__(self, question: Question, written: Template) -> None:
        self._prompt = written.prompt(question.turns)
        self._written = written
        self.text = ""
        self.cut = False

    async def initial_observation(self) -> tuple[tinker.ModelInput, list[str] | list[int]]:
        """The tokens up to the point where the answer begins, and what ends it."""
        return self._prompt, self._written.stop

    async def step(self, action: list[int], *, extra: ActionExtra | None = None) -> StepResult:
        """Take the answer. Its reward comes from the group."""
        del extra  # that it was cut shows in how it ends
        message, ended = self._written.renderer.parse_response(action)
        self.text = renderers.get_text_content(message)
        self.cut = not ended.is_clean
        return StepResult(
            reward=0.0, episode_done=True, next_observation=tinker.ModelInput.empty(), next_stop_condition=self._written.stop
        )


@dataclass(frozen=True)
class Practice(EnvGroupBuilder):
    """Several answers to one question. ``keep`` is told what came of it, for whoever reads and counts."""

    question: Question
    written: Template
    count: int
    keep: Callable[[Group], None] = field(repr=False)

    async def make_envs(self) -> Sequence[Env]:
        """One for each answer."""
        return [Answering(self.question, self.written) for _ in range(self.count)]

    async def compute_group_rewards(
        self, trajectory_group: list[Trajectory], env_group: Sequence[Env]
    ) -> list[tuple[float, Metrics]]:
        """Score all answers, keep them, and give each its reward."""
        answers = cast("Sequence[Answering]", env_group)
        scores = await self.scores(answers)
        known = [score.value for score in scores if score.value is not None]
        # A missing score becomes the mean of the others: then its advantage is zero, and so nothing is learned from it.
        mean = math.fsum(known) / len(known) if known else 0.0
        self.keep(_group(self.question, answers, trajectory_group, scores, mean))
        return [(mean if score.value is None else score.value, {}) for score in scores]

    async def scores(self, answers: Sequence[Answering]) -> Sequence[Score]:
        """What each answer is worth; not known where no reward is asked for."""
        return [Score(None, ()) for _ in answers]

    def logging_tags(self) -> list[str]:
        """One name for all: the cookbook reports numbers for each."""
        return ["practice"]


@dataclass(frozen=True)
class Rewarded(Practice):
    """Answers that a reward scores. ``lowest`` is what it gives at least."""

    score: BatchScorer = field(kw_only=True, repr=False)
    lowest: float = field(kw_only=True)

    async def scores(self, answers: Sequence[Answering]) -> Sequence[Score]:
        """Raises ``RewardError`` when too many answers of the run could not be scored."""
        found = await self.score([(answer.text, self.question.row) for answer in answers])
        self.score.require_enough()
        return [self._ended(answer, one) for answer, one in zip(answers, found, strict=True)]

    def _ended(self, answer: Answering, score: Score) -> Score:
        return Score(self.lowest, score.parts) if answer.cut and score.value is not None else score


class Steps(RLDataset):
    """The questions of each step: whole batches, pass after pass, each pass in an order of its own."""

    def __init__(self, work: Work, rows: Questions, group: Callable[[Question, int], EnvGroupBuilder]) -> None:
        self._work = work
        self._rows = rows
        self._group = group
        self._order: tuple[int, list[int]] = (-1, [])

    def get_batch(self, index: int) -> list[EnvGroupBuilder]:
        """The groups of the step after ``index`` finished ones."""
        rollouts.begin(self._work.folder, index + 1)
        epoch, batch = divmod(index, self._work.length.per_pass)
        size = self._work.recipe.batch_size
        places = self._places(epoch)[batch * size : (batch + 1) * size]
        return [self._group(self._rows[place], index + 1) for place in places]

    def __len__(self) -> int:
        return self._work.total

    def _places(self, epoch: int) -> list[int]:
        if self._order[0] != epoch:
            places = list(range(len(self._rows)))
            if self._work.shuffle:
                random.Random(f"{self._work.recipe.seed} {epoch}").shuffle(places)  # noqa: S311 - an order, no secret
            self._order = (epoch, places)
        return self._order[1]


@chz.chz
class Ready(RLDatasetBuilder):
    """Hands a data set that is made already to a loop that wants to make it. There is no test set: we measure ourselves."""

    made: Callable[[], RLDataset]

    async def __call__(self) -> tuple[RLDataset, RLDataset | None]:
        """The data set."""
        return self.made(), None


def _question(row: dict[str, Any], named: Mapping[str, str]) -> Question:
    messages, completion = data.turns_of(row), str(row.get("completion") or "")
    reference, reward_name = str(row.get("reference") or ""), str(row.get("reward_name") or "")
    turns, better = parted(messages, completion)
    task = task_of(messages, completion, reference, reward_name, data.extra_of(row, named))
    return Question(turns, task, better, str(row.get("rejected") or ""))


def _group(
    question: Question, answers: Sequence[Answering], sampled: Sequence[Trajectory], scores: Sequence[Score], mean: float
) -> Group:
    return Group(
        prompt=question.row.prompt,
        reference=question.row.reference,
        prompt_tokens=sampled[0].transitions[0].ob.length,
        answers=tuple(
            Answer(
                text=answer.text,
                reward=score.value,
                parts=tuple(Part(part.name, part.value, part.why) for part in score.parts),
                tokens=len(trajectory.transitions[0].ac.tokens),
                advantage=None if score.value is None else score.value - mean,
                cut=answer.cut,
                error=score.error or "",
            )
            for answer, trajectory, score in zip(answers, sampled, scores, strict=True)
        ),
    )
