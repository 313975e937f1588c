"""The stages of a run: which there are, where each keeps its files, how long each is, and which are done.

Guarantees: the stages follow from the recipe alone; the last one keeps its files in the run's own folder and every earlier one
in a folder of its own inside it; a stage is done when its final checkpoint is written, and not before.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal, cast

from studio.recipe import Recipe
from studio.runs import files

StageKey = Literal["warm_start", "judge", "train"]
StageStatus = Literal["waiting", "now", "done"]

#: What a run writes down about its stages when it is recorded, for everybody who shows it.
OUTLINE: Final = "stages.json"
_WARM_START: Final = "1-warm-start"
_JUDGE: Final = "2-judge"
_TITLES: Final = {
    "sl": "Learn from examples",
    "dpo": "Learn from pairs",
    "rl": "Practise for reward",
    "rlhf": "Practise for the judge's reward",
    "distill": "Learn from the teacher",
}


@dataclass(frozen=True, slots=True)
class Stage:
    """One part of a run with a training loop of its own.

    ``folder_name`` is a folder inside the run's, empty for the last stage, which uses the run's own. ``unit`` is counted.
    """

    key: StageKey
    title: str
    folder_name: str
    unit: str = "steps"

    @property
    def main(self) -> bool:
        """Whether this is the last stage, whose result is the run's."""
        return not self.folder_name

    def folder(self, run: Path) -> Path:
        """Where this stage of the run in ``run`` keeps its metrics and checkpoints."""
        return run / self.folder_name if self.folder_name else run


@dataclass(frozen=True, slots=True)
class Length:
    """How long a stage is: ``per_pass`` steps go once through the training rows, ``total`` steps are taken altogether."""

    per_pass: int
    total: int


@dataclass(frozen=True, slots=True)
class Planned:
    """A stage and its steps, as a run's outline holds them."""

    stage: Stage
    total: int


def of(recipe: Recipe) -> tuple[Stage, ...]:
    """The stages of this recipe in order; the last one is the method itself."""
    found: list[Stage] = []
    if recipe.method in ("dpo", "rlhf") and recipe.warm_start_epochs:
        found.append(Stage("warm_start", "Warm up on the better answers", _WARM_START))
    if recipe.method == "rlhf" and not recipe.judge:
        found.append(Stage("judge", "Train the judge", _JUDGE))
    return (*found, Stage("train", _TITLES[recipe.method], ""))


def length(recipe: Recipe, stage: Stage, train_rows: int) -> Length:
    """The steps of a stage on this many training rows. Every stage takes whole batches only."""
    per_pass = train_rows // batch_size(recipe, stage)
    match stage.key:
        case "warm_start":
            return Length(per_pass, per_pass * recipe.warm_start_epochs)
        case "judge":
            return Length(per_pass, per_pass * recipe.judge_epochs)
        case _:
            return Length(per_pass, recipe.steps(train_rows))


def batch_size(recipe: Recipe, stage: Stage) -> int:
    """Rows in each step of a stage. Where the method itself counts questions, the stages before it count pairs on their own."""
    return recipe.judge_batch_size if recipe.method == "rlhf" and stage.key != "train" else recipe.batch_size


def planned(recipe: Recipe, train_rows: int) -> tuple[Planned, ...]:
    """Every stage with its steps, in order."""
    return tuple(Planned(stage, length(recipe, stage, train_rows).total) for stage in of(recipe))


def is_done(folder: Path) -> bool:
    """Whether the stage whose files lie in ``folder`` has written its final checkpoint."""
    try:
        lines = (folder / files.CHECKPOINTS).read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return False
    return any(_is_final(line) for line in lines)


def write_outline(run: Path, recipe: Recipe, train_rows: int, teacher: str = "") -> None:
    """Keep what ``read_outline`` reads. Raises ``OSError``."""
    rows = [{**asdict(one.stage), "total": one.total} for one in planned(recipe, train_rows)]
    draft = run / f"{OUTLINE}.draft"
    told = {"method": recipe.method, "model": recipe.model, "teacher": teacher, "kl_limit": recipe.kl_limit, "stages": rows}
    draft.write_text(json.dumps(told, indent=1), "utf-8")
    draft.replace(run / OUTLINE)


@dataclass(frozen=True, slots=True)
class Outline:
    """What is known of a run without its recipe: how it trains, which model, which teacher's, and its stages in order."""

    method: str
    model: str
    stages: Sequence[Planned]
    teacher: str = ""
    kl_limit: float | None = None


def read_outline(run: Path) -> Outline | None:
    """The outline of a run, ``None`` for one that was recorded before there were stages (a single supervised one)."""
    try:
        found = cast("dict[str, Any]", json.loads((run / OUTLINE).read_text("utf-8")))
    except FileNotFoundError:
        return None
    rows: list[dict[str, Any]] = found["stages"]
    told = tuple(Planned(Stage(row["key"], row["title"], row["folder_name"], row["unit"]), row["total"]) for row in rows)
    return Outline(found["method"], found["model"], told, found.get("teacher", ""), found.get("kl_limit"))


def _is_final(line: str) -> bool:
    try:
        record = json.loads(line)
    except ValueError:
        return False  # half a line of a process that was killed
    # The cookbook's own last checkpoint carries this name; it is written when every step is done.
    return isinstance(record, dict) and cast("dict[str, Any]", record).get("name") == "final"
