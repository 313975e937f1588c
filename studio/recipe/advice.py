"""What a recommendation is made of: one value with its reason, its source and how far to trust it.

Guarantees: light and pure; every source that a recommendation names stands here, in one place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from studio.methods import MethodId
from studio.models import MeasuredMethod, Model
from studio.recipe.facts import DataFacts
from studio.recipe.spec import Distillation, Value

#: ``calibrated``: a published formula that was fitted to this model. ``borrowed``: one that was fitted to its relatives, or to
#: a neighbouring method. ``measured by us``: our own runs are on file. ``not calibrated``: a careful start that nobody checked.
#: ``rule``: follows from the data, the model or the method, and needs no calibration.
Badge = Literal["calibrated", "borrowed", "measured by us", "not calibrated", "rule"]
#: How much is wanted of a run: stay close and be quick, the usual, or take more time and room.
Dial = Literal["gentle", "standard", "thorough"]

GUIDE: Final = "Tinker guide: supervised learning hyperparameters"
RL_GUIDE: Final = "Tinker guide: RL hyperparameters"
PRIMER: Final = "Tinker guide: LoRA primer"
DEFAULT: Final = "tinker-cookbook: default of supervised.train.Config"
DPO_DEFAULT: Final = "tinker-cookbook: default of preference.train_dpo.Config"
RL_DEFAULT: Final = "tinker-cookbook: default of rl.train.Config"
PIPELINE: Final = "tinker-cookbook: recipes.preference.rlhf"
ON_POLICY: Final = "tinker-cookbook: recipes.distillation.on_policy_distillation"
RULE: Final = "Tuning Fork: rule of thumb"

#: A value's reason and its source.
Why = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Advice:
    """The recommended value of one field, why, who says so, and how far to trust it."""

    name: str
    value: Value
    reason: str
    source: str
    badge: Badge = "rule"


@dataclass(frozen=True, slots=True)
class Case:
    """What is to be recommended for: data, model, method and the person's wishes.

    ``reward`` is the JSON text of a reward where one is known; ``budget`` the most that the run may cost in US dollars.
    """

    facts: DataFacts
    model: Model
    method: MethodId
    distillation: Distillation = "prompt"
    dial: Dial = "standard"
    budget: float | None = None
    reward: str = ""

    @property
    def kind(self) -> str:
        """The method, for distillation which kind of it: the name under which measurements are kept."""
        return self.distillation if self.method == "distill" else self.method

    @property
    def samples(self) -> bool:
        """Whether the model writes answers while it trains, which are then scored."""
        return self.kind in ("rl", "rlhf", "on_policy")

    @property
    def measured(self) -> MeasuredMethod | None:
        """What we measured for this method with this model. Supervised measurements are in ``model.measured``."""
        found = self.model.measured
        if self.method == "sl" and found is not None:
            settings = (
                ("learning_rate", found.learning_rate), ("lora_rank", found.lora_rank), ("batch_size", found.batch_size)
            )  # fmt: skip
            return MeasuredMethod(
                "sl", settings, found.min_steps, found.max_epochs, found.seconds_per_step,
                found.measured_on, found.command, found.runs,
            )  # fmt: skip
        return self.model.measured_for(self.kind)

    def from_measurement(self, name: str) -> Advice | None:
        """The measured value of one field, where our measurement set it."""
        found = self.measured
        value = found.get(name) if found is not None else None
        if found is None or value is None:
            return None
        return Advice(name, value, ran(found, self.model), measured_source(found), "measured by us")


def ran(found: MeasuredMethod, model: Model) -> str:
    """On how many runs a measured value rests, as a sentence."""
    tries = "one run" if found.runs == 1 else f"{found.runs} runs"
    # Not "the best": other settings came close or a little higher on one data set, and the file says so.
    return f"Chosen from {tries} that we made with {model.label} on {found.measured_on}."


def measured_source(found: MeasuredMethod) -> str:
    """Where a measured value comes from: the command that measures it again."""
    return f"Tuning Fork: {found.command}"


def count(number: int, one: str, many: str | None = None) -> str:
    """A number and its noun: "1 step", "1,200 steps"."""
    return f"1 {one}" if number == 1 else f"{number:,} {many or one + 's'}"
