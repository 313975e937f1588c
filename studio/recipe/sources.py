"""Whether what a recipe refers to can work: the reward with this data, the teacher with this student, runs by their names.

Guarantees: pure; a run that is named is only checked for being a name, because only the store knows which runs there are.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from studio import models
from studio.errors import NotFoundError, StudioError
from studio.recipe.facts import DataFacts
from studio.recipe.values import Recipe

_RUN: Final = "run-"
_STATE: Final = "tinker://"


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """A sentence that belongs beside one field."""

    field: str
    message: str


def problems(recipe: Recipe, facts: DataFacts | None) -> Iterator[FieldProblem]:
    """What stands between this recipe and what it names."""
    if recipe.start_from and not recipe.start_from.startswith((_RUN, _STATE)):
        message = "This is neither the name of a run (run-...) nor a saved state (tinker://...)."
        yield FieldProblem("start_from", message)
    if recipe.judge and not recipe.judge.startswith(_RUN):
        yield FieldProblem("judge", "This is not the name of a run (run-...) that trained a judge.")
    if recipe.reward and facts is not None:
        yield from _reward(recipe.reward, facts)
    if recipe.method == "distill" and recipe.teacher and not recipe.teacher.startswith(_RUN):
        yield from _teacher(recipe)
    if recipe.method == "distill" and recipe.distillation == "prompt":
        yield from _room(recipe, facts)


def _reward(text: str, facts: DataFacts) -> Iterator[FieldProblem]:
    """A reward that looks for something that no row has."""
    # Imported here: what never touches a reward need not wait for what reads one.
    from studio import rewards

    try:
        needs = rewards.needs(rewards.parse(text))
    except rewards.RewardError as error:
        yield FieldProblem("reward", str(error))
        return
    if needs.reference and not (facts.has_reference or facts.training == "SL"):
        yield FieldProblem("reward", "This compares with a right answer, and your data has none. Score something else.")
    if needs.reward_name and not facts.has_reward_name:
        yield FieldProblem("reward", "This takes the name of a reward from each row, and your data has no such column.")


def _teacher(recipe: Recipe) -> Iterator[FieldProblem]:
    """A teacher that is not there, or cannot judge the student's words."""
    try:
        teacher, student = models.get(recipe.teacher), models.get(recipe.model)
    except NotFoundError as error:
        yield FieldProblem("teacher", str(error))
        return
    except StudioError:
        return  # the model's own problem is said at its own field
    if teacher.local != student.local:
        yield FieldProblem("teacher", f"{teacher.label} and {student.label} do not run at the same place.")
    if recipe.distillation == "prompt":
        return
    if teacher.tokenizer != student.tokenizer:
        message = f"{teacher.label} cuts text into other pieces than {student.label}, so it cannot judge its words one by one."
        yield FieldProblem("teacher", f"{message} Choose one of the same family.")
    elif teacher == student and not recipe.start_from:
        yield FieldProblem("teacher", "A model learns nothing from itself. Choose a bigger one, or a run that is good at it.")


def _room(recipe: Recipe, facts: DataFacts | None) -> Iterator[FieldProblem]:
    """A prompt that leaves no room: it, a typical question and the longest answer must fit into what the teacher reads.

    Estimated from letters, as everywhere before a tokenizer has counted.
    """
    try:
        teacher = models.get(recipe.model if recipe.teacher.startswith(_RUN) or not recipe.teacher else recipe.teacher)
    except StudioError:
        return  # said beside the teacher, or the model
    prompt = math.ceil(len(recipe.teacher_prompt) / teacher.chars_per_token)
    question = math.ceil((facts.prompt_tokens(teacher) if facts is not None else None) or 0)
    if prompt + question + recipe.max_tokens > teacher.context:
        parts = (
            f"The prompt has about {prompt:,} tokens, a question about {question:,} and an answer up to {recipe.max_tokens:,}"
        )
        whole = f"{parts}: together more than the {teacher.context:,} that {teacher.label} reads."
        yield FieldProblem("teacher_prompt", f"{whole} Shorten the prompt, allow shorter answers, or choose another teacher.")
