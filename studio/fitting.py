"""Whether a checked file fits a way of training, and what can be done where it does not.

Guarantees: says only what ``methods.yaml`` and the inspection say; a file of another training type is an error with a way out,
too few rows are never more than a warning, because the file itself is in order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from studio import methods
from studio.data import Finding, Fix, FixOffer, Inspection, TrainingType
from studio.errors import DataError

#: What each training type has in a row, as people say it.
HOLDS: Final[Mapping[TrainingType, str]] = {
    "SL": "examples, each a question with one good answer",
    "DPO": "pairs of a better and a worse answer",
    "RL": "questions with a right answer or a score",
}
#: What the one form of tasks holds that has nothing to check an attempt against.
_QUESTIONS: Final = "questions without answers"
#: The fix that makes examples of pairs.
BETTER_ANSWERS: Final = Fix("better_answers")


def holds(inspection: Inspection) -> str:
    """What a file has in its rows, as people say it. Raises ``DataError`` while nobody knows its form."""
    if inspection.shape is None:
        raise DataError("Nobody knows yet what this file holds.", where=inspection.file_name, next_step="Choose its columns.")
    return _QUESTIONS if inspection.shape.kind == "prompts" else HOLDS[inspection.shape.training]


def findings(inspection: Inspection, method: str) -> tuple[Finding, ...]:
    """What stands between this file and this method: nothing, one error, or too few rows. Raises ``NotFoundError``."""
    if inspection.shape is None or not inspection.ready:
        return ()
    chosen = methods.method(method)
    training = inspection.shape.training
    if training not in chosen.data:
        return (_mismatch(inspection, chosen),)
    found = [*_scores_of_others(inspection, chosen)]
    rows = _rows(inspection)
    enough = methods.readiness(method, rows)
    if enough.level != "enough":
        next_step = f"Add {chosen.unit}: {chosen.minimum:,} make a start, {chosen.recommended:,} are comfortable."
        severity = "warning" if enough.level == "too few" else "info"
        found.append(Finding("few_for_method", severity, rows, (), enough.sentence, next_step))
    return tuple(found)


def _rows(inspection: Inspection) -> int:
    """Rows that teach something: usable, and no copies of others."""
    return inspection.rows_usable - inspection.duplicate_rows


def _scores_of_others(inspection: Inspection, chosen: methods.Method) -> Iterator[Finding]:
    """Scores belong to answers that somebody wrote; practice writes new ones, which need a score of their own."""
    shape = inspection.shape
    if chosen.id != "rl" or shape is None or not shape.column("reward") or shape.column("reward_name"):
        return
    message = (
        "The scores in this file belong to answers that were written before. Practice writes new answers, and cannot use them."
    )
    next_step = "Say in the settings what makes an answer good, or learn from the answers with the best scores as examples."
    yield Finding("scores_of_written_answers", "warning", inspection.rows_usable, (), message, next_step)


def way_out(inspection: Inspection) -> str:
    """How to learn from a file of another training type all the same, in the terminal; empty for a supervised one."""
    shape = inspection.shape
    if shape is None or shape.training == "SL":
        return ""
    if shape.training == "DPO":
        return "To learn from the better answers alone, add: --fix better_answers"
    prompt, answer = shape.column("prompt"), shape.column("answer") or shape.column("completion")
    if prompt and answer:
        return f"To learn from the right answers as examples, add: --column prompt={prompt} --column completion={answer}"
    return "Add a column with a good answer to each question."


def _mismatch(inspection: Inspection, chosen: methods.Method) -> Finding:
    training: TrainingType = inspection.shape.training if inspection.shape else "SL"
    fits = methods.method(methods.ways(training)[0])
    message = f"This file holds {holds(inspection)}. {chosen.name} training needs {_needs(chosen)}."
    if chosen.id == "sl" and training == "DPO":
        offer = FixOffer(BETTER_ANSWERS, "Learn from the better answers alone", inspection.rows_usable)
        next_step = "Learn from the better answers alone, or choose another file."
        return Finding("training_type_mismatch", "error", inspection.rows_usable, (), message, next_step, fixes=(offer,))
    next_step = f"Choose another file, or train it as {fits.term}."
    return Finding("training_type_mismatch", "error", inspection.rows_usable, (), message, next_step)


def _needs(chosen: methods.Method) -> str:
    return " or ".join(words for training, words in HOLDS.items() if training in chosen.data)
