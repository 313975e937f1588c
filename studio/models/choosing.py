"""Finding a model: a search over everything that is known of one, and advice on where to start.

Guarantees: pure; what is searched for is only compared, never run; advice names a model that is on the list it was asked about,
with its reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

from studio.models.lineup import Kind, Model

Aim = Literal["prototyping", "quality", "speed"]

_BUILT: Final = {"dense": "dense", "moe": "moe mixture of experts"}


@dataclass(frozen=True, slots=True)
class Start:
    """Advice: for this aim begin with this model, and why."""

    aim: Aim
    model: Model
    why: str


def search(
    models: Sequence[Model], text: str = "", *, kind: Kind | None = None, most: float | None = None
) -> tuple[Model, ...]:
    """The models that have every word of ``text`` in what is known of them, of this kind, with at most so many parameters."""
    words = text.lower().split()
    return tuple(
        model
        for model in models
        if (kind is None or model.kind == kind)
        and (most is None or model.parameters <= most)
        and all(word in _known(model) for word in words)
    )


def start_here(models: Sequence[Model]) -> tuple[Start, ...]:
    """Where to start among these models, for each aim that one of them is known to be good for. Retired ones are left out."""
    found: list[Start] = []
    for aim in get_args(Aim):
        best = next((model for model in models if not model.retired and model.advice(aim)), None)
        if best is not None:
            found.append(Start(aim, best, best.advice(aim)))
    return tuple(found)


def _known(model: Model) -> str:
    facts = (model.name, model.label, model.family, model.kind, model.size, _BUILT[model.architecture], model.licence)
    return " ".join(facts).lower()
