"""Finding a model: a search over everything that is known of one, and advice on where to start.

Guarantees: pure; what is searched for is only compared, never run; advice names a model that is on the list it was asked about,
with its reason, and none that its server has retired.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

from studio.models.lineup import Kind, Model

Aim = Literal["prototyping", "quality", "speed"]
Architecture = Literal["dense", "moe"]
Size = Literal["small", "medium", "large"]

#: What a kind of model does, in plain words. They can be searched for.
KINDS: Final[Mapping[Kind, str]] = {
    "instruct": "follows instructions",
    "hybrid": "can think aloud, or not",
    "reasoning": "always thinks aloud",
    "base": "only continues text",
}
ARCHITECTURES: Final[Mapping[Architecture, str]] = {"dense": "dense", "moe": "mixture of experts"}
SIZES: Final[Mapping[Size, str]] = {
    "small": "up to 10 billion parameters",
    "medium": "10 to 50 billion",
    "large": "more than 50 billion",
}
_BOUNDS: Final[Mapping[Size, tuple[float, float]]] = {"small": (0, 10e9), "medium": (10e9, 50e9), "large": (50e9, float("inf"))}
#: Advice by comparing is none with fewer models than this.
_ENOUGH: Final = 2


@dataclass(frozen=True, slots=True)
class Start:
    """Advice: for this aim begin with this model, and why."""

    aim: Aim
    model: Model
    why: str


def search(
    models: Sequence[Model],
    text: str = "",
    *,
    kind: Kind | None = None,
    architecture: Architecture | None = None,
    size: Size | None = None,
) -> tuple[Model, ...]:
    """The models that have every word of ``text`` in what is known of them, and are of this kind, build and size."""
    words = text.lower().split()
    return tuple(
        model
        for model in models
        if (kind is None or model.kind == kind)
        and (architecture is None or model.architecture == architecture)
        and (size is None or _BOUNDS[size][0] < model.parameters <= _BOUNDS[size][1])
        and all(word in _known(model) for word in words)
    )


def start_here(models: Sequence[Model]) -> tuple[Start, ...]:
    """Where to start among these models, at most once for each aim. Retired ones are left out.

    The catalogue's own advice comes first. Where none of its choices is on the list, the sizes of those that answer by
    themselves decide between them.
    """
    there = [model for model in models if not model.retired]
    able = [model for model in there if model.kind != "base"]
    found: list[Start] = []
    for aim in get_args(Aim):
        best = next((model for model in there if model.advice(aim)), None)
        if best is not None:
            found.append(Start(aim, best, best.advice(aim)))
        elif len(able) >= _ENOUGH:
            found.append(_COMPARED[aim](able))
    return tuple(found)


def _smallest(able: Sequence[Model]) -> Start:
    model = min(able, key=lambda one: one.parameters)
    return Start("prototyping", model, f"The smallest one here: {model.size} parameters, so a mistake costs least.")


def _largest(able: Sequence[Model]) -> Start:
    model = max(able, key=lambda one: one.parameters)
    return Start("quality", model, f"The largest one here that answers by itself: {model.size} parameters.")


def _quickest(able: Sequence[Model]) -> Start:
    model = min(able, key=lambda one: one.active_parameters)
    return Start("speed", model, f"The fewest parameters at work on each token: {model.size}.")


_COMPARED: Final[Mapping[Aim, Callable[[Sequence[Model]], Start]]] = {
    "prototyping": _smallest,
    "quality": _largest,
    "speed": _quickest,
}


def _known(model: Model) -> str:
    built = f"{model.architecture} {ARCHITECTURES[model.architecture]}"
    facts = (model.name, model.label, model.family, model.kind, KINDS[model.kind], model.size, built, model.licence)
    return " ".join((*facts, *model.renderers)).lower()
