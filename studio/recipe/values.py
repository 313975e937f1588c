"""The recipe of a run as a frozen value.

Guarantees: a ``Recipe`` goes to JSON and YAML and back unchanged; written down it holds the fields of its method and no others;
a key that no recipe has, one that belongs to another method, or a value that cannot work, is refused with its field's name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, replace
from typing import Any, Literal, Self, cast

import yaml

from studio.errors import SettingError
from studio.methods import MethodId
from studio.recipe.fields import FIELDS, fields_of, parse_field, spec_of
from studio.recipe.spec import Distillation, FieldSpec, Value

Schedule = Literal["linear", "cosine", "constant"]
TrainOn = Literal["last_assistant_message", "last_assistant_turn", "all_assistant_messages", "all_tokens"]
Loss = Literal["importance_sampling", "ppo", "cispo", "dro"]
YesNo = Literal["yes", "no"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Every setting of one run, exactly what the cookbook's loop for its method and our data sets take.

    ``model`` is a catalogue name; ``learning_rate`` is the peak; ``eval_every`` and ``save_every`` count steps and 0 means
    never on the way (the end is always saved); ``max_length`` counts tokens, longer examples are cut at their end (for
    on-policy distillation it limits the question); ``max_steps`` stops earlier than ``epochs`` would; ``seed`` sets the order
    of the examples. There is no warm-up: LoRA's B factor starts at zero, so the first steps are gentle by themselves.

    ``batch_size`` counts examples (SL, prompt distillation), pairs (DPO) or questions, each with ``group_size`` sampled
    answers (RL, RLHF, on-policy distillation). ``start_from`` is a run of this studio or a ``tinker://`` state, whose weights
    are taken with a fresh optimiser. ``kl_coef`` holds RL and RLHF to the model they start from and on-policy distillation to
    its teacher; a run that passes ``kl_limit`` (nats per token from where it began) saves and stops. ``reward``
    is the JSON text of a reward (``studio.rewards``). ``judge`` is a run whose reward model is used again; empty means that
    one is trained. ``budget_usd`` is a hard limit: the run saves and stops when it is passed.

    A field that the method does not use keeps its default, so that equal runs have equal recipes.
    """

    method: MethodId
    distillation: Distillation = "prompt"
    model: str
    teacher: str = ""
    teacher_prompt: str = ""
    reward: str = ""
    judge: str = ""
    start_from: str = ""
    renderer: str
    learning_rate: float
    lora_rank: int
    batch_size: int
    group_size: int = 8
    epochs: int
    lr_schedule: Schedule = "linear"
    dpo_beta: float = 0.1
    kl_coef: float = 0.0
    kl_limit: float | None = None
    max_tokens: int = 64
    temperature: float = 1.0
    loss: Loss = "importance_sampling"
    substeps: int = 1
    drop_flat_groups: YesNo = "yes"
    warm_start_epochs: int = 0
    warm_start_learning_rate: float = 1e-4
    judge_epochs: int = 1
    judge_learning_rate: float = 3e-4
    judge_batch_size: int = 32
    budget_usd: float | None = None
    eval_every: int
    save_every: int
    max_length: int = 1024
    train_on: TrainOn = "last_assistant_message"
    max_steps: int | None = None
    seed: int = 0
    adam_beta1: float = 0.9
    adam_beta2: float = 0.95
    adam_eps: float = 1e-8

    @property
    def specs(self) -> tuple[FieldSpec, ...]:
        """The fields that this recipe has: those of its method and, for distillation, of its kind."""
        return fields_of(self.method, self.distillation)

    def steps(self, train_rows: int) -> int:
        """Optimiser steps (of the main, last stage) that will run on this many training rows.

        Whole batches only: rows that do not fill the last batch of a pass wait for the next shuffle.
        """
        steps = train_rows // self.batch_size * self.epochs
        return steps if self.max_steps is None else min(steps, self.max_steps)

    def to_dict(self) -> dict[str, Value]:
        """The fields of this recipe's method by name, in their order."""
        return {spec.name: getattr(self, spec.name) for spec in self.specs}

    def to_json(self) -> str:
        """JSON, one field per line."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False)

    def to_yaml(self) -> str:
        """YAML in the order of the fields; a reward is written as the mapping that it is, long texts as they read."""
        shown = {
            spec.name: json.loads(str(value)) if spec.kind == "reward" and value else value
            for spec, value in zip(self.specs, self.to_dict().values(), strict=True)
        }
        return yaml.dump(shown, Dumper=_Writer, sort_keys=False, allow_unicode=True)

    @classmethod
    def from_dict(cls, source: Mapping[str, Any]) -> Self:
        """A recipe from fields by name. Raises ``SettingError`` for an unknown, foreign, missing or impossible one.

        Fields that have a default may be missing, so that a recipe written before a field existed stays readable.
        """
        for name in source:
            spec_of(name)
        chosen = {name: spec_of(name).read(source[name]) for name in ("method", "distillation") if name in source}
        method, kind = str(chosen.get("method", "")), str(chosen.get("distillation", cls.distillation_default()))
        ours = fields_of(method, kind) if method else tuple(FIELDS.values())
        names = {spec.name for spec in ours}
        for name in source:
            if name not in names:
                raise _foreign(name, method, kind)
        missing = [spec.name for spec in ours if spec.required and spec.name not in source]
        if missing:
            raise SettingError(
                f"The recipe does not say: {', '.join(missing)}.",
                where=missing[0],
                next_step="Add it, or start from a recommended recipe.",
            )
        return cls(**{name: spec_of(name).read(value) for name, value in source.items()})  # type: ignore[arg-type]

    @staticmethod
    def distillation_default() -> Distillation:
        """The kind of distillation where a recipe does not say."""
        return "prompt"

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


def tidy(recipe: Recipe) -> Recipe:
    """The recipe with every field that it does not use back at its default."""
    used = {spec.name for spec in recipe.specs}
    idle = {field.name: field.default for field in fields(Recipe) if field.name not in used and field.default is not MISSING}
    return replace(recipe, **idle)


def with_field(recipe: Recipe, name: str, text: str) -> Recipe:
    """The recipe with what a person typed for one field. Raises ``SettingError`` for that field.

    Another kind of distillation brings its own fields with it, at their defaults. The method stays: it comes with its data.
    """
    spec = spec_of(name)
    if name == "method":
        raise SettingError(
            "The method of a recipe cannot be changed by itself.",
            where=name,
            next_step="Recommend for another method instead (--method).",
        )
    if not spec.used(recipe.method, recipe.distillation):
        raise _foreign(name, recipe.method, recipe.distillation)
    return tidy(replace(recipe, **{name: parse_field(name, text)}))  # type: ignore[arg-type]


def with_max_steps(recipe: Recipe, steps: int | None) -> Recipe:
    """The recipe stopped after ``steps`` steps, ``None`` for no limit. Raises ``SettingError`` below one step."""
    return replace(recipe, max_steps=cast("int | None", spec_of("max_steps").read(steps)))


def changed(recipe: Recipe, recommended: Recipe) -> tuple[str, ...]:
    """Names of the recipe's fields in which it differs from the recommended one, in the order of ``FIELDS``."""
    return tuple(spec.name for spec in recipe.specs if getattr(recipe, spec.name) != getattr(recommended, spec.name))


class _Writer(yaml.SafeDumper):
    """Writes texts of several lines as blocks, as a person would."""


def _text(writer: _Writer, text: str) -> yaml.ScalarNode:
    return writer.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Writer.add_representer(str, _text)


def _foreign(name: str, method: str, distillation: str) -> SettingError:
    """The refusal of a field that another method uses."""
    kind = f"{'prompt' if distillation == 'prompt' else 'on-policy'} distillation"
    ours = kind if method == "distill" else dict(FIELDS["method"].choices).get(method, method)
    return SettingError(
        f"The setting {name!r} is not used with {ours}.",
        where=name,
        next_step=f"Remove it. The settings are: {', '.join(spec.name for spec in fields_of(method, distillation))}.",
    )


def _mapping(found: object) -> Mapping[str, Any]:
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in cast("dict[Any, Any]", found)):
        raise SettingError("A recipe is a list of settings by name, and this is not.", where="recipe")
    return cast("dict[str, Any]", found)
