"""One row as the model will see it, token by token."""

from __future__ import annotations

from dataclasses import dataclass

from studio.data import Dataset, Inspection
from studio.data.conversations import conversation
from studio.models import Model
from studio.models.rendering import Rendering, template
from studio.tokens.profiles import ALL_ANSWERS, examples_of

_TITLES = {"SL": ("Example",), "DPO": ("Better answer", "Worse answer"), "RL": ("Prompt, as answers are sampled from it",)}


@dataclass(frozen=True, slots=True)
class View:
    """One thing that training reads of a row, and what to call it."""

    title: str
    rendering: Rendering


def views(
    source: Inspection | Dataset,
    row_id: int,
    model: Model,
    train_on: str = ALL_ANSWERS,
    max_length: int | None = None,
    *,
    renderer: str = "",
) -> tuple[View, ...]:
    """The row as training will use it: one view, or two for a pair.

    The first call of a process loads the cookbook (seconds). Raises ``NotFoundError``, and ``DataError`` when the tokenizer is
    not at hand or the format cannot hold the row (``CannotRender``).
    """
    inspection = source if isinstance(source, Inspection) else source.inspection
    training = inspection.shape.training if inspection.shape else "SL"
    row = conversation(inspection, row_id)
    with_model = template(model, renderer)
    limit = model.context if max_length is None else max_length
    aim = train_on if training == "SL" else "last_assistant_message"
    shown = (
        with_model.prompt_rendering(turns, limit) if training == "RL" else with_model.rendering(turns, aim, limit)
        for turns in examples_of(row, training)
    )
    return tuple(View(title, rendering) for title, rendering in zip(_TITLES[training], shown, strict=True))


def warm_up(model: Model, renderer: str = "") -> None:
    """Load what ``views`` needs, so that the first look does not wait. Raises ``NoTokenizer``."""
    template(model, renderer)
