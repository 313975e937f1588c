"""Who sees which pair when, and on which side: drawn once from the operating system's randomness and then stored.

Guarantees: the order and the sides follow from nothing public, so nobody can work them out; each prompt is dealt once; the
tuned answer stands on the left as often as on the right, give or take one.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from studio.store.rows import Pairing, Side

if TYPE_CHECKING:
    import random

_SIDES: Final[tuple[Side, Side]] = ("left", "right")


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


def deal(prompt_ids: Sequence[str], chance: random.Random | None = None) -> tuple[Pairing, ...]:
    """One rater's own order of base against tuned."""
    source = chance or secrets.SystemRandom()
    sides: list[Side] = [_SIDES[i % 2] for i in range(len(prompt_ids) // 2 * 2)]
    if len(sides) < len(prompt_ids):
        sides.append(source.choice(_SIDES))
    source.shuffle(sides)
    return tuple(
        Pairing(prompt_id, *(("tuned", "base") if side == "left" else ("base", "tuned")))
        for prompt_id, side in zip(_shuffled(prompt_ids, source), sides, strict=True)
    )


def _shuffled(items: Sequence[str], chance: random.Random | None) -> list[str]:
    order = list(items)
    (chance or secrets.SystemRandom()).shuffle(order)
    return order
