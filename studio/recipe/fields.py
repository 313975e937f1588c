"""What each field of a recipe is: its words, its limits, its choices, and how typed text becomes a value.

Guarantees: one table drives parsing, validation and display, so that the wizard, the terminal and a YAML file accept and
refuse the same things with the same sentences.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from studio.errors import SettingError

#: What a field of a recipe can hold. ``None`` only where ``FieldSpec.optional`` says so.
Value = str | int | float | None

FieldKind = Literal["text", "whole", "number", "choice"]


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """One field: ``label`` in plain words, ``term`` as the field calls it, ``low`` and ``high`` inclusive.

    ``above`` is a limit that the value must exceed. ``choices`` pairs each value with its words. ``advanced`` fields are
    folded away until asked for.
    """

    name: str
    label: str
    term: str
    kind: FieldKind
    unit: str = ""
    low: float = 0
    high: float = 1
    above: float | None = None
    choices: tuple[tuple[str, str], ...] = ()
    optional: bool = False
    advanced: bool = True

    def read(self, value: object) -> Value:
        """``value`` (typed text, or what JSON and YAML give) as a value of this field; ``SettingError`` when it is none."""
        if self.optional and (value is None or (isinstance(value, str) and value.strip().lower() in {"", "none"})):
            return None
        if self.kind in ("text", "choice"):
            if not isinstance(value, str):
                raise self._refusal(value)
            return self._checked(value.strip())
        return self._checked(self._number(value))

    def problem(self, value: Value) -> str | None:
        """Why this value cannot work, as a sentence for the person, or ``None`` when it can."""
        if value is None:
            return None if self.optional else f"{self._name} is missing."
        if self.kind == "choice":
            allowed = ", ".join(choice for choice, _ in self.choices)
            return None if value in dict(self.choices) else f"{self._name} must be one of: {allowed}."
        if self.kind == "text":
            return None if value else f"{self._name} is missing."
        if isinstance(value, (str, bool)) or not self._in_range(value):
            return f"{self._name} must be {self._range()}."
        return None

    def show(self, value: Value) -> str:
        """``value`` as text that ``read`` takes back unchanged."""
        if value is None:
            return "none"
        return repr(value) if isinstance(value, float) else str(value)

    @property
    def _name(self) -> str:
        return f"The {self.term}"

    def _checked(self, value: Value) -> Value:
        problem = self.problem(value)
        if problem is not None:
            raise SettingError(problem, where=self.name)
        return value

    def _number(self, value: object) -> int | float:
        """A whole number or a finite float, from a number or from text such as ``3e-4``; never from ``True``."""
        if isinstance(value, bool) or not isinstance(value, (int, float, str)):
            raise self._refusal(value)
        try:
            number = float(value.strip().replace("_", "") if isinstance(value, str) else value)
        except (ValueError, OverflowError):
            raise self._refusal(value) from None
        if self.kind == "number":
            return number
        if not number.is_integer():
            raise self._refusal(value)
        # Straight from the integer where there is one: a float cannot hold every large whole number.
        return value if isinstance(value, int) else int(number)

    def _in_range(self, value: float) -> bool:
        if not math.isfinite(value) or (self.kind == "whole" and not isinstance(value, int)):
            return False
        return self.low <= value <= self.high and (self.above is None or value > self.above)

    def _range(self) -> str:
        noun = "a whole number" if self.kind == "whole" else "a number"
        if self.above is not None:
            return f"{noun} above {self.above:g} and at most {self.high:g}"
        return f"{noun} from {self.low:g} to {self.high:,.10g}"

    def _refusal(self, value: object) -> SettingError:
        wanted = self._range() if self.kind in ("whole", "number") else "text"
        return SettingError(f"{value!r} does not fit: the {self.term} must be {wanted}.", where=self.name)


_TABLE = (
    FieldSpec("method", "Training method", "method", "choice", choices=(("sl", "Supervised learning"),)),
    FieldSpec("model", "Model that is tuned", "base model", "text", advanced=False),
    FieldSpec("renderer", "How messages are written for the model", "renderer", "text"),
    FieldSpec(
        "learning_rate",
        "How strongly each step changes the model",
        "learning rate",
        "number",
        above=0,
        high=0.1,
        advanced=False,
    ),
    FieldSpec("lora_rank", "How much the tuned part can hold", "LoRA rank", "whole", low=1, high=512),
    FieldSpec("batch_size", "Examples per step", "batch size", "whole", "examples", low=1, high=4096, advanced=False),
    FieldSpec("epochs", "Passes over your data", "epochs", "whole", "passes", low=1, high=1000, advanced=False),
    FieldSpec(
        "lr_schedule",
        "How the step size changes over time",
        "learning-rate schedule",
        "choice",
        choices=(
            ("linear", "Falls steadily to zero"),
            ("cosine", "Falls slowly, then fast, then slowly"),
            ("constant", "Stays the same"),
        ),
    ),
    FieldSpec(
        "eval_every", "How often to check on the validation rows", "evaluation interval", "whole", "steps", high=1_000_000
    ),
    FieldSpec("save_every", "How often to save on the way", "checkpoint interval", "whole", "steps", high=1_000_000),
    FieldSpec("max_length", "Longest example", "maximum length", "whole", "tokens", low=16, high=1_048_576),
    FieldSpec(
        "train_on",
        "What the model learns from",
        "training target",
        "choice",
        choices=(
            ("last_assistant_message", "The last answer of each example"),
            ("last_assistant_turn", "The last answer, and the tool calls that led to it"),
            ("all_assistant_messages", "Every answer in each example"),
            ("all_tokens", "Everything, the questions too"),
        ),
    ),
    FieldSpec("max_steps", "Stop after this many steps", "step limit", "whole", "steps", low=1, high=10_000_000, optional=True),
    FieldSpec("seed", "Shuffle of the examples", "seed", "whole", high=2**31 - 1),
    FieldSpec("adam_beta1", "Memory of the optimiser for direction", "Adam beta 1", "number", high=0.9999),
    FieldSpec("adam_beta2", "Memory of the optimiser for size", "Adam beta 2", "number", high=0.99999),
    FieldSpec("adam_eps", "Guard against division by zero", "Adam epsilon", "number", above=0, high=0.01),
)

#: Every field by name, in the order in which people should meet them.
FIELDS: dict[str, FieldSpec] = {spec.name: spec for spec in _TABLE}


def parse_field(name: str, text: str) -> Value:
    """The value that a person typed for field ``name``. Raises ``SettingError`` with the sentence to show at the field."""
    return spec_of(name).read(text)


def spec_of(name: str) -> FieldSpec:
    """The field called ``name``; ``SettingError`` when a recipe has none of that name."""
    if name not in FIELDS:
        raise SettingError(
            f"A recipe has no setting called {name!r}.", where=name, next_step=f"The settings are: {', '.join(FIELDS)}."
        )
    return FIELDS[name]
