"""Recipes: every setting of a run as one frozen value, recommended with reasons, editable and checked field by field.

Guarantees: importing this room is light; a recommended recipe always validates; a recipe survives JSON and YAML unchanged;
nothing here reads or writes a file of the person's.
"""

from __future__ import annotations

from studio.recipe.advice import Badge, Dial
from studio.recipe.checks import about, cannot_train, minutes, validate, warnings
from studio.recipe.facts import DataFacts, facts_of
from studio.recipe.fields import FIELDS, fields_of, parse_field, spec_of
from studio.recipe.presets import PRESETS, Preset, PresetId, preset_of, with_preset
from studio.recipe.rates import CAUTIOUS_LEARNING_RATE, EXPONENTS, KL_GOOD, KL_TOO_MUCH, formula_learning_rate
from studio.recipe.recommend import Recommendation, Setting, recommend
from studio.recipe.sizes import ENOUGH_STEPS
from studio.recipe.sources import FieldProblem
from studio.recipe.spec import Distillation, FieldSpec, Value
from studio.recipe.values import Recipe, changed, with_field, with_max_steps

__all__ = [
    "CAUTIOUS_LEARNING_RATE",
    "ENOUGH_STEPS",
    "EXPONENTS",
    "FIELDS",
    "KL_GOOD",
    "KL_TOO_MUCH",
    "PRESETS",
    "Badge",
    "DataFacts",
    "Dial",
    "Distillation",
    "FieldProblem",
    "FieldSpec",
    "Preset",
    "PresetId",
    "Recipe",
    "Recommendation",
    "Setting",
    "Value",
    "about",
    "cannot_train",
    "changed",
    "facts_of",
    "fields_of",
    "formula_learning_rate",
    "minutes",
    "parse_field",
    "preset_of",
    "recommend",
    "spec_of",
    "validate",
    "warnings",
    "with_field",
    "with_max_steps",
    "with_preset",
]
