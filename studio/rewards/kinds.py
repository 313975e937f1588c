"""What a reward can be: a frozen tree of kinds, built without code, and what scoring one answer gives back.

Guarantees: a reward is a plain value that equals itself after being written and read; every field is checked when it is made;
a score is a number only when every part of it could be worked out, and otherwise says why not.

The kinds without ``expected`` compare with the reference of the row. Every kind gives 0 to 1; ``sum`` gives what its weights
make of that (see ``bounds``). ``rules`` needs a model that judges, ``python`` a sandboxed process.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from studio.errors import SettingError

#: How deep rewards may stand inside rewards, and how many there may be in all.
DEEPEST: Final = 4
MOST_KINDS: Final = 60

ShortText = Annotated[str, StringConstraints(min_length=1, max_length=300)]
Label = Annotated[str, StringConstraints(min_length=1, max_length=120)]
#: What stands before the part of an answer that counts, such as ``Answer:``; empty for the whole answer.
After = Annotated[str, StringConstraints(max_length=60)]

LengthUnit = Literal["words", "characters", "lines", "sentences"]
Form = Literal["json", "number", "one_line", "sentence", "bullets", "numbered", "table", "code", "plain_text", "boxed"]


class RewardError(SettingError):
    """A reward cannot be read or used; ``where`` names the field, such as ``parts.0.reward.pattern``."""


class _Kind(BaseModel, frozen=True):
    """What all kinds share: frozen, strict, and no field that they do not know."""

    model_config = ConfigDict(extra="forbid", strict=True, populate_by_name=True)


class Exact(_Kind, frozen=True):
    """The answer is this text. White space at the ends and runs of it never count."""

    kind: Literal["exact"] = "exact"
    expected: Annotated[str, StringConstraints(min_length=1, max_length=10_000)] | None = None
    after: After = ""
    ignore_case: bool = False
    ignore_punctuation: bool = False


class Number(_Kind, frozen=True):
    """A number in the answer is this number, to within ``tolerance`` (an amount) or ``tolerance_percent`` of it."""

    kind: Literal["number"] = "number"
    expected: Annotated[float, Field(allow_inf_nan=False)] | None = None
    after: After = ""
    which: Literal["last", "first", "only"] = "last"
    tolerance: Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False)] = 0.0
    tolerance_percent: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)] = 0.0


class Choice(_Kind, frozen=True):
    """The answer settles on the right one of a few options, and on no other. No options: the letters A to Z."""

    kind: Literal["choice"] = "choice"
    options: Annotated[tuple[Label, ...], Field(max_length=50)] = ()
    expected: Label | None = None
    after: After = ""

    @model_validator(mode="after")
    def _options_differ(self) -> Choice:
        known = [option.strip().casefold() for option in self.options]
        if len(set(known)) != len(known) or not all(known):
            raise ValueError("Two options are the same, or one is blank.")
        if len(known) == 1:
            raise ValueError("One option is no choice; give at least two, or none for the letters A to Z.")
        if known and self.expected is not None and self.expected.strip().casefold() not in known:
            raise ValueError("The expected answer is not among the options.")
        return self


class Contains(_Kind, frozen=True):
    """The answer contains texts or leaves them out. Nothing listed: it contains the reference.

    ``partial`` gives the share of the conditions that hold, in place of all or nothing.
    """

    kind: Literal["contains"] = "contains"
    all_of: Annotated[tuple[ShortText, ...], Field(max_length=50)] = ()
    any_of: Annotated[tuple[ShortText, ...], Field(max_length=50)] = ()
    none_of: Annotated[tuple[ShortText, ...], Field(max_length=50)] = ()
    ignore_case: bool = True
    whole_words: bool = False
    partial: bool = False


class Regex(_Kind, frozen=True):
    """The answer matches a pattern. ``compare``: what its first group holds is the reference."""

    kind: Literal["regex"] = "regex"
    pattern: Annotated[str, StringConstraints(min_length=1, max_length=1_000)]
    where: Literal["anywhere", "start", "whole"] = "anywhere"
    ignore_case: bool = False
    compare: bool = False


class JsonSchema(_Kind, frozen=True):
    """The whole answer is JSON that has these fields, fits this schema, and (``compare``) holds the values of the reference.

    ``partial`` gives the share of fields that are right, in place of all or nothing; what is no JSON, or does not fit the
    schema, is 0 all the same. ``fence`` allows a Markdown code fence around it. ``schema_text`` (``schema`` outside) is JSON.
    """

    kind: Literal["json_schema"] = "json_schema"
    fields: Annotated[tuple[Label, ...], Field(max_length=100)] = ()
    schema_text: Annotated[str, StringConstraints(max_length=20_000), Field(alias="schema")] = ""
    compare: bool = False
    partial: bool = True
    fence: bool = False


class Length(_Kind, frozen=True):
    """The answer is neither too short nor too long. ``soft``: beyond the limits the score falls with the distance."""

    kind: Literal["length"] = "length"
    least: Annotated[int, Field(ge=0, le=100_000)] = 0
    most: Annotated[int, Field(ge=1, le=100_000)] | None = None
    unit: LengthUnit = "words"
    soft: bool = True

    @model_validator(mode="after")
    def _limits_make_sense(self) -> Length:
        if self.most is None and self.least == 0:
            raise ValueError("Give a smallest length, a largest length, or both.")
        if self.most is not None and self.least > self.most:
            raise ValueError("The smallest length is above the largest.")
        return self


class Format(_Kind, frozen=True):
    """The whole answer has a form, whatever it says."""

    kind: Literal["format"] = "format"
    form: Form


class Rules(_Kind, frozen=True):
    """A model judges, rule by rule, whether the answer follows these rules; the score is the mean of what it says.

    ``judge`` is the name of the model; empty for the model that is trained, as it is before training.
    """

    kind: Literal["rules"] = "rules"
    rules: Annotated[tuple[ShortText, ...], Field(min_length=1, max_length=10)]
    judge: Annotated[str, StringConstraints(max_length=200)] = ""


class Python(_Kind, frozen=True):
    """Code that defines ``score(prompt, answer, reference)`` and returns a number from 0 to 1 or true or false.

    A fourth argument is given the other columns of the row, as texts by their names (``TaskRow.extra``).
    It runs in a process that can open no file, no connection and no other process, for at most ``seconds`` an answer and with
    ``memory_mb`` mebibytes.
    """

    kind: Literal["python"] = "python"
    code: Annotated[str, StringConstraints(min_length=1, max_length=20_000)]
    seconds: Annotated[float, Field(gt=0, le=30, allow_inf_nan=False)] = 2.0
    memory_mb: Annotated[int, Field(ge=64, le=2_048)] = 256


class Named(_Kind, frozen=True):
    """A reward under the name by which rows ask for it."""

    name: Label
    reward: Reward


class Column(_Kind, frozen=True):
    """Each row names its own reward. Names that are not listed here mean the kind of that name, compared with the reference.

    ``otherwise`` scores the rows that name none.
    """

    kind: Literal["column"] = "column"
    rewards: Annotated[tuple[Named, ...], Field(max_length=30)] = ()
    otherwise: Reward | None = None

    @model_validator(mode="after")
    def _names_differ(self) -> Column:
        if len({named.name for named in self.rewards}) != len(self.rewards):
            raise ValueError("Two rewards have the same name.")
        return self


class Weighted(_Kind, frozen=True):
    """One part of a sum. A negative weight makes it a penalty."""

    weight: Annotated[float, Field(ge=-100, le=100, allow_inf_nan=False)] = 1.0
    reward: Reward

    @model_validator(mode="after")
    def _counts(self) -> Weighted:
        if self.weight == 0:
            raise ValueError("A part with the weight 0 counts for nothing; leave it out.")
        return self


class Sum(_Kind, frozen=True):
    """Several rewards, each times its weight, added up."""

    kind: Literal["sum"] = "sum"
    parts: Annotated[tuple[Weighted, ...], Field(min_length=1, max_length=20)]


Leaf = Exact | Number | Choice | Contains | Regex | JsonSchema | Length | Format | Rules | Python
Reward = Annotated[
    Exact | Number | Choice | Contains | Regex | JsonSchema | Length | Format | Rules | Python | Column | Sum,
    Field(discriminator="kind"),
]

for _model in (Named, Column, Weighted, Sum):
    _model.model_rebuild()


@dataclass(frozen=True, slots=True)
class TaskRow:
    """One row as a reward sees it: what was asked (plain text), and what an answer is compared with.

    ``extra`` are columns beside the form, by the names in the person's file; only ``python`` rewards see them.
    """

    prompt: str
    reference: str = ""
    reward_name: str = ""
    extra: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Part:
    """One reward of a sum on one answer: its score from 0 to 1 before the weight, and why. ``None`` when it failed."""

    name: str
    weight: float
    value: float | None
    why: str


@dataclass(frozen=True, slots=True)
class Score:
    """What an answer is worth. ``value`` is ``None`` when a part could not be worked out; ``error`` then says why.

    An answer without a value counts as missing: it is no bad answer, and no zero.
    """

    value: float | None
    parts: tuple[Part, ...]
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Needs:
    """What a reward cannot do without: a reference or a reward's name in every row, a judge, a sandbox."""

    reference: bool
    reward_name: bool
    judge: bool
    sandbox: bool
