"""What one field of a recipe is: its words, its limits, its choices, the methods that use it, and how typed text is read.

Guarantees: ``read`` gives a value that ``problem`` has nothing against, or raises with the sentence to show at the field; what
``show`` writes is read back unchanged.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, cast, get_args

from studio.errors import SettingError
from studio.methods import MethodId

#: What a field of a recipe can hold. ``None`` only where ``FieldSpec.optional`` says so.
Value = str | int | float | None

#: ``reward`` is the JSON text of a reward (``studio.rewards``); a mapping, as YAML gives it, becomes such a text.
FieldKind = Literal["text", "reward", "whole", "number", "choice"]
#: The two ways to distil: a long prompt into the model, or a teacher's judgement of each word into it.
Distillation = Literal["prompt", "on_policy"]

ALL: Final[frozenset[MethodId]] = frozenset(get_args(MethodId))


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """One field: ``label`` in plain words, ``term`` as the field calls it, ``low`` and ``high`` inclusive.

    ``above`` is a limit that the value must exceed. ``choices`` pairs each value with its words. ``advanced`` fields are
    folded away until asked for. ``methods`` are those that use it, and with ``only`` only that way to distil. ``required``
    fields stand in every recipe of their method; the others have a default. ``blank``: an empty text has a meaning of its
    own. ``long``: a text of several lines.
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
    methods: frozenset[MethodId] = ALL
    only: Distillation | None = None
    required: bool = False
    blank: bool = False
    long: bool = False

    def used(self, method: str, distillation: str) -> bool:
        """Whether a recipe of this method (and way to distil) has this field."""
        if method not in self.methods:
            return False
        return self.only is None or method != "distill" or distillation == self.only

    def read(self, value: object) -> Value:
        """``value`` (typed text, or what JSON and YAML give) as a value of this field; ``SettingError`` when it is none."""
        if self.optional and (value is None or (isinstance(value, str) and value.strip().lower() in {"", "none"})):
            return None
        if self.kind == "reward":
            return self._checked(self._reward(value))
        if self.kind in ("text", "choice"):
            # YAML 1.1 reads a bare yes or no as true or false.
            if isinstance(value, bool) and {"yes", "no"} <= dict(self.choices).keys():
                return "yes" if value else "no"
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
        if self.kind in ("text", "reward"):
            return None if value or self.blank else f"{self._name} is missing."
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

    def _reward(self, value: object) -> str:
        """The one text of the reward that a mapping, JSON or YAML text describes; an empty text stays empty."""
        # Imported here: pages and verbs that never touch a reward need not wait for what reads one.
        from studio import rewards

        if isinstance(value, str) and not value.strip():
            return ""
        if not isinstance(value, (str, Mapping)):
            raise self._refusal(value)
        try:
            return rewards.to_json(rewards.parse(cast("str | Mapping[str, Any]", value)))
        except rewards.RewardError as error:
            place = f"{error.where}: " if error.where not in ("", self.name) else ""
            raise SettingError(f"{place}{error.what}", where=self.name, next_step=error.next_step) from error

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
        wanted = self._range() if self.kind in ("whole", "number") else "a reward" if self.kind == "reward" else "text"
        return SettingError(f"{value!r} does not fit: the {self.term} must be {wanted}.", where=self.name)
