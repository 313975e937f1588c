"""Everything that can be known to be wrong with a recipe before it is started, for its model and its data.

Guarantees: ``validate`` finds everything that would stop a run before it is started, beside the field that can cure it; a
recipe without problems trains.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from studio import methods, models
from studio.errors import SettingError, StudioError
from studio.models import Model
from studio.recipe import sources
from studio.recipe.facts import DataFacts
from studio.recipe.fields import FIELDS
from studio.recipe.rates import DPO_RATES, for_batch
from studio.recipe.sources import FieldProblem
from studio.recipe.values import Recipe

if TYPE_CHECKING:
    from collections.abc import Mapping

    from studio.data.types import TrainingType

_HOLDS: Final[Mapping[TrainingType, str]] = {
    "SL": "questions with good answers",
    "DPO": "pairs of a better and a worse answer",
    "RL": "questions with a right answer or a score",
}
#: Being right on both of two held-out pairs is not yet clearly better than chance (``runs.judge.require_clear``).
_LEAST_FOR_A_JUDGE: Final = 3
#: Fewer answers than this to a question seldom differ.
_FEW_ANSWERS: Final = 4
_INSTEAD: Final[Mapping[TrainingType, str]] = {
    "SL": "Learn from the answers (supervised learning)",
    "DPO": "Learn from the better answers alone",
    "RL": "Use the right answers as examples",
}


def cannot_train(training: TrainingType, method: str) -> SettingError | None:
    """Why data of this kind cannot train this way, and what can be done instead; ``None`` when it can."""
    if method in methods.ways(training):
        return None
    fits = " or ".join(methods.method(one).term for one in methods.ways(training))
    # What comes from another kind of file is chosen where the file is read.
    other = f"{_INSTEAD[training]}: choose that where the file is checked" if method == "sl" else f"Train it as {fits}"
    return SettingError(
        f"This data holds {_HOLDS[training]}, which {methods.method(method).term} cannot learn from.",
        where="method",
        next_step=f"{other}.",
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
    unfit = cannot_train(facts.training, recipe.method) if facts is not None else None
    if unfit is not None:
        problems.append(FieldProblem("method", f"{unfit.what} {unfit.next_step}"))
    if facts is not None and "batch_size" not in bad:
        problems += _batch_problems(recipe, facts)
    if not bad & {"kl_coef", "kl_limit", "eval_every", "batch_size", "epochs", "max_steps"}:
        problems += _limit_problems(recipe, facts)
    if facts is not None and recipe.method == "rlhf" and facts.validation_rows < _LEAST_FOR_A_JUDGE:
        message = f"A judge is examined on held-out pairs. It takes {_LEAST_FOR_A_JUDGE} at least and you have"
        cure = "Split the data again with more rows for validation, or choose preference training (DPO)."
        problems.append(FieldProblem("judge", f"{message} {facts.validation_rows}. {cure}"))
    problems += [problem for problem in sources.problems(recipe, facts) if problem.field not in bad]
    return tuple(problems)


def warnings(recipe: Recipe, facts: DataFacts, recommended: Recipe | None = None) -> tuple[FieldProblem, ...]:
    """What would work but probably not as meant. Call it on a recipe without problems.

    With the ``recommended`` recipe it also says what goes with a changed batch.
    """
    found: list[FieldProblem] = []
    longest = facts.tokens(models.get(recipe.model), "p95")
    names = {spec.name for spec in recipe.specs}
    if "max_length" in names and longest is not None and longest > recipe.max_length:
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
    found += _rate_warnings(recipe, recommended)
    found += _practice_warnings(recipe)
    return tuple(found)


def _rate_warnings(recipe: Recipe, recommended: Recipe | None) -> Iterator[FieldProblem]:
    """A rate that does not go with the batch, or is outside what DPO is known to bear."""
    model = models.get(recipe.model)
    low, high = DPO_RATES
    if recipe.method == "dpo" and model.measured is None and not low <= recipe.learning_rate <= high:
        yield FieldProblem(
            "learning_rate", f"DPO is tuned from {low:g} to {high:g}. Outside of that it learns nothing or too much."
        )
    if recommended is None or recipe.batch_size == recommended.batch_size:
        return
    if recipe.learning_rate == recommended.learning_rate:
        fitting = for_batch(recommended.learning_rate, recipe.batch_size, recommended.batch_size)
        message = f"With {recipe.batch_size} per step instead of {recommended.batch_size}, a rate of {fitting:.2g} goes better."
        yield FieldProblem("learning_rate", f"{message} It grows with the square root of the batch.")


def _practice_warnings(recipe: Recipe) -> Iterator[FieldProblem]:
    """What makes practice learn little, or something else than meant."""
    names = {spec.name for spec in recipe.specs}
    if "group_size" in names and recipe.method != "distill" and recipe.group_size < _FEW_ANSWERS:
        message = "With so few answers to a question they often score the same, and then there is nothing to learn."
        yield FieldProblem("group_size", message)
    if "kl_coef" in names and recipe.kl_coef and recipe.temperature != 1:
        message = "Away from 1 the distance to the reference is not measured truly, and neither is its penalty."
        yield FieldProblem("temperature", message)
    if recipe.method == "rlhf" and not recipe.kl_coef and recipe.kl_limit is None:
        message = "Nothing holds the model to where it began, so it may learn to please the judge instead of getting better."
        yield FieldProblem("kl_coef", message)


def minutes(recipe: Recipe, facts: DataFacts) -> float | None:
    """How long the steps will take, where we measured this model on this kind of machine; ``None`` where we did not.

    Proportional to steps and to examples per step; evaluation and starting up are not in it.
    """
    model = models.get(recipe.model)
    measured = model.measured
    if recipe.method == "sl" and measured is not None:
        each = measured.seconds_per_step / measured.batch_size
        return recipe.steps(facts.train_rows) * recipe.batch_size * each / 60
    found = model.measured_for(recipe.distillation if recipe.method == "distill" else recipe.method)
    if found is None:
        return None
    sampled = any(spec.name == "group_size" for spec in recipe.specs)
    measured_size = int(found.get("batch_size") or 1) * (int(found.get("group_size") or 1) if sampled else 1)
    size = recipe.batch_size * (recipe.group_size if sampled else 1)
    return recipe.steps(facts.train_rows) * size / measured_size * found.seconds_per_step / 60


def about(duration: float | None) -> str:
    """Minutes in words: "about 2 min", "under a minute", "about 3 h", "time not known"."""
    if duration is None:
        return "time not known"
    if duration < 1:
        return "under a minute"
    if duration < 90:
        return f"about {math.ceil(duration)} min"
    return f"about {duration / 60:.0f} h"


def _model_problems(recipe: Recipe, bad: set[str]) -> list[FieldProblem]:
    try:
        model = models.get(recipe.model)
    except StudioError as error:
        return [FieldProblem("model", str(error))]
    found: list[FieldProblem] = []
    names = {spec.name for spec in recipe.specs} - bad
    if "renderer" in names and recipe.renderer not in model.renderers:
        known = " or ".join(model.renderers)
        found.append(FieldProblem("renderer", f"{model.label} was made for {known}. Another renderer would confuse it."))
    for name in ("max_length", "max_tokens"):
        if name in names:
            found += _too_long(name, getattr(recipe, name), model)
    return found


def _too_long(name: str, value: int, model: Model) -> list[FieldProblem]:
    """A whole example may fill the context; an answer must leave room for its question."""
    answer = name == "max_tokens"
    most = model.context - 1 if answer else model.context
    if value <= most:
        return []
    reads = f"{model.label} reads at most {model.context:,} tokens"
    room = ", and the question must fit in beside its answer" if answer else ""
    return [FieldProblem(name, f"{reads}{room}. Choose {most:,} or fewer.")]


def _limit_problems(recipe: Recipe, facts: DataFacts | None) -> list[FieldProblem]:
    """A limit on a distance that nobody measures on the way: neither the penalty in each step, nor the checks."""
    # The check before the first step finds no distance, and the one of the end result comes too late.
    on_the_way = facts is None or bool(facts.validation_rows and recipe.eval_every < recipe.steps(facts.train_rows))
    checked = recipe.eval_every and on_the_way
    if recipe.kl_limit is None or recipe.kl_coef or checked:
        return []
    message = (
        "Without a KL coefficient the distance is only known from checks on validation rows, and there are none on the way."
    )
    return [FieldProblem("kl_limit", f"{message} Choose a KL coefficient above 0 or regular checks, or leave the limit empty.")]


def _batch_problems(recipe: Recipe, facts: DataFacts) -> list[FieldProblem]:
    """Steps that need more rows than there are, of any stage."""
    rows = facts.train_rows
    if rows < 1:
        return [FieldProblem("batch_size", "There are no training rows yet. Add data first.")]
    found: list[FieldProblem] = []
    unit = {"dpo": "pairs", "rl": "questions", "rlhf": "questions"}.get(recipe.method, "examples")
    if recipe.batch_size > rows:
        message = f"A step needs {recipe.batch_size:,} {unit} and you have {rows:,} to train on, so no step would run."
        found.append(FieldProblem("batch_size", f"{message} Choose {rows:,} or fewer."))
    if recipe.method == "rlhf" and not recipe.judge and recipe.judge_batch_size > rows:
        message = f"The judge needs {recipe.judge_batch_size:,} pairs for a step and you have {rows:,} to train on."
        found.append(FieldProblem("judge_batch_size", f"{message} Choose {rows:,} or fewer."))
    return found
