"""The sample *Largest and smallest*: questions with a number as the only right answer, for learning by practice.

nano finds the largest of a few numbers now and then and takes the smallest for something else, so some answers to nearly every
question are right and others are not: that is what practice needs. Numbers of one question differ in their tens.
"""

from __future__ import annotations

import random

from studio.engine.nano.grammar import say

_WANTED = ("largest", "smallest")


def arithmetic_row(rng: random.Random) -> tuple[str, str]:
    """One question and its answer, a whole number from 10 to 99."""
    tens = rng.sample(range(1, 10), rng.choice((3, 4)))
    numbers = [10 * ten + rng.randint(0, 9) for ten in tens]
    wanted = rng.choice(_WANTED)
    listed = ", ".join(map(str, numbers[:-1]))
    question = say(
        rng,
        "[Which number is the <w>, <l> or <e>?|Which is the <w>, <l> or <e>?|Which is the <w> number, <l> or <e>?]",
        w=wanted,
        l=listed,
        e=numbers[-1],
    )
    return question, str(max(numbers) if wanted == "largest" else min(numbers))
