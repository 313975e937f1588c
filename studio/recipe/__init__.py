"""Recipes: every setting of a run as one frozen value, recommended with reasons, editable and checked field by field.

Guarantees: importing this room is light; a recommended recipe always validates; a recipe survives JSON and YAML unchanged;
nothing here reads or writes a file of the person's.
"""

from __future__ import annotations

from studio.recipe.fields import FIELDS, FieldSpec, Value, parse_field, spec_of
from studio.recipe.recommend import (
    CAUTIOUS_LEARNING_RATE,
    ENOUGH_STEPS,
    EXPONENTS,
    Badge,
    Recommendation,
    Setting,
    formula_learning_rate,
    recommend,
)
from studio.recipe.values import (
    DataFacts,
    FieldProblem,
    Recipe,
    about,
    changed,
    facts_of,
    minutes,
    validate,
    warnings,
    with_field,
    with_max_steps,
)

__all__ = [
    "CAUTIOUS_LEARNING_RATE",
    "ENOUGH_STEPS",
    "EXPONENTS",
    "FIELDS",
    "Badge",
    "DataFacts",
    "FieldProblem",
    "FieldSpec",
    "Recipe",
    "Recommendation",
    "Setting",
    "Value",
    "about",
    "changed",
    "facts_of",
    "formula_learning_rate",
    "minutes",
    "parse_field",
    "recommend",
    "spec_of",
    "validate",
    "warnings",
    "with_field",
    "with_max_steps",
]
