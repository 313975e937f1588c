"""Rewards inside rewards: walked, flattened for one row, and what follows from the whole (needs, bounds).

Guarantees: for a given row every reward is a flat list of kinds with weights, and its score is their weighted sum.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from studio.rewards.kinds import (
    Choice,
    Column,
    Contains,
    Exact,
    Format,
    JsonSchema,
    Leaf,
    Length,
    Needs,
    Number,
    Python,
    Regex,
    Reward,
    RewardError,
    Rules,
    Sum,
    TaskRow,
)

#: What a row may ask for by name without anybody having built it: kinds that only need the row's reference.
BY_NAME: Final[dict[str, Leaf]] = {
    "exact": Exact(),
    "exact_match": Exact(),
    "number": Number(),
    "math": Number(),
    "choice": Choice(),
    "multiple_choice": Choice(),
    "contains": Contains(),
    "json": JsonSchema(compare=True),
}


@dataclass(frozen=True, slots=True)
class Share:
    """One kind that scores a row, with its weight in the whole."""

    name: str
    weight: float
    leaf: Leaf


def nested(reward: Reward) -> tuple[Reward, ...]:
    """The rewards directly inside this one."""
    if isinstance(reward, Sum):
        return tuple(part.reward for part in reward.parts)
    if isinstance(reward, Column):
        inside = tuple(named.reward for named in reward.rewards)
        return inside if reward.otherwise is None else (*inside, reward.otherwise)
    return ()


def every(reward: Reward) -> Iterator[Reward]:
    """This reward and all inside it, outermost first."""
    yield reward
    for each in nested(reward):
        yield from every(each)


def depth(reward: Reward) -> int:
    """How many rewards stand inside each other; 1 for a single kind."""
    return 1 + max((depth(each) for each in nested(reward)), default=0)


def shares(reward: Reward, row: TaskRow) -> tuple[Share, ...]:
    """The kinds that score this row. Raises ``RewardError`` when the row names a reward that there is not."""
    return tuple(_shares(reward, row, 1.0, ""))


def _shares(reward: Reward, row: TaskRow, weight: float, name: str) -> Iterator[Share]:
    if isinstance(reward, Sum):
        for part in reward.parts:
            yield from _shares(part.reward, row, weight * part.weight, name)
    elif isinstance(reward, Column):
        asked = row.reward_name.strip()
        yield from _shares(_asked_for(reward, asked), row, weight, asked)
    else:
        yield Share(name or label(reward), weight, reward)


def _asked_for(column: Column, name: str) -> Reward:
    if not name:
        if column.otherwise is None:
            raise RewardError(
                "This row names no reward.",
                where="otherwise",
                next_step="Fill in the column, or say what scores rows without a name.",
            )
        return column.otherwise
    for named in column.rewards:
        if named.name == name:
            return named.reward
    found = BY_NAME.get(name.lower())
    if found is None:
        known = ", ".join(sorted({*(named.name for named in column.rewards), *BY_NAME}))
        raise RewardError(
            f"This row asks for the reward {name!r}, which there is not.",
            where="rewards",
            next_step=f"Build it under that name. There are: {known}.",
        )
    return found


def bounds(reward: Reward) -> tuple[float, float]:
    """The lowest and the highest score that any answer can get: 0 and 1, or what the weights of sums make of them."""
    if isinstance(reward, Sum):
        ends = [sorted(part.weight * end for end in bounds(part.reward)) for part in reward.parts]
        return sum(low for low, _ in ends), sum(high for _, high in ends)
    if isinstance(reward, Column):
        # A row may always ask for a kind of its own, which gives 0 to 1.
        inside = [bounds(each) for each in nested(reward)]
        return min([0.0, *(low for low, _ in inside)]), max([1.0, *(high for _, high in inside)])
    return 0.0, 1.0


def needs(reward: Reward) -> Needs:
    """What must be there before anything can be scored."""
    kinds = tuple(every(reward))
    return Needs(
        reference=any(compares(each) for each in kinds),
        reward_name=any(isinstance(each, Column) and each.otherwise is None for each in kinds),
        judge=any(isinstance(each, Rules) for each in kinds),
        sandbox=any(isinstance(each, Python) for each in kinds),
    )


def compares(reward: Reward) -> bool:
    """Whether this very kind needs the reference of each row."""
    match reward:
        case Exact() | Number() | Choice():
            return reward.expected is None
        case Contains():
            return not (reward.all_of or reward.any_of or reward.none_of)
        case Regex() | JsonSchema():
            return reward.compare
        case _:
            return False


def label(reward: Reward) -> str:
    """One or two words for a kind, as parts of a score are called."""
    match reward:
        case Format():
            return f"format: {reward.form.replace('_', ' ')}"
        case Length():
            return f"length in {reward.unit}"
        case JsonSchema():
            return "JSON"
        case Python():
            return "Python"
        case _:
            return _LABELS[reward.kind]


_LABELS: Final = {
    "exact": "exact answer",
    "number": "number",
    "choice": "multiple choice",
    "contains": "contains",
    "regex": "pattern",
    "rules": "rules",
    "column": "named by the row",
    "sum": "weighted sum",
}
