"""How long a run is to be: just long enough to see that everything works, a first impression, or all of it.

Guarantees: a preset changes nothing but the number of steps, and how often is checked and saved on the way; a preset of a valid
recipe is valid.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal, get_args

from studio.recipe.facts import DataFacts
from studio.recipe.values import Recipe

PresetId = Literal["tiny", "quick", "full"]

#: Steps of the smallest run, and the part of all steps that a first impression takes.
_TINY_STEPS: Final = 5
_QUICK_SHARE: Final = 1 / 3


@dataclass(frozen=True, slots=True)
class Preset:
    """One length of a run in words."""

    id: PresetId
    label: str
    words: str


PRESETS: Final[Mapping[PresetId, Preset]] = {
    "tiny": Preset("tiny", "Tiny", "A few steps, to see that everything works. Nothing is learned yet."),
    "quick": Preset("quick", "Quick", "A third of the steps: a first impression of where it goes."),
    "full": Preset("full", "Full", "All steps that are recommended for your data."),
}


def with_preset(recipe: Recipe, facts: DataFacts, preset: PresetId) -> Recipe:
    """The recipe cut to the length of a preset; ``full`` takes away its limit of steps."""
    whole = replace(recipe, max_steps=None)
    steps = whole.steps(facts.train_rows)
    if preset == "full" or steps < 1:
        return whole
    wanted = min(steps, _TINY_STEPS if preset == "tiny" else max(1, math.ceil(steps * _QUICK_SHARE)))
    checks = min(recipe.eval_every, max(1, math.ceil(wanted / 3))) if recipe.eval_every else 0
    return replace(whole, max_steps=wanted, eval_every=checks, save_every=min(recipe.save_every, wanted))


def preset_of(recipe: Recipe, recommended: Recipe, facts: DataFacts) -> PresetId | None:
    """Which preset of the recommended recipe this recipe's length is, ``None`` for one of its own."""
    for preset in get_args(PresetId):
        if recipe.max_steps == with_preset(recommended, facts, preset).max_steps:
            return preset
    return None
