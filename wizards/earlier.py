"""Earlier runs that a new one can build on: go on from what they learned, use their judge again, or be taught by them.

Guarantees: reads only; offers one owner's own runs, and of those only such that have left what is asked of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from studio import methods, models
from studio.errors import StudioError
from studio.recipe import Recipe
from studio.runs import stages
from studio.settings import Settings
from studio.store import RunRow, Store, checked_id

Choices = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Earlier:
    """Id and words of the runs that fit: to go on from, to judge, to teach. ``ranks`` are the LoRA ranks of the first."""

    starts: Choices = ()
    judges: Choices = ()
    teachers: Choices = ()
    ranks: tuple[tuple[str, int], ...] = ()


def of(settings: Settings, store: Store, owner: str, model: str) -> Earlier:
    """The runs that a run of this model can build on, newest first."""
    runs = store.runs.all(owner)
    starts = [run for run in runs if run.model == model and run.checkpoint_path and store.jobs.get(run.id).ended]
    return Earlier(
        starts=tuple((run.id, _words(run)) for run in starts),
        judges=tuple((run.id, _words(run)) for run in _with_judge(settings, runs)),
        teachers=tuple((run.id, _words(run)) for run in runs if run.sampler_path),
        ranks=tuple((run.id, Recipe.from_json(run.recipe_json).lora_rank) for run in starts),
    )


def _with_judge(settings: Settings, runs: Sequence[RunRow]) -> Iterator[RunRow]:
    """Runs whose own judge is trained to its end and can be asked where this studio trains."""
    served = {model.name for model in models.catalogue(settings)}
    for run in runs:
        if run.method != "rlhf" or run.model not in served:
            continue
        stage = next((one for one in stages.of(Recipe.from_json(run.recipe_json)) if one.key == "judge"), None)
        if stage is not None and stages.is_done(stage.folder(settings.runs / checked_id(run.id))):
            yield run


def _words(run: RunRow) -> str:
    try:
        name = methods.method(run.method).name
    except StudioError:
        name = run.method
    return f"{run.name}, {name.lower()}, {run.id}"
