"""Who sees which pair when, and on which side: drawn once from the operating system's randomness and then stored.

Guarantees: the order and the sides follow from nothing public, so nobody can work them out; nobody is dealt the same two
answers twice; of each two arms, each stands on the left as often as on the right, give or take one; a prompt comes back with
other arms only after all others have been shown; the last pair of an order can be asked which side was the challenger's.
"""

from __future__ import annotations

import secrets
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from studio.store.rows import DealRow, Pairing

if TYPE_CHECKING:
    import random

Item = TypeVar("Item")

#: What the two sides of a gold item are called.
BETTER, WORSE = "better", "worse"


class Unit(NamedTuple):
    """One prompt with two arms: what one vote is about. ``against`` is the reference, or the earlier one of two challengers."""

    prompt_id: str
    challenger: str
    against: str

    @property
    def arms(self) -> frozenset[str]:
        """Both arms, without an order."""
        return frozenset((self.challenger, self.against))


@dataclass(frozen=True, slots=True)
class Draw:
    """The prompts of one session: ``rated`` are shown to people, ``automatic_ties`` have the same answer twice and are not."""

    rated: tuple[str, ...]
    automatic_ties: tuple[str, ...]


def draw(prompt_ids: Sequence[str], identical: Collection[str], most: int, chance: random.Random | None = None) -> Draw:
    """Choose up to ``most`` prompts to rate.

    Walks through all prompts in a random order and stops when enough are found. Identical pairs met on the way are ties and
    the others are left alone, so that a short session holds ties in the proportion of the whole.
    """
    order = _shuffled(prompt_ids, chance)
    rated: list[str] = []
    ties: list[str] = []
    for prompt_id in order:
        if len(rated) == most:
            break
        (ties if prompt_id in identical else rated).append(prompt_id)
    return Draw(tuple(rated), tuple(ties))


def taken(deals: Iterable[DealRow]) -> Counter[tuple[str, frozenset[str]]]:
    """How many people each pair of answers is dealt to."""
    return Counter((dealt.prompt_id, frozenset((dealt.left_arm, dealt.right_arm))) for dealt in deals if dealt.kind == "pair")


def share(
    units: Sequence[Unit],
    *,
    overlap: Collection[str] = (),
    load: Mapping[tuple[str, frozenset[str]], int] | None = None,
    planned: int | None = None,
    most: int | None = None,
    chance: random.Random | None = None,
) -> tuple[Unit, ...]:
    """One new rater's part of ``units``: all on the ``overlap`` prompts, then those that the fewest people have.

    ``load`` says how many people have each (see ``taken``); one that ``planned`` people have is not dealt again. ``most`` is
    how many the rater is dealt at most. Empty when nothing is left to rate.
    """
    loads = load or {}

    def has(unit: Unit) -> int:
        return loads.get((unit.prompt_id, unit.arms), 0)

    everyone = [unit for unit in units if unit.prompt_id in overlap]
    others = [unit for unit in _shuffled(units, chance) if unit.prompt_id not in overlap]
    wanted = [unit for unit in others if planned is None or has(unit) < planned]
    if others and not wanted:
        return ()  # what everybody sees is there to compare raters, and not a reason to invite one more
    wanted.sort(key=has)
    return (*everyone, *wanted[: None if most is None else max(0, most - len(everyone))])


def order(
    units: Sequence[Unit], gold: Sequence[str] = (), *, reference: str = "", chance: random.Random | None = None
) -> tuple[Pairing, ...]:
    """An order of showing, sides included. ``gold`` are ids of gold items, which are strewn in but never come last.

    With ``reference``, the last pair is one with that arm, where there is any.
    """
    rounds: dict[int, list[Unit]] = defaultdict(list)
    seen: Counter[str] = Counter()
    for unit in _shuffled(units, chance):
        rounds[seen[unit.prompt_id]].append(unit)
        seen[unit.prompt_id] += 1
    listed = [unit for number in sorted(rounds) for unit in rounds[number]]
    if reference and listed and listed[-1].against != reference:
        at = next((at for at in range(len(listed) - 1, -1, -1) if listed[at].against == reference), len(listed) - 1)
        listed.append(listed.pop(at))
    shown = _on_sides(listed, chance)
    source = chance or secrets.SystemRandom()
    for gold_id, left in zip(_shuffled(gold, chance), _sides(len(gold), chance), strict=True):
        arms = (BETTER, WORSE) if left else (WORSE, BETTER)
        shown.insert(source.randrange(max(1, len(shown))), Pairing(gold_id, *arms, "gold"))
    return tuple(shown)


def _on_sides(units: Sequence[Unit], chance: random.Random | None) -> list[Pairing]:
    counts = Counter(unit.arms for unit in units)
    left = {arms: _sides(count, chance) for arms, count in counts.items()}
    return [
        Pairing(unit.prompt_id, unit.challenger, unit.against)
        if left[unit.arms].pop()
        else Pairing(unit.prompt_id, unit.against, unit.challenger)
        for unit in units
    ]


def _sides(count: int, chance: random.Random | None) -> list[bool]:
    """Half of each in a random order; the odd one falls on either side."""
    source = chance or secrets.SystemRandom()
    sides = [at % 2 == 0 for at in range(count // 2 * 2)]
    if len(sides) < count:
        sides.append(source.choice(_EITHER))
    source.shuffle(sides)
    return sides


_EITHER: Final = (True, False)


def _shuffled(items: Sequence[Item], chance: random.Random | None) -> list[Item]:
    order = list(items)
    (chance or secrets.SystemRandom()).shuffle(order)
    return order
