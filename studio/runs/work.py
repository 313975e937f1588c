"""What a training process is given to do for one stage, and what every method's trainer offers.

Guarantees: a trainer gets everything from its ``Work`` and reads neither the store nor the recipe's file; it returns only when
the stage's final checkpoint is written; the numbers it returns were measured in this run. Importing this module is light.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, cast

from studio import models
from studio.models import Model
from studio.runs.checkpoints import Checkpoint
from studio.runs.stages import Length, Stage, StageKey

if TYPE_CHECKING:
    from studio.data import Dataset
    from studio.recipe import Recipe
    from studio.runs.desk import Desk
    from studio.runs.link import Link
    from studio.store import RunRow

#: Numbers of a run's result by name. ``None`` is a number that was not measured.
Result = Mapping[str, float | int | str | None]


@dataclass(frozen=True, slots=True)
class Start:
    """The weights that a stage starts from, with a fresh optimiser. Both paths are empty for the base model itself.

    ``sampler_path`` may be empty although ``state_path`` is not: then only training can load these weights.
    """

    state_path: str = ""
    sampler_path: str = ""

    @property
    def is_base(self) -> bool:
        """Whether training starts from the untouched base model."""
        return not self.state_path


@dataclass(frozen=True, slots=True)
class Work:
    """One stage of one run, for one process.

    ``folder`` is the stage's own: metrics, checkpoints, rollouts. ``length`` counts all steps of the stage; ``saved`` are the
    checkpoints in ``folder`` that can be gone on from, oldest first, so ``begun_at`` steps are done already. ``start`` is where
    the stage's first step begins (the warm start's result where there was one, else what the recipe starts from, else the
    base). ``earlier`` holds the final checkpoints of the stages before, by key. ``judge_path`` and ``teacher_path`` are the
    sampler paths of the runs that the recipe names as judge or teacher, empty when it names none (or a model by name).
    ``teacher`` is the model that teaches, where it is not the tuned one. ``before`` steps belong to earlier stages, whose
    folders are ``earlier_folders``, and ``run_total`` steps to all of them.
    """

    run: RunRow
    recipe: Recipe
    dataset: Dataset
    stage: Stage
    folder: Path
    length: Length
    saved: tuple[Checkpoint, ...]
    start: Start
    earlier: Mapping[StageKey, Checkpoint]
    judge_path: str = ""
    teacher_path: str = ""
    teacher: Model | None = None
    earlier_folders: tuple[Path, ...] = ()
    before: int = 0
    run_total: int = 0

    @property
    def main(self) -> bool:
        """Whether this is the last stage, whose result is the run's."""
        return self.stage.main

    @property
    def cache(self) -> Path:
        """Where libraries may keep copies of the rows while the stage is worked on."""
        return self.folder / "cache"

    @property
    def phase(self) -> str:
        """What is being done while steps are taken, in a few plain words."""
        return "training" if self.main else f"training: {self.stage.title.lower()}"

    @property
    def model(self) -> Model:
        """The model that is tuned."""
        return models.get(self.recipe.model)

    @property
    def total(self) -> int:
        """Steps of this stage altogether."""
        return self.length.total

    @property
    def begun_at(self) -> int:
        """Steps that an earlier process of this run has done and saved."""
        return min(self.saved[-1].step, self.total) if self.saved else 0

    @property
    def shuffle(self) -> bool:
        """Whether the rows are shuffled in each pass; a person may have chosen their order (a curriculum)."""
        return not self.dataset.plan.order

    def report(self, desk: Desk, done: int) -> None:
        """Report that ``done`` steps of this stage are finished, in steps of the whole run."""
        desk.progress(self.before + done, max(self.run_total, self.total))

    def record(self, desk: Desk, state_path: str, sampler_path: str = "") -> None:
        """Keep in the run's row where its latest weights are. What an earlier stage saves is not the run's result."""
        if self.main:
            paths = {"checkpoint_path": state_path, "sampler_path": sampler_path}
            desk.store.runs.update(self.run.id, **{name: path for name, path in paths.items() if path})


class Trainer(Protocol):
    """What the module that trains a stage offers.

    ``train`` does the rest of the stage's steps through ``link`` (``studio.runs.link.beside``), with an attendant that reports
    to ``desk``, and measures the result. It raises ``StopAsked`` after saving when a stop was asked for, ``BackendError`` when
    the server fails, and ``RunError`` when the work cannot be done.
    """

    def train(self, desk: Desk, link: Link, work: Work) -> Result:
        """Do the stage to its end and return its numbers for the run's result."""
        ...


_MODULES: Final[Mapping[str, str]] = {
    "sl": "sft",
    "dpo": "dpo",
    "rl": "rl",
    "rlhf": "rlhf",
    "distill": "distill",
}


def trainer_for(method: str, stage: StageKey) -> Trainer:
    """The module that trains this stage of this method. Imports the cookbook, which takes seconds the first time."""
    name = {"warm_start": "sft", "judge": "judge"}.get(stage) or _MODULES[method]
    return cast("Trainer", importlib.import_module(f"studio.runs.{name}"))
