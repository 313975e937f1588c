"""Rewards and a prepared data set: the rows as a reward sees them, and the reward that is suggested for them.

Guarantees: reads only; what was read once is not read again while the file stays the same.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Final

from studio import data
from studio.rewards.bench import spaced
from studio.rewards.kinds import TaskRow
from studio.rewards.rows import task_row
from studio.rewards.suggesting import Suggestion, suggest

#: Rows that a suggestion is made from.
_ENOUGH: Final = 1_000


def suggested(path: Path) -> Suggestion:
    """A reward for the rows of the part at ``path``. Raises ``RewardError`` when it has none, ``NotFoundError`` for no file."""
    return _suggested(path, _stamp(path))


def some_rows(path: Path, wanted: int) -> tuple[TaskRow, ...]:
    """``wanted`` rows of the part at ``path`` (fewer when there are not as many), evenly spaced."""
    return tuple(task_row(row) for row in _some(path, wanted, _stamp(path)))


def some_full_rows(path: Path, wanted: int) -> tuple[data.Row, ...]:
    """The same rows with their conversations."""
    return _some(path, wanted, _stamp(path))


@lru_cache(maxsize=32)
def _suggested(path: Path, stamp: tuple[int, int]) -> Suggestion:
    del stamp
    return suggest([task_row(row) for row in data.rows(path, _ENOUGH)])


@lru_cache(maxsize=32)
def _some(path: Path, wanted: int, stamp: tuple[int, int]) -> tuple[data.Row, ...]:
    del stamp
    total = len(data.prompt_ids(path))
    return tuple(row for place in spaced(total, wanted) for row in data.rows(path, 1, place))


def _stamp(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except FileNotFoundError:
        return 0, 0  # the reader says that it is gone
    return found.st_mtime_ns, found.st_size
