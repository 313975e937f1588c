"""The recipe of a run as a frozen value, what is known about the data, and the checks of one against the other.

Guarantees: a ``Recipe`` goes to JSON and YAML and back unchanged; a key that no recipe has, or a value that cannot work, is
refused with its field's name; ``validate`` finds everything that would stop a run before it is started.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Literal, Self, cast

import yaml

from studio import models
from studio.errors import SettingError, StudioError
from studio.models import Model
from studio.recipe.fields import FIELDS, Value, parse_field, spec_of

if TYPE_CHECKING:
    from studio.data.types import Dataset, TrainingType

#: Forms in which one example may hold several answers.
_CONVERSATIONS = ("messages", "sharegpt", "mixed")

Schedule = Literal["linear", "cosine", "constant"]
TrainOn = Literal["last_assistant_message", "last_assistant_turn", "all_assistant_messages", "all_tokens"]


@dataclass(frozen=True, slots=True)
class DataFacts:
    """What a recommendation needs to know about data: rows of each split after splitting, and lengths of whole examples.

    Token counts are exact where a tokenizer counted them and ``None`` otherwise; then characters stand in for them.
    ``multi_turn`` says that an example may hold more than one answer, ``training`` how this data trains.
    """

    train_rows: int
    validation_rows: int = 0
    test_rows: int = 0
    mean_tokens: float | None = None
    p95_tokens: float | None = None
    max_tokens: int | None = None
    mean_chars: float | None = None
    p95_chars: float | None = None
    max_chars: int | None = None
    multi_turn: bool = False
    training: TrainingType = "SL"

    def tokens(self, model: Model, which: Literal["mean", "p95", "max"]) -> float | None:
        """Tokens of a typical, a long or the longest example for this model: counted, else estimated from characters.

        The estimate adds a margin of 10 tokens for the marks around the messages. ``None`` when nothing is known.
        """
        counted = {"mean": self.mean_tokens, "p95": self.p95_tokens, "max": self.max_tokens}[which]
        letters = {"mean": self.mean_chars, "p95": self.p95_chars, "max": self.max_chars}[which]
        if counted is not None:
            return float(counted)
        return None if letters is None else letters / model.chars_per_token + 10


@dataclass(frozen=True, slots=True)
class Recipe:
    """Every setting of one supervised run, exactly what the cookbook's ``supervised.train.Config`` and its dataset take.

    ``model`` is a catalogue name; ``learning_rate`` is the peak; ``eval_every`` and ``save_every`` count steps and 0 means
    never on the way (the end is always saved); ``max_length`` counts tokens, longer examples are cut at their end;
    ``max_steps`` stops earlier than ``epochs`` would; ``seed`` sets the order of the examples. There is no warm-up: LoRA's
    B factor starts at zero, so the first steps are gentle by themselves.
    """

    method: str
    model: str
    renderer: str
    learning_rate: float
    lora_rank: int
    batch_size: int
    epochs: int
    lr_schedule: Schedule
    eval_every: int
    save_every: int
    max_length: int
    train_on: TrainOn
    max_steps: int | None = None
    seed: int = 0
    adam_beta1: float = 0.9
    adam_beta2: float = 0.95
    adam_eps: float = 1e-8

    def steps(self, train_rows: int) -> int:
        """Optimiser steps that will run on this many training rows.

        The cookbook takes whole batches only: rows that do not fill the last batch of a pass wait for the next shuffle.
        """
        steps = train_rows // self.batch_size * self.epochs
        return steps if self.max_steps is None else min(steps, self.max_steps)

    def to_dict(self) -> dict[str, Value]:
        """All fields by name."""
        return asdict(self)

    def to_json(self) -> str:
        """JSON, one field per line."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False)

    def to_yaml(self) -> str:
        """YAML in the order of the fields."""
        return yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True)

    @classmethod
    def from_dict(cls, source: Mapping[str, Any]) -> Self:
        """A recipe from fields by name. Raises ``SettingError`` for an unknown, missing or impossible one.

        Fields that have a default may be missing, so that a recipe written before a field existed stays readable.
        """
        for name in source:
            spec_of(name)
        needed = {field.name for field in fields(cls) if field.default is MISSING}
        missing = [name for name in FIELDS if name in needed and name not in source]
        if missing:
            raise SettingError(
                f"The recipe does not say: {', '.join(missing)}.",
                where=missing[0],
                next_step="Add it, or start from a recommended recipe.",
            )
        return cls(**{name: spec_of(name).read(value) for name, value in source.items()})  # type: ignore[arg-type]

    @classmethod
    def from_json(cls, text: str) -> Self:
        """A recipe from JSON text. Raises ``SettingError`` when it is not JSON, or as ``from_dict`` does."""
        try:
            found = json.loads(text)
        except ValueError as error:
            raise SettingError(f"The recipe is not valid JSON: {error}.", where="recipe") from error
        return cls.from_dict(_mapping(found))

    @classmethod
    def from_yaml(cls, text: str) -> Self:
        """A recipe from YAML text. Raises ``SettingError`` when it is not YAML, or as ``from_dict`` does."""
        try:
            found = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise SettingError(f"The recipe is not valid YAML: {error}.", where="recipe") from error
        return cls.from_dict(_mapping(found))


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """A sentence that belongs beside one field."""

    field: str
    message: str


