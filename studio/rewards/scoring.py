"""From an answer to its score: pure kinds at once, judged and sandboxed ones in batches.

Guarantees: a score is a number only when every part of it is; what failed says why and counts as missing; the same answer, row
and reward give the same score (for ``rules`` as far as the judge does). Errors of a place that should judge (``BackendError``),
and code that cannot even be loaded, are raised: they are no matter of one answer.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

from studio.rewards.checks import check
from studio.rewards.judging import Ask, Judge
from studio.rewards.kinds import Part, Python, Reward, RewardError, Rules, Score, TaskRow
from studio.rewards.sandbox import Sandbox, require
from studio.rewards.tree import Share, every, needs, shares

#: From where on a rule counts as followed, in the reason that is shown.
_FOLLOWED: Final = 0.5

#: An answer and the row that it answers.
Item = tuple[str, TaskRow]


@dataclass(frozen=True, slots=True)
class Limits:
    """``sandboxes``: processes at once for each ``python`` reward. ``failed_share``: see ``BatchScorer.require_enough``."""

    sandboxes: int = 1
    failed_share: float = 0.5


@dataclass(frozen=True, slots=True)
class _Found:
    """What one share of a reward says about one answer."""

    value: float | None
    why: str


@dataclass(frozen=True, slots=True)
class _Task:
    """One share of the reward on one answer; ``at`` and ``place`` say which."""

    at: int
    place: int
    share: Share
    answer: str
    row: TaskRow

    @property
    def key(self) -> tuple[int, int]:
        return self.at, self.place


def score(reward: Reward, answer: str, row: TaskRow) -> Score:
    """Score one answer by a reward of pure kinds. Raises ``RewardError`` when it needs a judge or a sandbox (``needs``)."""
    needed = needs(reward)
    if needed.judge or needed.sandbox:
        raise RewardError(
            "This reward needs a model that judges, or a sandbox.", where="kind", next_step="Score it with batch_scorer."
        )
    found = _shares_of(reward, row)
    if isinstance(found, str):
        return Score(None, (), found)
    return _whole([(share, _checked(share, answer, row)) for share in found])


def batch_scorer(reward: Reward, *, judge: Judge | None = None, limits: Limits | None = None) -> BatchScorer:
    """Something that scores many answers: see ``BatchScorer``.

    Raises ``RewardError`` when rules have no judge, or this machine cannot run Python safely.
    """
    return BatchScorer(reward, judge, limits or Limits())


class BatchScorer:
    """Scores answers of one run or one try: ``await scorer([(answer, row), …])`` gives their scores in order.

    May be called many times and at the same time; ``close`` ends its processes (it is a context manager as well).
    """

    def __init__(self, reward: Reward, judge: Judge | None, limits: Limits) -> None:
        needed = needs(reward)
        if needed.judge and judge is None:
            raise RewardError(
                "There is no model that could judge by these rules.", where="rules", next_step="Name one, or leave them out."
            )
        if needed.sandbox:
            require()
        self._reward, self._judge, self._limits = reward, judge, limits
        kinds = {each for each in every(reward) if isinstance(each, Python)}
        self._rooms = {each: [Sandbox(each) for _ in range(max(1, limits.sandboxes))] for each in kinds}
        self.scored = 0
        self.failed = 0
        self.last_error = ""

    async def __call__(self, items: Sequence[Item]) -> tuple[Score, ...]:
        """The scores of these answers, in order. Raises ``BackendError`` and ``RewardError`` as the module says."""
        found = [_shares_of(self._reward, row) for _, row in items]
        tasks = [
            _Task(at, place, share, *items[at])
            for at, listed in enumerate(found)
            if not isinstance(listed, str)
            for place, share in enumerate(listed)
        ]
        judged, ran = await asyncio.gather(self._judged(tasks), self._ran(tasks))
        known = judged | ran
        plain = [task for task in tasks if task.key not in known]
        known |= {task.key: _checked(task.share, task.answer, task.row) for task in plain}
        scores = tuple(
            Score(None, (), listed)
            if isinstance(listed, str)
            else _whole([(share, known[at, place]) for place, share in enumerate(listed)])
            for at, listed in enumerate(found)
        )
        self._count(scores)
        return scores

    def require_enough(self) -> None:
        """Raise ``RewardError`` when more than ``failed_share`` of all answers so far could not be scored."""
        if self.scored >= 8 and self.failed > self._limits.failed_share * self.scored:
            raise RewardError(
                f"{self.failed:,} of {self.scored:,} answers could not be scored. The last reason: {self.last_error}",
                where="reward",
                next_step="Try the reward on a few rows, correct it, and start again.",
            )

    def close(self) -> None:
        """End the processes that this scorer started."""
        for rooms in self._rooms.values():
            for room in rooms:
                room.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def _judged(self, tasks: Sequence[_Task]) -> dict[tuple[int, int], _Found]:
        asked = [(task, task.share.leaf) for task in tasks]
        asks = [
            (task, Ask(task.row.prompt, task.answer, rule, leaf.judge))
            for task, leaf in asked
            if isinstance(leaf, Rules)
            for rule in leaf.rules
        ]
        if not asks or self._judge is None:
            return {}
        replies = await self._judge([ask for _, ask in asks])
        said: dict[tuple[int, int], list[tuple[str, float | None]]] = {}
        for (task, ask), reply in zip(asks, replies, strict=True):
            said.setdefault(task.key, []).append((ask.rule, reply))
        return {key: _by_rules(rules) for key, rules in said.items()}

    async def _ran(self, tasks: Sequence[_Task]) -> dict[tuple[int, int], _Found]:
        coded: dict[Python, list[_Task]] = {}
        for task in tasks:
            if isinstance(task.share.leaf, Python):
                coded.setdefault(task.share.leaf, []).append(task)
        work = [
            asyncio.to_thread(_in_sandbox, room, listed[at :: len(self._rooms[leaf])])
            for leaf, listed in coded.items()
            for at, room in enumerate(self._rooms[leaf])
        ]
        return {key: each for found in await asyncio.gather(*work) for key, each in found.items()}

    def _count(self, scores: Sequence[Score]) -> None:
        self.scored += len(scores)
        for one in scores:
            if one.error is not None:
                self.failed += 1
                self.last_error = one.error


def _in_sandbox(room: Sandbox, tasks: Sequence[_Task]) -> dict[tuple[int, int], _Found]:
    ran = room.score([(task.answer, task.row) for task in tasks])
    return {task.key: _Found(one.value, one.error or "your code says so") for task, one in zip(tasks, ran, strict=True)}


def _by_rules(said: Sequence[tuple[str, float | None]]) -> _Found:
    known = [reply for _, reply in said if reply is not None]
    if len(known) < len(said):
        return _Found(None, "The judging model gave no usable reply.")
    broken = [rule for rule, reply in said if reply is not None and reply < _FOLLOWED]
    why = "all rules are followed" if not broken else f"not followed: {'; '.join(broken[:3])}"
    return _Found(math.fsum(known) / len(known), why)


def _shares_of(reward: Reward, row: TaskRow) -> tuple[Share, ...] | str:
    """What scores this row, or why nothing can."""
    try:
        return shares(reward, row)
    except RewardError as error:
        return f"{error.what} {error.next_step}".strip()


def _checked(share: Share, answer: str, row: TaskRow) -> _Found:
    try:
        found = check(share.leaf, answer, row)
    except RewardError as error:
        return _Found(None, f"{error.what} {error.next_step}".strip())
    return _Found(found.value, found.why)


def _whole(found: Sequence[tuple[Share, _Found]]) -> Score:
    parts = tuple(Part(share.name, share.weight, one.value, one.why) for share, one in found)
    failed = next((part.why for part in parts if part.value is None), None)
    if failed is not None:
        return Score(None, parts, failed)
    return Score(math.fsum(part.weight * part.value for part in parts if part.value is not None), parts)