def facts_of(dataset: Dataset) -> DataFacts:
    """The facts of a split data set.

    Lengths are in characters, as the data room measured them: the mean is exact, the 95th percentile and the longest add
    up prompt and completion and so err on the long side. Counting tokens would need the model's own tokenizer.
    """
    found = dataset.inspection
    prompt, completion = found.lengths.prompt, found.lengths.completion
    known = found.rows_usable > 0
    return DataFacts(
        train_rows=dataset.train.rows,
        validation_rows=dataset.validation.rows,
        test_rows=dataset.test.rows,
        mean_chars=(prompt.total + completion.total) / found.rows_usable if known else None,
        p95_chars=prompt.p95 + completion.p95 if known else None,
        max_chars=prompt.max + completion.max if known else None,
        multi_turn=found.shape is not None and found.shape.kind in _CONVERSATIONS,
        training=found.shape.training if found.shape else "SL",
    )


def cannot_train(training: TrainingType) -> SettingError | None:
    """Why this version cannot train on such data, and what can be done instead; ``None`` when it can."""
    if training == "SL":
        return None
    holds = "pairs of a better and a worse answer" if training == "DPO" else "questions with a right answer or a score"
    instead = "Learn from the better answers alone" if training == "DPO" else "Use the right answers as examples"
    return SettingError(
        f"This data holds {holds}. This version trains on examples only (supervised learning).",
        where="method",
        next_step=f"{instead}: choose that where the file is checked.",
    )


def validate(recipe: Recipe, facts: DataFacts | None = None) -> tuple[FieldProblem, ...]:
    """Everything that would keep this recipe from training, beside the field that can cure it. Empty means go.

    Without ``facts`` only what holds for any data is checked.
    """
    problems = [
        FieldProblem(name, message)
        for name, value in recipe.to_dict().items()
        if (message := FIELDS[name].problem(value)) is not None
    ]
    bad = {problem.field for problem in problems}
    if "model" not in bad:
        problems += _model_problems(recipe, bad)
    unfit = cannot_train(facts.training) if facts is not None else None
    if unfit is not None:
        problems.append(FieldProblem("method", f"{unfit.what} {unfit.next_step}"))
    if facts is not None and "batch_size" not in bad:
        problems += _batch_problems(recipe, facts)
    return tuple(problems)


def warnings(recipe: Recipe, facts: DataFacts) -> tuple[FieldProblem, ...]:
    """What would work but probably not as meant. Call it on a recipe without problems."""
    found: list[FieldProblem] = []
    longest = facts.tokens(models.get(recipe.model), "p95")
    if longest is not None and longest > recipe.max_length:
        found.append(
            FieldProblem(
                "max_length",
                f"Your long examples have about {longest:,.0f} tokens, so the end of their answers would be cut off.",
            )
        )
    if recipe.eval_every and not facts.validation_rows:
        found.append(FieldProblem("eval_every", "You have no validation rows, so there is nothing to check on."))
    if not recipe.eval_every and facts.validation_rows:
        found.append(FieldProblem("eval_every", "Without checks you will not see when the model starts to memorise."))
    return tuple(found)


def with_field(recipe: Recipe, name: str, text: str) -> Recipe:
    """The recipe with what a person typed for one field. Raises ``SettingError`` for that field."""
    return replace(recipe, **{name: parse_field(name, text)})  # type: ignore[arg-type]


def with_max_steps(recipe: Recipe, steps: int | None) -> Recipe:
    """The recipe stopped after ``steps`` steps, ``None`` for no limit. Raises ``SettingError`` below one step."""
    return replace(recipe, max_steps=cast("int | None", spec_of("max_steps").read(steps)))


def changed(recipe: Recipe, recommended: Recipe) -> tuple[str, ...]:
    """Names of the fields in which the recipe differs from the recommended one, in the order of ``FIELDS``."""
    ours, theirs = recipe.to_dict(), recommended.to_dict()
    return tuple(name for name in FIELDS if ours[name] != theirs[name])


def minutes(recipe: Recipe, facts: DataFacts) -> float | None:
    """How long the steps will take, where we measured this model on this kind of machine; ``None`` where we did not.

    Proportional to steps and to examples per step; evaluation and starting up are not in it.
    """
    measured = models.get(recipe.model).measured
    if measured is None:
        return None
    per_example = measured.seconds_per_step / measured.batch_size
    return recipe.steps(facts.train_rows) * recipe.batch_size * per_example / 60


def about(duration: float | None) -> str:
    """Minutes in words: "about 2 min", "under a minute", "about 3 h", "time not known"."""
    if duration is None:
        return "time not known"
    if duration < 1:
        return "under a minute"
    if duration < 90:
        return f"about {math.ceil(duration)} min"
    return f"about {duration / 60:.0f} h"


def _mapping(found: object) -> Mapping[str, Any]:
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in cast("dict[Any, Any]", found)):
        raise SettingError("A recipe is a list of settings by name, and this is not.", where="recipe")
    return cast("dict[str, Any]", found)


def _model_problems(recipe: Recipe, bad: set[str]) -> list[FieldProblem]:
    try:
        model = models.get(recipe.model)
    except StudioError as error:
        return [FieldProblem("model", str(error))]
    found: list[FieldProblem] = []
    if "renderer" not in bad and recipe.renderer not in model.renderers:
        known = " or ".join(model.renderers)
        found.append(FieldProblem("renderer", f"{model.label} was made for {known}. Another renderer would confuse it."))
    if "max_length" not in bad and recipe.max_length > model.context:
        message = f"{model.label} reads at most {model.context:,} tokens. Choose {model.context:,} or fewer."
        found.append(FieldProblem("max_length", message))
    return found


def _batch_problems(recipe: Recipe, facts: DataFacts) -> list[FieldProblem]:
    rows, size = facts.train_rows, recipe.batch_size
    if rows < 1:
        return [FieldProblem("batch_size", "There are no training rows yet. Add data first.")]
    if size > rows:
        message = f"A step needs {size:,} examples and you have {rows:,} to train on, so no step would run."
        return [FieldProblem("batch_size", f"{message} Choose {rows:,} or fewer.")]
    return []
